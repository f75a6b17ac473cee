"""Conditions as Kubernetes tools read them: abnormal ones only while true, times that mean it."""

import pytest
from tests.core.build import T0, action, status, verdict

from backstop.api.conditions import ConditionType, Reason
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import StepKind, Verdict
from backstop.core.conditions import Problem, metric_problems, summarize

DOWN = Problem(ConditionType.METRICS_AVAILABLE, Reason.SOURCE_DOWN, "connection refused")
BAD = Problem(ConditionType.METRICS_AVAILABLE, Reason.INVALID_QUERY, "parse error", stalled=True)
LOST = Problem(ConditionType.TARGET_FOUND, Reason.TARGET_NOT_FOUND, "Deployment/fraud is missing")
ROUTE = Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_FOUND, "HTTPRoute/fraud is missing")
INVALID = Problem(ConditionType.READY, Reason.INVALID_SPEC, "spec.mode: wrong", stalled=True)


def summary(
    known: ModelMonitorStatus | None = None,
    *problems: Problem,
    generation: int = 1,
    has_route: bool = True,
    now: float = T0,
) -> ModelMonitorStatus:
    """Return the status with its conditions."""
    return summarize(
        known or status(),
        problems,
        monitor="fraud",
        generation=generation,
        has_route=has_route,
        now=now,
    )


def shown(found: ModelMonitorStatus) -> dict[str, tuple[str, str]]:
    """Status and reason by type."""
    return {one.type: (one.status, one.reason) for one in found.conditions}


ALL_GOOD = {
    "Ready": ("True", "Watching"),
    "Healthy": ("Unknown", "Unknown"),
    "MetricsAvailable": ("True", "Readable"),
    "TargetFound": ("True", "Found"),
    "RouteReady": ("True", "Found"),
}


def test_without_problems_everything_is_ready():
    """No abnormal condition is present, not even as False."""
    assert shown(summary()) == ALL_GOOD


def test_without_a_route_nothing_is_said_about_one():
    """Not even when something about routes is wrong."""
    assert "RouteReady" not in shown(summary(None, ROUTE, has_route=False))


@pytest.mark.parametrize(
    ("problems", "changed"),
    [
        ([DOWN], {"Ready": ("False", "SourceDown"), "MetricsAvailable": ("False", "SourceDown")}),
        (
            [LOST, DOWN],
            {
                "Ready": ("False", "TargetNotFound"),
                "TargetFound": ("False", "TargetNotFound"),
                "MetricsAvailable": ("False", "SourceDown"),
            },
        ),
        (
            [ROUTE],
            {"Ready": ("False", "RouteNotFound"), "RouteReady": ("False", "RouteNotFound")},
        ),
        ([INVALID], {"Ready": ("False", "InvalidSpec"), "Stalled": ("True", "InvalidSpec")}),
        (
            [DOWN, BAD],
            {
                "Ready": ("False", "InvalidQuery"),
                "MetricsAvailable": ("False", "InvalidQuery"),
                "Stalled": ("True", "InvalidQuery"),
            },
        ),
    ],
)
def test_a_problem_is_shown_where_it_is_and_at_the_top(problems, changed):
    """Ready says the first one, those that need a person before the others."""
    assert shown(summary(None, *problems)) == {**ALL_GOOD, **changed}


def test_a_stalled_monitor_is_not_reconciling():
    """Nothing changes by itself there, whatever was under way."""
    under_way = status(action=action(StepKind.ROLLBACK, subject="Deployment/fraud"))
    found = summary(under_way)
    assert shown(found)["Reconciling"] == ("True", "ActionUnderWay")
    assert found.conditions[-1].message == "rollback on Deployment/fraud"
    assert "Reconciling" not in shown(summary(under_way, BAD))
    assert "Stalled" not in shown(found)


