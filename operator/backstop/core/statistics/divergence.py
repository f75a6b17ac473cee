"""How far two histograms of a feature are apart, for many features at once.

Effect sizes, not tests: they say how large a change is, and
:mod:`backstop.core.statistics.chi_square` says whether chance explains it. A verdict needs both.

Every function takes counts per bucket (not cumulative, fractions allowed) as arrays of shape
(..., buckets) that broadcast, one row per feature, and returns an array of shape (...). Features
with fewer buckets are padded with zeros on both sides: a bucket that is zero on both sides changes
no result. A feature whose counts are unusable (not finite, negative, above LARGEST_COUNT) or whose
one side is empty is NaN: no exception, no warning, no effect on the others. Shapes that do not
broadcast and rows without buckets raise ValueError.

``edges`` are the upper edges of the buckets, ascending, shared or per feature; those of padding are
infinite. The bucket before the first finite edge and the one after the last are open tails.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstop.core.statistics.sequential import Floats, usable

SMOOTHING: Final = 0.5
"""Added to each occupied cell by :func:`psi`: the expected count under Jeffreys' prior."""

LARGEST_TAIL: Final = 0.01
"""The share of either side in open tails above which a distance in units of x is refused."""


class Sides(NamedTuple):
    """Both sides with the same shape (..., buckets), and which features are ``known``, (...).

    The counts of unknown features are ones, so that arithmetic on them is harmless.
    """

    reference: Floats
    current: Floats
    known: NDArray[np.bool_]

    def only_known(self, values: Floats) -> Floats:
        """Return ``values``, NaN where the feature is unknown or the value is not a number."""
        return np.where(self.known & np.isfinite(values), values, np.nan)


def sides(reference: ArrayLike, current: ArrayLike) -> Sides:
    """Return both sides, checked; see the module for what is unknown and what raises ValueError."""
    arrays = (np.asarray(counts, dtype=np.float64) for counts in (reference, current))
    before, after = np.broadcast_arrays(*arrays)
    if before.ndim == 0 or before.shape[-1] == 0:
        raise ValueError("a feature has at least one bucket")
    filled = (before > 0.0).any(axis=-1) & (after > 0.0).any(axis=-1)
    known = np.asarray(usable(before, after).all(axis=-1) & filled)
    keep = known[..., np.newaxis]
    return Sides(np.where(keep, before, 1.0), np.where(keep, after, 1.0), known)


