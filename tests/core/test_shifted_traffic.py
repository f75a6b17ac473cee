"""What a runbook gives the candidate in an incident of the target is put back after recovery."""

from typing import Any

import pytest
from tests.core.build import CANDIDATE, deployment, spec
from tests.core.canary import with_steps
from tests.core.world import Crash, World, world

from backstop.api.modelmonitor import Mode
from backstop.api.words import ActionState, CircuitPhase, Severity, StepKind, Verdict
from backstop.core.fleet import Fleet
from backstop.core.requests import CANDIDATE as CANDIDATE_REQUEST
from backstop.core.requests import requests

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
SHIFT, OPEN, CLOSE = StepKind.SHIFT_TRAFFIC, StepKind.OPEN_CIRCUIT, StepKind.CLOSE_CIRCUIT
BEFORE = {"fraud": 75, "fraud-next": 25, "simple": 0}
SHIFTED = {"fraud": 20, "fraud-next": 80, "simple": 0}
OVER = {"name": "over", "shiftTraffic": {"candidateWeight": 80}}
OFF = {"name": "off", "shiftTraffic": {}}
ASIDE = {"name": "aside", "openCircuit": {}}
FRESH = {"name": "fresh", "restart": {}, "verify": {"within": "1m"}}


def shifted(
    *more: dict[str, Any], first: dict[str, Any] = OVER, accepted: bool = True, **changes: Any
) -> World:
    """Return a world in whose incident the runbook has given the candidate 80 % of the traffic."""
    candidate = changes.pop("candidate", with_steps(25, 100, minTime="1h"))
    made = world(
        candidate=candidate, rules=[BEFORE], runbook={"infrastructure": [first, *more]}, **changes
    )
    made.candidate = deployment("c1")
    made.look(H, H)
    made.after(60).look(H, H)
    assert made.rules == [BEFORE]
    made.accepted = accepted
    made.after(1).look(B, H)
    return made.after(1)


def test_what_was_shifted_is_put_back_once_the_target_has_recovered():
    """In one journaled step, which ends the incident as closing a circuit does."""
    made = shifted()
    assert made.rules == [SHIFTED]
    made.look(B, H)
    assert made.status.why.startswith(
        "incident under way, the candidate has traffic of the target until it recovers; "
    )
    assert made.after(30).look(U, H) == []
    assert made.after(30).look(H, H) == [SHIFT]
    assert made.rules == [BEFORE]
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    assert made.action(SHIFT).why == "fraud is healthy again, and gets its traffic back"
    assert made.status.shifted == []
    for _ in range(3):
        assert made.after(60).look(H, H) == []


def test_putting_it_back_takes_no_action_of_the_hour():
    """No brake holds it, so the rates do not count it, though the candidate keeps its own share."""
    made = shifted()
    before = made.status.recent_actions
    assert made.look(H, H) == [SHIFT]
    assert made.rules == [BEFORE]
    assert made.status.recent_actions == before


def test_the_step_of_the_trial_begins_anew():
    """It was at 25 %, and is again, with evidence of its own."""
    made = shifted()
    made.look(H, H)
    trial = made.status.candidate
    assert trial is not None
    assert trial.step_since is not None
    assert (trial.weight, trial.step_since.timestamp()) == (25, made.now)


@pytest.mark.parametrize("point", ["intent", "effect"])
@pytest.mark.parametrize("step", ["shift", "back"])
def test_a_crash_forgets_nothing_of_it(point: str, step: str):
    """Each step is finished once, and what was before is known to the end."""
    made = shifted(first=OVER if step == "back" else FRESH)
    if step == "shift":
        made.spec = shifted().spec
        made.status = made.status.model_copy(update={"incident": None})
    made.crash = point
    with pytest.raises(Crash):
        made.look(H if step == "back" else B, H)
    made.restart()
    made.after(1).look(H, H)
    made.after(1).look(H, H)
    assert (made.rules, made.status.shifted) == ([BEFORE], [])
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_it_is_not_put_back_while_the_target_is_not_known_to_be_healthy():
    """Unknown clears nothing: with all the traffic gone, a person has to look."""
    made = shifted()
    for outcome in (B, U, B, U):
        assert made.after(300).look(outcome, H) == []
    assert made.rules == [SHIFTED]


def test_a_repair_is_waited_for():
    """The target gets its traffic back when the pods are new, and healthy."""
    made = shifted(FRESH)
    made.rolled_out = False
    assert made.look(B, H) == [StepKind.RESTART]
    assert made.after(5).look(H, H) == []
    made.rolled_out = True
    assert made.after(5).look(H, H) == [SHIFT]
    assert made.rules == [BEFORE]


def test_two_shifts_are_put_back_to_what_was_before_the_first():
    """Whatever the second one began from."""
    made = shifted({"name": "more", "shiftTraffic": {"candidateWeight": 90}})
    assert made.after(1).look(B, H) == [SHIFT]
    assert made.rules == [{"fraud": 10, "fraud-next": 90, "simple": 0}]
    made.after(1).look(H, H)
    assert made.rules == [BEFORE]


