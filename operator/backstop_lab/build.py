"""Builds the programs that are missing, once per user, and shows that it is alive meanwhile.

A program appears in the cache only when it is complete, and two runs never build at once.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backstop_lab import binaries, crds
from backstop_lab.binaries import BINARIES, MODULES, Binary
from backstop_lab.errors import LabError
from backstop_lab.toolchain import find_go, go_environment

if TYPE_CHECKING:
    from rich.console import Console

SIGN_OF_LIFE_SECONDS = 30
_ERROR_LINES = 20


def ensure_all() -> dict[str, Path]:
    """Return the path of every program by name; builds what is missing. Raises LabError."""
    ready = _ensure(BINARIES)
    return {**ready, "envoy": binaries.find_envoy(), "crds": crds.ensure()}


def ensure(binary: Binary) -> Path:
    """Return the path of one program; builds it if it is missing. Raises LabError."""
    return _ensure((binary,))[binary.name]


def _ensure(wanted: Sequence[Binary]) -> dict[str, Path]:
    if any(binaries.find(binary) is None for binary in wanted):
        with _exclusive(binaries.cache_directory()):
            _build_missing(wanted)
    found = {binary.name: binaries.find(binary) for binary in wanted}
    return {name: path for name, path in found.items() if path is not None}


@contextmanager
def _exclusive(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is building the same programs: waiting for it.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_missing(wanted: Sequence[Binary]) -> None:
    from rich.console import Console  # noqa: PLC0415 - needed once in many starts

    cache = binaries.cache_directory()
    missing = [binary for binary in wanted if binaries.find(binary) is None]
    if not missing:
        return
    console = Console(stderr=True, highlight=False)
    console.print(
        f"Building {len(missing)} programs of the cluster from source, once. "
        "This takes some minutes; later starts take seconds."
    )
    go = find_go(cache)
    for number, binary in enumerate(missing, start=1):
        label = f"[{number}/{len(missing)}] {binary.name} {binary.version}"
        _build(go, binary, binary.cached_at(cache), console, label)


def _build(go: Path, binary: Binary, target: Path, console: Console, label: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f"{target.name}.*"):  # of a run that was killed
        leftover.unlink()
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    log = target.with_name("build.log")
    command = [str(go), "build", *binary.build_flags, "-o", str(unfinished), binary.package]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=MODULES / binary.family,
                env=go_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            seconds = _wait(process, console, label)
        if process.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_ERROR_LINES:])
            raise LabError(f"`go build` of {binary.name} failed (all of it in {log}):\n{tail}")
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    console.print(f"{label}: built in {seconds:.0f} s", markup=False)


def _wait(process: subprocess.Popen[bytes], console: Console, label: str) -> float:
    """Wait for the build, report while it lasts, end it with us. Returns its seconds."""
    start = time.monotonic()
    period = 1 if console.is_terminal else SIGN_OF_LIFE_SECONDS
    safe_label = label.replace("[", r"\[")
    try:
        with console.status(f"{safe_label}: building") as status:
            while True:
                try:
                    process.wait(timeout=period)
                    return time.monotonic() - start
                except subprocess.TimeoutExpired:
                    elapsed = f"{label}: building, {time.monotonic() - start:.0f} s"
                    if console.is_terminal:
                        status.update(elapsed.replace("[", r"\["))
                    else:
                        console.print(elapsed, markup=False)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
