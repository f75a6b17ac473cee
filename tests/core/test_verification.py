"""An applied action is verified when it is seen to be in effect, and fails when it is not."""

import pytest
from tests.core.build import T0, action, deployment, episode, route, status, view

from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import ActionState, StepKind
from backstop.core import journal
from backstop.core.facts import RouteFacts, WorkloadFacts
from backstop.core.weights import to_text

OPEN, PROBE, ROLLBACK = StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT, StepKind.ROLLBACK
PLANNED, APPLIED, VERIFIED, FAILED = (
    ActionState.PLANNED,
    ActionState.APPLIED,
    ActionState.VERIFIED,
    ActionState.FAILED,
)
BEFORE = to_text({0: {"fraud": 100, "simple": 0}})
AFTER = to_text({0: {"fraud": 0, "simple": 100}})
IN_EFFECT = route({"fraud": 0, "simple": 100})


def verified(
    *actions: Action,
    at: RouteFacts | None = None,
    target: WorkloadFacts | None = None,
    now: float = T0 + 1,
    **changes,
) -> ModelMonitorStatus:
    """Return the status after the cluster was looked at, with these actions in the incident."""
    known = status(incident=episode(actions=list(actions)), **changes)
    return journal.verify(known, view(status=known, route=at, target=target, now=now))


MOVED = action(OPEN, APPLIED, before=BEFORE, after=AFTER)
ROLLED = action(ROLLBACK, APPLIED, before="v2", after="v1")


@pytest.mark.parametrize(
    ("done", "at", "target", "state"),
    [
        (MOVED, IN_EFFECT, None, VERIFIED),
        (MOVED, None, None, APPLIED),
        (MOVED, route({"fraud": 0, "simple": 100}, accepted=None), None, APPLIED),
        (MOVED, route({"fraud": 0, "simple": 100}, accepted=1, generation=2), None, APPLIED),
        (MOVED, route({"fraud": 1, "simple": 100}), None, APPLIED),
        (MOVED, route({"simple": 100}), None, APPLIED),
        (MOVED, route(), None, APPLIED),
        (MOVED, route({"fraud": 0, "simple": 100, "other": 7}), None, VERIFIED),
        (ROLLED, None, deployment("v1"), VERIFIED),
        (ROLLED, None, deployment("v1", rolled_out=False), APPLIED),
        (ROLLED, None, deployment("v2"), APPLIED),
        (ROLLED, IN_EFFECT, None, APPLIED),
    ],
)
def test_an_action_is_verified_when_it_is_seen_to_be_in_effect(done, at, target, state):
    """Every gateway took the weights; every pod runs the revision."""
    after = verified(done, at=at, target=target)
    assert after.incident is not None
    (seen,) = after.incident.actions
    assert seen.state is state
    assert (seen.verified_at is not None) == (state is VERIFIED)


def test_a_verified_rollback_repairs_and_lets_the_probe_begin():
    """There is no need to wait for the open interval once the fault is gone."""
    circuit = {"phase": "Open", "since": T0, "nextProbe": T0 + 300}
    after = verified(ROLLED, target=deployment("v1"), circuit=circuit)
    assert after.incident is not None
    assert after.incident.repaired is not None
    assert after.circuit.next_probe is not None
    assert after.incident.repaired.timestamp() == after.circuit.next_probe.timestamp() == T0 + 1


@pytest.mark.parametrize("phase", ["Closed", "HalfOpen"])
def test_a_verified_rollback_changes_no_other_phase(phase: str):
    """Without an open circuit there is no probe to bring forward."""
    after = verified(ROLLED, target=deployment("v1"), circuit={"phase": phase, "since": T0})
    assert after.incident is not None
    assert after.incident.repaired is not None
    assert after.circuit.next_probe is None


@pytest.mark.parametrize(("waited", "state"), [(599.9, APPLIED), (600.0, FAILED)])
def test_an_action_that_is_not_in_effect_in_time_has_failed(waited: float, state: ActionState):
    """Ten minutes; then it is urgent, as automation has not fixed it."""
    after = verified(MOVED, now=T0 + waited)
    assert after.incident is not None
    (seen,) = after.incident.actions
    assert seen.state is state
    assert after.incident.severity == ("P0" if state is FAILED else "P1")
    if state is FAILED:
        assert seen.message == "not in effect after 10 min"


def test_weights_that_were_moved_on_are_not_waited_for():
    """A later step on the same route replaced them: neither verified nor failed."""
    probing = action(PROBE, APPLIED, id="p", planned_at=T0 + 30, applied_at=T0 + 700, after=BEFORE)
    after = verified(MOVED, probing, at=route({"fraud": 100, "simple": 0}), now=T0 + 900)
    assert after.incident is not None
    assert [one.state for one in after.incident.actions] == [APPLIED, VERIFIED]


def test_a_rollback_is_not_replaced_by_a_step_on_the_route():
    """Traffic may move on; the repair still has to come into effect."""
    probing = action(PROBE, APPLIED, id="p", planned_at=T0 + 30, after=BEFORE)
    after = verified(ROLLED, probing, now=T0 + 601)
    assert after.incident is not None
    assert [one.state for one in after.incident.actions] == [FAILED, FAILED]


@pytest.mark.parametrize("state", [PLANNED, VERIFIED, FAILED, ActionState.OBSERVED])
def test_only_applied_actions_are_verified(state: ActionState):
    """What is done with, or was never carried out, stays as it is."""
    after = verified(action(OPEN, state, after=AFTER), at=IN_EFFECT, now=T0 + 999)
    assert after.incident is not None
    assert [one.state for one in after.incident.actions] == [state]


def test_an_applied_action_without_a_time_waits():
    """A status that somebody mended by hand does not fail for lack of a time."""
    after = verified(action(OPEN, APPLIED, applied_at=None, after=AFTER), now=T0 + 999)
    assert after.incident is not None
    assert after.incident.severity == "P1"


@pytest.mark.parametrize("incident", [None, episode(resolved=T0, actions=[MOVED])])
def test_without_an_open_incident_nothing_is_verified(incident):
    """What is over stays as it was told."""
    known = status(incident=incident)
    later = view(status=known, route=IN_EFFECT, target=None, now=T0 + 999)
    assert journal.verify(known, later) is known
