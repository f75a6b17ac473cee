"""After the last step: the target takes the version over, or the two swap their roles."""

import pytest
from tests.core.build import CANDIDATE, T0, deployment, spec, status, verdict, view
from tests.core.canary import B, Canary, Crash, H, U, at, canary_spec

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.words import Cause, StepKind
from backstop.core import trials
from backstop.core.promotion import effective_spec, settled, swapped

SHIFT, PROMOTE, ROLLBACK = StepKind.SHIFT_TRAFFIC, StepKind.PROMOTE, StepKind.ROLLBACK


def proven(**plan) -> Canary:
    """Return a candidate that has passed its last step."""
    made = at(1, 50, 100, spec=canary_spec(**plan))
    return made.after(61)


# By template


def test_the_target_takes_over_the_version_and_then_the_traffic():
    """Not before all its pods run it."""
    made = proven()
    assert made.look(U, H, compared=U) == [PROMOTE]
    assert (made.share, made.phase) == (100, "Promoting")
    assert made.done[-1].why == "fraud-next passed its last step: fraud takes over its version"
    for _ in range(3):
        assert made.after(30).look(U, H, compared=U) == []
        assert made.why == "at 100 %: fraud is taking over its version"
    made.rolls_out(done=True)
    assert made.after(1).look(U, H, compared=U) == [SHIFT]
    assert (made.weights, made.phase) == ({"fraud": 100, "fraud-next": 0}, "Promoted")
    assert made.why == "fraud runs the version of fraud-next, and has its traffic back"
    for _ in range(5):
        assert made.after(100).look(H, U, compared=U) == []


@pytest.mark.parametrize("step", [PROMOTE, SHIFT])
@pytest.mark.parametrize("point", ["intent", "effect"])
def test_a_crash_promotes_no_twice(step: StepKind, point: str):
    """Neither the template nor the traffic: each action happens once by its id."""
    made = proven()
    if step is SHIFT:
        made.look(U, H, compared=U)
        made.rolls_out(done=True)
    made.crash = point
    with pytest.raises(Crash):
        made.look(U, H, compared=U)
    made.restart().after(1).look(U, H, compared=U)
    made.rolls_out(done=True).after(1).look(U, H, compared=U)
    assert made.phase == "Promoted"
    assert len({one.id for one in made.done}) == 5


def test_a_fault_right_after_the_promotion_is_blamed_on_the_release():
    """The target's own logic goes on watching: the new revision is known, and can be undone."""
    made = proven()
    made.look(U, H, compared=U)
    made.rolls_out(done=True).after(1).look(U, H, compared=U)
    made.after(5).look(H, U, compared=U)
    current = made.status.revisions.current
    assert current is not None
    assert current.fingerprint == "c1*"
    made.refused = frozenset({ROLLBACK})
    asked = made.after(5).look(B, U, compared=U)
    assert made.status.incident is not None
    assert made.status.incident.cause is Cause.RELEASE
    assert ROLLBACK in asked


def test_a_promotion_that_does_not_end_says_what_to_do():
    """The candidate goes on serving; who waits for the target must learn that it will not come."""
    made = proven()
    made.look(U, H, compared=U)
    made.after(601).look(U, H, compared=U)
    assert made.why == (
        "at 100 %: fraud has not taken over its version within 10m: look at its rollout"
    )
    made.release("v9", workload="fraud").after(1).look(U, H, compared=U)
    assert made.why == (
        "at 100 %: fraud runs another version by now: abort, or release this one there"
    )
    assert made.share == 100


def test_a_pause_holds_the_traffic_where_it_is():
    """Also when the target already runs the version."""
    made = proven()
    made.look(U, H, compared=U)
    made.rolls_out(done=True).asks("pause")
    assert made.after(1).look(U, H, compared=U) == []
    assert (made.share, made.why) == (100, "at 100 %: paused by a person")
    assert made.asks("").look(U, H, compared=U) == [SHIFT]


def test_a_failing_candidate_stops_the_promotion():
    """Its traffic goes to the target, whatever that runs by now; its own logic sees to that."""
    made = proven()
    made.look(U, H, compared=U)
    assert made.after(5).look(U, B, compared=U) == [SHIFT]
    assert (made.share, made.phase) == (0, "Aborted")


def test_a_breached_target_is_given_no_traffic():
    """The candidate keeps it until somebody has looked."""
    made = proven()
    made.look(U, H, compared=U)
    made.rolls_out(done=True).after(1)
    assert SHIFT not in made.look(B, H, compared=U)
    assert made.share == 100


def test_a_target_with_the_same_template_has_taken_over():
    """Somebody else may have released the version meanwhile."""
    made = proven()
    made.look(U, H, compared=U)
    made.release("c1", workload="fraud")
    assert made.after(1).look(U, H, compared=U) == [SHIFT]
    assert made.phase == "Promoted"


@pytest.mark.parametrize("gone", ["fraud"])
def test_nothing_is_promoted_to_a_target_that_cannot_be_read(gone: str):
    """Nor is its promotion finished."""
    made = proven()
    known = made.workloads[gone]
    made.workloads[gone] = None
    assert made.look(U, H, compared=U) == []
    made.workloads[gone] = known
    assert made.after(1).look(U, H, compared=U) == [PROMOTE]
    made.workloads[gone] = None
    assert made.after(1).look(U, H, compared=U) == []
    assert made.phase == "Promoting"


def test_never_holds_at_the_last_step():
    """And says so."""
    made = proven(promotion="Never", onTimeout="Abort")
    for _ in range(3):
        assert made.after(1000).look(U, H, compared=U) == []
    assert (made.share, made.why) == (100, "at 100 %: promotion is Never, so it stays here")


