"""From step to step: on evidence, not on time alone, and never because nothing is known."""

import dataclasses

import pytest
from tests.core.build import T0, action, deployment, episode, spec, status, verdict, view
from tests.core.canary import B, Canary, H, U, at, canary_spec, with_steps

from backstop.api.words import Arm, StepKind, TrialPhase
from backstop.core import progression, trials
from backstop.core.requests import requests

SHIFT, PROMOTE = StepKind.SHIFT_TRAFFIC, StepKind.PROMOTE


def plan(**changes) -> Canary:
    """Return a candidate at 1 % whose progression has some fields changed."""
    return at(1, spec=canary_spec(**changes))


# A step is left


def test_a_candidate_that_proves_itself_goes_step_by_step():
    """Each step has its time and a proof of its own."""
    made = Canary()
    shares = []
    for _ in range(4):
        made.look(H, U, compared=U)
        made.after(30).look()
        shares.append(made.share)
        made.after(31).look()
    assert shares == [1, 50, 100, 100]
    assert [one.step for one in made.done] == [SHIFT, SHIFT, SHIFT, PROMOTE]
    assert made.done[1].why == "fraud-next is no worse at 1 %: 50 % of traffic for its trial"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"candidate": U}, "errors is Unknown (NoData)"),
        ({"compared": U, "proven": False}, "against-stable is Unknown (NoData)"),
        ({"proven": False}, "against-stable has yet to prove that it is no worse"),
    ],
)
def test_without_evidence_the_step_is_kept(seen, why: str):
    """Unknown or unproven, however long; nothing is taken away either."""
    made = at(1)
    for _ in range(5):
        assert made.after(100).look(**seen) == []
        assert made.share == 1
        assert made.why == f"at 1 %: {why}"


def test_evidence_without_time_is_not_enough():
    """A step lasts at least `minTime` from when its traffic was in effect."""
    made = at(1)
    for _ in range(5):
        assert made.after(10).look() == []
    assert made.why == "at 1 %: the step lasts at least 1m"
    assert made.after(11).look() == [SHIFT]


def test_a_step_begins_when_the_gateway_has_taken_it_over():
    """Time in which the candidate had no traffic yet counts for nothing."""
    made = Canary(in_effect=False)
    made.look(H, U, compared=U)
    assert made.after(300).look() == []
    assert made.why == "at 1 %: the gateway has not accepted the weights yet"
    assert made.status.candidate is not None
    assert made.status.candidate.step_since is None
    made.in_effect = True
    assert made.after(1).look() == []
    assert made.after(59).look() == []
    assert made.after(1).look() == [SHIFT]


def test_a_proof_of_an_earlier_step_counts_for_nothing():
    """More load is a new condition: evidence begins anew with each step."""
    made = at(1, 50)
    assert made.status.evidence_from is not None
    assert made.status.evidence_from.timestamp() == made.now
    assert made.after(61).look(proven=False) == []
    assert made.share == 50


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (99, "errors counts fewer than 100 requests in its window"),
        (float("inf"), "none of its signals counts requests, and minSamples is 100"),
    ],
)
def test_where_nothing_is_compared_requests_are_counted(samples: float, why: str):
    """A plain minimum of requests stands in for a proof."""
    made = at(1, spec=canary_spec(compared=False, minSamples=100))
    assert made.after(61).look(samples=samples) == []
    assert made.why == f"at 1 %: {why}"
    assert made.after(1).look(samples=100) == [SHIFT]


def test_a_comparison_that_only_reports_proves_nothing():
    """It has no say, so requests are counted instead."""
    known = canary_spec(minSamples=100)
    reports = known.signals[1].model_copy(update={"on_breach": "Report"})
    made = at(1, spec=known.model_copy(update={"signals": [known.signals[0], reports]}))
    assert made.after(61).look(proven=False, samples=99) == []
    assert made.after(1).look(proven=False, samples=100) == [SHIFT]


