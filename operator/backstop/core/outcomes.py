"""From what all signals of a batch amount to, to the verdicts on them and what is remembered.

A limit is broken for good only if it is in so many of the last looks, each of which rests on a
sample that no earlier look has seen. Signals without enough evidence are Unknown, and remembered as
they were.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, islice, repeat
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from backstop.api.words import Verdict
from backstop.core.batch import Batch
from backstop.core.flat import Floats, Indices
from backstop.core.measurement import Measured, Measurement, Missing, UnknownReason
from backstop.core.signals.columns import Measurements
from backstop.core.suspects import Arrived, beside, shows, suspect
from backstop.core.verdicts import History, SignalVerdict

MAX_EXAMINED: Final = 200
"""So many breaches of a pass are examined pod by pod; where there are more, it is no single pod."""


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """What the signals of a batch amount to, by signal; filled in kind by kind.

    The ``value`` that is held against the limit, whether that is ``breached``, and on how many
    ``samples`` it rests (``-inf`` where there is no measurement). ``others`` holds, by signal, what
    is missing, and measurements of kinds that measure one by one. The rest was measured in columns:
    ``block`` and ``place`` say where.
    """

    value: Floats
    breached: NDArray[np.bool_]
    samples: Floats
    block: Indices
    place: Indices
    blocks: list[Measurements]
    others: dict[int, Measured]

    @classmethod
    def nothing(cls, size: int) -> Self:
        """Return those of ``size`` signals of which nothing is known."""
        block, place = np.zeros((2, size), np.intp)
        value, samples = np.full((2, size), ((np.nan,), (-np.inf,)))
        return cls(value, np.zeros(size, np.bool_), samples, block, place, [], {})

    def take(self, numbers: Indices, measured: Measurements) -> None:
        """Take over what the signals ``numbers`` amount to."""
        self.value[numbers] = measured.value
        self.breached[numbers], self.samples[numbers] = measured.breached, measured.samples
        self.block[numbers], self.place[numbers] = len(self.blocks), np.arange(numbers.size)
        self.blocks.append(measured)
        others = {int(numbers[place]): one for place, one in measured.others.items()}
        self.take_one_by_one(others)

    def take_one_by_one(self, measured: Mapping[int, Measured]) -> None:
        """Take over what some signals amount to, or that it is missing."""
        self.others.update(measured)
        for number, one in measured.items():
            if isinstance(one, Missing):
                self.samples[number] = -np.inf
            else:
                self.value[number], self.samples[number] = one.value, one.samples
                self.breached[number] = one.breached

    def say(self, number: int) -> str:
        """Return the number of a signal and its limit in words."""
        one = self.others.get(number)
        if one is not None:
            return one.why
        said: str = self.blocks[self.block[number]].say(int(self.place[number]))
        return said


def outcomes(
    batch: Batch, found: Amounts, newest: Floats
) -> tuple[list[SignalVerdict], list[History]]:
    """Return the verdict on each signal, and what to remember of it.

    ``newest`` is the Unix time of the newest sample of each.
    """
    is_known = ~(found.samples < batch.numbers.min_samples)
    histories = _remembered(batch, found, newest, is_known)
    verdicts = _healthy(batch, found, histories)
    for number in np.flatnonzero(~is_known).tolist():
        verdicts[number] = _unknown(batch, number, _why_not(batch, found, number))
    known = np.flatnonzero(is_known).tolist()
    broken = [number for number in known if histories[number].verdict is not Verdict.HEALTHY]
    for number in broken:
        at = float(newest[number])
        verdicts[number] = _broken(batch, number, verdicts[number], histories[number], at)
    breached = (number for number in broken if verdicts[number].verdict is Verdict.BREACHED)
    for number in islice(breached, MAX_EXAMINED):
        _examine(batch, number, verdicts)
    for number, one in found.others.items():
        if isinstance(one, Measurement) and one.proven:
            verdicts[number] = verdicts[number]._replace(proven=not verdicts[number].reason)
    return verdicts, histories


def _remembered(
    batch: Batch, found: Amounts, newest: Floats, is_known: NDArray[np.bool_]
) -> list[History]:
    """Return what to remember; only a look at a sample that no earlier one has seen counts."""
    histories = list(batch.histories)
    for number, one in found.others.items():
        if one.until:
            histories[number] = histories[number]._replace(state=one.state, until=one.until)
        if isinstance(one, Measurement) and one.usual is not None:
            histories[number] = histories[number]._replace(usual=one.usual)
    counts = is_known & (newest > np.array([one.newest for one in histories], dtype=np.float64))
    numbers = np.flatnonzero(counts)
    columns = (newest, found.breached, batch.numbers.breaches, batch.numbers.looks)
    ours = compress(histories, counts.tolist())
    seen = zip(*(column[numbers].tolist() for column in columns), strict=True)
    rows = map(_after, ours, seen)
    for number, history in zip(numbers.tolist(), map(History._make, rows), strict=True):
        histories[number] = history
    return histories


def _after(before: History, seen: tuple[float, bool, int, int]) -> tuple[object, ...]:
    """Return the fields of the history after a look.

    ``seen`` is the Unix time of the newest sample, whether the limit is broken at it, and so many
    breaches of so many looks that make one.
    """
    at, broken, breaches, looks = seen
    past, _, clean_at, broken_at, verdict, state, until, usual = before
    outcomes = (*past, broken)[-looks:]
    times = sum(outcomes)
    if times >= breaches:
        verdict = Verdict.BREACHED
    elif not times or (verdict is Verdict.UNKNOWN and len(outcomes) == looks):
        verdict = Verdict.HEALTHY
    if broken:
        return outcomes, at, clean_at, broken_at or at, verdict, state, until, usual
    return outcomes, at, at, None, verdict, state, until, usual


def _healthy(batch: Batch, found: Amounts, histories: Sequence[History]) -> list[SignalVerdict]:
    """Return the verdicts as they are of signals that are Healthy, which most are."""
    plans = batch.plans
    columns = (
        chain.from_iterable(plan.names for plan in plans),
        chain.from_iterable(plan.arms for plan in plans),
        chain.from_iterable(plan.pillars for plan in plans),
        repeat(Verdict.HEALTHY),
        map(partial, repeat(found.say), range(batch.size)),
        repeat(""),
        repeat(None),
        repeat(None),
        [one.clean_at for one in histories],
        chain.from_iterable(plan.reports for plan in plans),
        chain.from_iterable(plan.attributes for plan in plans),
        repeat(False),
        found.samples.tolist(),
        repeat(None),
        repeat(None),
        repeat(None),
        found.value.tolist(),
    )
    return list(map(SignalVerdict._make, zip(*columns, strict=False)))


def _broken(
    batch: Batch, number: int, healthy: SignalVerdict, history: History, at: float
) -> SignalVerdict:
    """Return the verdict on a limit that is broken, or was in too few looks so far."""
    if history.verdict is Verdict.UNKNOWN:
        looks = f"broken in {sum(history.outcomes)} of {len(history.outcomes)} looks"
        missing = Missing(UnknownReason.WARMING_UP, f"{healthy.why}; {looks}")
        return _unknown(batch, number, missing)
    inquiry = batch.inquiries[number]
    began = history.clean_at or at - inquiry.window
    return healthy._replace(
        verdict=Verdict.BREACHED,
        onset=max(began, float(batch.since[number])),
        seen=history.broken_at or at,
        shows=shows(inquiry.rule),
    )


def _examine(batch: Batch, number: int, verdicts: list[SignalVerdict]) -> None:
    """Note which pod carries the breach ``number``, and how the other arm does that holds it."""
    rule, seen = batch.inquiries[number].rule, verdicts[number].seen or 0.0
    value = math.inf if (measured := verdicts[number].value) is None else measured
    broken = Arrived(batch.answers(number), float(batch.since[number]))
    verdicts[number] = verdicts[number]._replace(pod=suspect(rule, broken, seen, value))
    other = batch.other_arm(number)
    if other is None or verdicts[other].verdict is not Verdict.HEALTHY:
        return
    held = Arrived(batch.answers(other), float(batch.since[other]))
    verdicts[other] = verdicts[other]._replace(beside=beside(rule, broken, held, seen, value))


def _why_not(batch: Batch, found: Amounts, number: int) -> Missing:
    """Return why there is no verdict on signal ``number``."""
    missing = found.others.get(number)
    if isinstance(missing, Missing):
        return missing
    inquiry, samples = batch.inquiries[number], found.samples[number]
    why = f"{samples:,.0f} observations in {inquiry.said}, need {inquiry.min_samples}"
    return Missing(UnknownReason.INSUFFICIENT_DATA, why)


def _unknown(batch: Batch, number: int, missing: Missing) -> SignalVerdict:
    inquiry = batch.inquiries[number]
    return SignalVerdict(
        inquiry.name,
        inquiry.arm,
        inquiry.pillar,
        Verdict.UNKNOWN,
        missing.why,
        missing.reason.value,
        reports=inquiry.reports,
    )
