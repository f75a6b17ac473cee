"""What people ask of the candidate by annotation: pause, promote, abort."""

from typing import Any

import pytest
from tests.core.build import deployment
from tests.core.canary import B, Canary, Crash, H, U, at, canary_spec, with_steps
from tests.core.world import World, world

from backstop.api.modelmonitor import Mode
from backstop.api.words import CircuitPhase, StepKind
from backstop.core.requests import requests

SHIFT, PROMOTE, OPEN = StepKind.SHIFT_TRAFFIC, StepKind.PROMOTE, StepKind.OPEN_CIRCUIT


# Pause


def test_a_paused_candidate_stays_where_it_is():
    """For as long as the annotation stands, without an end of its time."""
    made = at(1, spec=canary_spec(onTimeout="Abort")).asks("pause")
    for _ in range(5):
        assert made.after(1000).look() == []
        assert (made.share, made.phase, made.why) == (1, "Paused", "at 1 %: paused by a person")
    made.asks("")
    assert made.look() == []
    assert made.phase == "Trial"
    assert made.after(60).look() == [SHIFT]


def test_a_pause_before_the_first_traffic_holds_it_back():
    """No step has begun, and none does."""
    made = Canary().asks("pause")
    assert made.look() == []
    assert made.why == "without traffic: paused by a person"
    assert made.asks("").look() == [SHIFT]


def test_a_paused_candidate_is_still_watched():
    """A pause protects nobody from a bad version."""
    made = at(1).asks("pause")
    made.after(5).look()
    assert made.after(5).look(H, B) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")


# Promote


def test_promote_goes_on_to_the_last_step_at_once():
    """Without waiting for evidence; what follows the last step waits for it as ever."""
    made = at(1).asks("promote")
    assert made.after(1).look(U, U, compared=U) == [SHIFT]
    assert made.share == 100
    assert made.done[-1].why.startswith("fraud-next asked to go on to the last step")
    assert made.status.candidate is not None
    assert made.status.candidate.answered == "promote"
    assert made.after(30).look(U, H, compared=U) == []
    assert made.after(31).look(U, H, compared=U) == [PROMOTE]


def test_promote_at_the_last_step_needs_another_request():
    """One request is answered once; the next ends the wait for evidence there as well."""
    made = at(1).asks("promote")
    made.look(U, U, compared=U)
    assert made.after(5).look(U, U, compared=U) == []
    made.asks("").look(U, U, compared=U)
    made.asks("promote")
    assert made.look(U, U, compared=U) == [PROMOTE]


def test_promote_ends_the_hold_of_a_step_that_took_too_long():
    """That is what the trial says a person may do."""
    made = at(1)
    made.after(700).look(proven=False)
    assert made.asks("promote").look(proven=False) == [SHIFT]
    assert made.share == 100


@pytest.mark.parametrize("seen", [(B, H), (H, B)])
def test_nothing_is_promoted_in_an_incident(seen):
    """Not even when asked: first the incident is over."""
    made = at(1).asks("promote")
    made.after(1).look(*seen)
    assert made.share in {0, 1}
    assert PROMOTE not in [one.step for one in made.done]


@pytest.mark.parametrize("plan", [{"steps": [1]}, {"steps": [100], "promotion": "Never"}])
def test_promote_where_nothing_is_left_changes_nothing(plan):
    """It is answered, so that it does not hit a later step or template."""
    made = Canary(spec=canary_spec(**plan))
    made.look(H, U, compared=U)
    share = made.share
    made.asks("promote").after(1).look()
    assert made.status.candidate is not None
    assert (made.share, made.status.candidate.answered) == (share, "promote")


# Abort


@pytest.mark.parametrize("steps", [(1,), (1, 50), (1, 50, 100)])
def test_abort_takes_the_traffic_away(steps):
    """At any step, at once, and for this template only."""
    made = at(*steps).asks("abort")
    assert made.after(1).look(U, U, compared=U) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")
    assert made.why == "fraud-next is aborted: a person asked for it"
    assert made.status.candidate is not None
    assert made.status.candidate.answered == "abort"
    assert made.after(1000).look() == []


def test_an_old_request_does_not_end_a_later_trial():
    """The annotation still stands when the next template comes."""
    made = at(1).asks("abort")
    made.after(1).look()
    made.release("c2")
    assert made.after(60).look() == [SHIFT]
    assert (made.share, made.phase) == (1, "Trial")
    made.asks("").after(1).look()
    assert made.status.candidate is not None
    assert made.status.candidate.answered == ""
    made.asks("abort").after(1).look()
    assert (made.share, made.phase) == (0, "Aborted")


