"""The candidate's trial: its share of traffic once, taken away when it fails, until it changes."""

import pytest
from tests.core.build import CANDIDATE, T0, deployment, episode, spec, status, verdict, view
from tests.core.canary import with_steps
from tests.core.world import World, world

from backstop.api.words import ActionState, Arm, Cause, StepKind, TrialPhase, Verdict
from backstop.core.decide import decide

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
SHIFT, OPEN, CLOSE = StepKind.SHIFT_TRAFFIC, StepKind.OPEN_CIRCUIT, StepKind.CLOSE_CIRCUIT

START = [{"fraud": 100, "fraud-next": 0, "simple": 0}]
TRIAL = [{"fraud": 90, "fraud-next": 10, "simple": 0}]


def on_trial(*, steps: list[int] | None = None, rules=None, **changes) -> World:
    """Return a world with a candidate that is ready, and gets 10 % unless said otherwise."""
    made = world(candidate=with_steps(*(steps or [10])), rules=rules or START, **changes)
    made.candidate = deployment("c1")
    return made


def test_a_ready_candidate_gets_its_share_once():
    """One step; the weights are not enforced afterwards, somebody may move them."""
    made = on_trial()
    assert made.look(H, U) == [SHIFT]
    assert made.rules == TRIAL
    assert made.done[-1].why == "fraud-next is ready: 10 % of traffic for its trial"
    made.rules = [{"fraud": 70, "fraud-next": 30, "simple": 0}]
    assert made.after(60).look(H, H) == []
    assert made.status.candidate is not None
    assert (made.status.candidate.weight, made.status.candidate.fingerprint) == (10, "c1")


@pytest.mark.parametrize("candidate", [None, deployment("c1", ready=0)])
def test_a_candidate_that_is_not_ready_gets_nothing(candidate):
    """No traffic to pods that are not there."""
    made = on_trial()
    made.candidate = candidate
    assert made.look(H, U) == []
    assert made.rules == START


def test_without_steps_the_weights_are_left_alone():
    """Somebody else moves the traffic; Backstop only takes it away when the candidate fails."""
    made = world(candidate=CANDIDATE, rules=TRIAL)
    made.candidate = deployment("c1")
    assert made.look(H, H) == []
    made.after(1)
    assert made.look(H, B) == [SHIFT]
    assert made.rules == START


def test_a_larger_first_step_in_the_spec_is_taken_at_once():
    """The trial goes on with the new share."""
    made = on_trial()
    made.look(H, U)
    made.after(60)
    made.spec = spec(candidate=with_steps(25))
    assert made.look(H, H) == [SHIFT]
    assert made.rules == [{"fraud": 75, "fraud-next": 25, "simple": 0}]


def test_a_trial_that_cannot_start_is_tried_again_later():
    """A route that is not ready is not asked again at every look: each try would be a write."""
    made = on_trial()
    made.refused = frozenset({SHIFT})
    tried = []
    for _ in range(60):
        if made.look(H, U):
            tried.append(made.now - T0)
        made.after(1)
    assert tried == [0, 15, 30, 45]
    made.refused = frozenset()
    assert made.look(H, U) == [SHIFT]


def test_a_failing_candidate_loses_its_traffic_and_stays_without():
    """Blamed, taken off, resolved in one pass; not started again while its template is the same."""
    made = on_trial()
    made.look(H, U)
    made.after(5).look(H, H)
    assert made.after(1).look(H, B) == [SHIFT]
    assert made.rules == START
    told = made.status.incident
    assert told is not None
    assert (told.arm, told.cause) == (Arm.CANDIDATE, Cause.RELEASE)
    assert told.mitigated == told.repaired == told.resolved is not None
    assert made.status.candidate is not None
    assert made.status.candidate.phase is TrialPhase.ABORTED
    for _ in range(5):
        assert made.after(60).look(H, B) == []
    assert made.rules == START
    made.candidate = deployment("c2")
    assert made.after(60).look(H, U) == [SHIFT]
    assert made.rules == TRIAL


