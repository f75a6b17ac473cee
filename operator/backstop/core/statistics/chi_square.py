"""Whether chance explains a difference between two histograms, for many features at once.

The tests of :mod:`backstop.core.statistics.divergence`'s effect sizes, with the same arrays and the
same rules: counts (..., buckets), buckets of zero on both sides change nothing, an unusable feature
is NaN. All p-values here are asymptotic: they hold for samples that fill the cells, not exactly.
They say how sure one may be, never how large a change is: with enough data any change is sure.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstop.core.statistics.divergence import cells, sides
from backstop.core.statistics.sequential import Floats

LARGEST_DOF: Final = 10_000
"""The survival function takes half as many steps; beyond this it is NaN."""

SMALLEST_ALPHA: Final = 1e-100
"""The smallest tail for which a critical value is found without leaving the range of floats."""

LEAST_EXPECTED: Final = 5.0
"""Cochran's rule: the expected count from which on a cell follows its asymptotic law."""

_LARGEST_ALPHA: Final = 0.5
_NEWTON_STEPS: Final = 8
_KOLMOGOROV_TERMS: Final = 8
_KOLMOGOROV_SWITCH: Final = 0.82
_LOG_GAMMA_3_2: Final = math.lgamma(1.5)


def survival(x: ArrayLike, dof: ArrayLike) -> Floats:
    """Return P(X >= x) for X chi-square with ``dof`` degrees of freedom, an integer.

    With y = x / 2 and h = 0 for even, 1/2 for odd ``dof``, integration by parts of the density
    (Abramowitz and Stegun 26.4.4 and 26.4.5) gives the finite sum

        [erfc(sqrt(y)) if odd] + sum over k < floor(dof / 2) of e^-y y^(k+h) / Gamma(k + h + 1).

    All terms are positive, so that tiny tails keep their digits. Without degrees of freedom X is
    zero. NaN where ``x`` is NaN or ``dof`` is not an integer from 0 to LARGEST_DOF.
    """
    arrays = (np.asarray(value, dtype=np.float64) for value in (x, dof))
    value, degrees = np.broadcast_arrays(*arrays)
    known = ~np.isnan(value) & (degrees >= 0.0) & (degrees <= LARGEST_DOF)
    known &= np.floor(degrees) == degrees
    inside = known & (value > 0.0) & (value < np.inf) & (degrees > 0.0)
    total = np.where(value > 0.0, 0.0, 1.0)
    total[inside] = _series(value[inside] / 2.0, degrees[inside])
    return np.where(known, total, np.nan)


def _series(half: Floats, dof: Floats) -> Floats:
    steps, offset = dof // 2.0, (dof % 2.0) / 2.0
    is_odd = offset > 0.0
    total = np.zeros(half.shape)
    total[is_odd] = [math.erfc(root) for root in np.sqrt(half[is_odd]).tolist()]
    with np.errstate(divide="ignore"):  # Half of the smallest float is zero: the limit is right.
        log_half = np.maximum(np.log(half), -1e3)
    term = offset * log_half - half - np.where(is_odd, _LOG_GAMMA_3_2, 0.0)
    for k in range(int(steps.max(initial=0.0))):
        total += np.where(k < steps, np.exp(term), 0.0)
        term += log_half - np.log(k + 1.0 + offset)
    return np.minimum(total, 1.0)


def critical_value(alpha: float, dof: ArrayLike) -> Floats:
    """Return the x with survival(x, dof) = ``alpha``: the quantile at 1 - alpha.

    Newton's method on ln P(sqrt(X) >= z). The density of sqrt(X) is log-concave for every ``dof``,
    hence so is its survival function, and from a start above the root each step stays above and
    comes closer; the number of steps suffices for a relative error of 1e-12. The start is the
    bound dof + 2 sqrt(dof t) + 2 t, t = ln(1 / alpha), of Laurent and Massart (2000). NaN where
    ``dof`` is as :func:`survival` refuses it. Raises ValueError
    unless SMALLEST_ALPHA <= ``alpha`` <= 0.5.
    """
    if not SMALLEST_ALPHA <= alpha <= _LARGEST_ALPHA:
        raise ValueError("alpha is from 1e-100 to 0.5")
    degrees, place = np.unique(np.asarray(dof, dtype=np.float64), return_inverse=True)
    fits = (degrees >= 1.0) & (degrees <= LARGEST_DOF) & (np.floor(degrees) == degrees)
    solved = np.where(degrees == 0.0, 0.0, np.nan)
    solved[fits] = _solve(alpha, degrees[fits])
    return solved[place].reshape(np.shape(dof))


