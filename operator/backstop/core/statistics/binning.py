"""Bringing histograms to common buckets, so that two of them can be compared.

Both sides of a comparison must be cut at the same edges, and the edges must come from the reference
alone: bins that follow the current data hide a part of their change. Nothing here splits a bucket
that holds anything; counts are only added up, so every result is exact.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstop.core.statistics.divergence import sides
from backstop.core.statistics.sequential import Floats

LEAST_SHARE: Final = 0.01
"""A bin with less of the reference than this is merged: its count is mostly chance."""

LEAST_COMMON_EDGES: Final = 2
"""With fewer finite edges in common there is no bucket between two edges left to compare."""

CUSTOM_SCHEMA: Final = -53
"""Prometheus' number for native histograms with custom buckets, which are classic ones in fact."""

_LEAST_BINS: Final = 3
_FINEST_SCHEMA, _COARSEST_SCHEMA = 8, -4
_ZERO_BUCKET_RULE: Final = 3
_TOLERANCE: Final = 1e-6
"""How far the boundaries of an exponential histogram may be from the grid, in buckets."""


class Bins(NamedTuple):
    """Merged counts, shape (..., bins) padded with zeros, and the bin of each original bucket."""

    reference: Floats
    current: Floats
    place: NDArray[np.intp]


def merge_buckets(
    reference: ArrayLike, current: ArrayLike, bins: int = 10, least: float = LEAST_SHARE
) -> Bins:
    """Merge neighbouring buckets into at most ``bins`` bins that each hold enough of the reference.

    From the left, a bin ends at the first edge at which its share of the reference reaches the
    target: 1 / ``bins`` (quantiles of the reference, as near as the edges allow), or only ``least``
    where the reference occupies no more than ``bins`` buckets. A remainder below ``least`` joins
    the last bin. Where that leaves a single bin, in which no shift could show, there are three
    instead: the fullest bucket, all below it, and all above.

    Counts are as in :mod:`backstop.core.statistics.divergence`; bins of unknown features are NaN.
    Raises ValueError unless ``bins`` >= 3 and 0 < ``least`` <= 1 / ``bins``.
    """
    if bins < _LEAST_BINS or not 0.0 < least <= 1.0 / bins:
        raise ValueError("at least three bins, and a least share of at most one bin's")
    both = sides(reference, current)
    share = both.reference / both.reference.sum(axis=-1, keepdims=True)
    few = (share > 0.0).sum(axis=-1) <= bins
    place = _places(share, np.where(few, least, 1.0 / bins), least)
    fullest = share.argmax(axis=-1)[..., np.newaxis]
    index = np.arange(share.shape[-1])
    around = (index >= fullest).astype(np.intp) + (index > fullest)
    place = np.where(place[..., -1:] == 0, around, place)
    before, after = (_gathered(counts, place, bins) for counts in (both.reference, both.current))
    known = both.known[..., np.newaxis]
    return Bins(np.where(known, before, np.nan), np.where(known, after, np.nan), place)


def _places(share: Floats, target: Floats, least: float) -> NDArray[np.intp]:
    """Return the bin of each bucket; all are 0 where fewer than two bins reach their target."""
    place = np.zeros(share.shape, dtype=np.intp)
    current = np.zeros(share.shape[:-1], dtype=np.intp)
    held = np.zeros(share.shape[:-1])
    for bucket in range(share.shape[-1]):
        place[..., bucket] = current
        held = held + share[..., bucket]
        full = held >= target * (1.0 - 1e-12)  # A sum of tenths may miss a tenth by rounding.
        current = current + full
        held = np.where(full, 0.0, held)
    last = np.where(held < least, current - 1, current)
    capped: NDArray[np.intp] = np.minimum(place, last[..., np.newaxis])
    return capped