def test_the_verdict_on_an_aborted_candidate_means_nothing():
    """Its last samples still tell of the fault; they open no second incident."""
    made = on_trial()
    made.look(H, U)
    made.after(1).look(H, B)
    first = made.status.incident
    made.after(1).look(H, B)
    assert made.status.incident == first
    assert [(one.name, one.arm) for one in made.status.signals] == [("errors", Arm.TARGET)]


def test_a_candidate_that_disappears_keeps_its_trial():
    """Its Deployment cannot be read for a while: that is no new template."""
    made = on_trial()
    made.look(H, U)
    made.candidate = None
    made.after(60).look(H, U)
    assert made.status.candidate is not None
    assert made.status.candidate.fingerprint == "c1"


def test_a_candidate_that_leaves_the_spec_takes_its_trial_along():
    """Without a candidate there is no trial to show."""
    made = on_trial()
    made.look(H, U)
    made.spec = spec()
    made.after(1).look(H)
    assert made.status.candidate is None


def test_an_incident_of_a_candidate_that_left_the_spec_is_over_once_its_traffic_is_back():
    """Nothing can clear its evidence any more; what is left to do is to take its traffic away."""
    made = on_trial()
    made.look(H, U)
    made.refused = frozenset({SHIFT})
    made.after(1).look(H, B)
    made.spec = spec()
    made.after(10).look(H)
    assert made.status.incident is not None
    assert (made.status.incident.resolved, made.rules) == (None, TRIAL)
    made.refused = frozenset()
    assert made.after(15).look(H) == [SHIFT]
    assert (made.status.incident.resolved is None, made.rules) == (False, START)
    assert made.status.candidate is None


def test_a_new_template_is_not_blamed_for_the_last_look_at_the_old_one():
    """A look that was taken before the new template was seen tells of the one before it."""
    made = on_trial()
    made.look(H, U)
    made.after(5).look(H, H)
    made.candidate = deployment("c2")
    made.after(1).look(H, B)
    assert made.status.incident is None
    made.after(1).look(H, B)
    assert made.status.incident is not None


@pytest.mark.parametrize("mode", ["Act", "Observe"])
def test_an_incident_of_a_candidate_that_changed_is_over(mode: str):
    """A trial belongs to one template: the next one is not aborted for the fault of the last."""
    made = on_trial(mode=mode)
    made.look(H, U)
    made.refused = frozenset({SHIFT})
    made.after(1).look(H, B)
    assert made.status.incident is not None
    assert made.status.incident.resolved is None
    made.refused = frozenset()
    made.candidate = deployment("c2", rolled_out=False)
    made.after(10).look(H, B)
    assert made.status.incident.resolved is not None
    assert made.status.candidate is not None
    assert (made.status.candidate.fingerprint, made.status.candidate.phase) == ("c2", "Trial")


@pytest.mark.parametrize("outcome", [H, U])
def test_no_trial_starts_in_an_incident(outcome: Verdict):
    """While the target has an open incident, a candidate waits."""
    made = on_trial(fallback=None, rules=[{"fraud": 100, "fraud-next": 0}])
    made.candidate = deployment("c1", ready=0)
    made.look(B, U)
    made.candidate = deployment("c1")
    assert made.after(1).look(U, outcome) == []
    assert made.after(1).look(H, outcome) == [SHIFT]  # it is over


def test_no_trial_starts_while_the_circuit_is_open():
    """A status that was mended by hand: traffic of an open circuit is not shared out."""
    left_open = status(circuit={"phase": "Open"}, candidate={"fingerprint": "c1"})
    made = view(
        verdict(),
        status=left_open,
        spec=spec(candidate=with_steps(10)),
        candidate=deployment("c1"),
    )
    assert decide(made).step is None


