"""A program on loopback that takes calls, and answers as a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from backstop.adapters.destinations import Allowed

SECRET = b"a key of 27 bytes, for tests"


NOWHERE = Allowed()


@dataclass(frozen=True, slots=True)
class Access:
    """A configuration, as the adapters see it."""

    allowed: Allowed = NOWHERE
    secret_file: Path | None = None
    deadline: float = 5.0
    address: str = ""
    page_only: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """Answers with the next of ``answers``, and with 200 when there is none."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[Answer | int] = []
        self.came = asyncio.Event()
        self.place = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(Call(request.path_qs, dict(request.headers), await request.read()))
        self.came.set()
        answer = self.answers.pop(0) if self.answers else 200
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    async def wait_for(self, number: int) -> None:
        """Return when ``number`` calls have come."""
        while len(self.calls) < number:
            self.came.clear()
            await self.came.wait()


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Serve until the end of the block."""
    running = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", running.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.place = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield running
    finally:
        await runner.cleanup()
