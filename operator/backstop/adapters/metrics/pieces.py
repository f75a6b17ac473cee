"""Reading one question about the past piece by piece, forwards in time, over all obstacles.

A piece whose answer is too large, too slow or refused is halved; the smallest one is tried again
some times, and then given up: it becomes a gap, and reading goes on behind it. After too many gaps
in a row the rest of the record counts as one gap, so that a server that is gone ends the reading.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from backstop.adapters.metrics.bounded_http import ConnectError
from backstop.adapters.metrics.past import PastError, is_about_query, said
from backstop.core.backtest_report import Gap
from backstop.core.samples import Series

LONGEST: Final = 3_600.0
"""Seconds that one answer holds at most; also where reading begins."""

SHORTEST: Final = 60.0
"""A piece of so many seconds is not halved again."""

GIVE_UP: Final = 8
"""After so many gaps in a row the rest of the record is not asked for."""

_WAITS: Final = (1.0, 5.0, 15.0)
_GROW_AFTER: Final = 8

Read = Callable[[float, float], tuple[Series, ...]]
"""Asks for what lies after the first and up to the second Unix time; raises PastError."""


class Pieces:
    """The record of one question between two Unix times."""

    def __init__(
        self,
        query: str,
        read: Read,
        *,
        begin: float,
        end: float,
        longest: float = LONGEST,
        shortest: float = SHORTEST,
        wait: Callable[[float], None],
    ) -> None:
        """Prepare; nothing is asked. ``longest`` and ``shortest`` bound a piece, in seconds."""
        self.covered = round(begin, 3)
        self.gaps: list[Gap] = []
        self._query, self._read, self._wait = query, read, wait
        self._end, self._longest, self._shortest = end, longest, min(shortest, longest)
        self._size = longest
        self._good = self._bad = 0
        self._rejected = False

    def until(self, now: float) -> Iterator[tuple[Series, ...]]:
        """Yield the answers up to ``now`` or beyond, oldest first; those of a gap are missing."""
        while self.covered < now:
            end = round(min(self.covered + self._size, max(self._end, now)), 3)
            try:
                series = self._ask(end)
            except PastError as error:
                if self._halve(error, end):
                    continue
                self._skip(end, error)
            else:
                self._good, self._bad = self._good + 1, 0
                if self._good % _GROW_AFTER == 0:
                    self._size = min(self._longest, 2 * self._size)
                self.covered = end
                yield series

    def skip_to(self, now: float) -> None:
        """Leave out what lies before ``now``, as nobody needs it."""
        self.covered = max(self.covered, round(now, 3))

    def failure(self, after: float, until: float) -> tuple[str, bool] | None:
        """Return why something between the two Unix times is missing, and if the query is bad."""
        for gap in reversed(self.gaps):
            if gap.end <= after:
                break
            if gap.begin < until:
                return gap.why, self._rejected
        return None

    def _ask(self, end: float) -> tuple[Series, ...]:
        for pause in _WAITS:
            try:
                return self._read(self.covered, end)
            except PastError as error:
                if not self._may_pass(error):
                    raise
            self._wait(pause)
        return self._read(self.covered, end)

    def _may_pass(self, error: Exception) -> bool:
        """Return whether asking the same again may help; in trouble there is one try."""
        if self._bad or is_about_query(error):
            return False
        return isinstance(error, ConnectError) or self._size <= self._shortest

    def _halve(self, error: Exception, end: float) -> bool:
        """Return whether the piece up to ``end`` is to be tried in two halves."""
        self._good = 0
        if self._bad or isinstance(error, ConnectError) or self._size <= self._shortest:
            return False
        self._size = max(self._shortest, min(self._size, end - self.covered) / 2)
        return True

    def _skip(self, end: float, error: Exception) -> None:
        """Note a gap up to ``end``, or, after too many, to the end; the next one is longer."""
        self._bad += 1
        self._rejected = is_about_query(error)
        end = max(end, self._end) if self._bad >= GIVE_UP else end
        last = self.gaps[-1] if self.gaps else None
        if last is not None and last.end == self.covered:
            self.gaps[-1] = replace(last, end=end, why=said(error))
        else:
            self.gaps.append(Gap(self._query, self.covered, end, said(error)))
        self._size = min(self._longest, 2 * self._size)
        self.covered = end
