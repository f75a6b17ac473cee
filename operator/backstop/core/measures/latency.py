"""Slow requests, latency quantiles and mean latency, from histograms or sums of seconds."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from backstop.core.flat import Floats, Indices, order_of
from backstop.core.measurement import (
    Missing,
    Pillar,
    Question,
    Selector,
    UnknownReason,
    raw_samples,
)
from backstop.core.measures.histogram import Histogram, differing, histogram_of
from backstop.core.measures.measure import (
    Components,
    EventMeasure,
    Measure,
    Share,
    Shares,
    Value,
    ValueMeasure,
    mean_of,
    summed_increase,
)
from backstop.core.presets.preset import Buckets, Preset, PresetError, Sums, demand
from backstop.core.samples import edge_of
from backstop.core.tally import MOST, Answers, Tally
from backstop.core.units import (
    Duration,
    Quantile,
    TimeUnit,
    Unit,
    quantile,
    say_seconds,
    say_share,
    seconds,
)

_SAME = 1.0 - 1e-9
"""Edges that are given in milliseconds are equal to a bound but for rounding."""


def _edge_for(edges: Sequence[float], bound: float) -> float | None:
    """Return the smallest finite one of ``edges`` that is at least ``bound``."""
    return min((e for e in edges if bound * _SAME <= e < math.inf), default=None)


class Latency(EventMeasure):
    """Requests slower than a bound, per request; exact when the bound is an edge of a bucket."""

    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    above: Duration
    """What counts as slow; choose an edge of a bucket, or the next larger edge is used."""

    buckets: Selector | None = None
    """Selector of the bucket counters: `model_request_duration_seconds_bucket`. A preset knows
    them."""

    unit: TimeUnit = TimeUnit.SECONDS
    """In which unit the edges of the buckets are."""

    @property
    def bound(self) -> float:
        """What counts as slow, in the unit of the edges."""
        return seconds(self.above) / self.unit.seconds

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's buckets; see :meth:`Measure.resolved`."""
        return _with_buckets(self, self.buckets, preset)

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the buckets; see :meth:`Measure.questions`."""
        return {"buckets": raw_samples(self.buckets or "", labels, window)}

    @classmethod
    def count_all(cls, bounds: Floats, places: Indices, t: Tally) -> Shares:
        """Count all shares at once; see :meth:`EventMeasure.count_all`."""
        counted = _above(bounds, places, t)
        good = counted.is_histogram & np.isfinite(counted.chosen)
        good &= (counted.whole > 0.0) & (counted.whole < MOST)
        with np.errstate(invalid="ignore"):
            slow = counted.whole - counted.below
        return Shares(np.where(good, slow, np.nan), np.where(good, counted.whole, np.nan))

    def missing(self, answers: Answers, place: int, t: Tally) -> Missing:
        """Return why there is no share; see :meth:`EventMeasure.missing`."""
        found = _latencies(answers, place, t)
        return found if isinstance(found, Missing) else self._unreached(found.edges.tolist())

    def _unreached(self, edges: Sequence[float]) -> Missing:
        largest = max((e for e in edges if e < math.inf), default=0.0) * self.unit.seconds
        return Missing(
            UnknownReason.BAD_QUERY,
            f"no bucket reaches {say_seconds(seconds(self.above))}: the largest ends at"
            f" {say_seconds(largest)}; choose a smaller bound",
        )

    def say(self, share: Share) -> str:
        """Return the share with both counts; see :meth:`EventMeasure.say`."""
        said = f"{share.part:,.0f} of {share.whole:,.0f}"
        slow = f"{say_share(share.value)} of requests slower than"
        return f"{slow} {say_seconds(seconds(self.above))} ({said})"

    def aggregated(
        self, labels: Mapping[str, str], window: str, modifier: str = ""
    ) -> Mapping[str, str]:
        """Return the increase by edge; see :meth:`EventMeasure.aggregated`."""
        buckets = self.buckets or ""
        return {"buckets": summed_increase(buckets, labels, window, modifier, by="le")}

    def count_aggregated(self, answers: Answers) -> Share | Missing:
        """Return the share of slow requests; see :meth:`EventMeasure.count_aggregated`."""
        increases = [float(one.values[-1]) for one in answers["buckets"]]
        found = histogram_of(answers["buckets"], increases, "latency")
        if isinstance(found, Missing):
            return found
        slow = found.above(self.bound * _SAME)
        if math.isnan(slow):
            return self._unreached(found.edges.tolist())
        return Share(slow, found.count)

    def components(self, answers: Answers) -> Components | Missing:
        """Return the counters of all and of fast requests; see :meth:`EventMeasure.components`."""
        edges = [(edge_of(one), one) for one in answers["buckets"]]
        chosen = _edge_for([edge for edge, _ in edges], self.bound)
        whole = [one for edge, one in edges if edge == math.inf]
        if not whole:
            return Missing(UnknownReason.NO_DATA, "latency is not a histogram with a +Inf bucket")
        if chosen is None:
            return self._unreached([edge for edge, _ in edges])
        good = [one for edge, one in edges if edge == chosen]
        if sum(one.times.size for one in good) != sum(one.times.size for one in whole):
            return differing("latency")
        return Components(whole, good=good)


def _latencies(answers: Answers, place: int, t: Tally) -> Histogram | Missing:
    increases, samples = t.of(place).tolist(), t.samples_of(place).tolist()
    return histogram_of(answers["buckets"], increases, "latency", samples)


class _Above(NamedTuple):
    """By answer: whether it is a histogram, the edge chosen, and counts in all and up to it."""

    is_histogram: NDArray[np.bool_]
    chosen: Floats
    whole: Floats
    below: Floats


def _above(bounds: Floats, places: Indices, t: Tally) -> _Above:
    size = places.size
    rows = _rows(places, t)
    edge, owner, summed = rows.edge, rows.owner, rows.summed
    bound = bounds[owner] * _SAME
    chosen = np.full(size, np.inf)
    np.minimum.at(chosen, owner, np.where((edge >= bound) & (edge < np.inf), edge, np.inf))
    below, whole = np.full(size, -np.inf), np.full(size, -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(whole, owner, summed)
        np.maximum.at(below, owner, np.where(edge <= chosen[owner], summed, -np.inf))
    # The bucket without an upper edge has all scrapes of all pods, and so must have the others.
    every = np.bincount(owner, np.where(edge == np.inf, rows.samples, 0), size)
    bad = np.isnan(edge) | (edge == -np.inf) | (rows.samples != every[owner])
    good = (every > 0) & (np.bincount(owner, bad, size) == 0)
    return _Above(good & (np.bincount(owner, minlength=size) > 1), chosen, whole, below)


class _Rows(NamedTuple):
    """One row for each edge of each answer (``owner``), its pods summed."""

    edge: Floats
    owner: Indices
    summed: Floats
    samples: Indices


def _rows(places: Indices, t: Tally) -> _Rows:
    lengths = t.first_series[places + 1] - t.first_series[places]
    owner = np.repeat(np.arange(places.size), lengths)
    offsets = np.arange(owner.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    series = np.repeat(t.first_series[places], lengths) + offsets
    edge = t.edge[series]
    order = order_of(owner, edge)
    order = order[t.samples[series[order]] > 0]
    series, edge, owner = series[order], edge[order], owner[order]
    is_other = (owner[1:] != owner[:-1]) | (edge[1:] != edge[:-1])
    begins = np.flatnonzero(np.concatenate(([True], is_other))[: edge.size])
    with np.errstate(over="ignore", invalid="ignore"):
        summed = np.add.reduceat(t.increase[series], begins)
    samples = np.add.reduceat(t.samples[series], begins)
    return _Rows(edge[begins], owner[begins], summed, samples)


class LatencyQuantile(ValueMeasure):
    """A quantile of the latency histogram, linear within its bucket."""

    UNIT: ClassVar[Unit] = Unit.SECONDS
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    quantile: Quantile
    """Which quantile: `p50`, `p95`, `p99`."""

    buckets: Selector | None = None
    """Selector of the bucket counters. A preset knows them."""

    unit: TimeUnit = TimeUnit.SECONDS
    """In which unit the edges of the buckets are."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's buckets; see :meth:`Measure.resolved`."""
        return _with_buckets(self, self.buckets, preset)

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the buckets; see :meth:`Measure.questions`."""
        return {"buckets": raw_samples(self.buckets or "", labels, window)}

    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the quantile in seconds; see :meth:`ValueMeasure.value`."""
        found = _latencies(answers, place, t)
        if isinstance(found, Missing):
            return found
        q = quantile(self.quantile)
        number, beyond = found.quantile(q) * self.unit.seconds, found.is_beyond(q)
        if not math.isfinite(number):
            return Missing(
                UnknownReason.NO_DATA, "the edges of the buckets of latency are no times"
            )
        said = (
            f"{self.quantile} latency {'above ' if beyond else ''}{say_seconds(number)} over"
            f" {found.count:,.0f} requests"
        )
        return Value(number, said, samples=found.count, at_least=beyond)