@pytest.mark.parametrize(
    ("outcome", "value"),
    [(Verdict.HEALTHY, "True"), (Verdict.BREACHED, "False"), (Verdict.UNKNOWN, "Unknown")],
)
def test_health_is_the_models_and_readiness_is_ours(outcome: Verdict, value: str):
    """A breached model does not make its monitor unready."""
    found = shown(summary(status(verdict=outcome)))
    assert found["Healthy"] == (value, outcome.value)
    assert found["Ready"] == ("True", "Watching")


def test_abnormal_conditions_go_when_they_are_over():
    """They are absent, not False."""
    found = summary(summary(None, BAD), now=T0 + 5)
    assert shown(found) == ALL_GOOD


def test_a_transition_time_changes_only_with_the_status():
    """Another reason or message for the same status is no transition."""
    first = summary(None, DOWN)
    second = summary(first, BAD, now=T0 + 5)
    third = summary(second, now=T0 + 9)
    times = [
        {one.type: one.last_transition_time.timestamp() - T0 for one in found.conditions}
        for found in (first, second, third)
    ]
    assert [one["MetricsAvailable"] for one in times] == [0, 0, 9]
    assert [one["TargetFound"] for one in times] == [0, 0, 0]
    assert times[1]["Stalled"] == 5


def test_nothing_changes_while_nothing_changes():
    """The same problems later give the same status, so that nothing is written."""
    first = summary(None, LOST, now=T0)
    assert summary(first, LOST, now=T0 + 60) == first


def test_conditions_tell_which_spec_they_are_about():
    """All of them and the status carry the generation; that alone is no transition."""
    found = summary(summary(), generation=7, now=T0 + 60)
    assert found.observed_generation == 7
    assert {one.observed_generation for one in found.conditions} == {7}
    assert {one.last_transition_time.timestamp() for one in found.conditions} == {T0}


def test_a_message_is_never_too_long_to_store():
    """It is cut, not refused."""
    long = Problem(ConditionType.TARGET_FOUND, Reason.FORBIDDEN, "x" * 5000)
    found = {one.type: one.message for one in summary(None, long).conditions}
    assert len(found["TargetFound"]) == 2048


def test_conditions_of_nobody_go():
    """Types that Backstop does not show are dropped, so that none stays forever."""
    stray = {"type": "Strange", "status": "True", "reason": "Old", "last_transition_time": T0}
    assert shown(summary(status(conditions=[stray]))) == ALL_GOOD


def test_what_keeps_a_signal_from_being_read_is_a_problem():
    """A source that is down mends itself; a query has to be changed by a person."""
    found = metric_problems(
        [
            verdict("a", Verdict.UNKNOWN, reason="SourceDown", why="connection refused"),
            verdict("b", Verdict.UNKNOWN, reason="BadQuery", why="parse error"),
            verdict("c", Verdict.UNKNOWN, reason="NoData"),
            verdict("d", Verdict.HEALTHY),
        ]
    )
    assert found == [
        DOWN,
        Problem(
            ConditionType.METRICS_AVAILABLE,
            Reason.INVALID_QUERY,
            "signal b on target: parse error",
            stalled=True,
        ),
    ]


def test_what_an_action_waits_for_is_a_condition_while_it_waits():
    """An approval with the command that gives it, else the brake that holds."""
    asked = {"id": "a1", "step": "rollback", "asked": T0, "expires": T0 + 60}
    waiting = summarize(
        status(approval=asked, held="x"), [], monitor="fraud", generation=1, has_route=False, now=T0
    )
    assert _held(waiting) == ("ApprovalNeeded", "rollback waits: backstop approve fraud a1")
    held = summarize(
        status(held="maintenance"), [], monitor="fraud", generation=1, has_route=False, now=T0
    )
    assert _held(held) == ("ActionHeld", "maintenance")
    assert (
        _held(summarize(status(), [], monitor="fraud", generation=1, has_route=False, now=T0))
        is None
    )


def _held(found):
    seen = [one for one in found.conditions if one.type == "Held"]
    return (seen[0].reason, seen[0].message) if seen else None
