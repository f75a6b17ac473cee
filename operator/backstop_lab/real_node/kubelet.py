"""The kubelet and kube-proxy: their configuration and command lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from backstop_lab.control_plane import Credentials
from backstop_lab.network import NODE_ADDRESS
from backstop_lab.node import NODE_NAME
from backstop_lab.real_node.network import POD_RANGE

PROXY_USER = "kube-proxy"
NODE_USER = "kubelet"


def kubelet(
    programs: Mapping[str, Path],
    credentials: Credentials,
    *,
    directory: Path,
    runtime_socket: Path,
    cgroup: str,
) -> list[str | Path]:
    """Write the kubelet's configuration and return its command line."""
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        # The whole network namespace belongs to this run, so the API server needs no identity here.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{runtime_socket}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(directory / "logs"),
        "resolvConf": "",
        "syncFrequency": "5s",
        "volumePluginDir": str(directory / "plugins"),
    }
    directory.mkdir()
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return [
        programs["kubelet"],
        f"--config={file}",
        f"--kubeconfig={credentials / NODE_USER}.kubeconfig",
        f"--root-dir={directory / 'root'}",
        f"--cert-dir={directory / 'pki'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def kube_proxy(programs: Mapping[str, Path], credentials: Credentials) -> list[str | Path]:
    """Return the command line of kube-proxy.

    All traffic to Services is masqueraded: two pods are on one bridge, where an answer would
    otherwise come back past the rules that know of the translation.
    """
    return [
        programs["kube-proxy"],
        f"--kubeconfig={credentials / PROXY_USER}.kubeconfig",
        f"--hostname-override={NODE_NAME}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_RANGE}",
        "--masquerade-all",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]
