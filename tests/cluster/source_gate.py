"""A forwarder in front of Prometheus that can refuse connections, or accept and never answer."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit


class Gate(StrEnum):
    """What becomes of a connection."""

    OPEN = "open"
    HANGING = "hanging"
    REFUSING = "refusing"


class SourceGate:
    """Listens on loopback between `async with`; a change of `gate` also ends old connections."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._gate = Gate.OPEN
        self._port = 0

    @property
    def url(self) -> str:
        """Where Prometheus seems to be."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.set(Gate.REFUSING)

    async def set(self, gate: Gate) -> None:
        """Do this with connections from now on."""
        self._gate = gate
        if gate is Gate.REFUSING and self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if gate is not Gate.REFUSING and self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._gate is Gate.HANGING:
                await asyncio.Event().wait()
            there, back = await asyncio.open_connection(*self._upstream)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                await _close(back)
        except OSError:
            pass
        finally:
            await _close(writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
