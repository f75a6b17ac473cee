"""A backtest in a terminal: verdicts over time as characters, incidents as a table, a summary.

Nothing depends on colour or on characters beyond ASCII, so a log file shows the same.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from backstop.api.words import Arm, Severity
from backstop.cli.backtest_input import said
from backstop.core.backtest_report import (
    Assessment,
    Finding,
    ReplayedIncident,
    Report,
    SignalTrack,
)
from backstop.core.units import say_seconds, say_share

NARROWEST: Final = 80
"""Fewer columns than this are not drawn for."""

LEGEND: Final = ". healthy   # breached   ? unknown   (empty: no look)"
_LONGEST_LABEL: Final = 24
_TICK: Final = 16
_DAY, _MINUTES = 86_400.0, 600.0
_MANY: Final = 9
_WORTH_SAYING: Final = 0.001


def lines(report: Report, width: int) -> Iterator[str]:
    """Yield the lines of the whole report, at most ``width`` characters each."""
    width = max(NARROWEST, width)
    yield from _wrapped(_headline(report), width)
    yield ""
    yield from chart(report, width)
    yield ""
    yield from _table(report, width)
    yield from (line for one in summary(report) for line in _wrapped(one, width))


def _headline(report: Report) -> str:
    span = report.span
    return (
        f"ModelMonitor {report.namespace}/{report.monitor}: {said(span.begin)} to {said(span.end)}"
        f" UTC ({_long(span.end - span.begin)}), {span.looks:,} looks, one every"
        f" {say_seconds(span.step)}"
    )


def chart(report: Report, width: int) -> Iterator[str]:
    """Yield a row for each signal that was ever measured, with the incidents below."""
    shown = [one for one in report.tracks if one.arm is Arm.TARGET or _was_measured(one)]
    names = [_label(one) for one in shown]
    room = min(_LONGEST_LABEL, max(len(name) for name in (*names, "known faults"))) + 2
    columns = width - room

    def row(name: str, cells: str) -> str:
        return f"{_cut(name, room - 2):<{room}}{cells}".rstrip()

    yield row("", _axis(report, columns))
    for name, one in zip(names, shown, strict=True):
        yield row(name, _verdicts(one, columns))
    yield row("incidents", _marks(report, columns))
    if report.outcomes is not None:
        spans = [(one.fault.begin, one.fault.end) for one in report.outcomes]
        yield row("known faults", _spans(report, spans, columns, "x"))
    yield f"{'':<{room}}{LEGEND}"


def _was_measured(track: SignalTrack) -> bool:
    return any(track.healthy) or any(track.breached)


def _label(track: SignalTrack) -> str:
    return track.name if track.arm is Arm.TARGET else f"{track.name} (candidate)"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 2]}.."


def _verdicts(track: SignalTrack, columns: int) -> str:
    bins = len(track.healthy)
    cells = []
    for column in range(columns):
        first = column * bins // columns
        part = slice(first, max(first + 1, (column + 1) * bins // columns))
        healthy, breached, unknown = (
            sum(counts[part]) for counts in (track.healthy, track.breached, track.unknown)
        )
        if breached:
            cells.append("#")
        elif unknown > healthy:
            cells.append("?")
        else:
            cells.append("." if healthy else " ")
    return "".join(cells)


def _column(report: Report, at: float, columns: int) -> int:
    span = report.span
    share = (at - span.begin) / max(span.step, span.end - span.begin)
    return min(columns - 1, max(0, math.floor(share * columns)))


def _spans(report: Report, spans: Sequence[tuple[float, float]], columns: int, mark: str) -> str:
    cells = [" "] * columns
    for begin, end in spans:
        first, last = (_column(report, at, columns) for at in (begin, end))
        cells[first : last + 1] = mark * (last + 1 - first)
    return "".join(cells)


def _marks(report: Report, columns: int) -> str:
    spans = [
        (one.detected, report.span.end if one.ended is None else one.ended)
        for one in report.incidents
    ]
    cells = list(_spans(report, spans, columns, "="))
    # From the last to the first: where two begin in one column, the earlier one is named.
    for number in range(len(spans), 0, -1):
        mark = str(number) if number <= _MANY else "+"
        cells[_column(report, spans[number - 1][0], columns)] = mark
    return "".join(cells)


def _axis(report: Report, columns: int) -> str:
    span = report.span
    lasts = span.end - span.begin
    form = "%H:%M:%S" if lasts <= _MINUTES else "%H:%M" if lasts <= _DAY else "%m-%d %H:%M"
    ticks = max(1, columns // _TICK)
    cells = [" "] * columns
    for number in range(ticks):
        place = number * columns // ticks
        at = span.begin + lasts * place / columns
        text = f"|{datetime.fromtimestamp(at, tz=UTC).strftime(form)}"[: columns - place]
        cells[place : place + len(text)] = text
    return "".join(cells)


_COLUMNS: Final = (("#", 3), ("detected (UTC)", 19), ("lasted", 8), ("cause", 14))
_HEAD: Final = (*_COLUMNS, ("first step", 12), ("saved", 13))


def _table(report: Report, width: int) -> Iterator[str]:
    if not report.incidents:
        return
    yield _cells([name for name, _ in _HEAD])
    for number, one in enumerate(report.incidents, start=1):
        lasted = "not over" if one.ended is None else say_seconds(one.ended - one.detected)
        saved = "not countable" if one.saved is None else f"{one.saved:,.0f}"
        cells = (str(number), said(one.detected), lasted, one.cause, _first(one))
        yield _cells([*cells, saved if one.acts else "-"])
        yield from _wrapped(f"{one.why}. {_assessed(one, report)}".strip(), width, indent=4)
    yield ""


def _cells(texts: Sequence[str]) -> str:
    padded = (f"{text:<{size}}" for text, (_, size) in zip(texts, _HEAD, strict=True))
    return " ".join(padded).rstrip()


def _first(one: ReplayedIncident) -> str:
    if one.step is not None:
        return one.step.value
    return "report only" if one.severity is Severity.P2 else "nothing"


def _assessed(one: ReplayedIncident, report: Report) -> str:
    match one.assessment:
        case Assessment.CONFIRMED:
            return f"Known fault: {', '.join(one.faults)}."
        case Assessment.WRONG:
            return "WRONG: no known fault at this time."
        case Assessment.DOUBTFUL:
            return (
                "DOUBTFUL: the breach ended by itself within"
                f" {say_seconds(report.brief)} of the decision."
            )
        case Assessment.NOT_JUDGED:
            return "No known fault at this time." if report.outcomes is not None else ""


def summary(report: Report) -> Iterator[str]:
    """Yield the sentences at the end: what would have been done, and what is not known."""
    yield _counted(report)
    yield from _known(report) if report.outcomes is not None else _unknown_truth(report)
    yield from _unread(report)
    yield (
        "Not judged: releases and rollbacks, as a record of metrics does not know revisions, so"
        " each counts as not new; and what the fallback would have answered, as it had no traffic."
        " The record goes on as it was, so an incident ends when its signals are healthy again by"
        " themselves."
    )


def _counted(report: Report) -> str:
    number, acting = len(report.incidents), len(report.acting)
    if number == 0:
        return "No incident: the monitor would have done nothing."
    counted = f"{number} incident{'s' * (number != 1)}; in {acting} Backstop would have acted"
    if acting == 0:
        return f"{counted}."
    if report.saved is None:
        return f"{counted}. Requests saved: not countable from the signals that were breached."
    return (
        f"{counted}. About {report.saved:,.0f} bad requests would have been spared, counted from"
        f" {say_seconds(report.reaction)} after each decision to the end of its incident."
    )


def _known(report: Report) -> Iterator[str]:
    outcomes = report.outcomes or ()
    acted = report.found(Finding.ACTED)
    yield (
        f"Wrong: {report.assessed(Assessment.WRONG)} times. Known faults: {len(outcomes)}, acted on"
        f" {acted}, only noticed {report.found(Finding.NOTICED)}, missed"
        f" {report.found(Finding.MISSED)}."
    )
    for one in outcomes:
        if one.finding is Finding.MISSED:
            yield f"Missed: {one.fault.name} at {said(one.fault.begin)} UTC."


def _unknown_truth(report: Report) -> Iterator[str]:
    doubtful = report.assessed(Assessment.DOUBTFUL)
    if not report.acting:
        return
    yield (
        f"Doubtful: {doubtful} of {len(report.acting)}, where the breach ended by itself within"
        f" {say_seconds(report.brief)} of the decision. Whether an action would have been wrong is"
        " not known: name the real faults with --known FILE."
    )


def _unread(report: Report) -> Iterator[str]:
    late = report.span.begin + report.span.step
    if report.first_sample is not None and report.first_sample > late:
        yield f"The record begins at {said(report.first_sample)} UTC."
    for track in report.tracks:
        looks = sum(track.healthy) + sum(track.breached) + sum(track.unknown)
        if track.arm is Arm.CANDIDATE and not _was_measured(track):
            yield f"{_label(track)}: never measured ({_reasons(track)})."
        elif sum(track.unknown) >= _WORTH_SAYING * looks:
            share = say_share(sum(track.unknown) / looks)
            yield f"{_label(track)}: no verdict in {share} of looks ({_reasons(track)})."
    if report.gaps:
        lost = sum(gap.end - gap.begin for gap in report.gaps)
        yield (
            f"Could not be read: {len(report.gaps)} gaps, {_long(lost)} in all, counted as Unknown;"
            f" the first because {report.gaps[0].why}."
        )


def _reasons(track: SignalTrack) -> str:
    ordered = sorted(track.reasons.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered) or "no look"


def _long(lasts: float) -> str:
    return f"{lasts / _DAY:.3g} d" if lasts >= _DAY else say_seconds(lasts)


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(text, width, initial_indent=pad, subsequent_indent=pad)
