"""Raw samples and what can be counted from them exactly.

Prometheus returns the samples of a selector with the times at which they were scraped. Increases
are differences between neighbouring samples of one series, with counter resets handled, so a count
is never extrapolated. A series that appears while its scrape target was already being scraped
started from zero, and its first value counts; a series of a target that is itself new does not,
since its history is unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TARGET_LABELS = ("job", "instance", "namespace", "pod")

Target = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One time series: ``times`` in Unix seconds, ascending, and ``values``; both of one length."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def target(self) -> Target:
        """Which scrape target the series comes from."""
        return tuple(self.labels.get(name, "") for name in _TARGET_LABELS)

    def since(self, start: float) -> "Series":
        """Return the part of the series scraped at or after ``start`` (Unix seconds)."""
        first = int(np.searchsorted(self.times, start, side="left"))
        if first == 0:
            return self
        return Series(self.labels, self.times[first:], self.values[first:])

    def until(self, end: float) -> "Series":
        """Return the part of the series scraped at or before ``end`` (Unix seconds)."""
        after = int(np.searchsorted(self.times, end, side="right"))
        if after == self.times.size:
            return self
        return Series(self.labels, self.times[:after], self.values[:after])


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


def scrape_times(series: Iterable[Series]) -> dict[Target, NDArray[np.float64]]:
    """Return, for each scrape target, the ascending times at which any series was scraped."""
    times: dict[Target, list[NDArray[np.float64]]] = {}
    for one in series:
        times.setdefault(one.target, []).append(one.times)
    return {target: np.unique(np.concatenate(parts)) for target, parts in times.items()}


def increase(series: Series, scraped: NDArray[np.float64]) -> float:
    """Return by how much the counter ``series`` grew over its samples.

    ``scraped`` holds the scrape times of the target: when the target was scraped before the first
    sample of the series, the series is new and grew from zero.
    """
    if series.values.size == 0:
        return 0.0
    steps = np.diff(series.values)
    grown = float(np.where(steps < 0, series.values[1:], steps).sum())
    started_here = scraped.size > 0 and scraped[0] < series.times[0]
    return grown + (float(series.values[0]) if started_here else 0.0)


def total_increase(
    series: Sequence[Series], scraped: Mapping[Target, NDArray[np.float64]]
) -> float:
    """Return the summed increase of ``series``; see :func:`increase`."""
    return sum(increase(one, scraped[one.target]) for one in series)


def without_torn(answers: Mapping[str, Sequence[Series]]) -> dict[str, tuple[Series, ...]]:
    """Return ``answers`` without the newest scrape of targets of which not every answer holds it.

    Queries that are asked together can still see a scrape that is just being stored differently.
    A series that ended earlier than one scrape ago has vanished, and is left as it is.
    """
    times = scrape_times(series for answer in answers.values() for series in answer)
    ends: dict[Target, float] = {}
    for answer in answers.values():
        for target, held in scrape_times(answer).items():
            before = times[target][-2:]
            if before.size > 1 and held[-1] == before[0]:
                ends[target] = float(before[0])
    kept = {
        role: (one.until(ends.get(one.target, np.inf)) for one in answer)
        for role, answer in answers.items()
    }
    return {role: tuple(one for one in cut if one.times.size) for role, cut in kept.items()}


def newest(series: Iterable[Series]) -> float | None:
    """Return the Unix time of the newest sample, or ``None`` without any."""
    return max((float(one.times[-1]) for one in series if one.times.size), default=None)


def since(series: Iterable[Series], start: float) -> tuple[Series, ...]:
    """Return the parts of ``series`` scraped at or after ``start``, without empty ones."""
    cut = (one.since(start) for one in series)
    return tuple(one for one in cut if one.times.size)


def scrape_interval(series: Iterable[Series]) -> float | None:
    """Return the median distance between scrapes in seconds, or ``None`` when no series has two."""
    gaps = [np.diff(times) for times in scrape_times(series).values() if times.size > 1]
    return float(np.median(np.concatenate(gaps))) if gaps else None