def _solve(alpha: float, dof: Floats) -> Floats:
    tail = -math.log(alpha)
    root = np.sqrt(dof + 2.0 * np.sqrt(dof * tail) + 2.0 * tail)
    constant = (dof / 2.0 - 1.0) * math.log(2.0) + np.array(
        [math.lgamma(shape) for shape in (dof / 2.0).tolist()], dtype=np.float64
    )
    for _ in range(_NEWTON_STEPS):
        log_survival = np.log(survival(root**2, dof))
        log_density = (dof - 1.0) * np.log(root) - root**2 / 2.0 - constant
        step = (log_survival + tail) * np.exp(log_survival - log_density)
        root = np.maximum(root + step, root / 1e3)  # A step lost to rounding must not cross zero.
    return root**2


def psi_test(
    psi: ArrayLike, n_reference: ArrayLike, n_current: ArrayLike, buckets: ArrayLike
) -> Floats:
    """Return the p-value of a population stability index over ``buckets`` occupied buckets.

    If nothing changed, PSI / (1/N + 1/n) is asymptotically chi-square with B - 1 degrees of freedom
    (Yurdakul and Naranjo 2020): to second order in q - p it is Pearson's statistic. With 10 or more
    current observations per bucket it holds its level; with fewer the smoothing makes it cautious
    (docs/adr/0011 has figures). ``buckets`` are :func:`divergence.cells`. NaN where an argument is,
    where a sample is empty, or B < 1.
    """
    statistic = np.asarray(psi, dtype=np.float64) / _variance(n_reference, n_current)
    return survival(statistic, np.asarray(buckets, dtype=np.float64) - 1.0)


def psi_floor(
    alpha: float, buckets: ArrayLike, n_reference: ArrayLike, n_current: ArrayLike
) -> Floats:
    """Return the index that chance alone exceeds with probability ``alpha``; see psi_test."""
    dof = np.asarray(buckets, dtype=np.float64) - 1.0
    floor: Floats = critical_value(alpha, dof) * _variance(n_reference, n_current)
    return floor


class PsiThreshold(NamedTuple):
    """The index from which on to call it drift, and whether the samples were ``sufficient``.

    They are not where chance alone exceeds what the user asked for; there the threshold is that
    floor, and an index below it says nothing: the verdict is InsufficientData.
    """

    threshold: Floats
    sufficient: NDArray[np.bool_]


def psi_threshold(
    user: ArrayLike,
    alpha: float,
    buckets: ArrayLike,
    n_reference: ArrayLike,
    n_current: ArrayLike,
) -> PsiThreshold:
    """Return the larger of ``user`` and :func:`psi_floor`; NaN (not sufficient) where unknown."""
    asked = np.asarray(user, dtype=np.float64)
    floor = psi_floor(alpha, buckets, n_reference, n_current)
    return PsiThreshold(np.maximum(asked, floor), floor <= asked)


def required_samples(
    user: ArrayLike, alpha: float, buckets: ArrayLike, n_reference: ArrayLike
) -> Floats:
    """Return the smallest n with :func:`psi_floor` <= ``user``, at least 1.

    Infinite where no current sample suffices because the reference is too small itself, NaN where
    an argument is unknown.
    """
    dof = np.asarray(buckets, dtype=np.float64) - 1.0
    critical = critical_value(alpha, dof)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        room = np.asarray(user, dtype=np.float64) / critical - 1.0 / _positive(n_reference)
        needed = np.where(room > 0.0, np.ceil(1.0 / room), np.where(room <= 0.0, np.inf, np.nan))
    return np.maximum(needed, 1.0)


class Homogeneity(NamedTuple):
    """A two-sample test of equal shares, arrays of shape (...).

    One occupied category leaves no degree of freedom: its p-value is 1.
    """

    statistic: Floats
    dof: Floats
    p_value: Floats


def pearson(reference: ArrayLike, current: ArrayLike) -> Homogeneity:
    """Return Pearson's test: the sum of (observed - expected)^2 / expected, without correction.

    For two samples of R and C it equals (RC / T) sum of (p - q)^2 / w with the pooled share w and
    T = R + C. Valid where expected counts are at least LEAST_EXPECTED: see :func:`merge_rare`.
    """
    both = sides(reference, current)
    with np.errstate(all="ignore"):  # Counts near the smallest floats become NaN below.
        before = both.reference.sum(axis=-1, keepdims=True)
        after = both.current.sum(axis=-1, keepdims=True)
        pooled = (both.reference + both.current) / (before + after)
        difference = both.reference / before - both.current / after
        terms = np.where(difference == 0.0, 0.0, difference**2 / pooled)
        weight = before * (after / (before + after))
        statistic = (weight * terms).sum(axis=-1)
    return _homogeneity(both.only_known(statistic), reference, current)


def g_test(reference: ArrayLike, current: ArrayLike) -> Homogeneity:
    """Return the likelihood-ratio test: 2 sum of observed ln(observed / expected).

    It is Pearson's in the limit, no better on sparse counts: see :func:`merge_rare`.
    """
    both = sides(reference, current)
    with np.errstate(all="ignore"):  # As in pearson.
        pooled = both.reference + both.current
        total = pooled.sum(axis=-1, keepdims=True)
        statistic = np.zeros(both.known.shape)
        for observed in (both.reference, both.current):
            expected = pooled * (observed.sum(axis=-1, keepdims=True) / total)
            ratio = np.log(np.where(observed > 0.0, observed / expected, 1.0))
            statistic = statistic + 2.0 * (observed * ratio).sum(axis=-1)
    return _homogeneity(both.only_known(np.maximum(statistic, 0.0)), reference, current)


