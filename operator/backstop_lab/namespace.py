"""Enters namespaces of its own (user, network, process, mount), the outer half of a run.

Guarantees that nothing outlives a run: everything is inside one process namespace, whose first
process ends when its pipe to the outer process closes, and that ends all others with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from backstop_lab.errors import LabError

_UNSHARE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER = (*_UNSHARE, "--user", "--map-root-user")
_UNFIT_MACHINE = 2

STOP_REQUEST = b"T"
"""Sent through the control pipe: end the command politely. The pipe's end means: end at once."""


def refusal(settings: Mapping[str, str]) -> str:
    """Return one sentence that says how to allow user namespaces.

    `settings` maps names under /proc/sys (with slashes) to their content, as far as they exist.
    """
    remedies = (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "15000"),
    )
    for name, forbidding, allowing in remedies:
        if settings.get(name) == forbidding:
            assignment = f"{name.replace('/', '.')}={allowing}"
            return f"This kernel forbids user namespaces: run `sudo sysctl -w {assignment}`."
    return (
        "This machine forbids new namespaces: run the lab as root outside of a container, or in a "
        "container started with `--privileged`."
    )


def run(
    programs: Mapping[str, Path],
    command: Sequence[str],
    keep_logs: Path | None,
    *,
    lab: str = "backstop_lab.lab",
    as_root: bool = False,
) -> int:
    """Run `command` beside a cluster in new namespaces and return its exit code.

    `lab` is the module whose `run` is called inside; `as_root` keeps the privileges of root, which
    a user namespace would take. Raises LabError (exit code 2) where the machine does not allow it.
    """
    unshare = _working_unshare([_UNSHARE] if as_root else None)
    reading, writing = os.pipe()
    settings = {
        "programs": {name: str(path) for name, path in programs.items()},
        "command": list(command),
        "keep_logs": None if keep_logs is None else str(keep_logs.absolute()),
        "control": reading,
        "lab": lab,
    }
    inner = [sys.executable, "-m", "backstop_lab.init", json.dumps(settings)]
    process = subprocess.Popen([*unshare, *inner], pass_fds=[reading])
    os.close(reading)

    def stop(_number: int, _frame: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(writing, STOP_REQUEST)

    # Ctrl-C reaches the command by itself, as it is in the same terminal group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    return process.wait()


def _working_unshare(only: Sequence[Sequence[str]] | None) -> Sequence[str]:
    if sys.platform != "linux":
        raise LabError("The lab needs Linux; elsewhere use kind.", exit_code=_UNFIT_MACHINE)
    if shutil.which("unshare") is None:
        raise LabError("Install util-linux: `unshare` is missing.", exit_code=_UNFIT_MACHINE)
    attempts = [_AS_USER, _UNSHARE] if os.geteuid() == 0 else [_AS_USER]
    for attempt in only or attempts:
        done = subprocess.run([*attempt, "true"], capture_output=True, check=False, timeout=30)
        if done.returncode == 0:
            return attempt
    raise LabError(refusal(_kernel_settings()), exit_code=_UNFIT_MACHINE)


def _kernel_settings() -> dict[str, str]:
    names = (
        "kernel/apparmor_restrict_unprivileged_userns",
        "kernel/unprivileged_userns_clone",
        "user/max_user_namespaces",
    )
    files = {name: Path("/proc/sys", name) for name in names}
    return {name: file.read_text().strip() for name, file in files.items() if file.exists()}
