"""What happened since a fault was injected, and what a scenario asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backstop.api.incident import IncidentStatus
from backstop.api.words import ActionState, StepKind
from backstop_lab.demo.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a scenario must show. `broken` means that waiting longer cannot help."""

    says: str
    met: bool
    broken: bool = False


@dataclass(slots=True)
class Story:
    """The cluster before the fault was injected (at `injected`, Unix seconds), and ever since."""

    injected: float
    before: Snapshot
    since: list[Snapshot] = field(default_factory=list)

    @property
    def now(self) -> Snapshot:
        """The newest snapshot."""
        return self.since[-1] if self.since else self.before

    @property
    def incident(self) -> IncidentStatus | None:
        """The first incident that was detected after the injection."""
        found = [
            seen.status
            for seen in self.now.incidents
            if seen.status.detected.timestamp() >= self.injected
        ]
        return min(found, key=lambda one: one.detected, default=None)

    def has_done(self, step: StepKind) -> bool:
        """Return whether the incident has an action `step` that was carried out."""
        done = (ActionState.APPLIED, ActionState.VERIFIED)
        actions = self.incident.actions if self.incident else ()
        return any(action.step is step and action.state in done for action in actions)

    def lasted(self, seconds: float) -> bool:
        """Return whether the injection was at least `seconds` ago."""
        return self.now.at - self.injected >= seconds


def invariant(says: str, *, holds: bool) -> Check:
    """Return a check that must hold at all times."""
    return Check(says, met=holds, broken=not holds)


def unmet(checks: Sequence[Check]) -> list[str]:
    """Return what is missing, in words."""
    return [check.says for check in checks if not check.met]


def unix(moment: datetime | None) -> float | None:
    """Return Unix seconds, or None."""
    return None if moment is None else moment.timestamp()
