"""How far each feature is from its reference, and from when on that is more than chance.

One row per statistic: the size of the effect, a p-value, and the floor, which is the size that
chance alone exceeds with a given probability at these sample sizes. A size below its floor says
nothing, so a limit below the floor needs more samples. All features are measured at once.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from statistics import NormalDist
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from backstop.core.measures.features import Floats
from backstop.core.statistics import chi_square, divergence
from backstop.core.statistics.binning import merge_buckets

_MEAN_OF_NORMAL: Final = math.sqrt(2.0 / math.pi)
"""The mean of |X| for X standard normal."""


class By(StrEnum):
    """The statistic that a difference is measured by."""

    PSI = "psi"
    """Population stability index, in nats, over up to 10 bins of equal share in the reference."""

    KS = "ks"
    """Kolmogorov-Smirnov: the largest difference of the distribution functions, at the edges."""

    WASSERSTEIN = "wasserstein"
    """Wasserstein distance W1, in standard deviations of the reference."""

    JENSEN_SHANNON = "jensenShannon"
    """Jensen-Shannon distance, base 2, from 0 to 1."""

    L_INFINITY = "lInfinity"
    """The largest difference of the share of one category or bin."""

    CHI_SQUARE = "chiSquare"
    """Cohen's w: the root of chi-square per sample, whatever the sizes of both samples."""


SAID: Final[Mapping[By, str]] = MappingProxyType(
    {
        By.PSI: "PSI",
        By.KS: "KS distance at least",
        By.WASSERSTEIN: "Wasserstein distance in standard deviations",
        By.JENSEN_SHANNON: "Jensen-Shannon distance",
        By.L_INFINITY: "largest difference of shares",
        By.CHI_SQUARE: "Cohen's w",
    }
)
"""What a size is called in a sentence."""

LIMITS: Final[Mapping[By, float]] = MappingProxyType(
    {
        By.PSI: 0.2,
        By.KS: 0.1,
        By.WASSERSTEIN: 0.2,
        By.JENSEN_SHANNON: 0.1,
        By.L_INFINITY: 0.1,
        By.CHI_SQUARE: 0.3,
    }
)
"""The largest size that is no drift, where a spec says nothing else."""

ORDERED: Final = (By.KS, By.WASSERSTEIN)
"""What has a meaning only for numbers."""


class Compared(NamedTuple):
    """Two sides of many features, shape (..., features, buckets), and the edges of the buckets.

    ``ordered`` says that the buckets are numbers, not categories. ``bounds`` are the ends of the
    outermost buckets, where a spec gives them.
    """

    reference: Floats
    current: Floats
    edges: Floats
    ordered: bool
    bounds: tuple[float, float] | None = None


class Sizes(NamedTuple):
    """By feature: the size, its p-value, its floor, and how many samples bring that to the limit.

    NaN where nothing can be said.
    """

    effect: Floats
    p_value: Floats
    floor: Floats
    needed: Floats


def measure_sizes(by: By, compared: Compared, alpha: float, limit: float) -> Sizes:
    """Return the sizes of all features; the floor is exceeded by chance with ``alpha``."""
    raw = _raw(by, compared, alpha)
    n = [side.sum(axis=-1) for side in (compared.reference, compared.current)]
    n_reference, n_current = (np.where((one > 0.0) & np.isfinite(one), one, np.nan) for one in n)
    with np.errstate(all="ignore"):  # Counts near the ends of the range of floats become NaN.
        variance = 1.0 / n_reference + 1.0 / n_current
        floor = raw.unit * variance if by is By.PSI else np.sqrt(raw.unit * variance)
        power = limit if by is By.PSI else limit**2
        room = power / raw.unit - 1.0 / n_reference
        needed = np.where(room > 0.0, np.ceil(1.0 / room), np.where(room <= 0.0, np.inf, np.nan))
    known = np.isfinite(raw.effect) & np.isfinite(raw.p_value) & np.isfinite(floor)
    return Sizes(
        *(np.where(known, one, np.nan) for one in (raw.effect, raw.p_value, floor, needed))
    )


class _Raw(NamedTuple):
    """``unit`` is the floor, or its square where it shrinks with the root, at 1/N + 1/n = 1."""

    effect: Floats
    p_value: Floats
    unit: Floats


def _raw(by: By, compared: Compared, alpha: float) -> _Raw:
    if by in ORDERED:
        return _MEASURED[by](compared, alpha)
    if not compared.ordered:
        return _MEASURED[by](compared, alpha)
    bins = merge_buckets(compared.reference, compared.current)
    return _MEASURED[by](compared._replace(reference=bins.reference, current=bins.current), alpha)


def _psi(compared: Compared, alpha: float) -> _Raw:
    reference, current = compared.reference, compared.current
    effect, buckets = divergence.psi(reference, current), divergence.cells(reference, current)
    n = (reference.sum(axis=-1), current.sum(axis=-1))
    p_value = chi_square.psi_test(effect, *n, buckets)
    return _Raw(effect, p_value, chi_square.critical_value(alpha, buckets - 1.0))


