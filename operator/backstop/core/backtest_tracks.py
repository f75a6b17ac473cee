"""Verdicts and numbers of a whole backtest in a fixed number of bins, however long it is."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backstop.api.words import Verdict
from backstop.core.backtest_report import SignalTrack, Span
from backstop.core.backtest_values import Tapped
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.samples import Reading
from backstop.core.signals.rule import Rule
from backstop.core.signals.threshold import Threshold
from backstop.core.units import Unit
from backstop.core.verdicts import SignalVerdict

BINS: Final = 960
"""How many bins a track has at most; there is none for less than a look."""


class _Track:
    """One signal of one arm, while it is replayed."""

    def __init__(self, inquiry: Inquiry, bins: int) -> None:
        self.inquiry = inquiry
        self.looks = {verdict: np.zeros(bins, dtype=np.int64) for verdict in Verdict}
        self.low = np.full(bins, np.inf)
        self.high = np.full(bins, -np.inf)
        self.reasons: Counter[str] = Counter()

    def add(self, place: int, verdict: SignalVerdict) -> None:
        self.looks[verdict.verdict][place] += 1
        if verdict.verdict is Verdict.UNKNOWN:
            self.reasons[verdict.reason] += 1

    def measured(self, place: int) -> None:
        rule = self.inquiry.rule
        number = rule.take() if isinstance(rule, Tapped) else None
        if number is not None:
            self.low[place] = min(self.low[place], number)
            self.high[place] = max(self.high[place], number)

    def finish(self) -> SignalTrack:
        inquiry = self.inquiry
        unit, allowed = _scale(inquiry.rule)
        return SignalTrack(
            name=inquiry.name,
            arm=inquiry.arm,
            pillar=inquiry.pillar,
            reports=inquiry.reports,
            healthy=tuple(self.looks[Verdict.HEALTHY].tolist()),
            breached=tuple(self.looks[Verdict.BREACHED].tolist()),
            unknown=tuple(self.looks[Verdict.UNKNOWN].tolist()),
            low=_finite(self.low),
            high=_finite(self.high),
            unit=unit,
            allowed=allowed,
            reasons=MappingProxyType(dict(self.reasons)),
        )


class Tracks:
    """All signals of a monitor, while it is replayed."""

    def __init__(self, inquiries: Mapping[SignalKey, Inquiry], span: Span) -> None:
        """Prepare the bins of ``span``."""
        self._bins = min(BINS, span.looks)
        self._span = span
        self._tracks = {key: _Track(inquiry, self._bins) for key, inquiry in inquiries.items()}
        self.first_sample: float | None = None

    def add(
        self, now: float, verdicts: Sequence[SignalVerdict], readings: Mapping[str, Reading]
    ) -> None:
        """Take note of the look at ``now`` (Unix seconds)."""
        number = round((now - self._span.begin) / self._span.step)
        place = min(self._bins - 1, number * self._bins // self._span.looks)
        for verdict in verdicts:
            self._tracks[verdict.name, verdict.arm].add(place, verdict)
        for track in self._tracks.values():
            track.measured(place)
        if self.first_sample is None and self._has_samples(readings):
            self.first_sample = now

    def _has_samples(self, readings: Mapping[str, Reading]) -> bool:
        asked = (
            question.promql
            for track in self._tracks.values()
            for question in track.inquiry.questions.values()
        )
        return any(readings[promql].series for promql in asked)

    def finish(self) -> tuple[SignalTrack, ...]:
        """Return the tracks of all signals."""
        return tuple(track.finish() for track in self._tracks.values())


def _scale(rule: Rule) -> tuple[Unit, tuple[float, float] | None]:
    """Return the unit of a rule's number and the range in which it is healthy."""
    inner = rule.inner if isinstance(rule, Tapped) else rule
    if isinstance(inner, Threshold):
        return inner.measure_of.UNIT, inner.limits
    return Unit.PLAIN, None


def _finite(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())