def test_an_action_of_a_trial_that_is_gone_is_finished():
    """The candidate left the spec meanwhile: there is nothing to write into."""
    gone = view(verdict(), status=status(), spec=spec())
    assert trials.promoted(gone, gone.status, T0) == gone.status


# By swapping the roles


def test_the_roles_are_swapped_without_a_write():
    """The traffic is on the candidate's Service already; the former target stands by."""
    made = proven(promotion="SwapRoles")
    writes = len(made.done)
    assert made.look(U, H, compared=U) == []
    assert len(made.done) == writes
    assert (made.status.promoted, made.share, made.phase) == ("fraud-next", 100, "Promoted")
    assert made.why == "fraud-next is the target now, and fraud stands by"
    for _ in range(5):
        assert made.after(100).look(H, U, compared=U) == []
    assert made.share == 100


def test_a_fault_right_after_the_swap_is_blamed_on_the_release():
    """The new target's revision begins with the swap; what was known was of another workload."""
    made = proven(promotion="SwapRoles")
    made.look(U, H, compared=U)
    made.after(5).look(H, U, compared=U)
    current = made.status.revisions.current
    assert current is not None
    assert (current.fingerprint, made.status.revisions.last_good) == ("c1", None)
    made.after(5).look(B, U, compared=U)
    assert made.status.incident is not None
    assert made.status.incident.cause is Cause.RELEASE


def test_after_the_swap_the_former_target_is_the_next_candidate():
    """With its next template, it goes the same way, back to the role it had."""
    made = proven(promotion="SwapRoles")
    made.look(U, H, compared=U)
    made.release("v2", workload="fraud").after(60)
    made.look(H, U, compared=U)
    assert made.weights == {"fraud": 1, "fraud-next": 99}
    for _ in range(3):
        made.after(1).look(H, H)
        made.after(61).look(H, H)
    made.after(1).look(U, H, compared=U)
    assert made.weights == {"fraud": 100, "fraud-next": 0}
    assert (made.status.promoted, made.phase) == ("", "Promoted")


def test_a_target_that_cannot_be_read_swaps_no_role():
    """Its template has to be known, or it would be taken for a new candidate."""
    made = proven(promotion="SwapRoles")
    made.workloads["fraud"] = None
    made.look(U, H, compared=U)
    assert made.status.promoted == ""
    unknown = view(verdict(), spec=spec(candidate=CANDIDATE))
    assert swapped(unknown) == unknown.status


def test_a_canary_within_the_target_itself_swaps_no_role():
    """It is said what to choose instead."""
    both = {
        "target": {
            "kind": "InferenceService",
            "name": "fraud",
            "service": "fraud",
            "metricLabels": {"app": "fraud"},
        },
    }
    made = Canary(spec=canary_spec(promotion="SwapRoles", changes=both))
    candidate = made.spec.candidate
    assert candidate is not None
    own = candidate.model_copy(update={"name": "fraud", "kind": "InferenceService"})
    made.spec = made.spec.model_copy(update={"candidate": own})
    made.workloads["fraud"] = deployment("c1")
    made.look(U, H, compared=U)
    made.asks("promote").look(U, H, compared=U)
    made.after(100).look(U, H, compared=U)
    assert made.status.promoted == ""
    assert made.why.endswith("choose promotion Template")


def test_a_template_that_failed_is_never_rolled_back_to():
    """Its workload may have the target's role one day."""
    made = at(1, spec=canary_spec(promotion="SwapRoles"))
    made.after(5).look(H, B)
    assert made.status.revisions.known_bad == ["c1"]
    other = at(1)
    other.after(5).look(H, B)
    assert other.status.revisions.known_bad == []


# The spec with its roles


def roles(known: ModelMonitorSpec) -> list[tuple[str, str | None, dict[str, str]]]:
    """Return who is the target and who the candidate."""
    both = (known.target, known.candidate)
    return [(one.name, one.service, one.metric_labels) for one in both if one is not None]


def test_roles_are_exchanged_with_all_that_belongs_to_them():
    """Name, kind, Service and labels; the progression stays with the role."""
    known = canary_spec()
    now = effective_spec(known, status(promoted="fraud-next"))
    assert roles(now) == roles(known)[::-1]
    assert now.candidate is not None
    assert known.candidate is not None
    assert now.candidate.progression == known.candidate.progression
    assert ModelMonitorSpec.model_validate(now.to_json()) == now


@pytest.mark.parametrize(
    ("known", "promoted"),
    [(canary_spec(), ""), (canary_spec(), "another"), (spec(), "fraud-next")],
)
def test_otherwise_the_spec_is_as_it_was_written(known: ModelMonitorSpec, promoted: str):
    """No promotion, or one of a workload that is not the candidate."""
    assert effective_spec(known, status(promoted=promoted)) is known
    assert settled(known, status(promoted=promoted)).promoted == ""


def test_a_spec_that_took_the_promotion_over_ends_it():
    """Written as it is by now, it is read as it is written; the trial goes on as it was."""
    made = proven(promotion="SwapRoles")
    made.look(U, H, compared=U)
    assert settled(made.spec, made.status) is made.status
    before = made.status
    made.spec = effective_spec(made.spec, made.status)
    made.after(60).look(H, U, compared=U)
    assert made.status.promoted == ""
    assert before.candidate is not None
    assert made.status.candidate is not None
    assert made.status.candidate.fingerprint == before.candidate.fingerprint == "v1"
    assert (made.phase, made.share) == ("Promoted", 100)
