"""Checks on who answered: the split of the traffic, and the one pod that fails alone.

A comparison of two arms presumes that requests are routed at random by the configured weights, and
that an arm fails as a whole. Both can be wrong, and both can be seen in counts.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstop.core.statistics.chernoff import divergence
from backstop.core.statistics.sequential import Floats, usable

_CONCENTRATION: Final = 100.0
"""How many requests the prior is worth; with 10 or 1000 delays differ by less than a third."""

_LARGEST_COUNT: Final = 1e12
"""Up to it, what is lost where log-gamma terms cancel stays below 0.01."""

_SAME: Final = 1.0 - 1e-12
"""Pods whose excess differs by less are equal but for rounding."""

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def log_mismatch(counts: ArrayLike, weights: ArrayLike) -> Floats:
    """Return ln E, shape (...), against "requests are routed independently by ``weights``".

    ``counts``, shape (..., k), are each arm's requests since the weights were set; ``weights``
    broadcasts to it in any unit. E is the ratio of the Dirichlet-multinomial likelihood, its prior
    centred on the weights, to the multinomial one, and an e-process over the requests, so one may
    look at any time (Lindon and Malek, NeurIPS 2022, arXiv:2011.03567). After a change of the
    weights count anew and add the logarithms.

    An arm of weight zero is left out: what it still answers is a tail of former routing. ln E is
    zero where a count is not finite, negative or above 1e12. Raises ValueError for a weight that is
    not finite or negative, and where all are zero. Connections that carry many requests to one pod
    are not independent routing: count connections there, or expect alarms.
    """
    seen = np.asarray(counts, dtype=np.float64)
    seen, weight = np.broadcast_arrays(seen, np.asarray(weights, dtype=np.float64))
    if not (np.isfinite(weight) & (weight >= 0.0)).all() or not weight.any(axis=-1).all():
        raise ValueError("weights are finite, not negative, and not all zero")
    largest = weight.max(axis=-1, keepdims=True)
    share = weight / largest / (weight / largest).sum(axis=-1, keepdims=True)
    known = np.all(usable(seen) & (seen <= _LARGEST_COUNT), axis=-1, keepdims=True)
    routed = share > 0.0
    n = np.where(known & routed, seen, 0.0)
    prior = np.where(routed, share * _CONCENTRATION, 1.0)
    arms = _log_gamma(prior + n) - _log_gamma(prior) - n * np.log(np.where(routed, share, 1.0))
    total = n.sum(axis=-1)
    result: Floats = arms.sum(axis=-1) - (
        _log_gamma(_CONCENTRATION + total) - math.lgamma(_CONCENTRATION)
    )
    return result


def suspicious(counts: ArrayLike, weights: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Return, shape (...), whether the split contradicts ``weights`` at level ``alpha``.

    Under correct routing this is ever true with a probability of at most ``alpha``, in (0, 1).
    Arguments and errors are those of :func:`log_mismatch`.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError("alpha is between 0 and 1")
    return log_mismatch(counts, weights) >= -math.log(alpha)


def leave_one_out(
    events: ArrayLike, totals: ArrayLike, tolerated: float, risk: float = 0.05
) -> int | None:
    """Return the index of the one pod that explains why an arm is bad, or None.

    ``events`` among ``totals`` requests are counted per pod, shape (k,); ``tolerated`` is the rate
    of events up to which the arm would not be bad, such as stable's rate times the margin. It is
    the pod with the most events above what is tolerated, if all of this holds:

    1. all pods together are above the tolerated rate;
    2. the pod's share of the events is above its share of the requests by more than chance: with
       E events, k exp(-E KL(share of events || share of requests)) <= ``risk``;
    3. the other pods are not above the tolerated rate by more than chance: with n requests at rate
       p, p <= tolerated or exp(-n KL(p || tolerated)) > ``risk``.

    Both are Chernoff's bounds; if all pods are equally likely to fail, one is named with a
    probability of at most ``risk`` at a look that does not depend on them. Where None is returned
    the arm as a whole is to blame. A pod without a request, or with a count that is not finite or
    negative, is left out, and the only pod is never named. Raises ValueError unless ``tolerated``
    is finite and not negative and ``risk`` is in (0, 1).
    """
    if not (0.0 <= tolerated < math.inf and 0.0 < risk < 1.0):
        raise ValueError("the tolerated rate is finite and not negative, the risk between 0 and 1")
    n, x = np.asarray(totals, dtype=np.float64), np.asarray(events, dtype=np.float64)
    known = usable(n, x) & (n > 0.0)
    n, x = n[known], np.minimum(x, n)[known]
    bound = np.float64(min(tolerated, 1.0))
    if x.sum() <= bound * n.sum():
        return None
    excess = x - bound * n
    pod = int(np.argmax(excess))
    if (excess >= excess[pod] * _SAME).sum() > 1:
        return None
    by_chance = np.exp(-x.sum() * divergence(x[pod] / x.sum(), n[pod] / n.sum()))
    if x.size * by_chance > risk:
        return None
    others = np.delete(n, pod).sum()
    rate = np.delete(x, pod).sum() / others
    if rate > bound and np.exp(-others * divergence(rate, bound)) <= risk:
        return None
    return int(np.flatnonzero(known)[pod])
