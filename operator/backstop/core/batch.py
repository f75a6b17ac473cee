"""All signals that are due side by side, with what was answered to each.

Everything that a pass needs of each signal stands in a list or an array, in one order, so that a
pass need not go from object to object.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import attrgetter
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from backstop.api.words import Arm
from backstop.core.flat import Floats, Indices, firsts
from backstop.core.inquiry import Inquiries, Inquiry, Plan, SignalKey, plan
from backstop.core.measurement import Missing, UnknownReason
from backstop.core.reference import Reference
from backstop.core.samples import Columns, Reading, newest
from backstop.core.signals.columns import ColumnRule
from backstop.core.signals.rule import Asked
from backstop.core.tally import Answers, Tally, count
from backstop.core.verdicts import History, Sight

_NEVER: Final = History()

_NOTHING: Final = Reading()

_UNASKED: Final = Reading(failure="the question is asked at the next look")


class Numbers(NamedTuple):
    """The numbers of all signals; see :class:`Plan`. ``figures`` has the shape (signals, 3)."""

    questions: Indices
    raw: Indices
    min_samples: Indices
    breaches: Indices
    looks: Indices
    figures: Floats

    @classmethod
    def of(cls, plans: Iterable[Plan]) -> Self:
        """Return the tables of ``plans`` one after the other."""
        table = np.frombuffer(b"".join([one.numbers for one in plans])).reshape(-1, 8)
        questions, raw, min_samples, breaches, looks = table[:, :5].T.astype(np.intp)
        return cls(questions, raw, min_samples, breaches, looks, table[:, 5:])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The signals of ``sights`` one after the other; ``now`` is the local Unix time.

    By monitor: its ``plan``. By signal: its ``inquiry``, its ``history`` and the Unix time
    ``since`` which samples are evidence. By question of each signal: its ``reading``.
    ``first_question`` is where the questions of each signal begin and ``first_signal`` where the
    signals of each monitor do. ``unanswered`` says by signal why it has no answer; its readings
    are empty.
    """

    sights: Sequence[Sight]
    now: float
    plans: Sequence[Plan]
    inquiries: Sequence[Inquiry]
    columns: Sequence[ColumnRule | None]
    histories: Sequence[History]
    since: Floats
    numbers: Numbers
    readings: Sequence[Reading]
    first_question: Indices
    first_signal: Indices
    unanswered: dict[int, Missing]

    @classmethod
    def of(cls, sights: Sequence[Sight], readings: Mapping[str, Reading], now: float) -> Self:
        """Return what is to be judged; ``readings`` are by PromQL."""
        plans = [_plan(sight.inquiries) for sight in sights]
        sizes = np.array([len(one.keys) for one in plans], dtype=np.intp)
        numbers = Numbers.of(plans)
        queries = chain.from_iterable(one.queries for one in plans)
        found = list(map(readings.get, queries, repeat(_UNASKED)))
        answered, unanswered = _answered(found, numbers.questions)
        return cls(
            sights=sights,
            now=now,
            plans=plans,
            inquiries=list(chain.from_iterable(one.inquiries for one in plans)),
            columns=list(chain.from_iterable(one.columns for one in plans)),
            histories=list(chain.from_iterable(map(_histories, sights, plans))),
            since=np.array(list(chain.from_iterable(map(_since, sights, plans))), dtype=np.float64),
            numbers=numbers,
            readings=answered,
            first_question=firsts(numbers.questions),
            first_signal=firsts(sizes),
            unanswered=unanswered,
        )

    @property
    def size(self) -> int:
        """How many signals there are."""
        return len(self.inquiries)

    def together(self, missing: Iterable[int]) -> Iterator[Indices]:
        """Yield the signals that are not ``missing``, those that are measured together at once."""
        kinds = list(chain.from_iterable(one.kinds for one in self.plans))
        codes = {kind: code for code, kind in enumerate(dict.fromkeys(kinds))}
        code = np.fromiter(map(codes.__getitem__, kinds), np.intp, len(kinds))
        code[list(missing)] = -1
        for one in range(len(codes)):
            numbers = np.flatnonzero(code == one)
            if numbers.size:
                yield numbers

    def tally(self) -> Tally:
        """Count all raw samples; an answer that has none is empty in the tally."""
        raw = b"".join([one.raw for one in self.plans])
        # One call into C for each reading; a million attributes take their time in Python.
        columns: map[Columns] = map(attrgetter("series.columns"), compress(self.readings, raw))
        return count(list(columns), self.numbers.raw, self.since)

    def places(self) -> Indices:
        """Return where each signal stands in the tally, -1 where it asks for no raw samples."""
        return np.where(self.numbers.raw > 0, np.arange(self.size), -1)

    def answered(self) -> NDArray[np.bool_]:
        """Return which monitors have an answer to any of their signals."""
        silent = np.searchsorted(self.first_signal, list(self.unanswered), side="right") - 1
        unanswered = np.bincount(silent, minlength=len(self.plans))
        return np.asarray(unanswered < np.diff(self.first_signal), dtype=np.bool_)

    def answers(self, number: int) -> Answers:
        """Return the answers to signal ``number`` by role."""
        begin, end = self.first_question[number], self.first_question[number + 1]
        roles = self.inquiries[number].questions
        series = (reading.series for reading in self.readings[begin:end])
        return dict(zip(roles, series, strict=True))

    def newest(self, number: int) -> float:
        """Return the Unix time of the newest sample in the answers to signal ``number``, or 0."""
        return newest(chain.from_iterable(self.answers(number).values())) or 0.0

    def other_arm(self, number: int) -> int | None:
        """Return which signal puts the question of signal ``number`` to the other arm, if any."""
        monitor = int(np.searchsorted(self.first_signal, number, side="right")) - 1
        keys, one = self.plans[monitor].keys, self.inquiries[number]
        other = (one.name, Arm.CANDIDATE if one.arm is Arm.TARGET else Arm.TARGET)
        return int(self.first_signal[monitor]) + keys.index(other) if other in keys else None

    def asked(self, number: int) -> Asked:
        """Return signal ``number`` as its kind is asked about it."""
        inquiry, history = self.inquiries[number], self.histories[number]
        sight = self.sights[int(np.searchsorted(self.first_signal, number, side="right")) - 1]
        return Asked(
            self.answers(number),
            number if inquiry.raw else -1,
            float(self.since[number]),
            self.now,
            inquiry.window,
            inquiry.subject,
            history.state,
            history.until,
            sight.weight,
            _reference(inquiry, sight),
            inquiry.min_samples,
            history.usual,
        )


