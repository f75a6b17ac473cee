"""Evidence counts once, and only from its own version."""

import math
from datetime import UTC, datetime

import pytest
from tests.core.build import T0, action, carried_out, episode, spec, status, verdict, view

from backstop.api.status import CandidateStatus, ModelMonitorStatus
from backstop.api.words import ActionState, Arm, Cause, Progress, StepKind
from backstop.core.decide import decide
from backstop.core.evidence import evidence_from, without_answered
from backstop.core.verdicts import History, Look
from backstop.core.view import Decision, Memory


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(T0 + seconds, tz=UTC)


def test_nothing_is_known_of_a_candidate_before_its_rollout_is_complete():
    """Until then pods of the template before it answer as well."""
    begins = evidence_from(ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a")))
    assert begins == {Arm.TARGET: 0.0, Arm.CANDIDATE: math.inf}


def test_a_candidate_is_judged_on_its_own_samples_only():
    """Its evidence begins with the later of its rollout and the last action."""
    trial = CandidateStatus(fingerprint="a", since=at(10))
    early = ModelMonitorStatus(candidate=trial, evidence_from=at(5))
    late = ModelMonitorStatus(candidate=trial, evidence_from=at(20))
    assert evidence_from(early) == {Arm.TARGET: T0 + 5, Arm.CANDIDATE: T0 + 10}
    assert evidence_from(late) == {Arm.TARGET: T0 + 20, Arm.CANDIDATE: T0 + 20}


def test_a_new_trial_forgets_the_candidate_and_not_the_target():
    """What was seen of the target stays, with how long it has been healthy."""
    seen = {("errors", arm): History(outcomes=(True,)) for arm in Arm}
    before = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a", since=at(0)))
    after = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="b", since=at(9)))
    memory = Memory(histories=seen, healthy_since=T0, evidence_from=evidence_from(before))
    kept = without_answered(memory, after)
    assert list(kept.histories) == [("errors", Arm.TARGET)]
    assert kept.healthy_since == T0
    assert without_answered(kept, after) is kept


def test_an_action_forgets_all_that_was_seen():
    """No look from before an action is counted again after it."""
    seen = {("errors", arm): History(outcomes=(True,)) for arm in Arm}
    before = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a", since=at(0)))
    memory = Memory(histories=seen, healthy_since=T0, evidence_from=evidence_from(before))
    kept = without_answered(memory, before.model_copy(update={"evidence_from": at(3)}))
    assert (dict(kept.histories), kept.healthy_since) == ({}, None)


SCRAPES = Look(verdicts=(verdict(),), scrape_interval=10.0)
MORE = {"name": "more", "scale": {"to": 3}, "verify": {"within": "1m"}}
SCALED = action(StepKind.SCALE, ActionState.VERIFIED, name="more", verified_at=T0)


def decided(now: float, incident: dict, **changes) -> Decision:
    """Return what is decided when all is healthy, with evidence that began at `T0`."""
    known = status(incident=episode(**incident), evidence_from=T0, **changes)
    runbook = {"release": [MORE]}
    wanted = spec(runbook=runbook, circuit={"probeFor": "1s"})
    return decide(view(now=now, spec=wanted, status=known, look=SCRAPES, runbook=wanted.runbook))


@pytest.mark.parametrize(("after", "over"), [(0, False), (24.9, False), (25, True)])
def test_health_of_some_pods_is_no_recovery(after, over):
    """Right after an action only some pods have the two scrapes that counting takes.

    Until all can have them nothing has helped, no incident ends, and no circuit closes.
    """
    resolved = decided(T0 + after, {"steps": carried_out(Cause.RELEASE)}).status.incident
    assert resolved is not None
    assert (resolved.resolved is not None) is over

    running = {"name": "more", "step": "scale", "state": "Running", "since": T0}
    repaired = decided(T0 + after, {"steps": [running], "actions": [SCALED]}).status.incident
    assert repaired is not None
    assert (repaired.steps[0].state is Progress.HELPED) is over

    probing = {"phase": "HalfOpen", "since": T0, "restore": [{"fraud": 100, "simple": 0}]}
    step = decided(T0 + after, {"steps": carried_out(Cause.RELEASE)}, circuit=probing).step
    assert (step is not None and step.kind is StepKind.CLOSE_CIRCUIT) is over
