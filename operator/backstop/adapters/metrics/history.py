"""What a metrics source would have answered at each time of the past, from few large answers.

Raw samples are read once, in pieces, and each look gets the slice that its window holds; an
expression is read as a range at the times of the looks. Guarantees: only what the longest window
and one piece hold is kept in memory, however long the past is; what cannot be read is a failure for
each look that needs it, never an empty answer.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import promql_parser

from backstop.adapters.metrics.answer import AnswerError
from backstop.adapters.metrics.past import Past, PastError, is_about_query, said
from backstop.adapters.metrics.pieces import LONGEST, SHORTEST, Pieces
from backstop.core import promql
from backstop.core.backtest_report import Gap, Span
from backstop.core.samples import Reading, Series

MAX_SAMPLES: Final = 4_000_000
"""More samples than this of one selector are not kept: its window is too long for raw samples."""

_RAW: Final = re.compile(r"(?P<selector>.*)\[(?P<window>[0-9]+)(?P<unit>ms|s)\]", re.DOTALL)
_HALF: Final = 0.0005
"""Times have milliseconds, so half of one is enough to tell them apart."""

_POINTS: Final = 500
"""How many points of a range one answer holds at least, if they take longer than a long piece."""

_LabelKey = tuple[tuple[str, str], ...]


class _Samples:
    """The raw samples of one selector, as far back as its longest window reaches."""

    def __init__(
        self, past: Past, selector: str, window: float, span: Span, wait: Callable[[float], None]
    ) -> None:
        def read(begin: float, end: float) -> tuple[Series, ...]:
            return past.instant(f"{selector}[{round((end - begin) * 1000)}ms]", end)

        self._window = window
        self._series: dict[_LabelKey, Series] = {}
        begin = span.begin - window
        self.pieces = Pieces(selector, read, begin=begin, end=span.end, wait=wait)

    def at(self, now: float, window: float) -> Reading:
        """Return what the last ``window`` seconds held at ``now``."""
        self.pieces.skip_to(now - self._window)
        for piece in self.pieces.until(now):
            self._add(piece, now - self._window)
        begin = now - window
        failure = self.pieces.failure(begin, now)
        if failure is not None:
            return Reading(failure=failure[0], bad_query=failure[1], read_at=now)
        if sum(one.times.size for one in self._series.values()) > MAX_SAMPLES:
            why = f"the window holds more than {MAX_SAMPLES:,} samples: narrow the selector"
            return Reading(failure=why, read_at=now)
        slices = (_between(one, begin, now) for one in self._series.values())
        return Reading(tuple(one for one in slices if one.times.size), read_at=now)

    def _add(self, piece: tuple[Series, ...], begin: float) -> None:
        kept = {
            key: _between(one, begin, math.inf)
            for key, one in self._series.items()
            if one.times[-1] > begin
        }
        for one in piece:
            key = tuple(sorted(one.labels.items()))
            known = kept.get(key)
            last = known.times[-1] if known is not None else begin
            fresh = _between(one, float(last), math.inf)
            if fresh.times.size:
                kept[key] = fresh if known is None else _joined(known, fresh)
        self._series = kept


def _between(series: Series, after: float, until: float) -> Series:
    """Return the samples later than ``after`` and not later than ``until``."""
    first = series.times.searchsorted(after + _HALF)
    end = series.times.searchsorted(until + _HALF)
    return Series(series.labels, series.times[first:end], series.values[first:end])


def _joined(one: Series, other: Series) -> Series:
    return Series(
        one.labels,
        np.concatenate((one.times, other.times)),
        np.concatenate((one.values, other.values)),
    )


class _Grid:
    """An expression, evaluated at every look, or less often where its answer may be kept.

    A range of native histograms is refused, so an expression that returns them is asked one by one.
    """

    def __init__(
        self, past: Past, query: str, keep: float, span: Span, wait: Callable[[float], None]
    ) -> None:
        self._begin, self._every = span.begin, _every(keep, span)
        self._answers: tuple[Series, ...] = ()
        self.one_by_one: _Instants | None = None
        longest = max(LONGEST, _POINTS * self._every)

        def read(begin: float, end: float) -> tuple[Series, ...]:
            first, last = self._next(begin), self._last(end)
            if first > last + _HALF:
                return ()
            try:
                return past.over(query, first, last, self._every)
            except AnswerError:
                if all(one.buckets is None for one in past.instant(query, last)):
                    raise
            self.one_by_one = _Instants(past, query, keep, span)
            return ()

        self.pieces = Pieces(
            query,
            read,
            begin=span.begin - self._every / 2,
            end=span.end,
            longest=longest,
            shortest=max(SHORTEST, self._every),
            wait=wait,
        )

    def _last(self, now: float) -> float:
        return self._begin + math.floor((now - self._begin + _HALF) / self._every) * self._every

    def _next(self, after: float) -> float:
        return self._last(after) + self._every

    def at(self, now: float) -> Reading:
        """Return the newest answer at ``now``."""
        asked = self._last(now)
        for piece in () if self.one_by_one else self.pieces.until(asked):
            self._answers = piece
        if self.one_by_one:
            return self.one_by_one.at(now)
        failure = self.pieces.failure(asked - _HALF, asked)
        if failure is not None:
            return Reading(failure=failure[0], bad_query=failure[1], read_at=now)
        found = (_between(one, asked - 2 * _HALF, asked) for one in self._answers)
        return Reading(tuple(one for one in found if one.times.size), read_at=now)


class _Instants:
    """An expression that cannot be asked for over a range: one by one."""

    def __init__(self, past: Past, query: str, keep: float, span: Span) -> None:
        self._past, self._query, self._every = past, query, _every(keep, span)
        self._reading, self._until = Reading(), -math.inf
        self.gaps: list[Gap] = []

    def at(self, now: float) -> Reading:
        """Return the answer at ``now``, or a failure."""
        if now + _HALF >= self._until or self._reading.failure:
            self._until = now + self._every
            try:
                self._reading = Reading(self._past.instant(self._query, now), read_at=now)
            except PastError as error:
                why = said(error)
                self._reading = Reading((), why, bad_query=is_about_query(error), read_at=now)
                self._note(now, why)
        return self._reading

    def _note(self, now: float, why: str) -> None:
        last = self.gaps[-1] if self.gaps else None
        if last is not None and now <= last.end + self._every + _HALF:
            self.gaps[-1] = replace(last, end=now, why=why)
        else:
            self.gaps.append(Gap(self._query, now, now, why))


def _every(keep: float, span: Span) -> float:
    return max(1, math.ceil(keep / span.step - 1e-9)) * span.step


_Answer = Callable[[float], Reading]


class History:
    """The answers to ``questions`` (PromQL to seconds for which an answer may be kept)."""

    def __init__(
        self,
        past: Past,
        questions: Mapping[str, float],
        span: Span,
        *,
        wait: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare; nothing is asked before the first look. ``wait`` sleeps between tries."""
        self._span, wait = span, wait or time.sleep
        self._kept: dict[str, tuple[float, Reading]] = {}
        self._readers: list[_Samples | _Grid | _Instants] = []
        raw = {query: found for query in questions if (found := _raw(query)) is not None}
        longest: dict[str, float] = {}
        for selector, window in raw.values():
            longest[selector] = max(window, longest.get(selector, 0.0))
        samples = {
            selector: _Samples(past, selector, window, span, wait)
            for selector, window in longest.items()
        }
        self._readers += samples.values()
        self._answers: dict[str, _Answer] = {
            query: self._keeping(query, questions[query], samples[selector], window)
            for query, (selector, window) in raw.items()
        }
        for query in questions.keys() - raw.keys():
            keep = questions[query]
            one = (
                _Instants(past, query, keep, span)
                if _returns_ranges(query)
                else _Grid(past, query, keep, span, wait)
            )
            self._readers.append(one)
            self._answers[query] = one.at

    def _keeping(self, query: str, keep: float, samples: _Samples, window: float) -> _Answer:
        def answer(now: float) -> Reading:
            until, reading = self._kept.get(query, (-math.inf, Reading()))
            if now >= until:
                reading = samples.at(now, window)
                if keep > 0.0 and not reading.failure:
                    self._kept[query] = (now + keep, reading)
            return reading

        return answer

    def looks(self) -> Iterator[tuple[float, Mapping[str, Reading]]]:
        """Yield each time of the span with its readings, which must be used before the next."""
        for number in range(self._span.looks):
            now = round(self._span.time(number), 3)
            yield now, _Readings(self._answers, now)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What could not be read so far."""
        found = (gap for reader in self._readers for gap in _gaps(reader))
        return tuple(sorted(found, key=lambda gap: (gap.begin, gap.query)))


def _gaps(reader: _Samples | _Grid | _Instants) -> list[Gap]:
    if isinstance(reader, _Instants):
        return reader.gaps
    single = reader.one_by_one if isinstance(reader, _Grid) else None
    return [*reader.pieces.gaps, *(single.gaps if single else ())]


class _Readings(Mapping[str, Reading]):
    """The readings at one time, each made when it is first wanted."""

    def __init__(self, answers: Mapping[str, _Answer], now: float) -> None:
        self._answers, self._now = answers, now
        self._made: dict[str, Reading] = {}

    def __getitem__(self, query: str) -> Reading:
        if query not in self._made:
            self._made[query] = self._answers[query](self._now)
        return self._made[query]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)


def _raw(query: str) -> tuple[str, float] | None:
    """Return the selector and the window of a question for raw samples, ``None`` for others."""
    found = _RAW.fullmatch(query)
    if found is None:
        return None
    try:
        is_plain = promql.is_selector(found["selector"])
    except promql.PromqlError:
        return None
    window = int(found["window"]) / (1000 if found["unit"] == "ms" else 1)
    return (found["selector"], window) if is_plain else None


def _returns_ranges(query: str) -> bool:
    try:
        parsed = promql_parser.parse(query)
    except ValueError:
        return False  # Prometheus will say so
    return isinstance(parsed, promql_parser.MatrixSelector | promql_parser.SubqueryExpr)
