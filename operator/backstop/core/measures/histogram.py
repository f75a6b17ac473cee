"""Distributions from classic histograms, from the counters of their buckets.

The increases of bucket counters are summed by their ``le`` edge, and forced to be monotone, as
scrapes of different buckets may be torn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstop.core.measurement import Missing, UnknownReason
from backstop.core.samples import Series, edge_of
from backstop.core.tally import MOST


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


def histogram_of(
    buckets: Sequence[Series],
    increases: Sequence[float],
    noun: str,
    samples: Sequence[int] | None = None,
) -> Histogram | Missing:
    """Return the histogram of what was observed in the window, or why there is none.

    ``increases`` are those of ``buckets``, one by one, and ``samples`` on how many samples each of
    them rests; ``noun`` names them for the sentence. Buckets without samples are left out. A bucket
    that not all pods have, or not at all scrapes, would count some requests and not others: with
    ``samples`` given that is told, and nothing is counted.
    """
    counts = [1] * len(buckets) if samples is None else samples
    held = [number for number, count in enumerate(counts) if count]
    edges_of = [edge_of(buckets[number]) for number in held]
    if any(map(math.isnan, edges_of)):
        return Missing(UnknownReason.NO_DATA, f"{noun} has a series without a numeric le label")
    by_edge: dict[float, float] = {}
    rests_on: dict[float, int] = {}
    for number, edge in zip(held, edges_of, strict=True):
        by_edge[edge] = by_edge.get(edge, 0.0) + increases[number]
        rests_on[edge] = rests_on.get(edge, 0) + counts[number]
    if not by_edge:
        return Missing(UnknownReason.NO_DATA, f"no buckets of {noun}")
    if math.inf not in by_edge or len(by_edge) == 1:
        return Missing(UnknownReason.NO_DATA, f"{noun} is not a histogram with a +Inf bucket")
    if samples is not None and len(set(rests_on.values())) > 1:
        return differing(noun)
    return _distribution(by_edge, noun)


def _distribution(by_edge: Mapping[float, float], noun: str) -> Histogram | Missing:
    edges = np.array(sorted(by_edge), dtype=np.float64)
    counts = np.array([by_edge[edge] for edge in edges], dtype=np.float64)
    if not (counts < MOST).all():
        return Missing(UnknownReason.NO_DATA, f"the buckets of {noun} are not numbers")
    cumulative = np.maximum.accumulate(counts)
    if cumulative[-1] <= 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"nothing observed of {noun} in the window")
    return Histogram(edges, cumulative)


def differing(noun: str) -> Missing:
    """Return why buckets that not all pods have, or not at all scrapes, are not counted."""
    return Missing(
        UnknownReason.NO_DATA,
        f"the buckets of {noun} differ between pods or scrapes, so they cannot be added up",
    )