def _ks(compared: Compared, alpha: float) -> _Raw:
    low, _ = divergence.ks_interval(compared.reference, compared.current)
    # The first term of Kolmogorov's series is an upper bound of the sum.
    return _Raw(low, _ks_p_value(low, compared), np.full_like(low, -math.log(alpha / 2.0) / 2.0))


def _ks_p_value(distance: Floats, compared: Compared) -> Floats:
    n = (side.sum(axis=-1) for side in (compared.reference, compared.current))
    return chi_square.ks_p_value(distance, *n)


def _wasserstein(compared: Compared, alpha: float) -> _Raw:
    """Measure W1; its floor bounds the supremum of a Gaussian process.

    W1 is the supremum over functions with slope at most 1 of a difference of means. If nothing
    changed, the mean of W1 is at most sqrt(V) sqrt(2/pi) times the integral of sqrt(F(1 - F)), with
    V = 1/N + 1/n, and by Borell and Tsirelson, Ibragimov and Sudakov it exceeds its mean by more
    than sqrt(2 V ln(1/alpha)) standard deviations of x with probability at most alpha.
    """
    arguments = (compared.reference, compared.current, compared.edges, compared.bounds)
    effect = divergence.normalised_wasserstein(*arguments)
    low, _ = divergence.ks_interval(compared.reference, compared.current)
    root = _MEAN_OF_NORMAL * _roughness(compared) + math.sqrt(-2.0 * math.log(alpha))
    return _Raw(effect, _ks_p_value(low, compared), root**2)


def _roughness(compared: Compared) -> Floats:
    """Return the integral of sqrt(F(1 - F)) in standard deviations, at least as large as it is."""
    upper = compared.edges
    finite = np.where(np.isfinite(upper), upper, -np.inf).max(axis=-1, keepdims=True)
    low, high = compared.bounds or (upper[..., :1], finite)
    with np.errstate(all="ignore"):  # Edges near the largest float become NaN.
        ends = np.minimum(upper, high)
        begins = np.concatenate(
            (np.broadcast_to(low, ends[..., :1].shape), ends[..., :-1]), axis=-1
        )
        width = ends - begins
        share = compared.reference / compared.reference.sum(axis=-1, keepdims=True)
        right = np.minimum(np.cumsum(share, axis=-1), 1.0)
        left = right - share
        top = np.maximum(left * (1.0 - left), right * (1.0 - right))
        top = np.where((left < 0.5) & (right > 0.5), 0.25, top)  # noqa: PLR2004 - the median
        middle = begins + width / 2.0
        mean = (share * middle).sum(axis=-1, keepdims=True)
        variance = (share * ((middle - mean) ** 2 + width**2 / 12.0)).sum(axis=-1)
        return np.asarray((width * np.sqrt(np.maximum(top, 0.0))).sum(axis=-1) / np.sqrt(variance))


def _jensen_shannon(compared: Compared, alpha: float) -> _Raw:
    """Measure the distance; without drift, 8 times its square in nats is PSI to second order."""
    effect = divergence.jensen_shannon(compared.reference, compared.current)
    return _Raw(effect, _homogeneity(compared), _critical(compared, alpha) / (8.0 * math.log(2.0)))


def _l_infinity(compared: Compared, alpha: float) -> _Raw:
    """Measure the largest difference; its floor is the union bound over normal differences."""
    reference, current = compared.reference, compared.current
    buckets = divergence.cells(reference, current)
    pooled = reference + current
    with np.errstate(all="ignore"):
        share = pooled / pooled.sum(axis=-1, keepdims=True)
    sizes, place = np.unique(np.where(np.isfinite(buckets), buckets, 1.0), return_inverse=True)
    z = np.array([NormalDist().inv_cdf(1.0 - alpha / (2.0 * max(1.0, one))) for one in sizes])
    unit = z[place].reshape(buckets.shape) ** 2 * (share * (1.0 - share)).max(axis=-1)
    return _Raw(divergence.l_infinity(reference, current), _homogeneity(compared), unit)


def _chi_square(compared: Compared, alpha: float) -> _Raw:
    merged = chi_square.merge_rare(compared.reference, compared.current)
    found = chi_square.pearson(*merged)
    with np.errstate(all="ignore"):
        variance = sum(1.0 / side.sum(axis=-1) for side in merged)
        effect = np.sqrt(found.statistic * variance)
    return _Raw(effect, found.p_value, chi_square.critical_value(alpha, found.dof))


def _homogeneity(compared: Compared) -> Floats:
    merged = chi_square.merge_rare(compared.reference, compared.current)
    return chi_square.pearson(*merged).p_value


def _critical(compared: Compared, alpha: float) -> Floats:
    buckets = divergence.cells(compared.reference, compared.current)
    return chi_square.critical_value(alpha, buckets - 1.0)


_MEASURED: Final[Mapping[By, Callable[[Compared, float], _Raw]]] = MappingProxyType(
    {
        By.PSI: _psi,
        By.KS: _ks,
        By.WASSERSTEIN: _wasserstein,
        By.JENSEN_SHANNON: _jensen_shannon,
        By.L_INFINITY: _l_infinity,
        By.CHI_SQUARE: _chi_square,
    }
)
