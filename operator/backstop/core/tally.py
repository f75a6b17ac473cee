"""Counting the increases of many counters at once, exactly.

All series of all signals that are due become one flat array, so that the cost of a pass hardly
depends on how many monitors there are. The rules are the same for one series and for a million:

- An increase is the sum of the differences between neighbouring samples; where a counter falls, it
  was reset and its own value is the difference. Nothing is extrapolated.
- A negative value is no count: the increase of a series that has one is ``nan``.
- A series that appears while its scrape target was already being scraped started from zero, and its
  first value counts; a series of a target that is itself new does not, as its past is unknown. Nor
  does one that was scraped at other times than all that was there before: that is another server's
  copy of them, as two servers that scrape the same pods keep each its own.
- The newest scrape of a target counts only if every answer holds it: questions that are asked
  together can see a scrape that is just being stored differently.
- Only samples scraped at or after a given time count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backstop.core.flat import Flat, Floats, Indices, firsts, flatten
from backstop.core.samples import Columns, Series, SeriesSet, Target

Answers = Mapping[str, Sequence[Series]]
"""Series by role, for one signal of one arm."""

MOST: Final = 2.0**53
"""Up to here floats count single events; a larger increase is no count of anything."""


_GONE: Final = 1.5
"""A target whose last scrape is this many intervals older than another's is gone."""


_REPLACED: Final = 2.5
"""A series whose last sample is this many intervals older than another's has ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What was counted in a batch of answers.

    By series, in the order of the batch: ``increase``, how many of its ``samples`` count and when
    the ``first`` and the ``last`` of them were scraped (``inf`` and ``-inf`` without), the
    ``value`` of its newest sample, whether it counts or not (``nan`` without any), the place of its
    answer in the batch (``answer``), and the ``edge`` of a bucket.
    By answer: whether any ``seen`` sample exists, the times of the ``oldest`` and the ``newest``
    that count (``inf`` and ``-inf`` without), whether any target was scraped ``twice``, and the
    shortest scrape ``interval`` (``inf`` where it is unknown).
    ``first_role``, ``first_series`` and ``first_target`` are where the roles, series and scrape
    targets of each answer begin; ``summed`` holds the increase of each role, ``scraped`` the newest
    scrape of each target and ``latest`` that of each answer, whether it counts or not.
    """

    increase: Floats
    samples: Indices
    first: Floats
    last: Floats
    value: Floats
    answer: Indices
    edge: Floats
    seen: NDArray[np.bool_]
    oldest: Floats
    newest: Floats
    twice: NDArray[np.bool_]
    interval: Floats
    first_role: Indices
    first_series: Indices
    first_target: Indices
    summed: Floats
    scraped: Floats
    latest: Floats

    def sums(self, role: int, places: Indices) -> Floats:
        """Return the summed increase of role number ``role`` of some answers that have it."""
        return self.summed[self.first_role[places] + role]

    def gauges(self, places: Indices) -> Floats:
        """Return the newest value of the only series that is there of each of some answers.

        ``nan`` where there is not exactly one.
        """
        since = self.newest - _REPLACED * self.interval
        counts = (self.samples > 0) & (self.last >= since[self.answer])
        answers = self.newest.size
        is_one = np.bincount(self.answer, counts, answers) == 1.0
        found = np.full(answers, np.nan)
        found[self.answer[counts]] = self.value[counts]
        return np.where(is_one, found, np.nan)[places]

    def of(self, place: int) -> Floats:
        """Return the increases of the series of one answer, role by role."""
        return self.increase[self.first_series[place] : self.first_series[place + 1]]

    def there_of(self, place: int) -> NDArray[np.bool_]:
        """Return which series of one answer count and have not ended, role by role."""
        since = float(self.newest[place] - _REPLACED * self.interval[place])
        there: NDArray[np.bool_] = self.samples_of(place) > 0
        return there & (self.last_of(place) >= since)

    def samples_of(self, place: int) -> Indices:
        """Return how many samples count of each series of one answer, role by role."""
        return self.samples[self.first_series[place] : self.first_series[place + 1]]

    def last_of(self, place: int) -> Floats:
        """Return the time of the last sample that counts of each series of one answer."""
        return self.last[self.first_series[place] : self.first_series[place + 1]]

    def covered(self, place: int, targets: Sequence[Target]) -> float:
        """Return over how many seconds one answer counts what its scrape targets do together.

        ``targets`` are those of its series, of which one at least was scraped twice. Each counts
        from its first scrape to its last one, and they are not scraped at once, so no two of them
        count the same time: what they count all together is divided among those that are there.
        """
        spans: dict[Target, tuple[float, float]] = {}
        begin, end = self.first_series[place], self.first_series[place + 1]
        times = zip(self.first[begin:end].tolist(), self.last[begin:end].tolist(), strict=True)
        for target, (first, last) in zip(targets, times, strict=True):
            oldest, newest = spans.get(target, (first, last))
            spans[target] = min(oldest, first), max(newest, last)
        counts = [(first, last) for first, last in spans.values() if first <= last]
        since = float(self.newest[place] - _GONE * self.interval[place])
        together = sum(last >= since for _, last in counts)
        return sum(last - first for first, last in counts) / together

    def scrapes(self, place: int) -> Floats:
        """Return the time of the newest scrape of each target of one answer."""
        return self.scraped[self.first_target[place] : self.first_target[place + 1]]


