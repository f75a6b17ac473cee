"""Which of many features to speak of: few false alarms however many features are watched.

300 features at 5 % are 15 false alarms per look. Two answers: bound the share of false ones among
those that are called drift, and learn from each feature's own past what is usual for it.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstop.core.statistics.sequential import Floats

LEAST_WINDOWS: Final = 10
"""Past windows needed for a threshold. Of normal effect sizes, the next one is above mean + 3 sd of
10 windows with probability 0.94 %, of 5 windows 2.6 %, of many 0.13 % (Student's t)."""


def benjamini_hochberg(p_values: ArrayLike, rate: float = 0.05) -> NDArray[np.bool_]:
    """Return which tests are discoveries, shape (..., tests); each row is a family of its own.

    The largest i with p_(i) <= i ``rate`` / m, and all tests up to it (Benjamini and Hochberg
    1995). The expected share of false ones among the discoveries is at most ``rate`` if the tests
    are independent or positively dependent. What is no p-value (NaN, outside [0, 1]) is neither a
    discovery nor counted in m. Raises ValueError unless 0 < ``rate`` < 1.
    """
    if not 0.0 < rate < 1.0:
        raise ValueError("a rate is between 0 and 1")
    p = np.atleast_1d(np.asarray(p_values, dtype=np.float64))
    p = np.where((p >= 0.0) & (p <= 1.0), p, np.nan)
    tests = np.isfinite(p).sum(axis=-1, keepdims=True)
    ordered = np.sort(p, axis=-1)
    rank = np.arange(1.0, p.shape[-1] + 1.0)
    passed = ordered * (tests / rank) <= rate
    cut = np.where(passed, ordered, -1.0).max(axis=-1, keepdims=True, initial=-1.0)
    discovered: NDArray[np.bool_] = (p <= cut).reshape(np.shape(p_values))
    return discovered


def own_history_threshold(past: ArrayLike, sds: float = 3.0) -> Floats:
    """Return mean + ``sds`` standard deviations of ``past``, by feature.

    ``past``, shape (features, windows), are effect sizes of windows in which all was well; those
    that are not finite are skipped. With fewer than LEAST_WINDOWS left the threshold is NaN: the
    feature is not calibrated. The deviation is the one of a sample (divided by windows - 1).
    """
    sizes = np.asarray(past, dtype=np.float64)
    seen = np.isfinite(sizes)
    windows = seen.sum(axis=-1, keepdims=True)
    enough = windows >= LEAST_WINDOWS
    safe = np.where(enough, windows, LEAST_WINDOWS)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(seen, sizes, 0.0).sum(axis=-1, keepdims=True) / safe
        squares = np.where(seen, sizes - mean, 0.0) ** 2
        variance = squares.sum(axis=-1, keepdims=True) / (safe - 1.0)
        threshold = (mean + sds * np.sqrt(variance))[..., 0]
    return np.where(enough[..., 0] & np.isfinite(threshold), threshold, np.nan)
