"""Counting the increases of many counters at once, exactly.

All series of all signals that are due become one flat array, so that the cost of a pass hardly
depends on how many monitors there are. The rules are the same for one series and for a million:

- An increase is the sum of the differences between neighbouring samples; where a counter falls, it
  was reset and its own value is the difference. Nothing is extrapolated.
- A negative value is no count: the increase of a series that has one is ``nan``.
- A series that appears while its scrape target was already being scraped started from zero, and its
  first value counts; a series of a target that is itself new does not, as its past is unknown.
- The newest scrape of a target counts only if every answer holds it: questions that are asked
  together can see a scrape that is just being stored differently.
- Only samples scraped at or after a given time count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backstop.core.samples import Columns, Series, SeriesSet

Answers = Mapping[str, Sequence[Series]]
"""Series by role, for one signal of one arm."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MOST: Final = 2.0**53
"""Up to here floats count single events; a larger increase is no count of anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What was counted in a batch of answers.

    By series, in the order of the batch: ``increase``, how many of its ``samples`` count and when
    the ``last`` of them was scraped (``-inf`` without), the place of its answer in the batch
    (``answer``), that of its role in the answer (``role``), and the ``edge`` of a bucket.
    By answer: whether any ``seen`` sample exists, the times of the ``oldest`` and the ``newest``
    that count (``inf`` and ``-inf`` without), whether any target was scraped ``twice``, and the
    shortest scrape ``interval`` (``inf`` where it is unknown).
    ``first_series`` and ``first_target`` are where the series and scrape targets of each answer
    begin; ``scraped`` holds the newest scrape of each target and ``latest`` that of each answer,
    whether it counts or not.
    """

    increase: Floats
    samples: Indices
    last: Floats
    answer: Indices
    role: Indices
    edge: Floats
    seen: NDArray[np.bool_]
    oldest: Floats
    newest: Floats
    twice: NDArray[np.bool_]
    interval: Floats
    first_series: Indices
    first_target: Indices
    scraped: Floats
    latest: Floats

    def sums(self, role: int) -> Floats:
        """Return the summed increase of role number ``role``, by answer."""
        chosen = self.role == role
        with np.errstate(over="ignore", invalid="ignore"):
            return np.bincount(
                self.answer[chosen], weights=self.increase[chosen], minlength=self.newest.size
            ).astype(np.float64)

    def of(self, place: int) -> Floats:
        """Return the increases of the series of one answer, role by role."""
        return self.increase[self.first_series[place] : self.first_series[place + 1]]

    def samples_of(self, place: int) -> Indices:
        """Return how many samples count of each series of one answer, role by role."""
        return self.samples[self.first_series[place] : self.first_series[place + 1]]

    def last_of(self, place: int) -> Floats:
        """Return the time of the last sample that counts of each series of one answer."""
        return self.last[self.first_series[place] : self.first_series[place + 1]]

    def scrapes(self, place: int) -> Floats:
        """Return the time of the newest scrape of each target of one answer."""
        return self.scraped[self.first_target[place] : self.first_target[place + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """All series side by side: where each begins and ends, and whose it is."""

    times: Floats
    values: Floats
    begin: Indices
    end: Indices
    answer: Indices
    role: Indices
    edge: Floats
    target: Indices
    held: Indices
    first_series: Indices
    first_target: Indices

    @property
    def size(self) -> int:
        return int(self.begin.size)


def tally(answers: Sequence[Answers], since: Sequence[float]) -> Tally:
    """Count ``answers``; of each only what was scraped at or after its time in ``since``."""
    flat = _flatten(answers)
    targets = int(flat.first_target[-1])
    cut = np.asarray(since, dtype=np.float64)[flat.answer]
    last = _at(flat, flat.end - 1)
    before_last = _at(flat, flat.end - 2)
    end = flat.end - _torn(flat, targets, last, before_last)
    begin = flat.begin + _scraped_before(flat, cut)
    kept = end > begin
    first = np.where(kept, _at(flat, begin), np.inf)
    final = np.where(kept, _at(flat, end - 1), -np.inf)
    first_of_target = _least(first, flat.target, targets)
    final_of_target = _greatest(final, flat.target, targets)
    is_new = kept & (begin == flat.begin) & (first > first_of_target[flat.target])
    increase = _increases(flat, begin, end)
    with np.errstate(over="ignore", invalid="ignore"):
        increase = increase + np.where(is_new, _value(flat, begin), 0.0)
    owner = np.repeat(np.arange(len(answers)), np.diff(flat.first_target))
    interval = _intervals(flat, targets)
    return Tally(
        increase=increase,
        samples=np.maximum(end - begin, 0),
        last=final,
        answer=flat.answer,
        role=flat.role,
        edge=flat.edge,
        seen=np.bincount(flat.answer, flat.end > flat.begin, len(answers)) > 0,
        oldest=_least(first_of_target, owner, len(answers)),
        newest=_greatest(final_of_target, owner, len(answers)),
        twice=np.bincount(owner, final_of_target > first_of_target, len(answers)) > 0,
        interval=_least(interval, owner, len(answers)),
        first_series=flat.first_series,
        first_target=flat.first_target,
        scraped=(scraped := _greatest(last, flat.target, targets)),
        latest=_greatest(scraped, owner, len(answers)),
    )


def _flatten(answers: Sequence[Answers]) -> _Flat:
    blocks = [_columns(found) for by_role in answers for found in by_role.values()]
    sizes = np.array([len(by_role) for by_role in answers], dtype=np.intp)
    samples = np.concatenate([block.samples for block in blocks]) if blocks else np.empty((0, 2))
    series = np.concatenate([block.series for block in blocks]) if blocks else np.empty((0, 3))
    of_block = np.array([len(block.series) for block in blocks], dtype=np.intp)
    answer = np.repeat(np.repeat(np.arange(len(answers)), sizes), of_block)
    first_role = np.repeat(np.cumsum(sizes) - sizes, sizes)
    role = np.repeat(np.arange(len(blocks)) - first_role, of_block)
    target, first_target = _numbered(answer, series[:, 1], len(answers))
    lengths = series[:, 0].astype(np.intp)
    end = np.cumsum(lengths)
    values = samples[:, 1]
    with np.errstate(invalid="ignore"):
        values = np.where(values < 0.0, np.nan, values)
    return _Flat(
        times=np.ascontiguousarray(samples[:, 0]),
        values=values,
        begin=end - lengths,
        end=end,
        answer=answer,
        role=role,
        edge=series[:, 2],
        target=target,
        held=target * (int(role.max(initial=0)) + 1) + role,
        first_series=np.concatenate(([0], np.cumsum(np.bincount(answer, minlength=len(answers))))),
        first_target=first_target,
    )


def _columns(found: Sequence[Series]) -> Columns:
    return found.columns if isinstance(found, SeriesSet) else SeriesSet(found).columns


def _numbered(answer: Indices, target: Floats, answers: int) -> tuple[Indices, Indices]:
    """Return a number for the target of each series, and where those of each answer begin."""
    order = np.lexsort((target, answer))
    is_other = np.ones(order.size, dtype=np.bool_)
    is_other[1:] = (np.diff(answer[order]) != 0) | (np.diff(target[order]) != 0)
    number = np.empty(order.size, dtype=np.intp)
    number[order] = np.cumsum(is_other) - 1
    of_answer = np.bincount(answer[order][is_other], minlength=answers)
    return number, np.concatenate(([0], np.cumsum(of_answer)))


def _at(flat: _Flat, index: Indices) -> Floats:
    """Return the time at ``index`` of each series, ``-inf`` where the series does not reach it."""
    inside = (index >= flat.begin) & (index < flat.end)
    found = np.full(flat.size, -np.inf)
    found[inside] = flat.times[index[inside]]
    return found


def _value(flat: _Flat, index: Indices) -> Floats:
    inside = (index >= flat.begin) & (index < flat.end)
    found = np.zeros(flat.size)
    found[inside] = flat.values[index[inside]]
    return found


def _torn(flat: _Flat, targets: int, last: Floats, before_last: Floats) -> Indices:
    """Return 1 for each series whose newest sample is of a scrape that not every answer holds.

    A series that ended earlier than one scrape ago has vanished, and is left as it is.
    """
    newest = _greatest(last, flat.target, targets)
    earlier = np.where(last < newest[flat.target], last, before_last)
    second = _greatest(earlier, flat.target, targets)
    holders = int(flat.held.max(initial=-1)) + 1
    held = _greatest(last, flat.held, holders)[flat.held]
    behind = (held == second[flat.target]) & np.isfinite(held)
    is_torn = np.bincount(flat.target, behind, targets) > 0
    torn: Indices = (is_torn[flat.target] & (last == newest[flat.target])).astype(np.intp)
    return torn


def _scraped_before(flat: _Flat, cut: Floats) -> Indices:
    """Return how many samples of each series were scraped before ``cut``, by series."""
    lengths = flat.end - flat.begin
    early = flat.times < np.repeat(cut, lengths)
    running = np.concatenate(([0], np.cumsum(early)))
    counted: Indices = running[flat.end] - running[flat.begin]
    return counted


def _increases(flat: _Flat, begin: Indices, end: Indices) -> Floats:
    """Return the sum of the differences between samples ``begin`` and ``end``, by series."""
    if flat.values.size == 0:
        return np.zeros(flat.size)
    lengths = flat.end - flat.begin
    series = np.repeat(np.arange(flat.size), lengths)
    place = np.arange(flat.values.size)
    # A difference belongs to its later sample, which must not be the first that counts.
    counts = (place > begin[series]) & (place < end[series])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(flat.values, prepend=np.nan)
        steps = np.where(steps < 0, flat.values, steps)
        return np.bincount(series[counts], weights=steps[counts], minlength=flat.size).astype(
            np.float64
        )


def _intervals(flat: _Flat, targets: int) -> Floats:
    """Return the distance between scrapes by target, ``inf`` where no series has two.

    The last distance or the mean one, whichever is shorter: one missed scrape changes neither much.
    """
    lengths = flat.end - flat.begin
    last, before = _at(flat, flat.end - 1), _at(flat, flat.end - 2)
    with np.errstate(invalid="ignore"):
        mean = (last - _at(flat, flat.begin)) / np.maximum(1, lengths - 1)
        shorter = np.where(lengths > 1, np.minimum(last - before, mean), np.inf)
    return _least(shorter, flat.target, targets)


def _greatest(values: Floats, group: Indices, groups: int) -> Floats:
    found = np.full(groups, -np.inf)
    np.maximum.at(found, group, values)
    return found


def _least(values: Floats, group: Indices, groups: int) -> Floats:
    found = np.full(groups, np.inf)
    np.minimum.at(found, group, values)
    return found
