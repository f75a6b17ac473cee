"""Who is looked at when: one heap for all monitors, no task per monitor.

A key is in the heap at most once; an earlier wish moves it forward. A key that was handed out is
not handed out again until it is put back, so a monitor is never looked at twice at once.
"""

import asyncio
import heapq
from dataclasses import dataclass, field

from backstop.ports import Clock

Key = tuple[str, str]
"""Namespace and name of a monitor."""

TOGETHER = 0.005
"""Looks due within this many seconds of each other are taken together."""


@dataclass(slots=True)
class Scheduler:
    """Hands out the keys that are due, in batches."""

    clock: Clock
    _heap: list[tuple[float, Key]] = field(default_factory=list)
    _due: dict[Key, float] = field(default_factory=dict)
    _out: set[Key] = field(default_factory=set)
    _early: dict[Key, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, key: Key, due: float) -> None:
        """Look at ``key`` at ``due`` (Unix time), or earlier where that is already planned."""
        if key in self._out:
            self._early[key] = min(due, self._early.get(key, due))
        elif due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._changed.set()

    def back(self, key: Key, due: float) -> None:
        """Return ``key`` after a look; the next is at ``due`` or where an earlier one was asked."""
        self._out.discard(key)
        self.put(key, min(due, self._early.pop(key, due)))

    def forget(self, key: Key) -> None:
        """Never look at ``key`` again, unless it is put anew."""
        self._due.pop(key, None)
        self._out.discard(key)
        self._early.pop(key, None)

    def __len__(self) -> int:
        """Return how many keys wait or are out."""
        return len(self._due) + len(self._out)

    def lateness(self) -> float:
        """Return by how many seconds the first key is overdue; 0 when none is."""
        return max(0.0, self.clock.now() - self._heap[0][0]) if self._heap else 0.0

    async def batch(self) -> list[Key]:
        """Wait until something is due, and return all that is."""
        while True:
            keys = self._take(self.clock.now() + TOGETHER)
            if keys:
                return keys
            wait = self._heap[0][0] - self.clock.now() if self._heap else 1.0
            self._changed.clear()
            try:
                async with asyncio.timeout(min(max(wait, 0.0), 1.0)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _take(self, until: float) -> list[Key]:
        keys: list[Key] = []
        while self._heap and self._heap[0][0] <= until:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._out.add(key)
                keys.append(key)
        return keys