def test_a_circuit_that_opens_takes_it_over():
    """Closing it gives the weights back that were before both, and there is nothing left to do."""
    made = shifted(ASIDE)
    made.look(B, H)
    assert made.rules == [{"fraud": 0, "fraud-next": 0, "simple": 100}]
    assert (made.status.circuit.restore, made.status.shifted) == ([BEFORE], [])
    made.after(61).look(U, U)
    made.after(61).look(H, U)
    assert made.steps[-1] is CLOSE
    assert made.rules == [BEFORE]


def test_an_open_circuit_is_not_undone_by_a_shift():
    """A candidate that is healthy by other traffic gets none of what the fallback answers."""
    made = shifted(OVER, first=ASIDE)
    assert made.after(1).look(U, H) == []
    assert made.rules == [{"fraud": 0, "fraud-next": 0, "simple": 100}]
    assert made.status.incident is not None
    assert made.status.incident.steps[-1].why == "the circuit is open, and has the traffic"


def test_a_shift_that_is_tried_again_must_still_be_right():
    """The circuit opened in between: its traffic stays with the fallback."""
    made = world(candidate=CANDIDATE, rules=[BEFORE], runbook={"infrastructure": [OVER, ASIDE]})
    made.candidate, made.refused = deployment("c1"), frozenset({SHIFT})
    made.look(H, H)
    assert made.after(1).look(B, H) == [SHIFT, OPEN]
    made.refused = frozenset()
    assert made.after(20).look(U, H) == []
    assert made.rules == [{"fraud": 0, "fraud-next": 0, "simple": 100}]


def test_taking_the_candidates_traffic_away_is_not_put_back():
    """The target has what is its own; the trial begins again at its first step, on evidence."""
    made = shifted(first=OFF)
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    assert made.look(H, U) == [SHIFT]
    assert made.done[-1].why == "fraud-next is ready: 25 % of traffic for its trial"
    assert made.rules == [BEFORE]
    made = shifted(first=OFF, candidate=CANDIDATE)
    made.after(1).look(H, U)
    assert made.after(60).look(H, U) == []
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]


def test_what_was_given_and_then_taken_away_is_not_put_back():
    """The candidate gets nothing it has not earned."""
    made = shifted(OFF)
    made.look(B, H)
    assert (made.rules[0]["fraud-next"], made.status.shifted) == (0, [])


def test_a_person_who_aborts_has_the_last_word():
    """The candidate has no traffic, and gets none back."""
    made = shifted()
    made.requests = requests({CANDIDATE_REQUEST: "abort"})
    made.look(B, H)
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    assert made.after(1).look(H, H) == []
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_a_candidate_that_leaves_the_spec_meanwhile_gets_nothing_back():
    """Nobody would watch it: all goes to the target."""
    made = shifted()
    made.spec, made.candidate = spec(runbook={"infrastructure": [OVER]}), None
    made.look(B)
    made.after(1).look(H)
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]
    assert (made.status.candidate, made.status.shifted) == (None, [])


def test_what_somebody_else_moved_since_is_left_alone():
    """Whoever moved it has decided about it; the incident says so, and ends."""
    made = shifted()
    made.look(B, H)
    made.rules = [{"fraud": 50, "fraud-next": 50, "simple": 0}]
    assert made.after(10).look(H, H) == []
    assert made.rules == [{"fraud": 50, "fraud-next": 50, "simple": 0}]
    assert made.action(SHIFT).message == (
        "somebody unknown moved the traffic since, so it is not put back"
    )
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_what_no_gateway_has_taken_over_yet_is_not_taken_for_undone():
    """Nor is it put back before it is known to be in effect."""
    made = shifted(accepted=False)
    made.rules = [BEFORE]
    assert made.look(H, H) == []
    assert made.status.shifted == [BEFORE]
    made.accepted, made.rules = True, [SHIFTED]
    assert made.after(1).look(H, H) == [SHIFT]
    assert made.rules == [BEFORE]


def test_a_shift_that_cannot_be_put_back_keeps_the_incident_open():
    """And wakes somebody; it is tried again less and less often."""
    made = shifted()
    made.refused = frozenset({SHIFT})
    made.look(H, H)
    assert made.status.incident is not None
    assert (made.status.incident.resolved, made.status.incident.severity) == (None, Severity.P0)
    made.refused = frozenset()
    assert made.after(0.5).look(H, H) == []
    assert made.after(2).look(H, H) == [SHIFT]
    assert made.rules == [BEFORE]


def test_in_mode_observe_it_is_left_and_said():
    """Nothing is changed there."""
    made = shifted()
    made.spec = made.spec.model_copy(update={"mode": Mode.OBSERVE})
    made.look(H, H)
    made.after(5).look(H, H)
    assert made.rules == [SHIFTED]
    assert made.states(SHIFT)[-1] is ActionState.OBSERVED
    assert "is left so because the mode is Observe" in made.status.why


def test_no_brake_holds_it_and_nobody_is_asked():
    """Giving traffic back follows from what was allowed before."""
    made = shifted()
    made.fleet = Fleet(actions=10, actions_per_hour=1)
    made.spec = made.spec.model_copy(update={"mode": Mode.APPROVE})
    assert made.look(H, H) == [SHIFT]
    assert made.status.circuit.phase is CircuitPhase.CLOSED
