"""Bounds on what chance does to a rate of events, valid for every sample size."""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from backstop.core.statistics.sequential import Floats, usable

_HALVINGS: Final = 60


def upper_limit(events: ArrayLike, total: ArrayLike, risk: float) -> Floats:
    """Return the highest rate in [0, 1] that ``events`` among ``total`` requests still allow.

    The mean rate of independent requests is above it with a probability of at most ``risk``: it is
    the largest p with total KL(events / total || p) <= ln(1 / risk), by Chernoff's bound, which
    holds for unequal rates as well (Hoeffding 1963). 1 where the counts are unusable or empty.
    Raises ValueError unless 0 < ``risk`` < 1.
    """
    if not 0.0 < risk < 1.0:
        raise ValueError("a risk is between 0 and 1")
    x, n = np.broadcast_arrays(np.asarray(events, np.float64), np.asarray(total, np.float64))
    known = usable(x, n) & (n > 0.0)
    n = np.where(known, n, 1.0)
    rate = np.where(known, np.minimum(x, n) / n, 1.0)
    low, high = rate, np.ones_like(rate)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        within = n * divergence(rate, middle) <= -math.log(risk)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return high


def divergence(rate: Floats | np.float64, other: Floats | np.float64) -> Floats:
    """Return the Kullback-Leibler divergence, in nats, of Bernoulli ``other`` from ``rate``.

    Infinite where ``other`` makes impossible what happens at ``rate``.
    """
    total = np.zeros(np.broadcast_shapes(rate.shape, other.shape))
    for p, q in ((rate, other), (1.0 - rate, 1.0 - other)):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            total = total + np.where(p > 0.0, p * np.log(p / q), 0.0)
    return total
