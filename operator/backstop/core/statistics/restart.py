"""The restarting test: it finds a change that comes after long health as fast as an early one.

The evidence of the sequential test falls while all is well, and a late change must first make up
for it. The Shiryaev-Roberts statistic M instead sums the evidence over every interval at which the
change may have begun. Per grid point and interval with likelihood ratio L

    M <- (M + 1) L,    M = 0 at the start.

Under the null the mean of M after n intervals is at most n. So an alarm at mean M >= A comes on
average after A intervals or later, and within n intervals with a probability of at most n / A.

The state is ln(1 + M), shape (..., 24): zeros at the start where ln(M) would be -inf, so every
state is finite and packs like those of the sequential test; M + 1 is all that the recursion needs.
"""

import numpy as np
from numpy.typing import ArrayLike

from backstop.core.statistics.sequential import (
    GRID,
    Floats,
    log_mean_exp,
    rate_ratio,
    usable,
)


def advance(state: Floats, increments: Floats) -> Floats:
    """Return the state after an interval; ``increments`` as of ``worse`` or ``against_baseline``.

    An interval that says nothing (all increments zero) leaves the state as it was. Else M would
    grow by one each time, and an arm without traffic would raise the alarm in the end.
    """
    informative = np.any(increments != 0.0, axis=-1, keepdims=True)
    return np.where(informative, np.logaddexp(state + increments, 0.0), state)


def log_restarts(state: Floats) -> Floats:
    """Return ln of the mean M over the grid, shape (...); -inf at the start; alarm at ln(A)."""
    above = np.maximum(log_mean_exp(state), 0.0)
    with np.errstate(divide="ignore"):
        log_share: Floats = np.log(-np.expm1(-above))
    return above + log_share


def against_baseline(
    events: ArrayLike, total: ArrayLike, limit: ArrayLike, margin: ArrayLike
) -> Floats:
    """Return the increments, shape (..., 24), against "the rate is at most margin x limit".

    For an arm without a concurrent one: ``limit`` is the ``chernoff.upper_limit`` of its rate in a
    baseline taken before. A baseline is one sample. To pair it anew with each interval would count
    its chance error as fresh every time; so it enters once, as a constant, and its ``risk`` adds to
    the risk of the test. With q = min(1, margin x limit) the increment at d is

        events d - total ln(1 - q + q e^d),

    whose exponential has a mean of at most 1 at any mean rate <= q. What changed since the baseline
    for all alike, such as load, is taken for a change of this arm: prefer a concurrent arm.
    Unusable counts add exactly zero. Raises ValueError unless 0 < ``limit`` <= 1 and
    0 < ``margin`` <= 1e6.
    """
    highest = np.asarray(limit, dtype=np.float64)
    if not ((highest > 0.0) & (highest <= 1.0)).all():
        raise ValueError("the upper limit of a rate is above 0 and at most 1")
    q = np.minimum(1.0, rate_ratio(margin) * highest)
    x, n = np.broadcast_arrays(np.asarray(events, np.float64), np.asarray(total, np.float64))
    valid = usable(x, n)
    n = np.where(valid, n, 0.0)
    x = np.where(valid, np.minimum(x, n), 0.0)
    expected = np.log1p(q[..., np.newaxis] * np.expm1(GRID))
    increments: Floats = x[..., np.newaxis] * GRID - n[..., np.newaxis] * expected
    return increments
