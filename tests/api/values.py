"""A status in which everything is set, for the tests that must lose nothing of it."""

from datetime import UTC, datetime
from typing import Final

from backstop.api.status import (
    Action,
    Approval,
    CandidateStatus,
    CircuitStatus,
    Condition,
    Episode,
    ModelMonitorStatus,
    Revision,
    RevisionsStatus,
    SignalStatus,
    StepProgress,
)
from backstop.api.words import (
    ActionState,
    Arm,
    Cause,
    CircuitPhase,
    Finding,
    Progress,
    Severity,
    StepKind,
    TrialPhase,
    Verdict,
)
from backstop.core.measurement import Pillar


def at(second: int, microsecond: int = 0) -> datetime:
    """Return a time in the minute in which it all happened."""
    return datetime(2026, 11, 23, 7, 30, second, microsecond, tzinfo=UTC)


ACTION: Final = Action(
    id="open-3f9a1c",
    step=StepKind.OPEN_CIRCUIT,
    name="to-the-fallback",
    state=ActionState.VERIFIED,
    subject="HTTPRoute/fraud",
    before='{"0": {"fraud": 100, "fraud-rules": 0}}',
    after='{"0": {"fraud": 0, "fraud-rules": 100}}',
    planned_at=at(2, 125),
    applied_at=at(2, 180_001),
    verified_at=at(3, 999_999),
    why="target fails: errors 52 % (260 of 500), allowed 5%",
    message="accepted by all gateways",
)
EPISODE: Final = Episode(
    name="fraud-20261123-073002",
    cause=Cause.RELEASE,
    severity=Severity.P1,
    arm=Arm.TARGET,
    onset=at(0, 1),
    detected=at(2, 120),
    mitigated=at(3),
    repaired=at(20, 5),
    resolved=at(50, 500_000),
    why="target fails: errors 52 % (260 of 500), allowed 5%; the release is to blame",
    evidence=["errors on target: errors 52 % (260 of 500), allowed 5%"],
    actions=[ACTION],
    findings=[Finding.FOLLOWS_RELEASE, Finding.ONE_POD],
    pod="fraud-7d79-x2b4k",
    runbook="team-fraud",
    steps=[
        StepProgress(
            name="to-the-fallback",
            step=StepKind.OPEN_CIRCUIT,
            state=Progress.DONE,
            since=at(4, 1),
            why="in effect",
        ),
        StepProgress(
            name="back",
            step=StepKind.ROLLBACK,
            state=Progress.WAITING,
            since=at(5),
        ),
    ],
    reverts=1,
)
STATUS: Final = ModelMonitorStatus(
    observed_generation=7,
    verdict=Verdict.BREACHED,
    why="circuit is open, the fallback answers",
    conditions=[
        Condition(
            type="Ready",
            status="True",
            reason="Watching",
            message="watching 2 signals",
            observed_generation=7,
            last_transition_time=at(1),
        ),
        Condition(
            type="Held",
            status="True",
            reason="ApprovalNeeded",
            message="rollback waits for approval",
            observed_generation=7,
            last_transition_time=at(1),
        ),
    ],
    signals=[
        SignalStatus(
            name="errors",
            arm=arm,
            pillar=Pillar.SYSTEM,
            verdict=Verdict.UNKNOWN,
            reason="NoData",
            why="no series of requests",
        )
        for arm in Arm
    ],
    circuit=CircuitStatus(
        phase=CircuitPhase.OPEN,
        since=at(3, 7),
        openings=2,
        next_probe=at(33, 7),
        restore=[{"fraud": 95, "fraud-next": 5, "fraud-rules": 0}],
    ),
    candidate=CandidateStatus(
        phase=TrialPhase.ABORTED,
        fingerprint="5d41402abc",
        since=at(0, 3),
        weight=5,
        step=1,
        step_since=at(1, 9),
        why="fraud-next is aborted: a person asked for it",
        answered="abort",
    ),
    revisions=RevisionsStatus(
        current=Revision(fingerprint="7d793037a0", since=at(0)),
        last_good=Revision(fingerprint="9e107d9d37", since=at(0, 42)),
        known_bad=["7d793037a0"],
    ),
    evidence_from=at(3, 999_999),
    approval=Approval(
        id="9c1d",
        step=StepKind.ROLLBACK,
        asked=at(5),
        expires=at(59),
        why="the release is to blame",
    ),
    held="rollback waits for approval",
    promoted="fraud-next",
    action=ACTION,
    incident=EPISODE,
)
