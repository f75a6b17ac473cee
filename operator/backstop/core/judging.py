"""One pass over the signals of all monitors that are due.

What all signals have in common is done here once for all of them: taking the answers, counting
their raw samples, refusing what cannot be judged, asking each kind to measure its own, and holding
the result against what earlier looks found.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from backstop.api.words import Arm
from backstop.core.batch import Batch
from backstop.core.flat import Floats, Indices
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.measurement import Measured, Missing, UnknownReason
from backstop.core.outcomes import Amounts, outcomes
from backstop.core.samples import Reading
from backstop.core.signals.columns import ColumnRule, Measurements
from backstop.core.signals.rule import Asked
from backstop.core.tally import Tally
from backstop.core.units import say_seconds
from backstop.core.verdicts import History, Look, Sight, SignalVerdict

MAX_FUTURE: Final = 5.0
"""Samples may be this many seconds ahead of the local clock before they are refused."""

_NO_SAMPLE_YET: Final = Missing(UnknownReason.WARMING_UP, "no sample yet since the last action")


_Rhythm = tuple[tuple[float, ...], float | None, bool]


def look_all(sights: Sequence[Sight], readings: Mapping[str, Reading], *, now: float) -> list[Look]:
    """Judge all monitors of ``sights`` in one pass.

    ``readings`` are by PromQL and hold an answer to each question. ``now`` is the local Unix time.
    """
    batch = Batch.of(sights, readings, now)
    counted = batch.tally()
    newest = _newest(batch, counted)
    missing = {**dict(_too_early(batch, counted, newest)), **batch.unanswered}
    verdicts, histories = outcomes(batch, _measure(batch, missing, counted), newest)
    return _looks(batch, iter(verdicts), iter(histories), _rhythms(batch, counted))


def look(
    inquiries: Mapping[SignalKey, Inquiry],
    readings: Mapping[str, Reading],
    histories: Mapping[SignalKey, History],
    *,
    evidence_from: Mapping[Arm, float],
    now: float,
) -> Look:
    """Judge one monitor: a pass over a batch of one; see :func:`look_all`."""
    (found,) = look_all([Sight(inquiries, histories, evidence_from)], readings, now=now)
    return found


def _newest(batch: Batch, counted: Tally) -> Floats:
    """Return the Unix time of the newest sample of each signal, of raw ones the newest that counts.

    Without any it is 0 or less.
    """
    newest = counted.newest.copy()
    for number in np.flatnonzero(batch.numbers.raw == 0).tolist():
        newest[number] = batch.newest(number)
    return newest


def _too_early(batch: Batch, counted: Tally, newest: Floats) -> Iterator[tuple[int, Missing]]:
    """Yield, by signal, why answers cannot be judged by the times they are of."""
    is_raw = batch.numbers.raw > 0
    ahead = np.where(is_raw, counted.latest, newest) - batch.now
    waiting = counted.seen & np.isneginf(counted.newest)
    for number in np.flatnonzero(waiting).tolist():
        yield number, _NO_SAMPLE_YET
    for number in np.flatnonzero(~is_raw).tolist():
        inquiry = batch.inquiries[number]
        # An answer that is used again is older than the look; none at all tells for itself.
        answered = min(batch.now, float(newest[number])) if newest[number] > 0.0 else batch.now
        if answered < batch.since[number] + inquiry.settles:
            said = say_seconds(inquiry.settles)
            why = f"the expression looks back over the last action; waiting for its {said}"
            yield number, Missing(UnknownReason.WARMING_UP, why)
    for number in np.flatnonzero(ahead > MAX_FUTURE).tolist():
        yield number, _ahead(float(ahead[number]))


def _ahead(seconds: float) -> Missing:
    why = f"samples are {seconds:.0f} s ahead of this clock; check time synchronisation"
    return Missing(UnknownReason.NO_DATA, why)


def _measure(batch: Batch, missing: Mapping[int, Missing], counted: Tally) -> Amounts:
    """Return what each signal amounts to: what is measured alike is measured at once."""
    found = Amounts.nothing(batch.size)
    found.take_one_by_one(missing)
    for numbers in batch.together(missing):
        rules = [rule for n in numbers.tolist() if (rule := batch.columns[n]) is not None]
        if rules:
            found.take(numbers, _in_columns(batch, rules, numbers, counted))
        else:
            found.take_one_by_one(_one_by_one(batch, numbers.tolist(), counted))
    return found


def _in_columns(
    batch: Batch, rules: Sequence[ColumnRule], numbers: Indices, counted: Tally
) -> Measurements:
    def asked(place: int) -> Asked:
        return batch.asked(int(numbers[place]))

    figures, places = batch.numbers.figures[numbers], batch.places()[numbers]
    return type(rules[0]).measure_columns(rules, figures, places, asked, counted)


def _one_by_one(batch: Batch, numbers: Sequence[int], counted: Tally) -> dict[int, Measured]:
    rules = [batch.inquiries[number].rule for number in numbers]
    asked = [batch.asked(number) for number in numbers]
    return dict(zip(numbers, type(rules[0]).measure_all(rules, asked, counted), strict=True))


def _looks(
    batch: Batch,
    verdicts: Iterator[SignalVerdict],
    histories: Iterator[History],
    rhythms: Iterable[_Rhythm],
) -> list[Look]:
    """Return the look at each monitor, which takes its own from what was found of all."""
    return [
        Look(
            tuple(islice(verdicts, len(plan.keys))),
            # The keys come first: zip takes no history when they are at an end.
            MappingProxyType(dict(zip(plan.keys, histories, strict=False))),
            *rhythm,
        )
        for plan, rhythm in zip(batch.plans, rhythms, strict=True)
    ]


def _rhythms(batch: Batch, counted: Tally) -> Iterator[_Rhythm]:
    """Yield, by monitor, the rest of its look: its scrapes, and whether anything was answered."""
    monitors = len(batch.plans)
    every = np.full(monitors, np.inf)
    owner = np.repeat(np.arange(monitors), np.diff(batch.first_signal))
    np.minimum.at(every, owner, counted.interval)
    scraped = counted.scraped.tolist()
    targets = pairwise(counted.first_target[batch.first_signal].tolist())
    answered = batch.answered().tolist()
    for (begin, end), interval, is_answered in zip(targets, every.tolist(), answered, strict=True):
        times = set(scraped[begin:end])
        times.discard(-math.inf)
        yield tuple(times), interval if interval < math.inf else None, is_answered
