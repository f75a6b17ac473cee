"""Distributions from classic histograms, counted exactly from raw bucket samples.

Bucket counters are summed over series by their ``le`` edge after differencing each one, and forced
to be monotone, as scrapes of different buckets may be torn.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstop.core.samples import Series, increase, scrape_times
from backstop.core.signals.rule import (
    Measured,
    Missing,
    Rule,
    Selector,
    UnknownReason,
    raw_samples,
)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """``cumulative[k]`` observations were at most ``edges[k]``; the last edge is infinite."""

    edges: NDArray[np.float64]
    cumulative: NDArray[np.float64]

    @property
    def count(self) -> float:
        """How many observations there are; greater than zero."""
        return float(self.cumulative[-1])

    def quantile(self, q: float) -> float:
        """Return the ``q`` quantile, linear within its bucket (as PromQL's histogram_quantile).

        In the last bucket the answer is its lower edge: a lower bound, never an invention.
        """
        rank = q * self.count
        index = int(np.searchsorted(self.cumulative, rank, side="left"))
        if self.is_beyond(q):
            return float(self.edges[-2])
        upper = float(self.edges[index])
        lower = float(self.edges[index - 1]) if index else min(0.0, upper)
        below = float(self.cumulative[index - 1]) if index else 0.0
        inside = float(self.cumulative[index]) - below
        return lower + (upper - lower) * ((rank - below) / inside if inside else 1.0)

    def is_beyond(self, q: float) -> bool:
        """Return whether the ``q`` quantile lies in the last bucket, above every finite edge."""
        return bool(self.cumulative[-2] < q * self.count)

    def above(self, bound: float) -> float:
        """Return how many observations were above the smallest edge >= ``bound``.

        ``nan`` if that is the infinite edge: nobody knows how many were above ``bound``.
        """
        index = int(np.searchsorted(self.edges[:-1], bound, side="left"))
        if index == len(self.edges) - 1:
            return math.nan
        return self.count - float(self.cumulative[index])


def count_histogram(buckets: Sequence[Series], noun: str) -> Histogram | Missing:
    """Return the histogram of what was observed in the window, or why there is none."""
    if not buckets:
        return Missing(UnknownReason.NO_DATA, f"no buckets of {noun}")
    scraped = scrape_times(buckets)
    by_edge: dict[float, float] = {}
    for series in buckets:
        edge = _edge(series.labels.get("le", ""))
        if edge is None:
            return Missing(UnknownReason.NO_DATA, f"{noun} has a series without a numeric le label")
        by_edge[edge] = by_edge.get(edge, 0.0) + increase(series, scraped[series.target])
    if math.inf not in by_edge or len(by_edge) == 1:
        return Missing(UnknownReason.NO_DATA, f"{noun} is not a histogram with a +Inf bucket")
    edges = np.array(sorted(by_edge), dtype=np.float64)
    counts = np.array([by_edge[edge] for edge in edges], dtype=np.float64)
    if not np.isfinite(counts).all():
        return Missing(UnknownReason.NO_DATA, f"the buckets of {noun} are not numbers")
    cumulative = np.maximum.accumulate(counts)
    if cumulative[-1] <= 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"nothing observed of {noun} in the window")
    return Histogram(edges, cumulative)


def _edge(label: str) -> float | None:
    try:
        edge = float(label)
    except ValueError:
        return None
    return None if math.isnan(edge) or edge == -math.inf else edge


class LatencyRule(Rule):
    """A property of a latency histogram; a kind says which."""

    buckets: Selector
    """Selector of the bucket counters, in seconds: `model_request_duration_seconds_bucket`."""

    def queries(self, labels: Mapping[str, str], window: float) -> Mapping[str, str]:
        """Return the raw samples of the buckets; see :meth:`Rule.queries`."""
        return {"buckets": raw_samples(self.buckets, labels, window)}

    def measure(self, answers: Mapping[str, Sequence[Series]]) -> Measured:
        """Return what the histogram shows; see :meth:`Rule.measure`."""
        histogram = count_histogram(answers["buckets"], "latency")
        return histogram if isinstance(histogram, Missing) else self.judge(histogram)

    @abstractmethod
    def judge(self, histogram: Histogram) -> Measured:
        """Return the property of ``histogram`` that the kind is about."""