class LatencyMean(ValueMeasure):
    """Mean latency, for servers that export sums and no histogram."""

    UNIT: ClassVar[Unit] = Unit.SECONDS
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    total: Selector | None = None
    """Selector of the counter of time spent. A preset knows it."""

    count: Selector | None = None
    """Selector of the counter of requests. A preset knows it."""

    unit: TimeUnit = TimeUnit.SECONDS
    """In which unit the time is counted."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's counters; see :meth:`Measure.resolved`."""
        if self.total is not None and self.count is not None:
            return self
        if self.total is not None or self.count is not None:
            raise PresetError("latencyMean needs both total and count, or neither with a preset")
        known: Sums = demand(preset, "mean latency", lambda known: known.latency_sums)
        changes = {"total": known.total, "count": known.count, "unit": known.unit}
        return self.model_copy(update=changes)

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of both counters; see :meth:`Measure.questions`."""
        return {
            "total": raw_samples(self.total or "", labels, window),
            "count": raw_samples(self.count or "", labels, window),
        }

    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the mean in seconds; see :meth:`ValueMeasure.value`."""
        found = mean_of(answers, place, t, "requests", self.unit.seconds)
        if isinstance(found, Missing):
            return found
        mean, count = found
        said = f"mean latency {say_seconds(mean)} over {count:,.0f} requests"
        return Value(mean, said, samples=count)


_MeasureT = TypeVar("_MeasureT", bound=Measure)


def _with_buckets(measure: _MeasureT, written: str | None, preset: Preset | None) -> _MeasureT:
    if written is not None:
        return measure
    known: Buckets = demand(preset, "latency", lambda known: known.latency)
    return measure.model_copy(update={"buckets": known.selector, "unit": known.unit})
