"""Steady traffic: an open loop at a fixed rate, in a process of its own.

Each request is due at a fixed time and is sent then, whatever became of earlier ones. Only when
`_MOST_WAITING` requests are unanswered is one dropped instead, and that is recorded too. Ends on
SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import time
from pathlib import Path
from typing import IO

import aiohttp

from backstop_lab.demo.records import DROPPED, NO_ANSWER, Record

_TIMEOUT_SECONDS = 2.0
_MOST_WAITING = 400


class Load:
    """Sends `rate` requests per second to `url` for the virtual host `host`."""

    def __init__(self, url: str, host: str, rate: float, output: IO[str]) -> None:
        self._url = url
        self._headers = {"Host": host}
        self._period = 1 / rate
        self._output = output
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self, stopped: asyncio.Event) -> None:
        """Send requests until `stopped`, then wait for the answers that are due."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            # Unix time is for the record; the monotonic clock spaces the requests.
            offset = time.time() - time.monotonic()
            begin = time.monotonic()
            for number in itertools.count():
                due = begin + number * self._period
                if due > time.monotonic():
                    await asyncio.sleep(due - time.monotonic())
                if stopped.is_set():
                    break
                self._send(session, number, due + offset)
            await asyncio.gather(*self._waiting)

    def _send(self, session: aiohttp.ClientSession, number: int, due: float) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._write(Record(due, DROPPED, 0.0))
            return
        task = asyncio.create_task(self._ask(session, number, due))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _ask(self, session: aiohttp.ClientSession, number: int, due: float) -> None:
        status, version, served_by = NO_ANSWER, "", ""
        try:
            async with session.get(
                f"{self._url}/predict?id={number}", headers=self._headers
            ) as response:
                await response.read()
                status = response.status
                version = response.headers.get("x-model-version", "")
                served_by = response.headers.get("x-served-by", "")
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self._write(Record(due, status, time.time() - due, version, served_by))

    def _write(self, record: Record) -> None:
        self._output.write(record.to_line())


async def _run(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    path: Path = arguments.out
    with path.open("a", buffering=1) as output:
        await Load(arguments.url, arguments.host, arguments.rate, output).run(stopped)


def main() -> None:
    """Run as `python -m backstop_lab.demo.load`."""
    parser = argparse.ArgumentParser(description="Send requests at a fixed rate.")
    parser.add_argument("--url", required=True, help="where the gateway listens")
    parser.add_argument("--host", required=True, help="the Host header, as the HTTPRoute names it")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--out", type=Path, required=True, help="file that records are appended to")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
