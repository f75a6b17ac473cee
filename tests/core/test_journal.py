"""What an action leaves behind: planned, applied, verified or failed, bounded and small."""

import pytest
from tests.core.build import (
    CANDIDATE,
    T0,
    action,
    episode,
    route,
    spec,
    status,
    view,
)
from tests.core.world import Crash, World, world

from backstop.api.status import ModelMonitorStatus, RevisionsStatus
from backstop.api.words import ActionState, StepKind, Verdict
from backstop.core import journal
from backstop.core.view import Step
from backstop.core.weights import to_text

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, CLOSE, SHIFT, ROLLBACK = (
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
    StepKind.SHIFT_TRAFFIC,
    StepKind.ROLLBACK,
)
PLANNED, APPLIED, VERIFIED, FAILED = (
    ActionState.PLANNED,
    ActionState.APPLIED,
    ActionState.VERIFIED,
    ActionState.FAILED,
)
BEFORE = to_text({0: {"fraud": 100, "simple": 0}})
AFTER = to_text({0: {"fraud": 0, "simple": 100}})
IN_EFFECT = route({"fraud": 0, "simple": 100})


def test_an_intent_holds_all_that_is_needed_to_finish():
    """Written before anything changes: what, from what, to what, why, and when."""
    step = Step(OPEN, "a1", "target fails: " + "x" * 2000)
    planned = journal.intent(view(), step, subject="HTTPRoute/r", before=BEFORE, after=AFTER)
    assert (planned.id, planned.step, planned.state) == ("a1", OPEN, PLANNED)
    assert (planned.subject, planned.before, planned.after) == ("HTTPRoute/r", BEFORE, AFTER)
    assert planned.planned_at.timestamp() == T0
    assert (planned.applied_at, planned.verified_at) == (None, None)
    assert len(planned.why) == 1024


# A crash at any point


@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_crash_within_an_action_is_finished_by_the_next_pass(point: str):
    """After the intent or after the effect: the same state in the end, and nothing twice."""
    smooth, rough = world(), world()
    rough.crash = point
    for made in (smooth, rough):
        made.look(H)
        made.after(1).release("v2")
    with pytest.raises(Crash):
        rough.look(B)
    assert rough.status.action is not None
    rough.restart()
    smooth.look(B)
    rough.look(B)
    assert rough.status.action is None
    assert (rough.rules, rough.current) == (smooth.rules, smooth.current)
    assert rough.status.circuit == smooth.status.circuit
    assert rough.status.revisions == smooth.status.revisions
    assert {one.id for one in rough.done} == {one.id for one in smooth.done}


@pytest.mark.parametrize("point", ["intent", "effect"])
@pytest.mark.parametrize("kind", [PROBE, CLOSE, ROLLBACK])
def test_every_kind_of_action_survives_a_crash(point: str, kind: StepKind):
    """Wherever in an incident it happens, the incident ends as if nothing had been."""
    made = world()
    made.look(H)
    made.after(1).release("v2")
    crashed = False
    for outcome in (B, U, U, H, H, H):
        made.after(15)
        made.rolled_out = True
        expected = not crashed and _would_do(made, outcome, kind)
        made.crash = point if expected else ""
        if expected:
            with pytest.raises(Crash):
                made.look(outcome)
            made.restart()
            crashed = True
        else:
            made.look(outcome)
    assert crashed
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    assert (made.rules, made.current) == ([{"fraud": 100, "simple": 0}], "v1")
    assert made.status.revisions.known_bad == ["v2"]


def _would_do(made: World, outcome: Verdict, kind: StepKind) -> bool:
    phase = made.status.circuit.phase
    return {
        ROLLBACK: outcome is B,
        PROBE: phase == "Open" and outcome is U,
        CLOSE: phase == "HalfOpen" and outcome is H,
    }[kind]


# Applied


def applied(step: StepKind, known: ModelMonitorStatus, **changes) -> ModelMonitorStatus:
    """Return the status after an action of this kind has taken place two seconds after `T0`."""
    done = action(step, **{"before": BEFORE, "after": AFTER, **changes})
    known = known.model_copy(update={"action": done})
    candidate = {**CANDIDATE, "progression": {"steps": [10]}} if known.candidate else None
    return journal.applied(view(status=known, spec=spec(candidate=candidate)), done, T0 + 2)


@pytest.mark.parametrize("step", [OPEN, PROBE, ROLLBACK])
def test_an_applied_action_stands_in_the_incident_and_restarts_the_evidence(step: StepKind):
    """It is under way no longer; only samples from now on are evidence."""
    after = applied(step, status(incident=episode()))
    assert after.action is None
    assert after.evidence_from is not None
    assert after.evidence_from.timestamp() == T0 + 2
    assert after.incident is not None
    (done,) = after.incident.actions
    assert (done.state, done.applied_at and done.applied_at.timestamp()) == (APPLIED, T0 + 2)


