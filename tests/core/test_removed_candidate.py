"""A candidate that is taken out of the spec, or exchanged, in mid-trial: its traffic goes back."""

from typing import Any

import pytest
from tests.core.build import CANDIDATE, deployment, spec
from tests.core.canary import with_steps
from tests.core.world import Crash, World, world

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.words import CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core.fleet import Fleet
from backstop.core.requests import requests
from backstop.core.view import services

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
SHIFT, OPEN, PROBE, CLOSE = (
    StepKind.SHIFT_TRAFFIC,
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
)
START = {"fraud": 100, "fraud-next": 0, "fraud-third": 0, "simple": 0}
THIRD = {"name": "fraud-third", "service": "fraud-third", "metricLabels": {"app": "third"}}


def on_trial(**changes: Any) -> World:
    """Return a world whose candidate has 25 % of the traffic."""
    made = world(candidate=with_steps(25, 100), rules=[START], **changes)
    made.candidate = deployment("c1")
    assert made.look(H, U) == [SHIFT]
    assert made.rules == [{**START, "fraud": 75, "fraud-next": 25}]
    return made.after(60)


def without(made: World, **changes: Any) -> World:
    """Take the candidate out of the spec."""
    made.spec, made.candidate = spec(**changes), None
    return made


def third(**more: Any) -> ModelMonitorSpec:
    """Return a spec with another candidate in the place of the first."""
    plan = {"steps": [5, 100], "minTime": "1m"}
    return spec(candidate={**THIRD, "progression": plan}, **more)


def test_the_traffic_of_a_candidate_that_left_the_spec_goes_back_to_the_target():
    """Nobody watches it any more: one journaled step, one sentence, and the trial is over."""
    made = without(on_trial())
    assert made.look(H) == [SHIFT]
    assert made.rules == [START]
    assert made.done[-1].why == (
        "fraud-next is not the monitor's candidate any more: its traffic goes back to fraud"
    )
    assert made.status.candidate is None
    for _ in range(3):
        assert made.after(60).look(H) == []


@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_crash_puts_it_back_once(point: str):
    """The intent stands in the status, with the Service that it is about."""
    made = without(on_trial())
    made.crash = point
    with pytest.raises(Crash):
        made.look(H)
    made.restart()
    made.after(1).look(H)
    assert (made.rules, made.status.candidate) == ([START], None)
    assert len({one.id for one in made.done}) == 2


@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_share_that_was_being_given_when_it_left_is_put_back_as_well(point: str):
    """The step is finished and recorded as what it was, and then undone."""
    made = world(candidate=with_steps(25, 100), rules=[START])
    made.candidate, made.crash = deployment("c1"), point
    with pytest.raises(Crash):
        made.look(H, U)
    without(made).restart()
    made.after(1).look(H)
    assert (made.rules, made.status.candidate) == ([START], None)


def test_a_candidate_that_is_exchanged_gives_its_traffic_back_before_the_next_gets_some():
    """The next one begins at its own first step."""
    made = on_trial()
    made.spec, made.candidate = third(), deployment("c2")
    assert made.look(H, H) == [SHIFT, SHIFT]
    assert made.rules == [{**START, "fraud": 95, "fraud-third": 5}]
    assert made.status.candidate is not None
    assert (made.status.candidate.service, made.status.candidate.weight) == ("fraud-third", 5)


def test_a_candidate_of_the_same_template_but_another_service_is_on_a_trial_of_its_own():
    """What the first one has proven and got says nothing about the traffic of the second."""
    made = on_trial()
    made.spec, made.candidate = third(), deployment("c1")
    made.look(H, H)
    assert made.rules == [{**START, "fraud": 95, "fraud-third": 5}]


def test_what_others_gave_a_candidate_stays_theirs():
    """Without steps Backstop gives it nothing, so there is nothing of its own to take back."""
    made = world(candidate=CANDIDATE, rules=[{**START, "fraud": 75, "fraud-next": 25}])
    made.candidate = deployment("c1")
    made.look(H, H)
    assert without(made).after(60).look(H) == []
    assert made.status.candidate is None


def test_a_candidate_that_comes_back_begins_a_new_trial():
    """Also while its traffic could not be put back."""
    made = without(on_trial())
    made.refused = frozenset({SHIFT})
    made.look(H)
    assert made.status.candidate is not None
    assert made.status.candidate.phase is TrialPhase.REMOVED
    made.refused = frozenset()
    made.spec, made.candidate = spec(candidate=with_steps(5, 100)), deployment("c1")
    assert made.after(30).look(H, H) == [SHIFT, SHIFT]
    assert made.rules == [{**START, "fraud": 95, "fraud-next": 5}]


def test_it_is_said_for_as_long_as_it_cannot_be_done():
    """Tried every 15 s, not at every look; the status never says that all is well meanwhile."""
    made = without(on_trial())
    made.refused = frozenset({SHIFT})
    tried = [second for second in range(40) if made.after(1).look(H)]
    assert tried == [0, 15, 30]
    assert made.status.why.startswith("fraud-next is not the monitor's candidate any more")


def test_in_mode_observe_it_is_only_said():
    """Nothing is changed there, whatever was given before."""
    made = without(on_trial(), mode="Observe")
    assert made.look(H) == []
    assert made.status.why == (
        "fraud-next is not the monitor's candidate any more: its traffic is left alone because"
        " the mode is Observe, and nobody watches it"
    )
    without(made)
    assert made.look(H) == [SHIFT]