def test_after_the_circuit_closes_the_trial_goes_on():
    """The candidate was not the fault, so it has its share again."""
    made = on_trial()
    made.look(H, U)
    made.after(60).look(B, H)
    assert made.rules == [{"fraud": 0, "fraud-next": 0, "simple": 100}]
    made.after(30).look(U, U)
    assert made.rules == [{"fraud": 5, "fraud-next": 0, "simple": 95}]
    assert made.after(10).look(H, U) == [CLOSE]
    assert made.rules == TRIAL


def test_a_target_that_fails_takes_over_the_incident():
    """The candidate's traffic could not be moved, and now the target fails too: both suffer."""
    made = on_trial()
    made.look(H, U)
    made.refused = frozenset({SHIFT})
    made.after(1).look(H, B)
    first = made.status.incident
    made.after(5)
    assert made.look(B, B) == [OPEN]
    second = made.status.incident
    assert first is not None
    assert second is not None
    assert (first.arm, second.arm) == (Arm.CANDIDATE, Arm.TARGET)
    assert second.cause is Cause.INFRASTRUCTURE


def test_a_trial_that_cannot_be_aborted_is_retried_later():
    """Later each time, each with an id of its own; then each minute, as its users suffer."""
    made = on_trial()
    made.look(H, U)
    made.refused = frozenset({SHIFT})
    tried = []
    for _ in range(600):
        made.after(0.5)
        if made.look(H, B):
            tried.append(made.now - T0 - 0.5)
    assert tried == [0, 1, 3, 8, 23, *range(83, 300, 60)]
    assert made.status.incident is not None
    assert len({one.id for one in made.status.incident.actions}) == len(tried)


def test_a_candidate_that_recovers_before_it_is_aborted_goes_on():
    """The incident is over when its evidence cleared."""
    made = on_trial()
    made.look(H, U)
    made.refused = frozenset({SHIFT})
    made.after(1).look(H, B)
    made.after(10).look(H, H)
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    assert made.status.candidate is not None
    assert made.status.candidate.phase is TrialPhase.TRIAL


def test_observe_records_the_abort_once():
    """Nothing is taken away; what would be done stands in the incident."""
    made = on_trial(mode="Observe", rules=TRIAL)
    assert made.look(H, U) == []  # only Act starts a trial
    assert made.after(1).look(H, B) == [SHIFT]
    for _ in range(5):
        assert made.after(30).look(H, B) == []
    assert made.rules == TRIAL
    assert made.states(SHIFT) == [ActionState.OBSERVED]


def test_each_step_of_each_trial_has_an_id_of_its_own():
    """Another template, trial of it, or share is another action; the same one is the same."""
    begun = {"fingerprint": "c1", "since": T0}
    known = {
        "spec": spec(candidate=with_steps(10)),
        "candidate": deployment("c1"),
        "status": status(candidate=begun),
    }
    first = decide(view(verdict(), **known)).step
    again = decide(view(verdict(), now=T0 + 99, generation=2, **known)).step
    other = [
        decide(view(verdict(), **{**known, **change})).step
        for change in (
            {"candidate": deployment("c2")},
            {"spec": spec(candidate=with_steps(11))},
            {"status": status(candidate={**begun, "since": T0 + 1})},
        )
    ]
    assert first is not None
    assert again is not None
    assert first.action_id == again.action_id
    assert len({first.action_id, *(one.action_id for one in other if one is not None)}) == 4


def test_the_target_incident_ignores_the_candidate():
    """Only the target's signals resolve the target's incident."""
    made = status(incident=episode(), candidate={"fingerprint": "c1"})
    found = decide(
        view(
            verdict(outcome=H),
            verdict(outcome=U, arm=Arm.CANDIDATE),
            status=made,
            spec=spec(candidate=CANDIDATE),
            candidate=deployment("c1"),
        )
    )
    assert found.status.incident is not None
    assert found.status.incident.resolved is not None
