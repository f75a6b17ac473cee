"""From readings to verdicts: enough samples, new samples, persistent samples.

A look counts only if it rests on a sample that no earlier look has seen, so that looking more often
never makes a breach more likely. An Unknown look neither counts towards a breach nor clears one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from backstop.api.modelmonitor import Signal
from backstop.api.signal import Persistence
from backstop.api.status import Arm, Verdict
from backstop.core import samples
from backstop.core.samples import Reading, Series
from backstop.core.signals.rule import Measurement, Missing, Pillar, UnknownReason
from backstop.core.units import seconds

MAX_FUTURE = 5.0
"""Samples may be this many seconds ahead of the local clock before they are refused."""

SignalKey = tuple[str, Arm]
"""A signal by name, of one arm."""


@dataclass(frozen=True, slots=True)
class History:
    """What the last looks at one signal found, oldest first; ``True`` is a broken bound.

    ``newest`` is the time of the newest sample seen, ``clean_at`` that of the newest sample at
    which the bound still held, ``broken_at`` that of the first one since at which it did not.
    """

    outcomes: tuple[bool, ...] = ()
    newest: float = 0.0
    clean_at: float | None = None
    broken_at: float | None = None
    verdict: Verdict = Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class SignalVerdict:
    """The verdict on one signal of one arm, with its numbers in ``why``.

    A breach began after ``onset`` and not later than ``seen``; the bound last held at ``clean_at``.
    All three are Unix times.
    """

    name: str
    arm: Arm
    pillar: Pillar
    verdict: Verdict
    why: str
    reason: str = ""
    onset: float | None = None
    seen: float | None = None
    clean_at: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all signals: the verdicts and the histories to judge the next one by.

    ``newest`` holds the newest sample time of each scrape target, ``scrape_interval`` the distance
    between scrapes in seconds where it is known.
    """

    verdicts: tuple[SignalVerdict, ...] = ()
    histories: Mapping[SignalKey, History] = field(default_factory=lambda: MappingProxyType({}))
    newest: tuple[float, ...] = ()
    scrape_interval: float | None = None


Questions = Mapping[str, str]
"""PromQL by role, for one signal of one arm."""


def _unknown(signal: Signal, arm: Arm, reason: UnknownReason, why: str) -> SignalVerdict:
    return SignalVerdict(signal.name, arm, signal.speaks_of, Verdict.UNKNOWN, why, reason.value)


def _failure(signal: Signal, arm: Arm, readings: Mapping[str, Reading]) -> SignalVerdict | None:
    for reading in readings.values():
        if reading.bad_query:
            return _unknown(signal, arm, UnknownReason.BAD_QUERY, reading.failure)
        if reading.failure:
            return _unknown(signal, arm, UnknownReason.SOURCE_DOWN, reading.failure)
    return None


def _persistent(outcomes: tuple[bool, ...], wanted: Persistence, before: Verdict) -> Verdict:
    if sum(outcomes) >= wanted.breaches:
        return Verdict.BREACHED
    if not any(outcomes):
        return Verdict.HEALTHY
    if before is Verdict.UNKNOWN and len(outcomes) == wanted.looks:
        return Verdict.HEALTHY
    return before