def _gathered(counts: Floats, place: NDArray[np.intp], bins: int) -> Floats:
    rows = counts.reshape(-1, counts.shape[-1])
    offset = np.arange(rows.shape[0])[:, np.newaxis] * bins
    flat = (place.reshape(rows.shape) + offset).ravel()
    summed = _summed(flat, rows.ravel(), rows.shape[0] * bins)
    return summed.reshape(*counts.shape[:-1], bins)


def _summed(place: NDArray[np.intp], counts: Floats, size: int) -> Floats:
    """Return the sum of ``counts`` by their ``place``, from 0 to ``size`` - 1."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.bincount(place, counts, size), dtype=np.float64)


class Aligned(NamedTuple):
    """Two histograms over the same buckets: upper edges, the last infinite, and counts of both."""

    edges: Floats
    reference: Floats
    current: Floats


def align(
    edges_a: ArrayLike, counts_a: ArrayLike, edges_b: ArrayLike, counts_b: ArrayLike
) -> Aligned | None:
    """Merge two classic histograms to the edges that both have.

    Each has upper edges, ascending and ending with infinity, and one count per bucket (not
    cumulative); all arrays have one axis. None with fewer than LEAST_COMMON_EDGES finite edges in
    common. Raises ValueError if edges or shapes are not as said.
    """
    left, right = _classic(edges_a, counts_a), _classic(edges_b, counts_b)
    common = np.intersect1d(left[0], right[0])
    if common.size <= LEAST_COMMON_EDGES:
        return None
    reference, current = (
        _summed(np.searchsorted(common, edges), counts, common.size)
        for edges, counts in (left, right)
    )
    return Aligned(common, reference, current)


def _classic(edges: ArrayLike, counts: ArrayLike) -> tuple[Floats, Floats]:
    upper, held = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if upper.ndim != 1 or upper.shape != held.shape or not upper.size:
        raise ValueError("one count per edge")
    if upper[-1] != math.inf or not (np.diff(upper) > 0.0).all() or upper[0] == -math.inf:
        raise ValueError("edges ascend and end with infinity")
    return upper, held


def stack(features: Sequence[Aligned]) -> Aligned:
    """Return many features as arrays of shape (features, buckets), padded as divergence expects.

    Raises ValueError without features.
    """
    width = max(feature.edges.size for feature in features)
    shape = (len(features), width)
    edges, reference, current = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape)
    for row, feature in enumerate(features):
        size = feature.edges.size
        edges[row, :size] = feature.edges
        reference[row, :size] = feature.reference
        current[row, :size] = feature.current
    return Aligned(edges, reference, current)


@dataclass(frozen=True, slots=True, eq=False)
class NativeHistogram:
    """A native histogram of Prometheus: occupied buckets only, in ascending order, disjoint.

    Bucket k holds ``count[k]`` between ``lower[k]`` and ``upper[k]``. With a ``schema`` from -4 to
    8 the boundaries are powers of 2^(2^-schema), or the negatives of such, exactly as numpy rounds
    them, so that those of different schemas meet; the zero bucket has its own. With CUSTOM_SCHEMA
    they are arbitrary. On which side a boundary belongs to a bucket is not kept.
    """

    schema: int
    lower: Floats
    upper: Floats
    count: Floats


def native_histogram(buckets: Iterable[tuple[int, float, float, float]]) -> NativeHistogram:
    """Return the histogram of ``buckets`` as (boundary rule, lower, upper, count), in any order.

    This is the form in which Prometheus' HTTP API answers, as numbers. It does not tell the schema;
    the ratio of the boundaries of each bucket does. Without a bucket that tells, only the zero
    bucket or nothing, it is the finest. Where the zero bucket ends inside another one, that one
    begins there: what is smaller was counted as zero. Raises ValueError unless all ``lower`` <
    ``upper`` (a zero bucket may have no width) and no others overlap.
    """
    rows = sorted(buckets, key=lambda bucket: (bucket[1], bucket[2]))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    rule, lower, upper, count = table.T
    is_zero = rule == _ZERO_BUCKET_RULE
    if not ((lower < upper) | (is_zero & (lower == upper))).all():
        raise ValueError("a bucket of a native histogram ends above where it begins")
    schema = _schema(lower[~is_zero], upper[~is_zero])
    if schema != CUSTOM_SCHEMA:
        lower, upper = _snapped(lower, schema), _snapped(upper, schema)
    for low, high in zip(lower[is_zero], upper[is_zero], strict=True):
        lower = np.where(~is_zero & (lower >= 0.0), np.maximum(lower, high), lower)
        upper = np.where(~is_zero & (upper <= 0.0), np.minimum(upper, low), upper)
    if not (lower <= upper).all() or not (upper[:-1] <= lower[1:]).all():
        raise ValueError("the buckets of a native histogram do not overlap")
    return NativeHistogram(schema, lower, upper, count)


def _schema(lower: Floats, upper: Floats) -> int:
    near = np.minimum(np.abs(lower), np.abs(upper))
    far = np.maximum(np.abs(lower), np.abs(upper))
    closed = np.isfinite(far)
    if not lower.size or not closed.any():
        return _FINEST_SCHEMA if not lower.size else CUSTOM_SCHEMA
    if ((lower < 0.0) & (upper > 0.0)).any() or not (near > 0.0).all():
        return CUSTOM_SCHEMA
    growth = np.log2(far[closed]) - np.log2(near[closed])
    schema = round(-math.log2(growth[0]))
    fits = _COARSEST_SCHEMA <= schema <= _FINEST_SCHEMA
    for boundary in (near, far[closed]):
        place = np.ldexp(np.log2(boundary), schema)
        fits = fits and bool((np.abs(place - np.round(place)) < _TOLERANCE).all())
    return schema if fits and np.allclose(np.ldexp(growth, schema), 1.0) else CUSTOM_SCHEMA


def _snapped(boundary: Floats, schema: int) -> Floats:
    """Return the boundaries as this machine computes them, the same for every schema.

    The largest float stands for 2^1024, from where on Prometheus has one more bucket; it becomes
    infinite. What is not on the grid, such as the ends of the zero bucket, stays.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        place = np.ldexp(np.log2(np.abs(boundary)), schema)
        near = np.round(place)
        snapped = np.copysign(np.exp2(np.ldexp(near, -schema)), boundary)
        return np.where(np.abs(place - near) < _TOLERANCE, snapped, boundary)


