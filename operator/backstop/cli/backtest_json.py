"""A backtest as JSON. The form is documented in docs/backtest.md and only ever grows."""

import math
from datetime import UTC, datetime
from typing import Any, Final

from backstop.core.backtest_report import (
    Assessment,
    Finding,
    ReplayedIncident,
    Report,
    SignalTrack,
)

SCHEMA: Final = "backstop.dev/backtest/v1"
NOT_JUDGED: Final = (
    "releases and rollbacks: a record of metrics does not know revisions, each counts as not new",
    "what the fallback would have answered: it had no traffic",
)


def as_json(report: Report) -> dict[str, Any]:
    """Return ``report`` as JSON values; times are ISO 8601 in UTC, durations are seconds."""
    return {
        "schema": SCHEMA,
        "monitor": {"namespace": report.namespace, "name": report.monitor},
        "begin": _time(report.span.begin),
        "end": _time(report.span.end),
        "stepSeconds": report.span.step,
        "looks": report.span.looks,
        "reactionSeconds": report.reaction,
        "briefSeconds": report.brief,
        "firstSample": _time(report.first_sample),
        "summary": _summary(report),
        "incidents": [_incident(n, one) for n, one in enumerate(report.incidents, start=1)],
        "knownFaults": _faults(report),
        "signals": [_signal(one, report) for one in report.tracks],
        "gaps": [
            {"query": one.query, "begin": _time(one.begin), "end": _time(one.end), "why": one.why}
            for one in report.gaps
        ],
        "notJudged": list(NOT_JUDGED),
    }


def _summary(report: Report) -> dict[str, Any]:
    known = report.outcomes is not None
    return {
        "incidents": len(report.incidents),
        "acting": len(report.acting),
        "wrong": report.assessed(Assessment.WRONG) if known else None,
        "doubtful": None if known else report.assessed(Assessment.DOUBTFUL),
        "missed": report.found(Finding.MISSED) if known else None,
        "saved": _count(report.saved),
    }


def _incident(number: int, one: ReplayedIncident) -> dict[str, Any]:
    return {
        "number": number,
        "cause": one.cause.value,
        "severity": one.severity.value,
        "arm": one.arm.value,
        "onset": _time(one.onset),
        "detected": _time(one.detected),
        "ended": _time(one.ended),
        "step": one.step.value if one.step else None,
        "decided": _time(one.decided),
        "saved": _count(one.saved),
        "assessment": one.assessment.value,
        "faults": list(one.faults),
        "signals": list(one.signals),
        "why": one.why,
        "evidence": list(one.evidence),
    }


def _faults(report: Report) -> list[dict[str, Any]] | None:
    if report.outcomes is None:
        return None
    return [
        {
            "name": one.fault.name,
            "from": _time(one.fault.begin),
            "to": _time(one.fault.end),
            "finding": one.finding.value,
        }
        for one in report.outcomes
    ]


def _signal(one: SignalTrack, report: Report) -> dict[str, Any]:
    low, high = one.allowed or (-math.inf, math.inf)
    return {
        "name": one.name,
        "arm": one.arm.value,
        "pillar": one.pillar.value,
        "reports": one.reports,
        "unit": one.unit.value,
        "min": low if math.isfinite(low) else None,
        "max": high if math.isfinite(high) else None,
        "unknownReasons": dict(one.reasons),
        "bins": {
            "seconds": report.span.looks * report.span.step / max(1, len(one.healthy)),
            "healthy": list(one.healthy),
            "breached": list(one.breached),
            "unknown": list(one.unknown),
            "low": list(one.low),
            "high": list(one.high),
        },
    }


def _time(at: float | None) -> str | None:
    if at is None:
        return None
    text = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _count(number: float | None) -> int | None:
    return None if number is None else round(number)
