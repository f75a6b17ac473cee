"""Says which programs a real node is made of, and gives their paths.

Most are built from pinned Go modules like the rest of the lab. runc, iptables and the CNI plugins
come from the distribution, as they belong to the kernel and the C library of the machine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from backstop_lab import build
from backstop_lab.binaries import BINARIES, HELM, KUBERNETES, Binary
from backstop_lab.errors import LabError

_CONTAINERD = "github.com/containerd/containerd/v2"


def _kubernetes(name: str) -> Binary:
    return Binary(name, "node", KUBERNETES, f"{KUBERNETES}/cmd/{name}")


def _containerd(name: str) -> Binary:
    return Binary(name, "containerd", _CONTAINERD, f"{_CONTAINERD}/cmd/{name}")


NODE_BINARIES: tuple[Binary, ...] = (
    _kubernetes("kubelet"),
    _kubernetes("kube-proxy"),
    _containerd("containerd"),
    _containerd("containerd-shim-runc-v2"),
    _containerd("ctr"),
)
"""Not part of the lab's default set: only a real node needs them."""

_CONTROL_PLANE = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "prometheus",
)

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Where distributions and upstream put the CNI plugins."""
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
PACKAGES = {"runc": "runc", "iptables": "iptables", "plugins": "containernetworking-plugins"}
"""Debian package of each program that is not built."""


def ensure() -> dict[str, Path]:
    """Return the path of every program that is built; builds what is missing. Raises LabError."""
    found: dict[str, Path] = {}
    wanted = [one for one in BINARIES if one.name in _CONTROL_PLANE]
    for binary in (*wanted, HELM, *NODE_BINARIES):
        found[binary.name] = build.ensure(binary)
    return found


def distribution_programs() -> dict[str, Path]:
    """Return runc, iptables and the directory of the CNI plugins. Raises LabError if one lacks."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = {name: shutil.which(name, path=path) for name in ("runc", "iptables")}
    complete = (one for one in CNI_DIRECTORIES if all((one / name).is_file() for name in PLUGINS))
    found["plugins"] = next(map(str, complete), None)
    missing = [PACKAGES[name] for name, where in found.items() if where is None]
    if missing:
        raise LabError(
            f"A real node needs {', '.join(missing)}: as root, "
            f"`apt-get install --no-install-recommends {' '.join(missing)}`.",
            exit_code=2,
        )
    return {name: Path(where) for name, where in found.items() if where is not None}
