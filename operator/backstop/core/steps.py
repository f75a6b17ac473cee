"""Counting in fixed steps of time, pod by pod, for tests that look again and again.

A step ends at a multiple of its length and holds the scrapes that lie in it, so its count does not
depend on when one looks: a test that is interrupted and resumed from raw samples sees the very same
steps. A step counts once every scrape target has been scraped after its end.

What a scrape adds is the difference to the scrape before it; a counter that fell was reset and adds
its own value. A counter that appears on a target that was scraped before started from zero. Only
what came after the first scrape of a target that is evidence counts: of a new pod that is the first
one after its warm-up.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints

from backstop.core.samples import Series, Target
from backstop.core.tally import MOST as LARGEST_COUNT

Floats = NDArray[np.float64]

StepLength = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}s$", max_length=4)]
"""Whole seconds, so that the end of every step can be stored exactly: ``15s``."""

_NEW: Final = 1.5
"""A target that is first scraped this many intervals after the others is a new pod."""

_GONE: Final = 2.5
"""A target that was not scraped for this many intervals is not waited for."""

_STEP: Final = 1.125
"""Intervals in a step: each then holds a scrape of every target, also if one comes a bit late. With
a shorter step, what one arm did in a step without a scrape of the other would be lost."""

_SHORTEST: Final = 0.5

MOST: Final = 3600
"""How many steps are counted in one look at most."""

Arm = Mapping[str, Sequence[Series]]
"""The counters of one arm by role."""


@dataclass(frozen=True, slots=True)
class Clockwork:
    """When the steps of one look end, and from which scrape on each target counts.

    ``bounds`` are ascending Unix times; step k holds what was scraped after ``bounds[k]`` and not
    after ``bounds[k + 1]``. It is ``length`` seconds long; only the first one of a look may differ.
    What happens to all targets at once is seen of all of them within ``lag`` seconds.
    ``first`` is when each target was first scraped, ``cuts`` the scrape after which it counts:
    ``-inf`` where it counts from zero, ``inf`` where it does not count yet.
    """

    length: float
    lag: float
    bounds: Floats
    first: Mapping[Target, float]
    cuts: Mapping[Target, float]

    @property
    def size(self) -> int:
        """How many steps there are."""
        return self.bounds.size - 1

    @property
    def until(self) -> float:
        """The end of the last step, or where the first one begins."""
        return float(self.bounds[-1])

    def later(self) -> "Clockwork":
        """Return the steps ``lag`` seconds later, when all arms show what one shows in these."""
        return replace(self, bounds=self.bounds + self.lag)

    def at_once(self) -> "Clockwork":
        """Return one step over all samples that are evidence, to the end of the last step."""
        return replace(self, bounds=np.array([-math.inf, self.until]))

    def count(self, series: Iterable[Series]) -> Floats:
        """Return the increase of all ``series`` together in each step, ``nan`` where it is none.

        A sample that is not finite, negative or above 2^53 spoils the steps that it is part of.
        """
        found = [one for one in series if one.times.size]
        if not found or not self.size:
            return np.zeros(self.size)
        lengths = np.array([one.times.size for one in found])
        begins = np.cumsum(lengths) - lengths
        times = np.concatenate([one.times for one in found])
        values = np.concatenate([one.values for one in found])
        values = np.where((values >= 0.0) & (values <= LARGEST_COUNT), values, np.nan)
        grown = np.diff(values, prepend=0.0)
        grown[begins] = values[begins]
        grown = np.where(grown < 0.0, values, grown)
        step = np.searchsorted(self.bounds, times, side="left") - 1
        counts = (step >= 0) & (step < self.size)
        counts &= times > np.repeat([self.cuts[one.target] for one in found], lengths)
        return np.bincount(step[counts], grown[counts], self.size).astype(np.float64)

    def settled(self) -> NDArray[np.bool_]:
        """Return in which steps every target that is there counts from begin to end."""
        first = np.array(list(self.first.values()))[:, np.newaxis]
        cuts = np.array(list(self.cuts.values()))[:, np.newaxis]
        begins, ends = self.bounds[:-1], self.bounds[1:]
        return np.asarray(((first > ends) | (begins >= cuts)).all(axis=0), dtype=np.bool_)


def clockwork(
    arms: Sequence[Arm], *, length: float | None, since: float, until: float, warmup: float
) -> Clockwork | None:
    """Return the steps that the samples of ``arms`` allow to count.

    ``None`` until each arm was scraped twice. ``length`` is the length of a step in seconds; it is
    at least, and if ``None`` it is, a bit more than the longer scrape interval of the arms. Steps
    begin at ``until``, the end of the last look; without one, or after a gap that the samples do
    not bridge, where samples are complete, and not before ``since``. Both are Unix times.
    ``warmup`` is in seconds; with zero a new pod counts from its first request.
    """
    scrapes = _scrapes(arms)
    interval = max((_interval(arm, scrapes) for arm in arms), default=math.inf)
    if interval == math.inf:
        return None
    oldest = min(one.first for one in scrapes.values())
    is_new = {name: one.first > oldest + _NEW * interval for name, one in scrapes.items()}
    cuts = {
        name: one.cut(since, interval, warmup if is_new[name] else None)
        for name, one in scrapes.items()
    }
    # Before it, a scrape may be missing of some counters only, and a pod may be new unnoticed.
    complete = max(one.first for name, one in scrapes.items() if not is_new[name])
    begin = max(since, complete + max(warmup, interval))
    lag = _STEP * max(_SHORTEST, round(2.0 * interval) / 2.0)
    step = max(length or 0.0, lag)
    if until < begin:
        until = math.ceil(begin / step) * step
    bounds = _bounds(step, until, _end(scrapes, interval) - lag)
    return Clockwork(step, lag, bounds, {name: one.first for name, one in scrapes.items()}, cuts)


class _Scrapes(NamedTuple):
    """When one target was scraped, ascending, and the last scrape that all its answers hold."""

    times: Floats
    end: float

    @property
    def first(self) -> float:
        return float(self.times[0])

    def cut(self, since: float, interval: float, warmup: float | None) -> float:
        """Return the scrape after which the target counts; ``warmup`` is ``None`` if it is old."""
        if warmup == 0.0 and self.first > since + _NEW * interval:
            return -math.inf
        start = max(since, self.first + (warmup or 0.0))
        place = int(np.searchsorted(self.times, start, side="left"))
        return float(self.times[place]) if place < self.times.size else math.inf


def _scrapes(arms: Sequence[Arm]) -> dict[Target, _Scrapes]:
    times: dict[Target, list[Floats]] = {}
    ends: dict[Target, dict[tuple[int, str], float]] = {}
    for number, arm in enumerate(arms):
        for role, series in _filled(arm):
            times.setdefault(series.target, []).append(series.times)
            held, key = ends.setdefault(series.target, {}), (number, role)
            held[key] = max(held.get(key, -math.inf), float(series.times[-1]))
    return {
        name: _together(np.unique(np.concatenate(parts)), ends[name].values())
        for name, parts in times.items()
    }


def _filled(arm: Arm) -> Iterator[tuple[str, Series]]:
    return ((role, one) for role, found in arm.items() for one in found if one.times.size)


def _together(times: Floats, ends: Collection[float]) -> _Scrapes:
    """Return the scrapes of a target; questions may see the newest of them differently."""
    before = float(times[-2]) if times.size > 1 else -math.inf
    return _Scrapes(times, before if before in ends else float(times[-1]))


def _interval(arm: Arm, scrapes: Mapping[Target, _Scrapes]) -> float:
    targets = {series.target for _, series in _filled(arm)}
    gaps = np.concatenate([np.empty(0), *(np.diff(scrapes[name].times) for name in targets)])
    return float(np.median(gaps)) if gaps.size else math.inf


def _end(scrapes: Mapping[Target, _Scrapes], interval: float) -> float:
    newest = max(one.end for one in scrapes.values())
    return min(one.end for one in scrapes.values() if one.end > newest - _GONE * interval)


def _bounds(step: float, begin: float, end: float) -> Floats:
    first, last = math.floor(begin / step) + 1, math.floor(end / step)
    last = min(last, first + MOST - 1)
    return np.array([begin, *(number * step for number in range(first, last + 1))])
