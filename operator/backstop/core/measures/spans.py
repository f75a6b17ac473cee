"""Where values lie, from the buckets of many features at once: beyond a bound, around a value."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.measures.features import Classic, Floats, Side
from backstop.core.statistics.binning import NativeHistogram


def whole_of(side: Side) -> float:
    """Return how many values a histogram holds."""
    return float(_bounds(side)[2].sum())


class Spans(NamedTuple):
    """The buckets of many features, shape (features, buckets), padded with NaN and counts of zero.

    ``fine`` says that the buckets are those of a native histogram, which tells any bound.
    """

    lower: Floats
    upper: Floats
    counts: Floats
    fine: NDArray[np.bool_]


def spans_of(sides: Sequence[Side | None]) -> Spans:
    """Return the buckets of numeric ``sides``; none where there is no histogram."""
    held = [_bounds(one) for one in sides]
    width = max((one[0].size for one in held), default=0)
    lower, upper = np.full((2, len(held), max(width, 1)), np.nan)
    counts = np.zeros(lower.shape)
    for row, (low, high, count) in enumerate(held):
        lower[row, : low.size], upper[row, : low.size], counts[row, : low.size] = low, high, count
    fine = np.array([isinstance(one, NativeHistogram) for one in sides], dtype=np.bool_)
    return Spans(lower, upper, counts, fine)


def _bounds(side: Side | None) -> tuple[Floats, Floats, Floats]:
    if isinstance(side, Classic):
        lower = np.concatenate(([-math.inf], side.edges[:-1]))
        return lower, side.edges, side.counts
    if isinstance(side, NativeHistogram):
        return side.lower, side.upper, side.count
    return np.empty(0), np.empty(0), np.empty(0)


class Outside(NamedTuple):
    """How many values are surely below or above a bound, and the edge that tells so.

    ``told`` is where any edge tells; ``edge`` is NaN elsewhere.
    """

    held: Floats
    edge: Floats
    told: NDArray[np.bool_]


def below(spans: Spans, bound: float) -> Outside:
    """Return how many values are surely below ``bound``: those in buckets that end before it."""
    out = spans.upper < bound
    edge = np.where(out, spans.upper, -np.inf).max(axis=-1)
    return _outside(spans, out, edge, bound)


def above(spans: Spans, bound: float) -> Outside:
    """Return how many values are surely above ``bound``: those in buckets that begin there."""
    out = spans.lower >= bound
    edge = np.where(out, spans.lower, np.inf).min(axis=-1)
    return _outside(spans, out, edge, bound)


def _outside(spans: Spans, out: NDArray[np.bool_], edge: Floats, bound: float) -> Outside:
    told = np.isfinite(edge) | spans.fine
    edge = np.where(np.isfinite(edge), edge, np.where(spans.fine, bound, np.nan))
    return Outside(np.where(out, spans.counts, 0.0).sum(axis=-1), edge, told)


class Bucket(NamedTuple):
    """The bucket of each feature that holds a value: its bounds, NaN where none does; its count."""

    lower: Floats
    upper: Floats
    held: Floats


def bucket_at(spans: Spans, value: float) -> Bucket:
    """Return the bucket of each feature that holds ``value``."""
    holds = (spans.lower < value) & (value <= spans.upper)
    holds |= (spans.lower == value) & (value == spans.upper)
    place = holds.argmax(axis=-1)[:, np.newaxis]
    found = holds.any(axis=-1)
    lower, upper, count = (
        np.take_along_axis(one, place, axis=-1)[:, 0]
        for one in (spans.lower, spans.upper, spans.counts)
    )
    return Bucket(
        np.where(found, lower, np.nan), np.where(found, upper, np.nan), np.where(found, count, 0.0)
    )


def share_within(side: Side, lower: float, upper: float) -> float:
    """Return the largest share of ``side`` that can lie between the bounds, in [0, 1].

    Buckets that reach into the interval count as a whole: an allowance errs on the side of no
    alarm.
    """
    low, high, counts = _bounds(side)
    whole = float(counts.sum())
    reaching = (high > lower) & (low < upper) | (high == low) & (lower < low) & (low <= upper)
    return float(counts[reaching].sum()) / whole if whole > 0.0 else 0.0