def test_at_100_percent_comparisons_have_no_say():
    """Nothing is left beside the candidate; what has a limit of its own decides."""
    made = at(1, 50, 100)
    assert made.after(61).look(H, U, compared=U) == []
    assert made.why == "at 100 %: errors is Unknown (NoData)"
    assert made.after(1).look(U, H, compared=U) == [PROMOTE]


def test_nothing_but_comparisons_cannot_judge_all_the_traffic():
    """It is said what to change."""
    known = canary_spec()
    made = at(1, 50, 100, spec=known.model_copy(update={"signals": known.signals[1:]}))
    assert made.after(61).look(U, H, compared=U) == []
    assert "add a signal with a limit" in made.why


def test_a_last_step_below_100_is_held_for_good():
    """No promotion, and no end of its time."""
    made = at(1, 50, spec=canary_spec(steps=[1, 50], onTimeout="Abort"))
    for _ in range(5):
        assert made.after(1000).look() == []
    assert (made.share, made.why) == (50, "at 50 %: its last step")


# A step is not left


def test_in_observe_nothing_is_given():
    """And nothing is asked for either."""
    made = Canary(spec=canary_spec(changes={"mode": "Observe"}))
    assert made.look() == []
    assert made.why == "without traffic: the mode is Observe, so its traffic is left alone"


def test_a_candidate_that_cannot_be_read_goes_no_further():
    """Nor is its trial over."""
    made = at(1)
    made.workloads["fraud-next"] = None
    assert made.after(61).look() == []
    assert made.why == "at 1 %: it has no ready pod"


@pytest.mark.parametrize("steps", [(1,), (1, 50, 100)])
@pytest.mark.parametrize("wish", ["", "pause"])
def test_a_candidate_whose_pods_are_gone_gives_its_traffic_back(steps, wish: str):
    """Nobody answers what is sent there, and no signal counts it; it begins again with its pods."""
    made = at(*steps).asks(wish)
    made.workloads["fraud-next"] = deployment("c1", ready=0)
    assert made.after(5).look(U, U, compared=U) == [SHIFT]
    assert made.done[-1].why == "no pod of fraud-next is ready: its traffic goes back to fraud"
    assert made.share == 0
    assert made.after(60).look(H, U, compared=U) == []
    made.asks("").workloads["fraud-next"] = deployment("c1")
    assert made.after(60).look(H, U, compared=U) == [SHIFT]
    assert made.share == 1


def test_a_failing_target_holds_the_candidate():
    """A better candidate is no reason to promote by itself: a person is asked."""
    made = at(1)
    for _ in range(5):
        assert SHIFT not in made.after(61).look(B, H)
    assert made.share == 1
    assert made.why == "at 1 %: held, as an incident is under way"
    made.look()
    assert made.after(61).look() == [SHIFT]


def test_a_breach_that_may_be_shared_holds_without_an_incident():
    """Not blamed yet, but no reason to give it more."""
    made = Canary(spec=canary_spec(compared=False))
    made.look(H, U)
    made.after(61)
    made.broken["errors", Arm.CANDIDATE] = made.now + 5
    assert made.look(H, B) == []
    assert made.why == "at 1 %: errors is breached on the candidate"


# It takes too long


def test_a_step_that_takes_too_long_is_held():
    """Also once the evidence is there; a person decides, or a longer time in the spec."""
    made = at(1)
    made.after(601).look(proven=False)
    assert made.why == "at 1 %: the step took longer than 10m; promote it or abort it"
    assert made.after(1).look() == []
    made.spec = canary_spec(maxTime="20m")
    assert made.look() == [SHIFT]


@pytest.mark.parametrize("seen", [{"proven": False}, {"candidate": U}])
def test_a_step_that_takes_too_long_is_aborted_where_the_spec_says_so(seen):
    """The traffic goes back to the target, once, and the trial says why."""
    made = plan(onTimeout="Abort")
    assert made.after(599).look(**seen) == []
    assert made.after(1).look(**seen) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")
    assert made.why == "fraud-next is aborted: the step of 1 % took longer than 10m"
    assert made.status.incident is None
    assert made.after(600).look() == []