def merge_rare(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides with rare categories merged, so that the tests above are valid.

    A category is rare if its expected count on the smaller side is below LEAST_EXPECTED. All rare
    ones become one; if that is still rare, it joins the smallest category that is not. What was
    merged stands in the place of one of its parts, the other parts are zero. The rule looks only at
    the sums of both sides, which under the null say nothing of the difference, so the test stays
    valid. A feature of several categories of which only one would be left is NaN: that is too
    little to compare.
    """
    both = sides(reference, current)
    pooled = both.reference + both.current
    totals = [counts.sum(axis=-1, keepdims=True) for counts in (both.reference, both.current)]
    expected = pooled * (np.minimum(*totals) / (totals[0] + totals[1]))
    occupied = pooled > 0.0
    rare = occupied & (expected < LEAST_EXPECTED)
    common = occupied & ~rare
    too_small = np.where(rare, expected, 0.0).sum(axis=-1, keepdims=True) < LEAST_EXPECTED
    smallest = np.where(common, expected, np.inf).argmin(axis=-1, keepdims=True)
    joins = rare.any(axis=-1, keepdims=True) & too_small & common.any(axis=-1, keepdims=True)
    host = np.where(joins, smallest, rare.argmax(axis=-1, keepdims=True))
    left = common.sum(axis=-1) + (rare.any(axis=-1) & ~joins[..., 0])
    known = both.known & ((left > 1) | (occupied.sum(axis=-1) == 1))
    is_host = np.arange(pooled.shape[-1]) == host
    merged = [
        np.where(rare, 0.0, counts)
        + np.where(is_host, np.where(rare, counts, 0.0).sum(axis=-1, keepdims=True), 0.0)
        for counts in (both.reference, both.current)
    ]
    before, after = (np.where(known[..., np.newaxis], counts, np.nan) for counts in merged)
    return before, after


def ks_p_value(distance: ArrayLike, n_reference: ArrayLike, n_current: ArrayLike) -> Floats:
    """Return the asymptotic p-value of a two-sample Kolmogorov-Smirnov ``distance``.

    Use the low end of :func:`divergence.ks_interval`: the statistic of the raw data is at least as
    large, so its p-value is at most this one, and the test errs on the side of no drift.
    """
    distances = np.asarray(distance, dtype=np.float64)
    with np.errstate(over="ignore"):
        return kolmogorov(distances / np.sqrt(_variance(n_reference, n_current)))


def kolmogorov(x: ArrayLike) -> Floats:
    """Return P(K >= x) of the Kolmogorov distribution, the limit law of the two-sided statistic.

    2 sum of (-1)^(k-1) exp(-2 k^2 x^2) (Kolmogorov 1933); below the switch the same by the theta
    identity, 1 - sqrt(2 pi) / x sum of exp(-(2k - 1)^2 pi^2 / (8 x^2)). Either needs a few terms.
    """
    value = np.asarray(x, dtype=np.float64)
    k = np.arange(1.0, _KOLMOGOROV_TERMS + 1.0)
    large = np.maximum(value, _KOLMOGOROV_SWITCH)[..., np.newaxis]
    with np.errstate(over="ignore"):
        upper = 2.0 * ((-1.0) ** (k - 1.0) * np.exp(-2.0 * (k * large) ** 2)).sum(axis=-1)
    # Below 0.05 the sum is less than the smallest float.
    small = np.clip(value, 0.05, _KOLMOGOROV_SWITCH)
    exponents = -(((2.0 * k - 1.0) * (math.pi / small)[..., np.newaxis]) ** 2) / 8.0
    lower = 1.0 - math.sqrt(2.0 * math.pi) / small * np.exp(exponents).sum(axis=-1)
    return np.where(np.isnan(value), np.nan, np.where(value > _KOLMOGOROV_SWITCH, upper, lower))


def _homogeneity(statistic: Floats, reference: ArrayLike, current: ArrayLike) -> Homogeneity:
    dof = np.where(np.isnan(statistic), np.nan, cells(reference, current) - 1.0)
    return Homogeneity(statistic, dof, survival(statistic, dof))


def _variance(n_reference: ArrayLike, n_current: ArrayLike) -> Floats:
    """Return 1/N + 1/n; NaN where a sample is empty or unknown."""
    with np.errstate(over="ignore"):
        total: Floats = 1.0 / _positive(n_reference) + 1.0 / _positive(n_current)
    return total


def _positive(count: ArrayLike) -> Floats:
    counts = np.asarray(count, dtype=np.float64)
    return np.where(counts > 0.0, counts, np.nan)
