"""What one scenario came to, as plain data; the report and the charts need nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from backstop_lab.demo.records import (
    Record,
    Tally,
    first_failure,
    ratio_over_time,
    tally,
)
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Story, unix

_T = TypeVar("_T")

BIN_SECONDS = 0.5
"""Width of a point in the charts."""

BEFORE_SECONDS = 1.0
"""How much of the time before the injection the charts show."""


@dataclass(frozen=True, slots=True)
class Moments:
    """When what happened, in seconds after the injection; None where it did not.

    `began` is when the first request failed that failed at all.
    """

    began: float | None = None
    detected: float | None = None
    mitigated: float | None = None
    repaired: float | None = None
    resolved: float | None = None

    def after_onset(self, moment: float | None) -> float | None:
        """Return `moment` in seconds after the first failure, or without one the injection."""
        return None if moment is None else moment - (self.began or 0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario in one mode. All times are in seconds after the injection."""

    scenario: str
    title: str
    mode: str
    lasted: float
    moments: Moments
    requests: Tally
    error_ratio: list[tuple[float, float]]
    weights: list[tuple[float, dict[str, int]]]
    verdicts: list[tuple[float, str]]
    why: str = ""
    unmet: list[str] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def ended_well(self) -> bool:
        """Whether all that the scenario asks for was seen."""
        return not self.unmet

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `dump` wrote."""
        return cls(
            **{
                **data,
                "moments": Moments(**data["moments"]),
                "requests": Tally(**data["requests"]),
                "error_ratio": [(at, ratio) for at, ratio in data["error_ratio"]],
                "weights": [(at, weights) for at, weights in data["weights"]],
                "verdicts": [(at, verdict) for at, verdict in data["verdicts"]],
                "notes": [(at, text) for at, text in data["notes"]],
            }
        )


def conclude(
    *,
    scenario: str,
    title: str,
    mode: str,
    story: Story,
    records: Sequence[Record],
    detected: float | None,
    unmet: Sequence[str],
    notes: Sequence[tuple[float, str]],
) -> Result:
    """Sum up a scenario. `detected` and the times of `notes` are Unix seconds."""
    begin, end = story.injected, story.now.at
    return Result(
        scenario=scenario,
        title=title,
        mode=mode,
        lasted=end - begin,
        moments=_moments(story, first_failure(records, begin), detected),
        requests=tally(records, begin, end),
        error_ratio=_shifted(ratio_over_time(records, begin - BEFORE_SECONDS, end, BIN_SECONDS)),
        weights=_changes(story, lambda snapshot: dict(snapshot.weights)),
        verdicts=_changes(story, lambda snapshot: snapshot.monitor.verdict.value),
        why=story.incident.why if story.incident else _why_unknown(story),
        unmet=list(unmet),
        notes=[(at - begin, text) for at, text in notes],
    )


def _moments(story: Story, began: float | None, detected: float | None) -> Moments:
    moments = [began, detected]
    if story.incident is not None:
        times = (story.incident.mitigated, story.incident.repaired, story.incident.resolved)
        moments += [unix(time) for time in times]
    return Moments(*(None if at is None else at - story.injected for at in moments))


def dump(results: Sequence[Result], path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps([asdict(result) for result in results], indent=1))


def load(path: Path) -> list[Result]:
    """Read the results that `dump` wrote."""
    return [Result.from_json(data) for data in json.loads(path.read_text())]


def _shifted(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(at - BEFORE_SECONDS, ratio) for at, ratio in points]


def _changes(story: Story, read: Callable[[Snapshot], _T]) -> list[tuple[float, _T]]:
    """Return what `read` finds at the injection and at each change."""
    changes = [(-BEFORE_SECONDS, read(story.before))]
    for snapshot in story.since:
        if read(snapshot) != changes[-1][1]:
            changes.append((snapshot.at - story.injected, read(snapshot)))
    return changes


def _why_unknown(story: Story) -> str:
    unknown = (s.monitor.why for s in story.since if s.monitor.verdict == "Unknown")
    return next(unknown, "")
