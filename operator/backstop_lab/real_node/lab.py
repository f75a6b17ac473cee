"""The lab's control plane with a real node, inside the namespaces of one run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from backstop_lab import control_plane, lab
from backstop_lab.certificates import Authority
from backstop_lab.control_plane import Credentials
from backstop_lab.image import build
from backstop_lab.kube_api import KubeApi, Object
from backstop_lab.lab import Lab
from backstop_lab.network import API_URL, NODE_ADDRESS
from backstop_lab.node import NODE_NAME
from backstop_lab.real_node import kubelet, machine, monitoring, network
from backstop_lab.real_node.runtime import SANDBOX, Runtime

_READY_SECONDS = 120.0
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_NODE_BINDING: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "lab-node"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:node",
    },
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
    ],
}


def run(*, programs: Mapping[str, Path], command: Sequence[str], keep_logs: Path | None) -> int:
    """Do what `backstop_lab.lab.run` does, with a real node instead of process pods."""
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return lab.run_as(RealNode, network.prepare, programs, command, keep_logs)


class RealNode(Lab):
    """A cluster whose only node runs containers."""

    @asynccontextmanager
    async def cluster(self) -> AsyncIterator[dict[str, str]]:
        """Bring everything up, and give the environment of the command."""
        machine.cover(self.directory)
        credentials = _credentials(self.directory / "etc" / "pki")
        hosts = self.directory / "etc" / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{NODE_ADDRESS} {NODE_NAME}\n")
        os.environ["PATH"] = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        async with self.control_plane(credentials) as api:
            await self.start_controllers(credentials)
            await api.apply(f"{_RBAC}/clusterrolebindings/lab-node", _NODE_BINDING)
            runtime = await self._start_real_node(api, credentials)
            image = build.single(
                self.directory / "prometheus.tar", monitoring.IMAGE, self.programs["prometheus"]
            )
            await runtime.load(image.file)
            await monitoring.install(api)
            await self.wait_for_prometheus(api)
            socket = str(runtime.socket)
            yield {**self.environment(credentials.admin), "LAB_CONTAINERD": socket}

    async def _start_real_node(self, api: KubeApi, credentials: Credentials) -> Runtime:
        runtime = Runtime(self.programs, self.directory / "containerd")
        containerd = await self.start("containerd", runtime.command())
        await containerd.wait_ready(runtime.is_ready, seconds=_READY_SECONDS)
        await runtime.load(build.sandbox(self.directory / "sandbox.tar", SANDBOX).file)
        arguments = kubelet.kubelet(
            self.programs,
            credentials,
            directory=self.directory / "kubelet",
            runtime_socket=runtime.socket,
            cgroup=machine.make_group(),
        )
        started = await self.start("kubelet", arguments)
        await self.start("kube-proxy", kubelet.kube_proxy(self.programs, credentials))

        async def is_ready() -> bool:
            nodes = (await api.get("/api/v1/nodes"))["items"]
            return any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for node in nodes
                for condition in node["status"].get("conditions", ())
            )

        await started.wait_ready(is_ready, seconds=_READY_SECONDS)
        return runtime


def _credentials(directory: Path) -> Credentials:
    credentials = control_plane.create_credentials(directory)
    authority: Authority = credentials.authority
    node = f"system:node:{NODE_NAME}"
    authority.issue_client(kubelet.NODE_USER, user=node, group="system:nodes")
    authority.issue_client(kubelet.PROXY_USER, user="system:kube-proxy")
    for name in (kubelet.NODE_USER, kubelet.PROXY_USER):
        authority.write_kubeconfig(name, API_URL)
    return credentials
