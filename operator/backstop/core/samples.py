"""Raw samples as a metrics source returns them.

Prometheus returns the samples of a selector with the times at which they were scraped, so a count
can be the difference of two of them and need never be extrapolated.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_TARGET_LABELS = ("job", "instance", "namespace", "pod")

Target = tuple[str, ...]

NativeBucket = tuple[int, float, float, float]
"""A bucket of a native histogram: boundary rule, lower, upper and count, as Prometheus has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One time series: ``times`` in Unix seconds, ascending, and ``values``; both of one length.

    ``target`` tells which scrape target it comes from. ``buckets`` is a native histogram; its only
    value is NaN, as it is no number.
    """

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    buckets: tuple[NativeBucket, ...] | None = None
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        """Find the scrape target once, as it is asked for often."""
        target = tuple(self.labels.get(name, "") for name in _TARGET_LABELS)
        object.__setattr__(self, "target", target)


class Columns(NamedTuple):
    """Several series side by side, as rows of floats, so that many answers are soon joined.

    ``samples`` has time and value of each sample, series after series. ``series`` has for each its
    length, a number that tells its scrape target from others, and the upper edge of its bucket
    (``nan`` where it is none). Both are bytes: arrays as small as these take far longer to join.
    """

    samples: bytes
    series: bytes


class SeriesSet(tuple[Series, ...]):  # noqa: SLOT001 - it keeps what was computed
    """The series of one answer; as columns they are counted without touching each."""

    @cached_property
    def columns(self) -> Columns:
        """The series as columns; computed once."""
        if not self:
            return NO_COLUMNS
        times = np.concatenate([one.times for one in self])
        values = np.concatenate([one.values for one in self])
        rows = [(one.times.size, _number_of(one.target), edge_of(one)) for one in self]
        samples = np.stack((times, values), axis=1, dtype=np.float64)
        return Columns(samples.tobytes(), np.array(rows, dtype=np.float64).tobytes())

    @cached_property
    def memo(self) -> dict[tuple[str, ...], object]:
        """What has been made of the answer: one that is kept for long is not read at each look."""
        return {}


NO_COLUMNS: Final = Columns(b"", b"")
"""The columns of an answer without series."""


def _number_of(target: Target) -> float:
    """Return a number that two targets have in common only by a chance of one in 2^52."""
    return float(hash(target) >> 12)


def edge_of(series: Series) -> float:
    """Return the upper edge of a bucket series, ``nan`` where it has none."""
    try:
        edge = float(series.labels.get("le", "nan"))
    except ValueError:
        return math.nan
    return math.nan if edge == -math.inf else edge


@dataclass(frozen=True, slots=True)
class Reading:
    """What a metrics source returned for one query: the series, or why there are none.

    ``failure`` is empty when the source answered, even if it answered with no series.
    ``bad_query`` says that the source is up and it is the query that must be changed.
    ``read_at`` is the local Unix time at which the answer had arrived.
    """

    series: tuple[Series, ...] = ()
    failure: str = ""
    bad_query: bool = False
    read_at: float = 0.0

    def __post_init__(self) -> None:
        """Keep the series as a set that has columns."""
        series = self.series if isinstance(self.series, SeriesSet) else SeriesSet(self.series)
        object.__setattr__(self, "series", series)


def newest(series: Iterable[Series]) -> float | None:
    """Return the Unix time of the newest sample, or ``None`` without any."""
    return max((float(one.times[-1]) for one in series if one.times.size), default=None)
