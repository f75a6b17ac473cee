"""The sequential test of two arms: it may look after every interval and keeps its error rate.

An interval has four counts: how many requests each arm answered, and how many of them were events
(errors, or answers above a latency edge). Evidence against a null hypothesis on the rate ratio

    ratio = (candidate_events / candidate) / (stable_events / stable)

is an e-process E: it starts at 1, and under the null the probability that it ever reaches 1/alpha
is at most alpha, however often and whenever one looks (Ville's inequality). E is the mean of
likelihood ratios over GRID. Their logarithms are the state, an array of shape (..., 24): it starts
at zeros, each interval adds its increments, and :func:`log_evidence` reads it.

For one grid point d the increment of an interval with c and s requests, x and y events is

    x d - (x + y) ln(1 - theta + theta e^d),    theta = c r / (c r + s),

the log-likelihood ratio of x among x + y events, binomial with odds tilted by e^d, at the ratio r
of the null. docs/adr/0010 proves validity for any rates, r and mix of requests. What it assumes:
given the past and what both arms share, requests fail independently of each other.
"""

import base64
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GRID: Final[Floats] = np.log(np.geomspace(1.25, 64.0, 24))
"""Log ratios, beyond that of the null, at which likelihoods are taken; each has the same weight."""
GRID.setflags(write=False)

LARGEST_COUNT: Final = 2.0**53
"""Above it floats skip integers, so a larger number is no count."""

_LARGEST_RATIO: Final = 1e6


class Counts(NamedTuple):
    """What both arms answered in one interval: float arrays that broadcast to one shape.

    Events are clipped to lie between zero and the number of requests. An interval with a count that
    is not finite, negative or above LARGEST_COUNT says nothing: its increments are exactly zero.
    """

    candidate: ArrayLike
    candidate_events: ArrayLike
    stable: ArrayLike
    stable_events: ArrayLike


def worse(counts: Counts, margin: ArrayLike) -> Floats:
    """Return the increments, shape (..., 24), against "the ratio is at most ``margin``".

    Growing evidence says that the candidate is worse than stable by more than ``margin``. An
    interval in which an arm answered nothing, or neither had an event, adds exactly zero. Raises
    ValueError unless 0 < ``margin`` <= 1e6.
    """
    return _increments(counts, margin, GRID)


def not_worse(counts: Counts, bound: ArrayLike) -> Floats:
    """Return the increments, shape (..., 24), against "the ratio is at least ``bound``".

    Growing evidence says that the candidate is less than ``bound`` times as bad as stable. Empty
    intervals and errors are as in :func:`worse`.
    """
    return _increments(counts, bound, -GRID)


def log_evidence(state: Floats) -> Floats:
    """Return ln E, shape (...), of ``state``, shape (..., 24); reject the null at -ln(alpha)."""
    return log_mean_exp(state)


def mean_evidence(log_evidences: Floats) -> Floats:
    """Return ln of the mean E over the last axis, such as the edges of one latency histogram.

    The mean of e-processes is one too, however they depend on each other.
    """
    return log_mean_exp(log_evidences)


def log_mean_exp(values: Floats) -> Floats:
    """Return ln(mean(exp(values))) over the last axis without overflow; ``values`` are finite."""
    top: Floats = values.max(axis=-1, keepdims=True)
    mean: Floats = np.exp(values - top).mean(axis=-1)
    return top[..., 0] + np.log(mean)


def usable(*counts: Floats) -> NDArray[np.bool_]:
    """Return where all ``counts`` are counts: finite, not negative, at most LARGEST_COUNT."""
    valid = np.ones(np.broadcast_shapes(*(count.shape for count in counts)), dtype=np.bool_)
    for count in counts:
        valid &= (count >= 0.0) & (count <= LARGEST_COUNT)
    return valid


def rate_ratio(value: ArrayLike) -> Floats:
    """Return ``value`` as an array; raises ValueError unless all of it is in (0, 1e6]."""
    ratio = np.asarray(value, dtype=np.float64)
    if not ((ratio > 0.0) & (ratio <= _LARGEST_RATIO)).all():
        raise ValueError("a rate ratio is above 0 and at most 1e6")
    return ratio


def pack(state: Floats) -> str:
    """Return ``state`` as base64 of little-endian float64: 256 characters for 24 numbers.

    Raises ValueError for a number that is not finite, which :func:`unpack` would refuse.
    """
    if not np.isfinite(state).all():
        raise ValueError("a state holds finite numbers only")
    return base64.b64encode(state.astype("<f8").tobytes()).decode("ascii")


def unpack(text: str, shape: tuple[int, ...]) -> Floats:
    """Return the state of ``shape`` that was packed, bit for bit.

    Raises ValueError on any text that :func:`pack` does not write for a state of that shape.
    """
    raw = base64.b64decode(text, validate=True)
    state = np.frombuffer(raw, dtype="<f8").reshape(shape).astype(np.float64)
    if pack(state) != text:
        raise ValueError("not the canonical text of a state")
    return state


def _increments(counts: Counts, null: ArrayLike, tilt: Floats) -> Floats:
    arrays = (np.asarray(count, dtype=np.float64) for count in counts)
    candidate, events, stable, stable_events, ratio = np.broadcast_arrays(*arrays, rate_ratio(null))
    valid = usable(candidate, events, stable, stable_events)
    compared = valid & (candidate > 0.0) & (stable > 0.0)
    c, s = np.where(compared, candidate, 1.0), np.where(compared, stable, 1.0)
    x = np.where(compared, np.minimum(events, c), 0.0)
    y = np.where(compared, np.minimum(stable_events, s), 0.0)
    theta = c * ratio / (c * ratio + s)
    expected = np.log1p(theta[..., np.newaxis] * np.expm1(tilt))
    increments: Floats = x[..., np.newaxis] * tilt - (x + y)[..., np.newaxis] * expected
    return increments
