"""Snapshots, incidents and results as the demo would have seen them, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from backstop.api.incident import IncidentStatus
from backstop.api.status import ModelMonitorStatus
from backstop_lab.demo.records import Tally
from backstop_lab.demo.results import Moments, Result
from backstop_lab.demo.snapshot import IncidentSeen, Snapshot

INJECTED = 1_000.0
ALL_TO_TARGET = {"ranker": 100, "ranker-candidate": 0, "ranker-simple": 0}
ALL_TO_FALLBACK = {"ranker": 0, "ranker-candidate": 0, "ranker-simple": 100}


def moment(seconds: float) -> datetime:
    """Return the time `seconds` after the injection."""
    return datetime.fromtimestamp(INJECTED + seconds, tz=UTC)


def action(step: str, *, state: str = "Applied") -> dict[str, Any]:
    """Return an action of an incident."""
    return {
        "id": step,
        "step": step,
        "state": state,
        "subject": "x",
        "plannedAt": moment(2),
        "message": "not in effect" if state == "Failed" else "",
    }


def incident(**changes: Any) -> IncidentSeen:
    """Return an incident that was detected two seconds after the injection."""
    mode = changes.pop("mode", "Act")
    status = {
        "name": "ranker-1",
        "phase": "Open",
        "cause": "release",
        "severity": "P1",
        "arm": "target",
        "onset": moment(1),
        "detected": moment(2),
        "why": "errors 30 %",
        **changes,
    }
    return IncidentSeen(mode, IncidentStatus.model_validate(status))


def snapshot(
    after: float,
    *incidents: IncidentSeen,
    weights: dict[str, int] | None = None,
    version: str = "v1",
    rolled_out: bool = True,
    **status: Any,
) -> Snapshot:
    """Return what stood in the cluster `after` seconds after the injection."""
    return Snapshot(
        at=INJECTED + after,
        weights=MappingProxyType(ALL_TO_TARGET if weights is None else weights),
        template=f"template of {version}",
        version=version,
        rolled_out=rolled_out,
        monitor=ModelMonitorStatus.model_validate({"verdict": "Healthy", **status}),
        incidents=incidents,
    )


def result(**changes: Any) -> Result:
    """Return the result of a bad release that was caught."""
    values: dict[str, Any] = {
        "scenario": "bad-release",
        "title": "Bad release",
        "mode": "Act",
        "lasted": 20.0,
        "moments": Moments(began=8.0, detected=9.5, mitigated=9.6, repaired=14.0, resolved=18.0),
        "requests": Tally(2000, 40),
        "error_ratio": [(-0.5, 0.0), (8.5, 0.3), (12.0, 0.0)],
        "weights": [(-3.0, ALL_TO_TARGET), (9.7, ALL_TO_FALLBACK), (18.0, ALL_TO_TARGET)],
        "verdicts": [(-1.0, "Healthy"), (9.5, "Breached"), (14.0, "Healthy")],
        "why": "errors 30 %",
        "notes": [(9.6, "circuit opened | weights moved")],
        **changes,
    }
    return Result(**values)