def meet(reference: NativeHistogram, current: NativeHistogram) -> Aligned | None:
    """Merge two native histograms to all edges that cut no occupied bucket of either.

    Where nothing was counted any edge may be drawn, so that a boundary of one is common if it is
    one of the other or lies between its buckets. For exponential ones this is the coarser schema,
    with the wider zero bucket, extended to the end of a bucket that it cuts. None with fewer than
    LEAST_COMMON_EDGES finite edges.
    """
    bounds = (reference.lower, reference.upper, current.lower, current.upper)
    edges = np.unique(np.concatenate(bounds))
    edges = edges[np.isfinite(edges)]
    for histogram in (reference, current):
        edges = edges[~_cuts(histogram, edges)]
    if edges.size < LEAST_COMMON_EDGES:
        return None
    edges = np.append(edges, np.inf)
    before, after = (
        _summed(np.searchsorted(edges, histogram.upper), histogram.count, edges.size)
        for histogram in (reference, current)
    )
    return Aligned(edges, before, after)


def _cuts(histogram: NativeHistogram, edges: Floats) -> NDArray[np.bool_]:
    """Return which ``edges`` lie inside an occupied bucket."""
    occupied = histogram.count != 0.0
    upper = histogram.upper[occupied]
    # The bucket that could hold an edge inside is the first that ends after it.
    lower = np.append(histogram.lower[occupied], np.inf)
    cut: NDArray[np.bool_] = lower[np.searchsorted(upper, edges, side="right")] < edges
    return cut
