"""Queries that time out while their source answers others.

Whoever asks in the same round would wait for them each time. So they are answered at once with what
became of them, and are tried beside the rounds, ever more rarely, until they are answered. Where a
source answers nothing at all, the queries are not to blame, and all of them are asked each time.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

_T = TypeVar("_T")

FIRST_WAIT: Final = 5.0
"""Seconds after which a query that timed out is tried again."""

LONGEST_WAIT: Final = 30.0
"""The same after several tries."""

SILENT: Final = 10.0
"""After so many seconds without an answer, the first one says that the source is back."""

FORGOTTEN: Final = 600.0
"""Seconds after which one that nobody asks any more is dropped."""


@dataclass(slots=True)
class _Slow:
    """What is said of a query; when it was asked and may be tried again (monotonic seconds)."""

    said: str
    asked: float
    due: float
    wait: float = FIRST_WAIT
    trying: bool = False


class SlowQueries:
    """Knows the slow queries of one source. ``now`` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[str, _Slow] = {}
        self._suspects: dict[str, float] = {}
        self._answered = -math.inf

    def said(self, query: str) -> str:
        """Return why ``query`` is not to be asked now, "" where it is."""
        slow = self._known.get(query)
        if slow is None:
            return ""
        slow.asked = self._now()
        return f"{slow.said}, so it is tried every {slow.wait:g} s only: make the query cheaper"

    def in_order(self, queries: Iterable[str]) -> list[str]:
        """Return ``queries`` with those last that timed out the last time."""
        return sorted(queries, key=self._suspects.__contains__)

    def learn(self, timed_out: Collection[str], answered: Collection[str], said: str) -> None:
        """Take note of which queries of a round timed out, and which were answered.

        A query is slow where others of its round, or of rounds since it first timed out, were
        answered.
        """
        now = self._now()
        self._known = _of_late(self._known, now, lambda slow: slow.asked)
        self._suspects = _of_late(self._suspects, now, lambda since: since)
        for query in answered:
            self._suspects.pop(query, None)
        if answered:
            self._source_answers(now)
        for query in timed_out:
            since = self._suspects.setdefault(query, now)
            if answered or since < self._answered:
                del self._suspects[query]
                self._known[query] = _Slow(said, now, now + FIRST_WAIT)

    def _source_answers(self, now: float) -> None:
        if now >= self._answered + SILENT:
            for slow in self._known.values():
                slow.due = now
        self._answered = now

    def due(self, queries: Iterable[str]) -> list[str]:
        """Return those of ``queries`` that are to be tried now; each is then under way."""
        now = self._now()
        found = [query for query in queries if self._is_due(query, now)]
        for query in found:
            self._known[query].trying = True
        return found

    def _is_due(self, query: str, now: float) -> bool:
        slow = self._known.get(query)
        return slow is not None and not slow.trying and now >= slow.due

    def tried(self, query: str, *, answered: bool) -> None:
        """Take note of what became of a try."""
        slow = self._known.get(query)
        if slow is None:
            return
        now = self._now()
        if answered:
            self._source_answers(now)
            del self._known[query]
            return
        slow.trying, slow.wait = False, min(2.0 * slow.wait, LONGEST_WAIT)
        slow.due = now + slow.wait


def _of_late(known: dict[str, _T], now: float, at: Callable[[_T], float]) -> dict[str, _T]:
    return {query: one for query, one in known.items() if now < at(one) + FORGOTTEN}
