"""What holds of a diagnosis for all verdicts, and what it is told of a monitor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import CANDIDATE, T0, deployment, route, signal, spec, verdict, view
from tests.core.test_diagnosis import B, H, U, target
from tests.core.test_findings import (
    BETTER,
    BOTH,
    CONFIGURED,
    FOLLOWS,
    HELPS,
    ONE_POD,
    SATURATED,
    SLOW,
    changed,
)

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm, Cause, CircuitPhase, TrialPhase, Verdict
from backstop.core.changes import release_context
from backstop.core.decide import decide
from backstop.core.diagnosis import ReleaseContext, diagnose
from backstop.core.episode import under_way
from backstop.core.measurement import Pillar
from backstop.core.verdicts import Beside, Look

TIMES = st.sampled_from([T0 - 4000, T0 - 300, T0 - 5, T0, T0 + 2])
VERDICTS = st.lists(
    st.builds(
        lambda name, outcome, arm, pillar, at, reason, more: verdict(
            name,
            outcome,
            arm=arm,
            pillar=pillar,
            onset=at if outcome is B else None,
            clean_at=at if outcome is H else None,
            reason=reason if outcome is U else "",
        )._replace(**more),
        st.sampled_from(["errors", "slow"]),
        st.sampled_from(Verdict),
        st.sampled_from(Arm),
        st.sampled_from(Pillar),
        TIMES,
        st.sampled_from(["NoData", "InsufficientData", "WarmingUp"]),
        st.fixed_dictionaries(
            {
                "reports": st.booleans(),
                "attributes": st.booleans(),
                "pod": st.sampled_from([None, "", "a", "b"]),
                "shows": st.sampled_from([None, SLOW, SATURATED]),
                "beside": st.sampled_from([None, *Beside]),
            }
        ),
    ),
    max_size=5,
).map(tuple)
RELEASES = st.builds(
    ReleaseContext,
    changed=st.none() | TIMES,
    proven_good=st.booleans(),
    blame_within=st.just(1800.0),
    configuration=st.lists(st.builds(changed, st.none() | TIMES), max_size=2).map(tuple),
    candidate_under_trial=st.booleans(),
    rolled_out=st.booleans(),
    warming_up=st.booleans(),
)


@given(VERDICTS, RELEASES)
def test_only_a_breach_is_blamed(verdicts, release):
    """Unknown blames nobody, and takes away no breach that acts on the target."""
    known = tuple(one for one in verdicts if one.verdict is not U)
    diagnosis = diagnose(verdicts, release, settle=1.5)
    if not any(one.verdict is B for one in verdicts):
        assert diagnosis is None
    if any(one.verdict is B and one.arm is Arm.TARGET and not one.reports for one in known):
        assert diagnosis is not None
        assert diagnosis.arm is Arm.TARGET


@given(VERDICTS, RELEASES)
def test_what_breaks_both_is_never_the_release(verdicts, release):
    """Whatever was changed before, and in whatever order it was seen."""
    acting = {one.arm for one in verdicts if one.verdict is B and not one.reports}
    diagnosis = diagnose(verdicts, release, settle=1.5)
    if acting == set(Arm):
        assert diagnosis is not None
        assert diagnosis.cause is not Cause.RELEASE
        assert HELPS not in diagnosis.findings or diagnosis.cause is Cause.DATA


@given(VERDICTS, RELEASES)
def test_findings_agree_with_the_cause_and_with_each_other(verdicts, release):
    """What is found is found of this fault, and no two findings exclude each other."""
    diagnosis = diagnose(verdicts, release, settle=1.5)
    if diagnosis is None:
        return
    found = set(diagnosis.findings)
    assert bool(diagnosis.pod) is (ONE_POD in found)
    assert ONE_POD not in found or diagnosis.cause is Cause.INFRASTRUCTURE
    assert HELPS not in found or diagnosis.cause in {Cause.RELEASE, Cause.DATA}
    assert not found >= {BOTH, BETTER}
    assert not found >= {BOTH, ONE_POD}
    assert FOLLOWS not in found or (release.changed is not None and not release.proven_good)
    if diagnosis.arm is Arm.CANDIDATE:
        assert found <= {SLOW, SATURATED}


def on_trial(phase: TrialPhase = TrialPhase.TRIAL, **changes) -> ModelMonitorStatus:
    """Return a status with a candidate, and some fields set."""
    trial = {"fingerprint": "c1", "phase": phase, "since": T0 - 60}
    return ModelMonitorStatus.model_validate({"candidate": trial, **changes})


SPLIT = {"fraud": 90, "fraud-next": 10, "simple": 0}
ALONE = {"fraud": 100, "fraud-next": 0, "simple": 0}
OPEN = {"phase": CircuitPhase.OPEN, "restore": [SPLIT]}


@pytest.mark.parametrize(
    ("status", "rules", "tried"),
    [
        (on_trial(), SPLIT, True),
        (on_trial(), None, True),
        (on_trial(), ALONE, False),
        (on_trial(), {"fraud": 100, "simple": 0}, False),
        (on_trial(TrialPhase.PAUSED), SPLIT, True),
        (on_trial(TrialPhase.ABORTED), SPLIT, False),
        (on_trial(TrialPhase.PROMOTED), SPLIT, False),
        (ModelMonitorStatus(), SPLIT, False),
        # While the fallback answers, what the candidate got before counts.
        (on_trial(circuit=OPEN), ALONE, True),
        (on_trial(circuit={**OPEN, "restore": [ALONE]}), SPLIT, False),
    ],
)
def test_a_candidate_is_on_trial_while_it_gets_traffic(status, rules, tried):
    """One that answers nothing has no say about the target."""
    seen = view(
        spec=spec(candidate=CANDIDATE), status=status, route=None if rules is None else route(rules)
    )
    assert release_context(seen).candidate_under_trial is tried


@pytest.mark.parametrize(
    ("status", "rules", "serves"),
    [
        (on_trial(), SPLIT, True),
        (on_trial(), None, True),
        (on_trial(TrialPhase.PROMOTING), {"fraud": 0, "fraud-next": 100}, False),
        # While the fallback answers, what the target got before counts.
        (on_trial(circuit=OPEN), {"fraud": 0, "fraud-next": 0}, True),
    ],
)
def test_a_target_without_traffic_is_not_waited_for(status, rules, serves):
    """As long as the candidate has all of it, no verdict on the target can come."""
    seen = view(
        spec=spec(candidate=CANDIDATE), status=status, route=None if rules is None else route(rules)
    )
    assert release_context(seen).serves is serves


def test_without_a_candidate_in_the_spec_none_is_on_trial():
    """What is left of it in the status tells nothing."""
    assert not release_context(view(status=on_trial())).candidate_under_trial


SLOW_SIGNAL = {
    **signal().model_dump(by_alias=True, exclude_none=True),
    "name": "slow",
    "persistence": {"breaches": 2, "looks": 3},
    "threshold": {"latency": {"above": "250ms", "buckets": "seconds_bucket"}, "max": "10%"},
}


@pytest.mark.parametrize(
    ("signals", "after", "warming"),
    [
        # Two minutes; and where latency is watched, its window of 10 s and four looks of 2 s.
        (None, 119.9, True),
        (None, 120.0, False),
        ([SLOW_SIGNAL], 137.9, True),
        ([SLOW_SIGNAL], 138.0, False),
        ([{**SLOW_SIGNAL, "window": "1h"}], 419.9, True),
        ([{**SLOW_SIGNAL, "window": "1h"}], 420.0, False),
    ],
)
def test_a_revision_may_warm_up_for_as_long_as_the_spec_says(signals, after, warming):
    """And for as long as a window still holds what was slow before."""
    current = {"current": {"fingerprint": "v1", "since": T0}}
    wanted = spec() if signals is None else spec(signals=signals)
    status = ModelMonitorStatus.model_validate({"revisions": current})
    seen = view(now=T0 + after, spec=wanted, status=status, look=Look(scrape_interval=2.0))
    assert release_context(seen).warming_up is warming


def test_an_unknown_revision_does_not_warm_up():
    """When nobody knows when it began, nothing is excused."""
    assert not release_context(view()).warming_up


@pytest.mark.parametrize(
    ("facts", "rolled_out"),
    [(None, True), (deployment(), True), (deployment(rolled_out=False), False)],
)
def test_whether_all_pods_run_the_revision_is_taken_from_the_workload(facts, rolled_out):
    """As far as it can be read."""
    assert release_context(view(target=facts)).rolled_out is rolled_out


def test_the_configuration_of_a_monitor_is_held_against_the_fault():
    """What the shell has read of it reaches the incident."""
    failing = target(B)
    seen = view(failing, target=deployment(changed=T0 - 86_400), configuration=(changed(T0 - 9),))
    begun = under_way(decide(seen).status)
    assert begun is not None
    assert (begun.cause, begun.findings) == (Cause.RELEASE, [CONFIGURED])
