"""Whether somebody else undid what was done: when that is certain, and what is said about it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import CANDIDATE, T0, action, deployment, episode, route, spec, status, view

from backstop.api.modelmonitor import Limits
from backstop.api.status import Action
from backstop.api.words import ActionState, StepKind
from backstop.core.brakes import Hold, HoldKind
from backstop.core.reverts import SEEN_WITHIN, Revert, find, may_redo, stopped
from backstop.core.view import View

S, A = StepKind, ActionState
OPEN = '{"0,1": {"fraud": 0, "simple": 100}}'
OPENED = action(S.OPEN_CIRCUIT, A.VERIFIED, after=OPEN)


def live(fraud: int, simple: int, *, manager: str = "argocd-controller", gitops: str = "Argo CD"):
    """Return the route with these weights in its second rule, as this manager wrote it."""
    rules = ({"fraud": 0, "simple": 100}, {"fraud": fraud, "simple": simple})
    return replace(route(*rules), manager=manager, gitops=gitops)


def in_incident(
    *actions: Action, phase: str = "Open", now: float = T0, found=None, **changes: object
) -> View:
    """Return a monitor in an incident with these actions, whose route was put back."""
    known = {
        "circuit": {"phase": phase},
        "incident": episode(actions=[one.to_json() for one in actions]).to_json(),
        **changes,
    }
    return view(status=status(**known), route=found or live(100, 0), now=now)


@pytest.mark.parametrize("phase", ["Open", "HalfOpen"])
def test_weights_that_were_put_back_are_told_with_who_did_it(phase):
    """With the rule, what it says, what it should say, the field manager and the tool."""
    assert find(in_incident(OPENED, phase=phase)) == Revert(
        OPENED,
        "openCircuit was undone by argocd-controller (Argo CD): HTTPRoute/fraud gives, in rule 1,"
        " fraud 100, simple 0 instead of fraud 0, simple 100",
        "argocd-controller",
        "Argo CD",
    )


def test_who_did_it_may_be_unknown():
    """Then that is what is said."""
    found = find(in_incident(OPENED, found=live(100, 0, manager="", gitops="")))
    assert found is not None
    assert found.what.startswith("openCircuit was undone by somebody unknown: HTTPRoute/fraud")
    assert (found.manager, found.tool) == ("", "")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (in_incident(OPENED, found=live(0, 100)), "as we wrote it"),
        (in_incident(OPENED, phase="Closed"), "nothing is kept away from the target"),
        (in_incident(), "we did nothing"),
        (in_incident(action(S.NOTIFY, A.VERIFIED)), "telling people moves no traffic"),
        (replace(in_incident(OPENED), route=None), "the route is not known"),
        (in_incident(OPENED, incident=None), "nothing is under way"),
        (in_incident(OPENED, incident=episode(resolved=T0).to_json()), "it is over"),
        (
            in_incident(OPENED, action=action(S.PROBE_CIRCUIT, after=OPEN).to_json()),
            "we are about to write",
        ),
        (
            in_incident(action(S.OPEN_CIRCUIT, A.FAILED, after=OPEN), now=T0 + 600),
            "it was never in effect",
        ),
        (
            in_incident(action(S.OPEN_CIRCUIT, A.OBSERVED, after=OPEN, applied_at=None)),
            "it was never done",
        ),
        (
            in_incident(action(S.OPEN_CIRCUIT, A.VERIFIED, after='{"7": {"fraud": 0}}')),
            "the rule is gone",
        ),
    ],
)
def test_what_is_not_certain_is_no_revert(made, why):
    """Nothing is done again on a guess."""
    assert find(made) is None, why


@pytest.mark.parametrize(("later", "certain"), [(0.0, False), (4.9, False), (SEEN_WITHIN, True)])
def test_facts_may_be_older_than_a_write_that_was_not_yet_seen(later, certain):
    """Until the watch must have told of it, what differs may be what was there before."""
    applied = action(S.OPEN_CIRCUIT, A.APPLIED, after=OPEN)
    assert (find(in_incident(applied, now=T0 + later)) is not None) is certain


def test_the_last_move_of_traffic_counts():
    """A probe asks for other weights than the opening before it."""
    probe = action(S.PROBE_CIRCUIT, A.VERIFIED, after='{"1": {"fraud": 5, "simple": 95}}')
    between = action(S.ROLLBACK, A.APPLIED)
    made = in_incident(OPENED, probe, between, phase="HalfOpen", found=live(5, 95))
    assert find(made) is None
    undone = find(in_incident(OPENED, probe, between, phase="HalfOpen", found=live(0, 100)))
    assert undone is not None
    assert undone.action == probe


ROLLED_BACK = action(S.ROLLBACK, A.VERIFIED, before="v2", after="v1")


@pytest.mark.parametrize(
    ("done", "fingerprint", "known_bad", "undone"),
    [
        (ROLLED_BACK, "v2", [], True),
        (ROLLED_BACK, "v0", ["v0"], True),
        (ROLLED_BACK, "v1", ["v2"], False),
        (ROLLED_BACK, "v3", ["v2"], False),
        (action(S.ROLLBACK, A.APPLIED, before="v2", after="v1"), "v2", [], False),
        (action(S.RESTART, A.VERIFIED, before="v2"), "v2", [], False),
    ],
)
def test_a_bad_revision_that_came_back_is_a_revert(done, fingerprint, known_bad, undone):
    """A third revision is a repair by somebody; what was never in effect was not undone."""
    target = replace(deployment(fingerprint), manager="kubectl-edit")
    made = in_incident(done, phase="Closed", revisions={"knownBad": known_bad})
    expected = Revert(
        done,
        "rollback was undone by kubectl-edit: Deployment/fraud asks for revision"
        f" {fingerprint} again",
        "kubectl-edit",
    )
    assert find(replace(made, target=target)) == (expected if undone else None)
    assert find(replace(made, target=None)) is None


ABORTED = action(S.SHIFT_TRAFFIC, A.VERIFIED, after='{"0": {"fraud": 100, "fraud-next": 0}}')


def on_trial(phase: str, *actions: Action, weight: int = 20, **changes: object) -> View:
    """Return a monitor after the incident of its candidate, which has this weight."""
    over = episode(arm="candidate", resolved=T0, actions=[one.to_json() for one in actions])
    rules = route({"fraud": 100 - weight, "fraud-next": weight, "simple": 0})
    return view(
        **{
            "spec": spec(candidate=CANDIDATE),
            "status": status(candidate={"phase": phase}, incident=over.to_json()),
            "route": replace(rules, manager="kubectl-edit"),
            **changes,
        }
    )


def test_a_failed_candidate_that_gets_traffic_again_is_a_revert():
    """Its incident was resolved when its traffic was taken away."""
    assert find(on_trial("Aborted", ABORTED)) == Revert(
        ABORTED,
        "shiftTraffic was undone by kubectl-edit: HTTPRoute/fraud gives, in rule 0, fraud-next 20"
        " after its trial was aborted",
        "kubectl-edit",
    )


@pytest.mark.parametrize(
    "made",
    [
        on_trial("Trial", ABORTED),
        on_trial("Aborted", ABORTED, weight=0),
        on_trial("Aborted"),
        on_trial("Aborted", action(S.SHIFT_TRAFFIC, A.APPLIED, after=ABORTED.after)),
        on_trial("Aborted", action(S.SHIFT_TRAFFIC, A.VERIFIED, after='{"0": {"fraud-next": 20}}')),
        on_trial("Aborted", ABORTED, route=None),
        on_trial("Aborted", ABORTED, spec=spec(traffic=None, fallback=None)),
        on_trial("Aborted", ABORTED, status=status(candidate={"phase": "Aborted"})),
        on_trial("Aborted", ABORTED, status=status(incident=episode().to_json())),
    ],
    ids=[
        "on-trial",
        "no-traffic",
        "not-by-us",
        "not-yet-seen",
        "we-gave-it",
        "no-route",
        "no-services",
        "no-incident",
        "no-trial",
    ],
)
def test_a_candidate_with_traffic_is_otherwise_no_revert(made):
    """Only one whose traffic Backstop has taken away for good."""
    assert find(made) is None


@given(reverts=st.integers(0, 30), most=st.integers(0, 20))
def test_a_change_is_made_again_only_so_often(reverts, most):
    """Who undoes it each time wants it otherwise."""
    limits = Limits.model_validate({"maxReverts": most})
    assert may_redo(episode(reverts=reverts), limits) is (reverts < most)


def test_to_stop_is_said_to_somebody_at_once():
    """With who does it, how often, and what makes the tool leave it alone."""
    revert = Revert(OPENED, "openCircuit was undone by x", "x")
    said = "openCircuit was undone by x; made again 2 times, not once more (spec.limits.maxReverts)"
    assert stopped(episode(reverts=2), revert) == Hold(
        HoldKind.REVERTS, f"{said}: stop who undoes it", page=True
    )
    assert stopped(episode(reverts=2), replace(revert, tool="Argo CD")).why == (
        f"{said}: list its weights under ignoreDifferences, with RespectIgnoreDifferences=true"
    )


def test_the_advice_is_not_cut_off_where_names_are_usual():
    """A status has room for 300 characters."""
    revert = find(in_incident(OPENED))
    assert revert is not None
    assert stopped(episode(reverts=2), revert).why.endswith("with RespectIgnoreDifferences=true")
