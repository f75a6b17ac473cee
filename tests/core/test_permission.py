"""What holds a step in a whole decision, what a person answers, and what is done once more."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.build import T0, deployment, episode, route, spec, status, verdict, view
from tests.core.world import World, world

from backstop.api.words import Progress, Severity, StepKind, Verdict
from backstop.core.decide import decide
from backstop.core.fleet import Fleet
from backstop.core.permission import redo
from backstop.core.requests import Requests

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, CLOSE, ROLLBACK, SCALE, RESTART = (
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
    StepKind.ROLLBACK,
    StepKind.SCALE,
    StepKind.RESTART,
)
TO_TARGET = [{"fraud": 100, "simple": 0}]
ASK = {"name": "ask", "waitForApproval": {"expireAfter": "10m"}}
MORE = {"name": "more", "scale": {"by": "50%"}}
FRESH = {"name": "fresh", "restart": {}}


def failing(**changes: Any) -> World:
    """Return a world that is about to fail for the first time."""
    made = world(**changes)
    made.look(H)
    return made.after(1)


def answered(made: World, *, yes: bool = True) -> None:
    """Let a person answer what is asked."""
    assert made.status.approval is not None
    ids = frozenset({made.status.approval.id})
    made.requests = Requests(approved=ids) if yes else Requests(denied=ids)


# Brakes


def test_a_step_that_is_held_stays_wanted():
    """The status says by what; when it ends, the very step is taken."""
    made = failing()
    made.fleet = Fleet(stopped="somebody works on the network")
    assert made.look(B) == []
    assert made.status.held == "all actions are stopped: somebody works on the network"
    assert made.status.why.startswith("held: all actions are stopped")
    assert made.rules == TO_TARGET
    made.fleet = Fleet()
    assert made.after(1).look(B) == [OPEN]
    assert made.status.held == ""


def test_a_freeze_is_said_to_the_whole_fleet():
    """Too many act at once: the decision says that somebody is to be woken."""
    made = failing()
    made.fleet = Fleet(monitors=100, acting=60)
    assert made.look(B) == []
    assert made.decision is not None
    assert made.decision.freeze
    assert made.status.held.startswith("freeze: 60 of 100 monitors act already")


def test_actions_are_counted_as_they_are_applied():
    """Those that give traffic back are not."""
    made = failing(limits={"actionsPerHour": 1})
    assert made.look(B) == [OPEN]
    made.after(40).look(U)
    made.after(1).look(H)
    made.after(11).look(H)
    assert made.rules == TO_TARGET
    assert made.after(60).look(B) == []
    assert "1 actions in the last hour, allowed 1" in made.status.held


def test_a_workload_is_left_alone_for_a_while_after_an_incident_that_changed_it():
    """The mitigation is not held."""
    made = failing(limits={"coolDown": "5m"})
    made.release("v2")
    assert made.look(B) == [OPEN, ROLLBACK]
    made.rolled_out = True
    made.after(1).look(U)
    made.after(1).look(H)
    made.after(11).look(H)
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    made.after(30).look(H)
    made.after(1).release("v3")
    assert made.look(B) == [OPEN]
    assert made.status.held.startswith("cool-down")


# Approval


def test_in_mode_approve_a_person_is_asked_before_each_change():
    """The answer counts for this very action; the next one is asked about anew."""
    made = failing(mode="Approve")
    made.release("v2")
    assert made.look(B) == []
    assert made.status.approval is not None
    assert made.status.approval.step is OPEN
    first = made.status.approval.id
    assert made.after(60).look(B) == []
    assert made.status.approval.id == first
    answered(made)
    assert made.after(1).look(B) == [OPEN]
    assert made.status.approval.step is ROLLBACK
    answered(made)
    assert made.after(1).look(U) == [ROLLBACK]
    assert made.status.approval is None


def test_a_question_keeps_no_users_with_the_fallback_of_a_healthy_target():
    """The circuit is probed, opened again and closed meanwhile; the question stays the same."""
    made = failing(runbook={"infrastructure": [{"name": "aside", "openCircuit": {}}, ASK, FRESH]})
    assert made.look(B) == [OPEN]
    assert made.status.approval is not None
    asked = made.status.approval.id
    assert made.after(31).look(U) == [PROBE]
    assert made.after(5).look(B) == [OPEN]
    assert made.status.approval is not None
    assert made.status.approval.id == asked
    assert made.status.held.startswith("waitForApproval waits until")
    assert made.after(61).look(U) == [PROBE]
    made.after(1).look(H)
    assert made.after(10).look(H) == [CLOSE]
    assert made.rules == TO_TARGET
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    made.after(1).look(H)
    assert (made.status.approval, made.status.held) == (None, "")


def test_what_is_refused_is_followed_by_the_next_step():
    """A person knows better; the runbook goes on without it."""
    made = failing(mode="Approve", fallback=None, runbook={"infrastructure": [MORE, FRESH]})
    made.look(B)
    answered(made, yes=False)
    assert made.after(1).look(B) == []
    assert made.status.incident is not None
    assert [one.state for one in made.status.incident.steps] == [
        Progress.FAILED,
        Progress.WAITING,
    ]
    assert made.status.approval is not None
    assert made.status.approval.step is RESTART


def test_a_question_expires_although_the_circuit_is_probed_meanwhile():
    """A probe that fails gives it no time anew: no answer is a refusal, and what follows comes."""
    circuit = {"openFor": "1m", "maxOpenFor": "1m", "probeFor": "10s"}
    steps = [{"name": "aside", "openCircuit": {}}, ASK, FRESH]
    made = failing(runbook={"infrastructure": steps}, circuit=circuit)
    made.look(B)
    asked = made.status.approval
    assert asked is not None
    while made.after(61).now < asked.expires.timestamp():
        assert made.look(U) == [PROBE]
        assert made.status.approval == asked
        assert made.after(1).look(U) == []
        assert (made.status.approval, made.status.held) == (asked, "")
        assert made.after(1).look(B) == [OPEN]
        assert made.status.approval == asked
    assert made.look(U)[0] is RESTART
    assert made.status.approval is None


def test_a_question_that_nobody_answers_expires():
    """And the decision is due when it does."""
    made = failing(
        mode="Approve",
        fallback=None,
        runbook={"infrastructure": [MORE]},
        limits={"approvalExpiresAfter": "10m"},
    )
    made.look(B)
    assert made.decision is not None
    assert made.decision.due == made.now + 600
    made.after(601).look(B)
    assert made.status.incident is not None
    assert [one.state for one in made.status.incident.steps] == [Progress.FAILED]
    assert made.status.approval is None


@pytest.mark.parametrize(
    ("yes", "then", "state"), [(True, [SCALE], Progress.DONE), (False, [], Progress.FAILED)]
)
def test_a_step_can_wait_for_a_person_in_mode_act(yes, then, state):
    """What comes before has happened; what comes behind waits, and ends with a no that stops."""
    steps = [{**ASK, "onFailure": "Stop"}, MORE]
    made = failing(runbook={"infrastructure": steps}, fallback=None)
    assert made.look(B) == []
    assert made.status.incident is not None
    assert [one.state for one in made.status.incident.steps] == [Progress.WAITING]
    answered(made, yes=yes)
    assert made.after(1).look(B) == then
    assert made.status.incident.steps[0].state is state


def test_in_observe_nobody_is_asked():
    """The record says what would be done if a person said yes."""
    made = failing(mode="Observe", runbook={"infrastructure": [ASK, MORE]}, fallback=None)
    assert made.look(B) == [SCALE]
    assert made.status.approval is None


# Once more


def test_what_somebody_undid_is_done_again_and_not_without_end():
    """Then it stops, names who did it, and wakes somebody."""
    made = failing()
    made.look(B)
    for nth in (1, 2):
        made.rules = [dict(one) for one in TO_TARGET]
        assert made.after(1).look(U) == [OPEN]
        assert made.status.incident is not None
        assert made.status.incident.reverts == nth
    made.rules = [dict(one) for one in TO_TARGET]
    assert made.after(1).look(U) == []
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P0
    assert "made again 2 times, not once more" in made.status.held
    assert "undone by somebody unknown" in made.status.held


def test_a_redo_that_waits_does_not_count():
    """The same action is asked about until it is answered."""
    made = failing(mode="Approve")
    made.look(B)
    answered(made)
    made.after(1).look(B)
    made.rules = [dict(one) for one in TO_TARGET]
    asked = set()
    for _ in range(5):
        made.after(1).look(U)
        assert made.status.approval is not None
        asked.add(made.status.approval.id)
    assert len(asked) == 1
    assert made.status.incident is not None
    assert made.status.incident.reverts == 0
    answered(made)
    assert made.after(1).look(U) == [OPEN]


def test_in_observe_nothing_was_done_that_could_be_undone():
    """Nor is there anything to redo without an incident."""
    told = episode(reverts=0)
    assert redo(view(status=status(incident=told), spec=spec(mode="Observe"))) is None
    assert redo(view()) is None


def test_a_rollback_that_was_undone_names_the_manager():
    """So that people know whom to stop."""
    made = failing(limits={"maxReverts": 0})
    made.release("v2")
    made.look(B)
    made.rolled_out = True
    made.after(1).look(U)
    target = replace(deployment("v2"), manager="argocd-controller", gitops="Argo CD")
    seen = view(
        verdict(outcome=U),
        now=made.now + 1,
        spec=made.spec,
        status=made.status,
        target=target,
        route=route(*made.rules),
    )
    found = decide(seen)
    assert found.step is None
    assert "undone by argocd-controller (Argo CD)" in found.status.held
    assert made.now > T0
