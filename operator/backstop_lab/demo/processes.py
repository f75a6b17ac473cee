"""The processes that the demo starts: each with a log file, and none outlives the demo."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from backstop_lab.demo.environment import DemoError

_STOP_SECONDS = 8.0
_TAIL_LINES = 12


class Child:
    """One process with its log."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    def require_alive(self) -> None:
        """Raise DemoError with the end of the log if the process has ended."""
        code = self._process.returncode
        if code is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            tail = "\n".join(line[:500] for line in lines)
            raise DemoError(f"{self._name} ended with code {code}. The end of {self._log}:\n{tail}")

    async def stop(self) -> None:
        """End the process, by force if it does not end by itself."""
        if self._process.returncode is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), timeout=_STOP_SECONDS)
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def running(name: str, command: Sequence[str | Path], log: Path) -> AsyncIterator[Child]:
    """Run `command` in a session of its own for the length of the context."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    child = Child(name, process, log)
    try:
        yield child
    finally:
        await asyncio.shield(child.stop())