def _plan(inquiries: Mapping[SignalKey, Inquiry]) -> Plan:
    return inquiries.plan if isinstance(inquiries, Inquiries) else plan(inquiries)


def _histories(sight: Sight, one: Plan) -> Iterator[History]:
    return map(sight.histories.get, one.keys, repeat(_NEVER))


def _since(sight: Sight, one: Plan) -> Iterator[float]:
    return map(sight.evidence_from.__getitem__, one.arms)


def _answered(found: list[Reading], questions: Indices) -> tuple[list[Reading], dict[int, Missing]]:
    """Return the readings of all signals, and why some signals have none.

    A signal that lacks one answer has none at all.
    """
    lacking = list(compress(itertools.count(), map(attrgetter("failure"), found)))
    if not lacking:
        return found, {}
    readings, missing, first = list(found), dict[int, Missing](), firsts(questions)
    signals = np.searchsorted(first, lacking, side="right") - 1
    for number, question in zip(signals.tolist(), lacking, strict=True):
        missing.setdefault(number, _why_not(found[question]))
        begin, end = first[number], first[number + 1]
        readings[begin:end] = [_NOTHING] * (end - begin)
    return readings, missing


def _why_not(reading: Reading) -> Missing:
    if reading is _UNASKED:
        return Missing(UnknownReason.WARMING_UP, reading.failure)
    reason = UnknownReason.BAD_QUERY if reading.bad_query else UnknownReason.SOURCE_DOWN
    return Missing(reason, reading.failure)


def _reference(inquiry: Inquiry, sight: Sight) -> Reference | Missing | None:
    """Return what the ConfigMap holds that the rule names, if it names one."""
    name = inquiry.rule.config_map
    if name is None:
        return None
    why = f"ConfigMap {name} is read before the next look"
    return sight.references.get(name) or Missing(UnknownReason.WARMING_UP, why)