def test_a_request_that_nobody_could_answer_goes_with_its_template():
    """Asked for in an incident, when another template was on trial."""
    made = at(1).asks("promote")
    made.after(1).look(B, H)
    made.release("c2").after(1).look(B, H)
    made.after(60).look()
    made.after(1).look()
    assert made.share == 1


def test_abort_also_works_in_an_incident_of_the_target():
    """A person who asks for it knows better where the traffic should be."""
    made = at(1)
    made.after(1).look(B, H)
    assert made.asks("abort").after(1).look(B, H)[0] is SHIFT
    assert (made.share, made.phase) == (0, "Aborted")
    told = made.status.incident
    assert told is not None
    assert (told.arm, told.resolved) == ("target", None)


def test_abort_of_a_candidate_that_fails_ends_its_incident():
    """Also where taking the traffic away failed too often to be tried again."""
    made = at(1)
    made.refused = frozenset({SHIFT})
    for _ in range(200):
        made.after(1).look(H, B)
    assert made.look(H, B) == []
    made.refused = frozenset()
    assert made.asks("abort").look(H, B) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def failing(**changes: Any) -> World:
    """Return a world whose candidate has 25 % when the target begins to fail, and a fallback."""
    rules = [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    made = world(candidate=with_steps(25, 100), rules=rules, **changes)
    made.candidate = deployment("c1")
    assert made.look(H, U) == [SHIFT]
    made.requests = requests({"backstop.dev/candidate": "abort"})
    return made.after(60)


def test_an_abort_that_cannot_be_done_holds_back_no_mitigation():
    """In an incident of the target it is tried every 15 s, and the circuit opens in between."""
    made = failing()
    made.refused = frozenset({SHIFT})
    assert made.look(B, H) == [SHIFT, OPEN]
    made = failing(fallback=None)
    made.rules = [{"fraud": 75, "fraud-next": 25}]
    made.refused = frozenset({SHIFT})
    tried = [second for second in range(40) if SHIFT in made.after(1).look(B, H)]
    assert tried == [0, 15, 30]


def test_in_mode_approve_nobody_is_asked_whether_a_person_may_abort():
    """Who may set the annotation may answer the question; it would hold back the circuit's."""
    made = failing()
    made.spec = made.spec.model_copy(update={"mode": Mode.APPROVE})
    assert made.look(B, H) == [SHIFT]
    assert made.status.candidate is not None
    assert made.status.candidate.phase == "Aborted"
    made.after(5).look(B, H)
    assert made.status.approval is not None
    assert made.status.approval.step is OPEN


def test_abort_while_the_circuit_is_open_needs_no_write():
    """Its traffic is away already, and does not come back when the circuit closes."""
    made = at(1)
    circuit = made.status.circuit.model_copy(update={"phase": CircuitPhase.OPEN})
    made.status = made.status.model_copy(update={"circuit": circuit})
    made.asks("abort")
    assert made.after(1).look() == []
    assert made.phase == "Aborted"
    assert made.why == "aborted on request; the open circuit had its traffic"


@pytest.mark.parametrize("phase", [CircuitPhase.CLOSED, CircuitPhase.OPEN])
def test_in_observe_abort_waits(phase: CircuitPhase):
    """Nothing is changed; the request still stands when the mode is another."""
    made = at(1)
    circuit = made.status.circuit.model_copy(update={"phase": phase})
    made.status = made.status.model_copy(update={"circuit": circuit})
    made.spec = canary_spec(changes={"mode": "Observe"})
    made.asks("abort")
    assert made.after(1).look() == []
    assert made.phase == "Trial"
    made.spec = canary_spec()
    made.after(1).look()
    assert made.phase == "Aborted"


def test_abort_needs_no_steps():
    """Also where others move the traffic."""
    made = Canary(spec=canary_spec(), weights={"fraud": 80, "fraud-next": 20})
    candidate = made.spec.candidate
    assert candidate is not None
    without = candidate.model_copy(update={"progression": None})
    made.spec = made.spec.model_copy(update={"candidate": without})
    made.look()
    assert made.asks("abort").look() == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")


@pytest.mark.parametrize("wish", ["abort", "promote"])
@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_crash_answers_a_request_once(wish: str, point: str):
    """It is finished after the restart, and not done again."""
    made = at(1).asks(wish)
    made.crash = point
    with pytest.raises(Crash):
        made.after(1).look()
    made.restart().after(1).look(H, U, compared=U)
    assert made.share == {"abort": 0, "promote": 100}[wish]
    assert made.status.candidate is not None
    assert made.status.candidate.answered == wish
    assert len({one.id for one in made.done}) == 2


def test_a_request_that_nobody_understands_is_said():
    """And changes nothing."""
    made = at(1).asks("prommote")
    made.after(1).look()
    assert made.why == "cannot understand 'prommote': write pause, promote or abort"