def cells(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return B, how many buckets are not zero on both sides: the number of cells of a test."""
    both = sides(reference, current)
    return both.only_known(_occupied(both).sum(axis=-1, dtype=np.float64))


def psi(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return the population stability index, at least 0, in nats.

    The sum of (q - p) ln(q / p) over the cells: the divergence of Jeffreys (1946), symmetric. The
    shares p and q are taken after SMOOTHING was added to the cells, so that an empty one counts as
    half an observation; a fixed epsilon would make its weight depend on the epsilon instead.
    """
    both = sides(reference, current)
    occupied = _occupied(both)
    p, q = (_smoothed(counts, occupied) for counts in (both.reference, both.current))
    return both.only_known(((q - p) * np.log(q / p)).sum(axis=-1))


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return the Jensen-Shannon distance in [0, 1]: the root of the divergence in bits (base 2).

    In nats the distance is smaller by the factor sqrt(ln 2) = 0.833. With m = (p + q) / 2 and
    u = (p - q) / (p + q) the divergence (Lin 1991) is half the sum of
    m ((1 + u) ln(1 + u) + (1 - u) ln(1 - u)), which loses no digits where p and q are close.
    """
    both = sides(reference, current)
    p, q = _share(both.reference), _share(both.current)
    total = p + q
    lean = (p - q) / np.where(total > 0.0, total, 1.0)
    nats = (total * (_entropy_of(lean) + _entropy_of(-lean))).sum(axis=-1) / 4.0
    return both.only_known(np.sqrt(np.clip(nats / np.log(2.0), 0.0, 1.0)))


def ks_interval(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Return (low, high), between which the Kolmogorov-Smirnov statistic of the raw data lies.

    The buckets are in ascending order of x. At the edges the distribution functions F and G are
    known, so max |F - G| there is a lower bound. Between two edges F is at most its value at the
    right one while G is at least its value at the left one, or the reverse, and data exist for
    which that is reached; the largest such difference is the upper bound.
    """
    both = sides(reference, current)
    f, g = _cumulative(both.reference), _cumulative(both.current)
    low = np.abs(f - g).max(axis=-1)
    f_before, g_before = _before(f), _before(g)
    high = np.maximum(f - g_before, g - f_before).max(axis=-1)
    return both.only_known(low), both.only_known(high)


def l_infinity(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return the largest difference between the shares of a category, in [0, 1]."""
    both = sides(reference, current)
    difference = np.abs(_share(both.reference) - _share(both.current))
    return both.only_known(difference.max(axis=-1))


def unseen_share(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return the share of current in categories that the reference does not have, in [0, 1]."""
    both = sides(reference, current)
    unseen = np.where(both.reference == 0.0, _share(both.current), 0.0)
    return both.only_known(unseen.sum(axis=-1))


def wasserstein(
    reference: ArrayLike,
    current: ArrayLike,
    edges: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
) -> Floats:
    """Return the Wasserstein distance W1 in units of x: the integral of |F - G|.

    Within a bucket the distribution functions are taken as linear, as PromQL does, and the integral
    is exact for these. It is off from that of the raw data by at most the mean width of the buckets
    that the reference is in, plus the same of current, as no mass is moved out of its bucket.

    ``bounds`` (low, high), per feature or shared, say where the open tails end. Without them nobody
    knows how far out the tails reach: where they hold more than LARGEST_TAIL of either side the
    distance is NaN, else their mass is put on the outermost finite edges, which can only make the
    distance smaller. NaN also where edges are not ascending or do not lie within the bounds, or
    where no float can hold the distance.
    """
    both = sides(reference, current)
    spans = _spans(both, edges, bounds)
    return both.only_known(spans.in_units(_area(both, spans)))


def normalised_wasserstein(
    reference: ArrayLike,
    current: ArrayLike,
    edges: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
) -> Floats:
    """Return W1 in standard deviations of the reference; see :func:`wasserstein`.

    The deviation is that of mass spread evenly within each bucket, its width^2 / 12 included, and
    leaves out the open tails as W1 does. NaN where it is zero.
    """
    both = sides(reference, current)
    spans = _spans(both, edges, bounds)
    deviation = _deviation(_share(both.reference), spans)
    known = spans.known & (deviation > 0.0)
    with np.errstate(over="ignore"):
        ratio = _area(both, spans) / np.where(known, deviation, 1.0)
    return both.only_known(np.where(known, ratio, np.nan))


class _Spans(NamedTuple):
    """Where buckets begin and end, shape (..., buckets), in units of 2^exponent: no overflow."""

    lower: Floats
    upper: Floats
    exponent: NDArray[np.int32]
    known: NDArray[np.bool_]

    def in_units(self, length: Floats) -> Floats:
        with np.errstate(over="ignore"):
            return np.where(self.known, np.ldexp(length, self.exponent), np.nan)


def _spans(both: Sides, edges: ArrayLike, bounds: tuple[ArrayLike, ArrayLike] | None) -> _Spans:
    shape = both.reference.shape
    upper = np.broadcast_to(np.asarray(edges, dtype=np.float64), shape)
    is_open = upper == np.inf
    known = (np.isfinite(upper) | is_open).all(axis=-1)
    if bounds is None:
        low = upper[..., 0]
        high = np.where(is_open, -np.inf, upper).max(axis=-1)
        is_open = is_open | (np.arange(shape[-1]) == 0)
        for counts in (both.reference, both.current):
            known &= np.where(is_open, _share(counts), 0.0).sum(axis=-1) <= LARGEST_TAIL
    else:
        low, high = (
            np.broadcast_to(np.asarray(bound, dtype=np.float64), shape[:-1]) for bound in bounds
        )
    known &= np.isfinite(low) & np.isfinite(high)
    upper = np.where(upper == np.inf, high[..., np.newaxis], upper)
    lower = np.concatenate((low[..., np.newaxis], upper[..., :-1]), axis=-1)
    known &= (lower <= upper).all(axis=-1) & (upper[..., -1] <= high)
    keep = known[..., np.newaxis]
    lower, upper = np.where(keep, lower, 0.0), np.where(keep, upper, 1.0)
    largest = np.maximum(np.abs(lower[..., 0]), np.abs(upper[..., -1]))
    exponent = np.frexp(largest)[1]
    shift = -exponent[..., np.newaxis]
    return _Spans(np.ldexp(lower, shift), np.ldexp(upper, shift), exponent, known)


def _area(both: Sides, spans: _Spans) -> Floats:
    """Return the integral of |F - G| for F - G linear within each bucket."""
    right: Floats = _cumulative(both.reference) - _cumulative(both.current)
    left = _before(right)
    height = np.abs(left) + np.abs(right)
    # Where the sign changes, two triangles remain of the trapezium.
    crossed = (left**2 + right**2) / np.where(height > 0.0, height, 1.0)
    height = np.where(left * right < 0.0, crossed, height)
    area: Floats = ((spans.upper - spans.lower) * height).sum(axis=-1) / 2.0
    return area


def _deviation(share: Floats, spans: _Spans) -> Floats:
    width = spans.upper - spans.lower
    middle = spans.lower + width / 2.0
    distance = middle - (share * middle).sum(axis=-1, keepdims=True)
    # Squares of what no mass is at must neither count nor decide the scale.
    reach = np.where(share > 0.0, np.maximum(np.abs(distance), width), 0.0)
    scale = reach.max(axis=-1, keepdims=True)
    safe = np.where(scale > 0.0, scale, 1.0)
    near = share > 0.0
    squares = (
        np.where(near, distance / safe, 0.0) ** 2 + np.where(near, width / safe, 0.0) ** 2 / 12
    )
    deviation: Floats = scale[..., 0] * np.sqrt((share * squares).sum(axis=-1))
    return deviation


def _occupied(both: Sides) -> NDArray[np.bool_]:
    return (both.reference > 0.0) | (both.current > 0.0)


def _share(counts: Floats) -> Floats:
    share: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return share


def _smoothed(counts: Floats, occupied: NDArray[np.bool_]) -> Floats:
    """Return the smoothed shares; those of unoccupied buckets are 1 on both sides, so cancel."""
    filled = np.where(occupied, counts + SMOOTHING, 0.0)
    return np.where(occupied, filled / filled.sum(axis=-1, keepdims=True), 1.0)


def _entropy_of(lean: Floats) -> Floats:
    """Return (1 + u) ln(1 + u), zero at u = -1."""
    whole = lean > -1.0
    return np.where(whole, (1.0 + lean) * np.log1p(np.where(whole, lean, 0.0)), 0.0)


def _cumulative(counts: Floats) -> Floats:
    """Return the distribution function at the upper edges; it ends with exactly 1."""
    running = np.cumsum(counts, axis=-1)
    share: Floats = running / running[..., -1:]
    return share


def _before(running: Floats) -> Floats:
    """Return the values at the lower edges of the buckets: zero at the first."""
    before: Floats = np.concatenate((np.zeros_like(running[..., :1]), running[..., :-1]), axis=-1)
    return before
