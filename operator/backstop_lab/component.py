"""Runs one program of the cluster and knows how to say what is wrong with it.

Nothing stops it: it ends with the process namespace, and its data is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from backstop_lab.errors import LabError

log = logging.getLogger(__name__)

_TAIL_LINES = 15
_POLL_SECONDS = 0.05


class Component:
    """A program of the cluster with its log file. Start it, wait until it is ready, watch it."""

    def __init__(self, name: str, arguments: Sequence[str | Path], logs: Path) -> None:
        self.name = name
        self._arguments = [str(argument) for argument in arguments]
        self._log = logs / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the program in a session of its own, where Ctrl-C does not reach it."""
        with self._log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait_ready(self, is_ready: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Wait until `is_ready`; raises LabError with the end of the log otherwise."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not await is_ready():
            if self._process is not None and self._process.returncode is not None:
                raise self._failure(f"exited with code {self._process.returncode}")
            if asyncio.get_running_loop().time() > deadline:
                raise self._failure(f"was not ready after {seconds:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        log.info("%s is ready", self.name)

    async def watch(self) -> None:
        """Return never while the program runs; raises LabError when it ends."""
        if self._process is not None:
            code = await self._process.wait()
            raise self._failure(f"exited with code {code}")

    def _failure(self, what: str) -> LabError:
        return LabError(f"{self.name} {what}. The last lines of its log:\n{log_tail(self._log)}")


def log_tail(file: Path) -> str:
    """Return the last lines of a log, each cut to a readable length."""
    text = file.read_text(errors="replace") if file.exists() else ""
    return "\n".join(line[:400] for line in text.splitlines()[-_TAIL_LINES:])