def test_in_mode_approve_nobody_is_asked_again():
    """Who edits the spec has asked for it."""
    made = without(on_trial(), mode="Approve")
    assert made.look(H) == [SHIFT]


def test_in_an_incident_of_the_target_the_circuit_goes_first():
    """It takes the candidate's traffic as well, and closing it does not bring that back."""
    made = without(on_trial())
    assert made.look(B) == [OPEN]
    assert made.rules == [{**START, "fraud": 0, "simple": 100}]
    made.after(1).look(U)
    assert made.status.candidate is None
    made.after(61).look(U)
    assert made.steps[-1] is PROBE
    made.after(61).look(H)
    assert made.steps[-1] is CLOSE
    assert made.rules == [START]


def test_an_incident_in_which_nothing_can_be_done_does_not_hold_it():
    """Nor does one in which a brake holds what could be done: giving traffic back is never held."""
    made = without(on_trial(), fallback=None)
    assert made.look(B) == [SHIFT]
    assert made.rules == [START]
    made = without(on_trial(), mode="Approve")
    made.status = made.status.model_copy(update={"recent_actions": []})
    made.fleet = Fleet(actions=10, actions_per_hour=1)
    assert made.look(B) == [SHIFT]


def test_an_open_circuit_has_its_traffic_and_does_not_give_it_back():
    """What is put back on closing goes to the target alone; there is nothing else to do."""
    made = on_trial()
    assert made.look(B, H) == [OPEN]
    without(made)
    made.after(1).look(U)
    assert made.status.candidate is None
    made.after(61).look(U)
    made.after(61).look(H)
    assert made.status.circuit.phase is CircuitPhase.CLOSED
    assert made.rules == [START]
    assert made.after(60).look(H) == []


def test_a_candidate_that_comes_back_behind_an_open_circuit_gets_nothing_when_it_closes():
    """It left the spec meanwhile, so it begins again as any other."""
    made = on_trial()
    assert made.look(B, H) == [OPEN]
    without(made).after(1).look(U)
    made.spec, made.candidate = spec(candidate=with_steps(25, 100)), deployment("c1", ready=0)
    made.after(61).look(U, U)
    made.after(61).look(H, U)
    assert made.status.circuit.phase is CircuitPhase.CLOSED
    assert made.rules == [START]


@pytest.mark.parametrize("wish", ["", "abort"])
def test_a_template_that_comes_behind_an_open_circuit_gets_nothing_when_it_closes(wish: str):
    """What the circuit has saved was given to the one before."""
    made = on_trial()
    assert made.look(B, H) == [OPEN]
    made.requests = requests({"backstop.dev/candidate": wish})
    made.after(1).look(U, U)
    made.candidate = deployment("c2", ready=0)
    made.after(1).look(U, U)
    made.after(61).look(U, U)
    made.after(61).look(H, U)
    assert made.status.circuit.phase is CircuitPhase.CLOSED
    assert made.rules == [START]


def test_a_candidate_that_is_exchanged_behind_an_open_circuit_is_another_one():
    """Whatever its template; and what the circuit has saved goes to the target."""
    made = on_trial()
    assert made.look(B, H) == [OPEN]
    made.spec, made.candidate = third(), deployment("c1", ready=0)
    made.after(1).look(U, U)
    trial = made.status.candidate
    assert trial is not None
    assert (trial.service, trial.weight) == ("fraud-third", None)
    made.after(61).look(U, U)
    made.after(61).look(H, U)
    assert made.rules == [START]


def test_a_candidate_that_cannot_be_read_still_gives_back_what_the_one_before_had():
    """What is to be put back is not forgotten for want of facts."""
    made = on_trial()
    made.candidate, made.refused = deployment("c2"), frozenset({SHIFT})
    made.look(H, H)
    made.candidate, made.refused = None, frozenset()
    assert made.after(30).look(H, U) == [SHIFT]
    assert made.rules == [START]


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({}, "fraud-next"),
        ({"target": {"name": "n", "service": "fraud-next", "metricLabels": {"a": "b"}}}, None),
        ({"traffic": None, "fallback": None}, ""),
        ({"traffic": {"replicaRatio": {}}, "fallback": None}, "fraud-next"),
    ],
)
def test_a_candidate_that_has_become_the_target_keeps_its_traffic(changes, service):
    """Only what the spec names in no role is put back, and only where a router is named."""
    known = on_trial().status
    found = services("fraud", spec(**changes), known)
    assert (found.candidate if found is not None else "") == service


def test_both_may_leave_the_spec_behind_an_open_circuit():
    """What the fallback has goes back to the target, although the candidate never had any."""
    made = on_trial()
    made.look(B, U)
    made.candidate = deployment("c2")
    made.after(1).look(U, U)
    assert made.status.circuit.restore == [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    without(made, fallback=None)
    made.after(1).look(U)
    assert made.status.circuit.restore == [{"fraud": 100, "simple": 0}]
    assert made.after(61).look(U) == [PROBE]
    made.after(1).look(H)
    assert made.after(11).look(H) == [CLOSE]
    assert made.rules == [START]
