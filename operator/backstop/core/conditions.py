"""From problems and verdicts to the conditions of a monitor.

``Ready`` is True when Backstop can see and act; the health of the model is ``Healthy``. Abnormal
conditions are present only while they are true. A transition time changes only with the status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backstop.api.conditions import Condition, ConditionType, Reason
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Verdict
from backstop.core.measurement import UnknownReason
from backstop.core.verdicts import SignalVerdict


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps Backstop from seeing or acting, and what to change.

    ``stalled`` tells that nothing will change by itself: a person has to.
    """

    condition: ConditionType
    reason: Reason
    message: str
    stalled: bool = False


_GOOD: Mapping[ConditionType, tuple[Reason, str]] = {
    ConditionType.METRICS_AVAILABLE: (Reason.READABLE, "the metrics source answers"),
    ConditionType.TARGET_FOUND: (Reason.FOUND, "the target exists"),
    ConditionType.ROUTE_READY: (Reason.FOUND, "the route lists the Services of this monitor"),
}


def metric_problems(verdicts: Iterable[SignalVerdict]) -> list[Problem]:
    """Return what is wrong with the metrics source or with the queries themselves."""
    problems: list[Problem] = []
    for verdict in verdicts:
        said = f"signal {verdict.name} on {verdict.arm}: {verdict.why}"
        if verdict.reason == UnknownReason.SOURCE_DOWN:
            down = Problem(ConditionType.METRICS_AVAILABLE, Reason.SOURCE_DOWN, verdict.why)
            problems.append(down)
        elif verdict.reason == UnknownReason.BAD_QUERY:
            bad = Problem(ConditionType.METRICS_AVAILABLE, Reason.INVALID_QUERY, said, stalled=True)
            problems.append(bad)
    return problems


def summarize(
    status: ModelMonitorStatus,
    problems: Iterable[Problem],
    *,
    monitor: str,
    generation: int,
    has_route: bool,
    now: float,
) -> ModelMonitorStatus:
    """Return ``status`` of ``monitor`` with its conditions; those without a problem are good."""
    by_type: dict[ConditionType, Problem] = {}
    for problem in sorted(problems, key=lambda one: not one.stalled):
        by_type.setdefault(problem.condition, problem)
    wanted = _wanted(status, by_type, monitor, has_route=has_route)
    known = {condition.type: condition for condition in status.conditions}
    conditions = [
        _transition(known.get(kind), kind, value, reason, message, generation, now)
        for kind, (value, reason, message) in wanted.items()
    ]
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})


_Wanted = dict[ConditionType, tuple[str, Reason, str]]


def _wanted(
    status: ModelMonitorStatus,
    problems: Mapping[ConditionType, Problem],
    monitor: str,
    *,
    has_route: bool,
) -> _Wanted:
    first = next(iter(problems.values()), None)
    wanted: _Wanted = {ConditionType.READY: ("True", Reason.WATCHING, "all signals are watched")}
    if first is not None:
        wanted[ConditionType.READY] = ("False", first.reason, first.message)
    wanted[ConditionType.HEALTHY] = _health(status.verdict)
    for kind, (reason, message) in _GOOD.items():
        if kind is ConditionType.ROUTE_READY and not has_route:
            continue
        problem = problems.get(kind)
        good = ("True", reason, message)
        wanted[kind] = ("False", problem.reason, problem.message) if problem else good
    if status.approval is not None:
        asked = status.approval
        said = f"{asked.step} waits: backstop approve {monitor} {asked.id}"
        wanted[ConditionType.HELD] = ("True", Reason.APPROVAL_NEEDED, said)
    elif status.held:
        wanted[ConditionType.HELD] = ("True", Reason.ACTION_HELD, status.held)
    stalled = next((problem for problem in problems.values() if problem.stalled), None)
    if stalled is not None:
        wanted[ConditionType.STALLED] = ("True", stalled.reason, stalled.message)
    elif status.action is not None:
        message = f"{status.action.step} on {status.action.subject}"
        wanted[ConditionType.RECONCILING] = ("True", Reason.ACTION_UNDER_WAY, message)
    return wanted


def _health(verdict: Verdict) -> tuple[str, Reason, str]:
    return {
        Verdict.HEALTHY: ("True", Reason.HEALTHY, "every signal of the target holds"),
        Verdict.BREACHED: ("False", Reason.BREACHED, "a signal of the target is breached"),
        Verdict.UNKNOWN: ("Unknown", Reason.UNKNOWN, "a signal of the target has no verdict"),
    }[verdict]


def _transition(
    known: Condition | None,
    kind: ConditionType,
    value: str,
    reason: Reason,
    message: str,
    generation: int,
    now: float,
) -> Condition:
    changed = known is None or known.status != value
    return Condition.model_validate(
        {
            "type": kind.value,
            "status": value,
            "reason": reason.value,
            "message": message[:2048],
            "observed_generation": generation,
            "last_transition_time": now if changed or known is None else known.last_transition_time,
        }
    )