def tally(answers: Sequence[Answers], since: Sequence[float]) -> Tally:
    """Count ``answers``; of each only what was scraped at or after its time in ``since``."""
    roles = np.array([len(by_role) for by_role in answers], dtype=np.intp)
    found = chain.from_iterable(by_role.values() for by_role in answers)
    return count([_columns(one) for one in found], roles, np.array(since, dtype=np.float64))


def _columns(found: Sequence[Series]) -> Columns:
    return found.columns if isinstance(found, SeriesSet) else SeriesSet(found).columns


def count(columns: Sequence[Columns], roles: Indices, since: Floats) -> Tally:
    """Count answers that are given as ``columns``, role by role; see :func:`tally`.

    ``roles`` is how many of ``columns`` belong to each answer.
    """
    first_role = firsts(roles)
    flat = flatten(columns, first_role)
    answers, targets = roles.size, int(flat.first_target[-1])
    oldest = _at(flat, flat.times, flat.begin)
    last = _at(flat, flat.times, flat.end - 1)
    before_last = _at(flat, flat.times, flat.end - 2)
    end = flat.end - _torn(flat, targets, last, before_last)
    begin = flat.begin + _scraped_before(flat, oldest, since[flat.answer])
    kept = end > begin
    first = np.where(kept, _at(flat, flat.times, begin), np.inf)
    final = np.where(kept, _at(flat, flat.times, end - 1), -np.inf)
    first_of_target = _least(first, flat.target, targets)
    final_of_target = _greatest(final, flat.target, targets)
    is_new = kept & (begin == flat.begin) & (first > first_of_target[flat.target])
    is_new[is_new] = _joined(flat, first, final, np.flatnonzero(is_new))
    increase = _increases(flat, begin, end)
    with np.errstate(over="ignore", invalid="ignore"):
        increase = increase + np.where(is_new, _at(flat, flat.counts, begin, np.nan), 0.0)
        summed = _sums(increase, first_role[flat.answer] + flat.role, len(columns))
    owner = np.repeat(np.arange(answers), np.diff(flat.first_target))
    interval = _intervals(flat, targets, oldest, before_last, last)
    return Tally(
        increase=increase,
        samples=np.maximum(end - begin, 0),
        first=first,
        last=final,
        value=_at(flat, flat.values, flat.end - 1, np.nan),
        answer=flat.answer,
        edge=flat.edge,
        seen=np.bincount(flat.answer, flat.end > flat.begin, answers) > 0,
        oldest=_least(first_of_target, owner, answers),
        newest=_greatest(final_of_target, owner, answers),
        twice=np.bincount(owner, final_of_target > first_of_target, answers) > 0,
        interval=_least(interval, owner, answers),
        first_role=first_role,
        first_series=flat.first_series,
        first_target=flat.first_target,
        summed=summed,
        scraped=(scraped := _greatest(last, flat.target, targets)),
        latest=_greatest(scraped, owner, answers),
    )