def test_a_rolled_back_revision_is_known_bad():
    """By the fingerprint that it was rolled back from; the one that it went to is known, too."""
    after = applied(ROLLBACK, status(incident=episode()), before="v2", after="v1")
    assert after.revisions == RevisionsStatus(known_bad=["v2"], restored="v1")


def test_an_incident_is_mitigated_once():
    """When traffic first left the fault; opening again after a probe does not move that time."""
    first = applied(OPEN, status(incident=episode()))
    assert first.incident is not None
    assert first.incident.mitigated is not None
    assert first.incident.mitigated.timestamp() == T0 + 2
    half_open = first.model_copy(
        update={"circuit": first.circuit.model_copy(update={"phase": "HalfOpen"})}
    )
    again = journal.applied(view(status=half_open), action(OPEN, before=AFTER), T0 + 99)
    assert again.incident is not None
    assert again.incident.mitigated == first.incident.mitigated
    assert again.circuit.restore == first.circuit.restore == [{"fraud": 100, "simple": 0}]


@pytest.mark.parametrize("step", [OPEN, PROBE, CLOSE, SHIFT, ROLLBACK])
def test_an_action_is_finished_even_without_an_incident(step: StepKind):
    """A status that lost its incident (mended by hand) still ends the action."""
    after = applied(step, status(candidate={"fingerprint": "c1"}))
    assert (after.action, after.incident) == (None, None)


def test_a_trial_keeps_the_weight_it_was_given():
    """The largest share of all rules, in percent; outside of an incident the trial goes on."""
    given = {0: {"fraud": 90, "fraud-next": 10}, 1: {"fraud": 4, "fraud-next": 1}, 2: {}}
    after = applied(SHIFT, status(candidate={"fingerprint": "c1"}), after=to_text(given))
    assert after.candidate is not None
    assert (after.candidate.weight, after.candidate.phase) == (20, "Trial")


def test_a_weight_given_to_no_rule_is_zero():
    """A route without matching rules gives nothing."""
    after = applied(SHIFT, status(candidate={"fingerprint": "c1"}), after="{}")
    assert after.candidate is not None
    assert after.candidate.weight == 0


def test_traffic_of_a_candidate_that_left_the_spec_changes_no_trial():
    """An action of before is finished, and there is no trial to write into."""
    after = applied(SHIFT, status(incident=episode(arm="candidate")))
    assert after.candidate is None
    assert after.incident is not None
    assert after.incident.resolved is None


def test_traffic_of_a_route_that_left_the_spec_changes_no_trial():
    """The weights of an action of before say nothing about Services that are not named any more."""
    known = status(candidate={"fingerprint": "c1"})
    done = action(SHIFT, before=BEFORE, after=to_text({0: {"fraud-next": 10}}))
    alone = spec(traffic=None, fallback=None)
    after = journal.applied(view(status=known, spec=alone), done, T0)
    assert after.candidate == known.candidate


def test_a_trial_step_in_an_incident_of_the_target_aborts_nothing():
    """Only the candidate's own incident ends its trial."""
    known = status(incident=episode(), candidate={"fingerprint": "c1"})
    after = applied(SHIFT, known, after=to_text({0: {"fraud-next": 10}}))
    assert after.candidate is not None
    assert after.candidate.phase == "Trial"


# Failed


def test_a_failed_action_makes_the_incident_urgent():
    """Users suffer and automation has not fixed it: P0, and the action says why."""
    known = status(incident=episode(), action=action(OPEN))
    after = journal.failed(view(status=known), action(OPEN), "x" * 2000)
    assert after.action is None
    assert after.incident is not None
    (undone,) = after.incident.actions
    assert (undone.state, undone.message) == (FAILED, "x" * 1024)
    assert after.incident.severity == "P0"
    assert after.evidence_from is None


def test_a_failed_action_without_an_incident_leaves_nothing():
    """A trial that could not start: nothing changed, nothing to tell."""
    known = status(action=action(SHIFT), candidate={"fingerprint": "c1"})
    after = journal.failed(view(status=known), action(SHIFT), "no rule")
    assert after == status(candidate={"fingerprint": "c1"})


# Size


def test_a_long_incident_stays_small():
    """After fifty failed probes and many refusals the status still fits into 8 KB."""
    made = world()
    made.look(H)
    made.after(1).release("v2")
    made.refused = frozenset({ROLLBACK})
    made.look(B)
    largest = made.size()
    for number in range(200):
        made.refused = frozenset({PROBE, ROLLBACK}) if number % 3 else frozenset()
        made.rolled_out = True
        made.after(300).look(B if made.status.circuit.phase == "HalfOpen" else U)
        largest = max(largest, made.size())
    assert made.status.circuit.openings > 50
    assert largest <= 8_000


def test_what_tells_people_is_done_at_once_and_answers_no_evidence():
    """Also where the incident is over meanwhile; nothing in the cluster has changed."""
    told = action(StepKind.NOTIFY, name="tell")
    known = status(action=told, evidence_from=T0 - 9)
    after = journal.applied(view(status=known), told, T0 + 2)
    assert (after.action, after.incident) == (None, None)
    assert after.evidence_from == known.evidence_from
