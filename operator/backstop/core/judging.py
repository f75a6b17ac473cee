"""One pass over the signals of all monitors that are due.

What all signals have in common is done here once for all of them: taking the answers, counting
their raw samples, refusing what cannot be judged, asking each kind to measure its own, and holding
the result against what earlier looks found.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from backstop.api.status import Arm, Verdict
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.measurement import Measured, Missing, UnknownReason
from backstop.core.reference import Reference
from backstop.core.samples import Reading, Series, newest
from backstop.core.signals.rule import Asked, Rule
from backstop.core.tally import Answers, Tally, tally
from backstop.core.verdicts import History, Look, Sight, SignalVerdict

MAX_FUTURE: Final = 5.0
"""Samples may be this many seconds ahead of the local clock before they are refused."""

_NEVER: Final = History()

_NOT_ASKED: Final = Missing(UnknownReason.WARMING_UP, "the question is asked at the next look")


class _Entry(NamedTuple):
    """One signal of one arm of one monitor in a pass."""

    inquiry: Inquiry
    history: History
    since: float
    weight: float
    answers: Answers
    reference: Reference | Missing | None


_Outcome = tuple[SignalVerdict, History]


def look_all(sights: Sequence[Sight], readings: Mapping[str, Reading], *, now: float) -> list[Look]:
    """Judge all monitors of ``sights`` in one pass.

    ``readings`` are by PromQL and hold an answer to each question. ``now`` is the local Unix time.
    """
    entries: list[_Entry] = []
    missing: dict[int, Missing] = {}
    for sight in sights:
        past, begins = sight.histories, sight.evidence_from
        for key, inquiry in sight.inquiries.items():
            answers = _answers(inquiry, readings)
            if isinstance(answers, Missing):
                missing[len(entries)] = answers
                answers = {}
            history, since = past.get(key, _NEVER), begins[inquiry.arm]
            reference = _reference(inquiry, sight)
            entry = _Entry(inquiry, history, since, sight.weight, answers, reference)
            entries.append(entry)
    places = {n: p for p, n in enumerate(n for n, one in enumerate(entries) if one.inquiry.raw)}
    counted = tally([_raw(entries[n]) for n in places], [entries[n].since for n in places])
    for number, why in _too_early(entries, places, counted, now):
        missing.setdefault(number, why)
    measured = _measure(entries, places, missing, counted, now)
    outcomes = _outcomes(entries, places, measured, counted)
    rhythms = _rhythms(sights, counted)
    return [
        _look(sight, islice(outcomes, len(sight.inquiries)), rhythm)
        for sight, rhythm in zip(sights, rhythms, strict=True)
    ]


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


def _reference(inquiry: Inquiry, sight: Sight) -> Reference | Missing | None:
    """Return what the ConfigMap holds that the rule names, if it names one."""
    name = inquiry.rule.config_map
    if name is None:
        return None
    why = f"ConfigMap {name} is read before the next look"
    return sight.references.get(name) or Missing(UnknownReason.WARMING_UP, why)


def _answers(inquiry: Inquiry, readings: Mapping[str, Reading]) -> Answers | Missing:
    found: dict[str, Sequence[Series]] = {}
    for role, query in inquiry.asked:
        reading = readings.get(query)
        if reading is None:
            return _NOT_ASKED
        if reading.failure:
            reason = UnknownReason.BAD_QUERY if reading.bad_query else UnknownReason.SOURCE_DOWN
            return Missing(reason, reading.failure)
        found[role] = reading.series
    return found


def _raw(entry: _Entry) -> Answers:
    """Return the answers that hold raw samples; the others hold none that could be counted."""
    if entry.inquiry.all_raw:
        return entry.answers
    questions = entry.inquiry.questions
    return {role: found if questions[role].raw else () for role, found in entry.answers.items()}


def _too_early(
    entries: Sequence[_Entry], places: Mapping[int, int], counted: Tally, now: float
) -> Iterator[tuple[int, Missing]]:
    """Yield, by place in ``entries``, why answers cannot be judged by the times they are of."""
    waiting = counted.seen & np.isneginf(counted.newest)
    late = (counted.latest > now + MAX_FUTURE) | waiting
    numbers = list(places)
    for place in np.flatnonzero(late).tolist():
        ahead = float(counted.latest[place]) - now
        yield numbers[place], _ahead(ahead) if ahead > MAX_FUTURE else _NO_SAMPLE_YET
    if len(places) == len(entries):
        return
    for number, entry in enumerate(entries):
        if number in places:
            continue
        ahead = _newest(entry.answers) - now
        if ahead > MAX_FUTURE:
            yield number, _ahead(ahead)
        elif now < entry.since + entry.inquiry.settles:
            said = entry.inquiry.said
            why = f"the expression looks back over the last action; waiting for its {said}"
            yield number, Missing(UnknownReason.WARMING_UP, why)


_NO_SAMPLE_YET: Final = Missing(UnknownReason.WARMING_UP, "no sample yet since the last action")


def _ahead(seconds: float) -> Missing:
    why = f"samples are {seconds:.0f} s ahead of this clock; check time synchronisation"
    return Missing(UnknownReason.NO_DATA, why)


def _newest(answers: Answers) -> float:
    return newest(series for found in answers.values() for series in found) or 0.0


def _measure(
    entries: Sequence[_Entry],
    places: Mapping[int, int],
    missing: Mapping[int, Missing],
    counted: Tally,
    now: float,
) -> list[Measured]:
    """Return what each entry amounts to: each kind measures all its own at once."""
    found: dict[int, Measured] = dict(missing)
    by_kind: dict[type[Rule], list[int]] = {}
    for number, entry in enumerate(entries):
        if number not in found:
            by_kind.setdefault(type(entry.inquiry.rule), []).append(number)
    for kind, numbers in by_kind.items():
        rules = [entries[number].inquiry.rule for number in numbers]
        asked = [_asked(entries[number], places.get(number, -1), now) for number in numbers]
        measured = kind.measure_all(rules, asked, counted)
        found.update(zip(numbers, measured, strict=True))
    return [found[number] for number in range(len(entries))]


def _asked(entry: _Entry, place: int, now: float) -> Asked:
    inquiry, history, since, weight, answers, reference = entry
    return Asked(
        answers,
        place,
        since,
        now,
        inquiry.window,
        inquiry.subject,
        history.state,
        history.until,
        weight,
        reference,
        inquiry.min_samples,
        history.usual,
    )


def _outcomes(
    entries: Sequence[_Entry],
    places: Mapping[int, int],
    measured: Sequence[Measured],
    counted: Tally,
) -> Iterator[_Outcome]:
    """Yield the verdict on each entry, and what to remember of it."""
    newest_of = counted.newest.tolist()
    for number, (entry, found) in enumerate(zip(entries, measured, strict=True)):
        place = places.get(number)
        at = _newest(entry.answers) if place is None else newest_of[place]
        yield _outcome(entry, found, at)


def _outcome(entry: _Entry, measured: Measured, at: float) -> _Outcome:
    inquiry, history = entry.inquiry, entry.history
    if measured.until:
        history = history._replace(state=measured.state, until=measured.until)
    if isinstance(measured, Missing):
        return _unknown(inquiry, measured), history
    if measured.usual is not None:
        history = history._replace(usual=measured.usual)
    if measured.samples < inquiry.min_samples:
        why = f"{measured.samples:,.0f} observations in {inquiry.said}, need {inquiry.min_samples}"
        return _unknown(inquiry, Missing(UnknownReason.INSUFFICIENT_DATA, why)), history
    updated = _remember(inquiry, history, at, broken=measured.breached)
    if updated.verdict is Verdict.UNKNOWN:
        broken = f"broken in {sum(updated.outcomes)} of {len(updated.outcomes)} looks"
        why = f"{measured.why}; {broken}"
        return _unknown(inquiry, Missing(UnknownReason.WARMING_UP, why)), updated
    onset = seen = None
    if updated.verdict is Verdict.BREACHED:
        onset = max(updated.clean_at or at - inquiry.window, entry.since)
        seen = updated.broken_at or at
    verdict = SignalVerdict(
        inquiry.name,
        inquiry.arm,
        inquiry.pillar,
        updated.verdict,
        measured.said,
        "",
        onset,
        seen,
        updated.clean_at,
        inquiry.reports,
        inquiry.attributes,
        measured.proven,
    )
    return verdict, updated


def _unknown(inquiry: Inquiry, missing: Missing) -> SignalVerdict:
    return SignalVerdict(
        inquiry.name,
        inquiry.arm,
        inquiry.pillar,
        Verdict.UNKNOWN,
        missing.why,
        missing.reason.value,
        reports=inquiry.reports,
    )


def _remember(inquiry: Inquiry, history: History, at: float, *, broken: bool) -> History:
    if at <= history.newest:
        return history
    outcomes = (*history.outcomes, broken)[-inquiry.looks :]
    return History(
        outcomes,
        at,
        history.clean_at if broken else at,
        (history.broken_at or at) if broken else None,
        _persistent(outcomes, inquiry, history.verdict),
        history.state,
        history.until,
        history.usual,
    )


def _persistent(outcomes: tuple[bool, ...], inquiry: Inquiry, before: Verdict) -> Verdict:
    broken = sum(outcomes)
    if broken >= inquiry.breaches:
        return Verdict.BREACHED
    if not broken:
        return Verdict.HEALTHY
    if before is Verdict.UNKNOWN and len(outcomes) == inquiry.looks:
        return Verdict.HEALTHY
    return before


_Rhythm = tuple[tuple[float, ...], float | None]


def _rhythms(sights: Sequence[Sight], counted: Tally) -> Iterator[_Rhythm]:
    """Yield, by monitor, the newest scrape of each target and the distance between scrapes."""
    scraped, interval = counted.scraped.tolist(), counted.interval.tolist()
    first_target = counted.first_target.tolist()
    place = 0
    for sight in sights:
        begin = place
        place += sum(inquiry.raw for inquiry in sight.inquiries.values())
        times = set(scraped[first_target[begin] : first_target[place]])
        every = min(interval[begin:place], default=math.inf)
        yield tuple(times - {-math.inf}), every if every < math.inf else None


def _look(sight: Sight, outcomes: Iterable[_Outcome], rhythm: _Rhythm) -> Look:
    verdicts, histories = zip(*outcomes, strict=True) if sight.inquiries else ((), ())
    remembered = dict(zip(sight.inquiries, histories, strict=True))
    return Look(verdicts, MappingProxyType(remembered), *rhythm)