def _at(flat: Flat, column: Floats, index: Indices, otherwise: float = -np.inf) -> Floats:
    """Return what ``column`` holds at ``index`` of each series, or that it does not reach it."""
    inside = (index >= flat.begin) & (index < flat.end)
    found = np.full(flat.size, otherwise)
    found[inside] = column[index[inside]]
    return found


def _torn(flat: Flat, targets: int, last: Floats, before_last: Floats) -> Indices:
    """Return 1 for each series whose newest sample is of a scrape that not every answer holds.

    A series that ended earlier than one scrape ago has vanished, and is left as it is.
    """
    newest = _greatest(last, flat.target, targets)
    earlier = np.where(last < newest[flat.target], last, before_last)
    second = _greatest(earlier, flat.target, targets)
    roles = int(flat.role.max(initial=0)) + 1
    holder = flat.target * roles + flat.role
    held = _greatest(last, holder, targets * roles)[holder]
    behind = (held == second[flat.target]) & np.isfinite(held)
    is_torn = np.bincount(flat.target, behind, targets) > 0
    torn: Indices = (is_torn[flat.target] & (last == newest[flat.target])).astype(np.intp)
    return torn


def _scraped_before(flat: Flat, oldest: Floats, cut: Floats) -> Indices:
    """Return how many samples of each series were scraped before ``cut``, by series."""
    if not (oldest < cut).any():
        # As a rule the last action lies further back than any sample.
        return np.zeros(flat.size, dtype=np.intp)
    early = flat.times < np.repeat(cut, flat.end - flat.begin)
    running = firsts(early.astype(np.intp))
    counted: Indices = running[flat.end] - running[flat.begin]
    return counted


def _joined(flat: Flat, first: Floats, final: Floats, late: Indices) -> NDArray[np.bool_]:
    """Return which of the series ``late`` were scraped together with one that was there before.

    They share the last scrape that counts with it.
    """
    if not late.size:
        return np.zeros(0, dtype=np.bool_)
    near = np.flatnonzero(np.isin(flat.target, flat.target[late]))
    pairs = np.empty(near.size, dtype=np.complex128)
    pairs.real, pairs.imag = flat.target[near], final[near]
    _, scrape = np.unique(pairs, return_inverse=True)
    oldest = np.full(flat.size, np.inf)
    oldest[near] = _least(first[near], scrape, near.size)[scrape]
    return np.asarray(first[late] > oldest[late], dtype=np.bool_)


def _increases(flat: Flat, begin: Indices, end: Indices) -> Floats:
    """Return the sum of the differences between samples ``begin`` and ``end``, by series."""
    lengths = flat.end - flat.begin
    series = np.repeat(np.arange(flat.size), lengths)
    place = np.arange(flat.counts.size)
    # A difference belongs to its later sample, which must not be the first that counts.
    counts = (place > np.repeat(begin, lengths)) & (place < np.repeat(end, lengths))
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(flat.counts, prepend=np.nan)
        np.copyto(steps, flat.counts, where=steps < 0)
        np.copyto(steps, 0.0, where=~counts)
        return _sums(steps, series, flat.size)


def _intervals(
    flat: Flat, targets: int, oldest: Floats, before_last: Floats, last: Floats
) -> Floats:
    """Return the distance between scrapes by target, ``inf`` where no series has two.

    The last distance or the mean one, whichever is shorter: one missed scrape changes neither much.
    """
    lengths = flat.end - flat.begin
    with np.errstate(invalid="ignore"):
        mean = (last - oldest) / np.maximum(1, lengths - 1)
        shorter = np.where(lengths > 1, np.minimum(last - before_last, mean), np.inf)
    return _least(shorter, flat.target, targets)


def _sums(values: Floats, group: Indices, groups: int) -> Floats:
    return np.bincount(group, values, groups).astype(np.float64, copy=False)


def _greatest(values: Floats, group: Indices, groups: int) -> Floats:
    found = np.full(groups, -np.inf)
    np.maximum.at(found, group, values)
    return found


def _least(values: Floats, group: Indices, groups: int) -> Floats:
    found = np.full(groups, np.inf)
    np.minimum.at(found, group, values)
    return found
