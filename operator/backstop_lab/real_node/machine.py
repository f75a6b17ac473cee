"""What the machine lends to a real node, and how it gets it back.

Files that programs leave at fixed places under /run and /var land in memory, and vanish with the
mount namespace. Only groups of processes (cgroups) outlive it; `remove_group` ends those.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from backstop_lab.errors import LabError

GROUP = "backstop-lab"
_CGROUPS = Path("/sys/fs/cgroup")


def refusal() -> str:
    """Return in one sentence why this machine cannot run a real node, or nothing."""
    if os.geteuid() != 0:
        return "A real node needs root: the kubelet mounts file systems and makes network devices."
    known = Path("/proc/filesystems").read_text()
    if "overlay" not in known:
        return "A real node needs a kernel with overlayfs."
    if not any((place / "cgroup.procs").exists() for place in _hierarchies()):
        return f"A real node needs cgroups, mounted at {_CGROUPS}."
    if not os.access(_CGROUPS, os.W_OK):
        return f"A real node needs to write to {_CGROUPS}; it is read-only here."
    return ""


def cover(directory: Path) -> None:
    """Lay memory over /run and /var, with what /var holds still readable below it."""
    upper, work = directory / "var", directory / "var-work"
    for place in (upper, work):
        place.mkdir()
    _mount("tmpfs", "backstop-lab", "/run", "mode=755")
    _mount("overlay", "overlay", "/var", f"lowerdir=/var,upperdir={upper},workdir={work}")
    Path("/run/lock").mkdir()
    # The kubelet hands mounts on to containers, for which the source has to be shared.
    subprocess.run(["mount", "--make-rshared", "/"], check=True)


def make_group() -> str:
    """Create the group of processes in which pods run, and return the kubelet's name for it."""
    for hierarchy in _hierarchies():
        group = hierarchy / GROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty at first where cgroups are v1
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((hierarchy / name).read_text())
    return f"/{GROUP}"


def remove_group() -> None:
    """Remove what is left of the group, once nothing runs in it any more."""
    for hierarchy in _hierarchies():
        for place, _, _ in os.walk(hierarchy / GROUP, topdown=False):
            with contextlib.suppress(OSError):
                Path(place).rmdir()


def _hierarchies() -> list[Path]:
    """Return the roots of all hierarchies: one where cgroups are v2, one per controller for v1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return sorted(one for one in _CGROUPS.glob("*") if (one / "cgroup.procs").exists())


def _mount(kind: str, source: str, target: str, options: str) -> None:
    command = ["mount", "-t", kind, "-o", options, source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"cannot mount {kind} on {target}: {done.stderr.strip()}", exit_code=2)