def judge(
    signal: Signal,
    arm: Arm,
    readings: Mapping[str, Reading],
    history: History,
    *,
    evidence_from: float,
    now: float,
) -> tuple[SignalVerdict, History]:
    """Judge one signal of one arm from its readings by role.

    Only samples scraped after ``evidence_from`` count. ``now`` is the local Unix time.
    """
    failed = _failure(signal, arm, readings)
    if failed is not None:
        return failed, history
    cut, missing = _evidence(signal, readings, evidence_from=evidence_from, now=now)
    measured = missing or signal.rule.measure(cut)
    if isinstance(measured, Missing):
        return _unknown(signal, arm, measured.reason, measured.why), history
    if measured.samples < signal.min_requests:
        why = f"{measured.samples:,.0f} observations in {signal.window}, need {signal.min_requests}"
        return _unknown(signal, arm, UnknownReason.INSUFFICIENT_DATA, why), history
    newest = samples.newest(series for answer in cut.values() for series in answer) or 0.0
    updated = _remember(signal, history, measured, newest)
    if updated.verdict is Verdict.UNKNOWN:
        why = f"{measured.why}; broken in {sum(updated.outcomes)} of {len(updated.outcomes)} looks"
        return _unknown(signal, arm, UnknownReason.WARMING_UP, why), updated
    onset = None
    if updated.verdict is Verdict.BREACHED:
        oldest = newest - seconds(signal.window)
        onset = max(updated.clean_at or oldest, evidence_from)
    verdict = SignalVerdict(
        signal.name,
        arm,
        signal.speaks_of,
        updated.verdict,
        measured.why,
        onset=onset,
        seen=None if onset is None else updated.broken_at or newest,
        clean_at=updated.clean_at,
    )
    return verdict, updated


def _evidence(
    signal: Signal, readings: Mapping[str, Reading], *, evidence_from: float, now: float
) -> tuple[dict[str, tuple[Series, ...]], Missing | None]:
    answers = {role: reading.series for role, reading in readings.items()}
    newest = samples.newest(series for answer in answers.values() for series in answer)
    if newest is not None and newest > now + MAX_FUTURE:
        why = f"samples are {newest - now:.0f} s ahead of this clock; check time synchronisation"
        return {}, Missing(UnknownReason.NO_DATA, why)
    if signal.rule.reads_raw_samples:
        whole = samples.without_torn(answers)
        cut = {role: samples.since(series, evidence_from) for role, series in whole.items()}
        if newest is not None and not any(cut.values()):
            why = "no sample yet since the last action"
            return {}, Missing(UnknownReason.WARMING_UP, why)
        return cut, None
    if now < evidence_from + seconds(signal.window):
        why = f"the expression looks back over the last action; waiting for its {signal.window}"
        return {}, Missing(UnknownReason.WARMING_UP, why)
    return answers, None


def _remember(signal: Signal, history: History, measured: Measurement, newest: float) -> History:
    if newest <= history.newest:
        return history
    outcomes = (*history.outcomes, measured.breached)[-signal.persistence.looks :]
    return History(
        outcomes=outcomes,
        newest=newest,
        clean_at=history.clean_at if measured.breached else newest,
        broken_at=history.broken_at or newest if measured.breached else None,
        verdict=_persistent(outcomes, signal.persistence, history.verdict),
    )


def look(
    signals: Mapping[SignalKey, tuple[Signal, Questions]],
    readings: Mapping[str, Reading],
    histories: Mapping[SignalKey, History],
    *,
    evidence_from: Mapping[Arm, float],
    now: float,
) -> Look:
    """Judge all ``signals``; ``readings`` are by PromQL and hold an answer to each question."""
    verdicts: list[SignalVerdict] = []
    updated: dict[SignalKey, History] = {}
    for key, (signal, questions) in signals.items():
        answers = {role: readings[query] for role, query in questions.items()}
        verdict, updated[key] = judge(
            signal,
            key[1],
            answers,
            histories.get(key, History()),
            evidence_from=evidence_from[key[1]],
            now=now,
        )
        verdicts.append(verdict)
    raw = [
        series
        for signal, questions in signals.values()
        if signal.rule.reads_raw_samples
        for query in questions.values()
        for series in readings[query].series
    ]
    newest = tuple(float(times[-1]) for times in samples.scrape_times(raw).values() if times.size)
    return Look(tuple(verdicts), MappingProxyType(updated), newest, samples.scrape_interval(raw))


def overall(verdicts: tuple[SignalVerdict, ...], arm: Arm) -> Verdict:
    """Return the verdict on an arm: Breached if any signal is, else Unknown if any is."""
    found = {verdict.verdict for verdict in verdicts if verdict.arm is arm}
    for verdict in (Verdict.BREACHED, Verdict.UNKNOWN, Verdict.HEALTHY):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
