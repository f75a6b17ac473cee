"""What is usual, from several windows of the past of which some may have been bad themselves.

The median over windows bears a bad minority of them; a window that is far from the median of the
others is left out altogether. How far the windows are apart that are left tells how much a feature
changes when all is well.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.measurement import Usual
from backstop.core.measures.effects import Sizes
from backstop.core.measures.features import Floats

MOST_WINDOWS: Final = 24
"""So many windows are remembered: a day of those of an hour."""

_LEAST_TO_DOUBT: Final = 3
"""With two windows nobody knows which of them was bad."""


class Baseline(NamedTuple):
    """What is usual: counts (features, buckets), how many windows were ``used`` of those ``known``.

    ``sizes``, shape (features, windows), are how far the used ones are from the others.
    """

    reference: Floats
    used: NDArray[np.intp]
    known: NDArray[np.intp]
    sizes: Floats


def baseline(
    windows: Floats, measured: Callable[[Floats, Floats], Sizes], limit: float
) -> Baseline:
    """Return the median of ``windows``, shape (windows, features, buckets), without bad ones.

    A window is left out for a feature if its size against the median of the others is above its
    floor and ``limit``, unless that would leave out half of the windows or more: then nobody knows
    which ones are bad. ``measured`` returns the sizes of (reference, current).
    """
    with np.errstate(over="ignore"):
        known = windows.sum(axis=-1) > 0.0
    count = known.sum(axis=0)
    if windows.shape[0] < _LEAST_TO_DOUBT:
        nothing = np.empty((windows.shape[1], 0))
        return Baseline(_median(windows, known), count, count, nothing)
    places = np.arange(windows.shape[0])
    others = np.stack([_median(windows, known & (places != k)[:, None]) for k in places])
    sizes = measured(others, windows)
    comparable = known & (count >= _LEAST_TO_DOUBT)
    is_far = comparable & (sizes.effect > np.maximum(limit, sizes.floor))
    is_far &= 2 * is_far.sum(axis=0) < count
    used = known & ~is_far
    effects = np.where(comparable & used, sizes.effect, np.nan)
    return Baseline(_median(windows, used), used.sum(axis=0), count, effects.T)


def _median(windows: Floats, used: NDArray[np.bool_]) -> Floats:
    """Return the median share of each bucket at the median number of values; zero without any."""
    with np.errstate(all="ignore"):  # What is not used may hold anything.
        totals = np.where(used, windows.sum(axis=-1), np.nan)
        shares = windows / totals[..., np.newaxis]
        middle = _middle(shares, used[..., np.newaxis])
        whole = middle.sum(axis=-1, keepdims=True)
        # The median of shares may be zero everywhere: then the mean is what is left.
        mean = np.where(used[..., np.newaxis], shares, 0.0).sum(axis=0)
        middle = np.where(whole > 0.0, middle, mean)
        counts = middle / middle.sum(axis=-1, keepdims=True)
        counts *= _middle(totals, used)[..., np.newaxis]
    return np.where(np.isfinite(counts), counts, 0.0)


def _middle(values: Floats, used: NDArray[np.bool_]) -> Floats:
    """Return the median over the first axis of what is used; what is not is NaN and sorts last."""
    ordered = np.sort(values, axis=0)
    count = np.maximum(used.sum(axis=0), 1)
    low, high = (count - 1) // 2, count // 2
    ends = [
        np.take_along_axis(ordered, np.broadcast_to(one, ordered.shape[1:])[np.newaxis], axis=0)[0]
        for one in (low, high)
    ]
    return np.asarray((ends[0] + ends[1]) / 2.0)


def remembered(usual: Usual | None, about: float, names: tuple[str, ...]) -> Floats:
    """Return what ``usual`` knows, shape (features, windows), in the order of ``names``.

    What was measured by another spec or against another reference is not known.
    """
    if usual is None or usual.about != about:
        return np.empty((len(names), 0))
    if usual.names == names:
        return usual.sizes
    place = {name: number for number, name in enumerate(usual.names)}
    known = np.vstack((usual.sizes, np.full((1, usual.sizes.shape[1]), np.nan)))
    return np.asarray(known[[place.get(name, -1) for name in names]])


def remember(past: Floats, about: float, at: float, names: tuple[str, ...], sizes: Floats) -> Usual:
    """Return ``past`` with one more window, which ended at ``at``; the oldest are forgotten."""
    together = np.concatenate((past, sizes[:, np.newaxis]), axis=1)
    return Usual(about, at, names, together[:, -MOST_WINDOWS:])
