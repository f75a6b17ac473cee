"""The table at the end and the report: a pure function of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from backstop_lab.demo.records import Tally
from backstop_lab.demo.results import Result

HEADINGS = (
    "fault",
    "detected after",
    "mitigated after",
    "repaired after",
    "resolved after",
    "failed with Backstop",
    "failed without",
)
_NOTHING = "-"
_INTRODUCTION = (
    "100 requests/s through the gateway. Times count from the first request that failed; "
    "*without* is the same sequence of faults with `mode: Observe`, each for as long as it lasted "
    "with Backstop, and repaired by hand then."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A scenario with Backstop, and the same without it where that was measured."""

    acted: Result
    observed: Result | None


def pairs(played: Sequence[Result]) -> list[Pair]:
    """Return the scenarios in the order in which they were played."""
    observed = {result.scenario: result for result in played if result.mode == "Observe"}
    return [
        Pair(result, observed.get(result.scenario)) for result in played if result.mode == "Act"
    ]


def row(pair: Pair) -> tuple[str, ...]:
    """Return the cells of a scenario. Times count from the first failed request."""
    moments = pair.acted.moments
    times = (moments.detected, moments.mitigated, moments.repaired, moments.resolved)
    return (
        pair.acted.title,
        *(_seconds(moments.after_onset(time)) for time in times),
        _failed(pair.acted.requests),
        _failed(pair.observed.requests) if pair.observed else "not measured",
    )


def terminal_table(played: Sequence[Result]) -> Table:
    """Return the table for the terminal."""
    table = Table(*HEADINGS, title="Times count from the first request that failed")
    for pair in pairs(played):
        style = "" if pair.acted.ended_well else "red"
        table.add_row(*row(pair), style=style)
    return table


def markdown(played: Sequence[Result], pictures: Mapping[str, str]) -> str:
    """Return the report. `pictures` holds the file name of the chart of each scenario."""
    parts = [
        "# What Backstop did in the demo",
        _INTRODUCTION,
        _markdown_table(played),
    ]
    for pair in pairs(played):
        parts += _section(pair, pictures.get(pair.acted.scenario))
    return "\n\n".join(parts) + "\n"


def write(played: Sequence[Result], pictures: Mapping[str, str], path: Path) -> None:
    """Write the report."""
    path.write_text(markdown(played, pictures))


def _markdown_table(played: Sequence[Result]) -> str:
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(row(pair) for pair in pairs(played))]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in rows)


def _section(pair: Pair, picture: str | None) -> list[str]:
    acted = pair.acted
    parts = [f"## {acted.title}"]
    if not acted.ended_well:
        missing = "".join(f"\n- not seen: {text}" for text in acted.unmet)
        parts.append(f"**Did not end well.**\n{missing}")
    if picture:
        parts.append(f"![{acted.title}]({picture})")
    if acted.why:
        parts.append(f"> {acted.why}")
    lines = "".join(f"\n| {at:.1f} s | {_cell(text)} |" for at, text in acted.notes)
    parts.append(f"| after the injection | |\n| ---: | --- |{lines}")
    return parts


def _seconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1f} s"


def _failed(tally: Tally) -> str:
    return f"{tally.failed:,} of {tally.requests:,}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