def test_time_without_traffic_is_not_the_time_of_the_step():
    """An incident of the target takes the traffic away for a while: the step then begins anew."""
    made = at(1, spec=canary_spec(onTimeout="Abort"))
    circuit = made.status.circuit.model_copy(update={"since": made.status.evidence_from})
    later = circuit.model_validate({**dict(circuit), "since": made.now + 500})
    made.status = made.status.model_copy(update={"circuit": later})
    assert made.after(700).look(proven=False) == []
    assert made.after(399).look(proven=False) == []
    assert made.after(1).look(proven=False) == [SHIFT]


def test_the_scheduler_is_told_when_time_is_up():
    """First the shortest time of the step, then its longest, then nothing."""
    made = at(1)
    began = made.now
    dues = []
    for wait in (0, 60, 540):
        made.after(wait).look(proven=False)
        dues.append(made.due and made.due - began)
    assert dues == [60, 600, None]


@pytest.mark.parametrize("changes", [{"candidate": None}, {"candidate": with_steps(1)}])
def test_without_traffic_no_time_runs(changes):
    """There is no step yet."""
    made = Canary(spec=spec(fallback=None, **changes))
    made.workloads["fraud-next"] = None
    made.look()
    assert made.due is None


# The spec is edited


@pytest.mark.parametrize(
    ("steps", "share"),
    [([1, 5, 100], 100), ([50, 60], 60), ([2, 40, 60], 60), ([10, 20], 50), ([60], 60)],
)
def test_an_edit_of_the_steps_repeats_none(steps: list[int], share: int):
    """The candidate keeps what it has, and goes on with the next larger step."""
    made = at(1, 50)
    made.spec = canary_spec(steps=steps)
    made.after(61).look()
    assert made.share == share


def test_a_first_step_that_became_larger_is_taken_on_a_verdict():
    """Only the very first traffic is given without one."""
    made = at(1)
    made.spec = canary_spec(steps=[5, 100])
    assert made.after(1).look(H, U, compared=U) == []
    assert (made.share, made.why) == (1, "at 1 %: its signals are not all healthy")
    assert made.after(1).look() == [SHIFT]
    assert made.share == 5


def test_steps_that_leave_the_spec_leave_the_weights():
    """Others move the traffic from then on."""
    made = at(1, 50)
    made.spec = spec(candidate=with_steps(1) | {"progression": None}, fallback=None)
    assert made.after(61).look() == []
    assert (made.share, made.why) == (
        50,
        "others move its traffic; it is taken away when the candidate fails",
    )


# It fails, or changes


@pytest.mark.parametrize("steps", [(1,), (1, 50), (1, 50, 100)])
def test_a_candidate_that_fails_loses_its_traffic_at_any_step(steps):
    """In one write, to the target."""
    made = at(*steps)
    assert made.after(5).look(H if steps[-1] < 100 else U, B) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    assert made.after(1000).look() == []


def test_another_template_begins_at_the_first_step():
    """Whatever the one before had reached: that goes back first, ready or not, paused or not."""
    made = at(1, 50).asks("pause")
    made.release("c2").after(5)
    assert made.look() == [SHIFT]
    assert made.done[-1].why == (
        "fraud-next has another template, whose trial begins at the first step: its traffic goes"
        " back to fraud"
    )
    assert made.share == 0
    assert made.asks("").look() == [SHIFT]
    assert made.share == 1
    assert made.status.candidate is not None
    assert (made.status.candidate.step, made.status.candidate.phase) == (0, TrialPhase.TRIAL)
    assert made.after(61).look() == [SHIFT]
    assert made.share == 50


def test_a_step_that_cannot_be_taken_is_tried_again_later():
    """A router that refuses is asked every 15 s, not at every look."""
    made = at(1)
    made.refused = frozenset({SHIFT})
    made.after(60)
    tried = [second for second in range(40) if made.after(1).look()]
    assert tried == [0, 15, 30]
    made.refused = frozenset()
    made.after(15).look()
    assert made.share == 50


