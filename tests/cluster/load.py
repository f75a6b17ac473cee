"""Steady requests through the gateway, and who answered them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import aiohttp

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """When a request was sent (Unix time), and what came back."""

    at: float
    status: int
    body: str
    headers: dict[str, str]


@dataclass(slots=True)
class Load:
    """Sends `rate` requests per second, which may change, for `host` between `async with`."""

    host: str
    rate: float = 40.0
    answers: list[Answer] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _driver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._driver = asyncio.create_task(self._drive())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)

    def since(self, moment: float) -> Counter[tuple[int, str]]:
        """Return how often each (status, body) came for requests sent after a Unix time."""
        return Counter((one.status, one.body) for one in self.answers if one.at > moment)

    async def _drive(self) -> None:
        timeout = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            due = time.monotonic()
            try:
                while True:
                    due += 1 / self.rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    task = asyncio.create_task(self._ask(session))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        at, status, body, headers = time.time(), NO_ANSWER, "", {}
        try:
            async with session.get(
                f"{os.environ['LAB_GATEWAY_URL']}/predict", headers={"Host": self.host}
            ) as response:
                body, status = await response.text(), response.status
                headers = {name.lower(): value for name, value in response.headers.items()}
        except (aiohttp.ClientError, TimeoutError):
            pass
        self.answers.append(Answer(at, status, body, headers))