@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_crash_repeats_no_step(point: str):
    """Before or after the write: it is finished, recorded once, and the step is the next."""
    made = at(1)
    made.after(61)
    made.crash = point
    with pytest.raises(Exception, match=point):
        made.look()
    made.restart().look(H, U, compared=U)
    assert made.share == 50
    assert made.status.candidate is not None
    assert (made.status.candidate.weight, made.status.candidate.step) == (50, 1)
    assert len({one.id for one in made.done}) == 2


def test_an_edit_after_a_crash_records_what_was_done():
    """What the action gave is known by its id, not by the steps of today."""
    made = at(1)
    made.after(61)
    made.crash = "intent"
    with pytest.raises(Exception, match="intent"):
        made.look()
    made.spec = canary_spec(steps=[1, 20, 60])
    made.restart().look(H, U, compared=U)
    assert made.status.candidate is not None
    assert (made.share, made.status.candidate.weight, made.status.candidate.step) == (50, 50, 1)


# What decisions rely on


def test_without_a_look_at_the_candidate_the_step_is_kept():
    """Signals that nobody has asked yet are no evidence."""
    made = at(1, spec=canary_spec(compared=False))
    known = made.spec.signals[0].model_copy(update={"name": "another"})
    made.spec = made.spec.model_copy(update={"signals": [known]})
    assert made.after(61).look() == []
    assert made.why == "at 1 %: none of its signals has been looked at"


def test_in_an_incident_there_is_no_step():
    """Whoever asks: nothing is given while something else is being mended."""
    known = status(incident=episode(), candidate={"fingerprint": "c1", "since": T0})
    held = view(
        verdict(), status=known, spec=canary_spec(), candidate=deployment("c1"), now=T0 + 99
    )
    assert progression.next_step(held) is None
    free = dataclasses.replace(held, status=known.model_copy(update={"incident": None}))
    assert progression.next_step(free) is not None


def test_what_moves_a_candidate_that_is_gone_changes_no_trial():
    """An action of before is finished, and there is no trial to write into."""
    gone = view(verdict(), status=status(), spec=canary_spec())
    assert trials.shifted(gone, gone.status, action(SHIFT), T0) == gone.status


@pytest.mark.parametrize("parts", [100, 1000, 2, 1])
def test_what_an_incident_of_the_target_takes_away_ends_the_step(parts: int):
    """A runbook may take the candidate's traffic: its trial goes on from the first step.

    The status counts in percent, whatever the router's weights sum to.
    """
    trial = {"fingerprint": "c1", "since": T0, "weight": 1, "step_since": T0}
    known = status(incident=episode(), candidate=trial)
    held = view(verdict(), status=known, spec=canary_spec())
    moved = action(SHIFT, name="off", after=f'{{"0": {{"fraud": {parts}, "fraud-next": 0}}}}')
    after = trials.applied(held, known, moved, T0 + 5)
    assert after.candidate is not None
    assert (after.candidate.weight, after.candidate.step_since) == (0, None)
    assert after.candidate.phase is TrialPhase.TRIAL
    assert after.incident is not None
    assert (after.incident.mitigated is None, after.incident.resolved) == (False, None)


def test_a_breached_target_gives_the_candidate_nothing():
    """Also before an incident has begun; a person is asked."""
    known = status(candidate={"fingerprint": "c1", "since": T0})
    held = view(
        verdict(outcome=B), status=known, spec=canary_spec(), candidate=deployment("c1"), now=T0
    )
    assert progression.next_step(held) is None
    told = progression.advance(held).candidate
    assert told is not None
    assert told.why == (
        "without traffic: errors is breached on the target; a person has to promote or abort"
    )


def test_an_open_circuit_is_not_shared_out():
    """What it holds is given back by closing it, and by nothing else."""
    known = status(circuit={"phase": "Open"}, candidate={"fingerprint": "c1", "since": T0})
    asked = requests({"backstop.dev/candidate": "abort"})
    held = view(verdict(), status=known, spec=canary_spec(), requests=asked)
    assert progression.requested(held) is None
    assert progression.next_step(held) is None
