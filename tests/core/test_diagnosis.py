"""Is it the data, the model, the infrastructure, or only the new version? The table, row by row."""

import dataclasses
from datetime import UTC, datetime

import pytest
from tests.core.build import CANDIDATE, T0, spec, verdict, view

from backstop.api.status import CandidateStatus, ModelMonitorStatus
from backstop.api.words import Arm, Cause, Verdict
from backstop.core.decide import decide
from backstop.core.diagnosis import ReleaseContext, diagnose
from backstop.core.episode import under_way
from backstop.core.measurement import Pillar
from backstop.core.verdicts import Beside, Look

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OLD = ReleaseContext(changed=T0 - 86_400, proven_good=False, blame_within=1800)
NEW = ReleaseContext(changed=T0 - 5, proven_good=False, blame_within=1800)
GOOD = ReleaseContext(changed=T0 - 5, proven_good=True, blame_within=1800)


def target(outcome: Verdict, pillar: Pillar = Pillar.SYSTEM, **more):
    """Return the verdict on a signal of the target."""
    return verdict(f"{pillar}-signal", outcome, pillar=pillar, **more)


def candidate(outcome: Verdict, pillar: Pillar = Pillar.SYSTEM):
    """Return the verdict on a signal of the candidate."""
    return verdict(f"{pillar}-signal", outcome, arm=Arm.CANDIDATE, pillar=pillar)


ROWS = {
    "stable good, candidate bad: the release": (
        (target(H), candidate(B)),
        OLD,
        (Cause.RELEASE, Arm.CANDIDATE),
    ),
    "whatever signal of the candidate it is": (
        (target(H, Pillar.DATA), candidate(B, Pillar.DATA)),
        OLD,
        (Cause.RELEASE, Arm.CANDIDATE),
    ),
    "past good, now bad after a release: the release": (
        (target(B),),
        NEW,
        (Cause.RELEASE, Arm.TARGET),
    ),
    "also when the data signals broke with it": (
        (target(B, Pillar.DATA), target(B)),
        NEW,
        (Cause.RELEASE, Arm.TARGET),
    ),
    "also when only the model signals broke": (
        (target(B, Pillar.MODEL),),
        NEW,
        (Cause.RELEASE, Arm.TARGET),
    ),
    "both versions bad, data breached: the data": (
        (target(B, Pillar.DATA), target(B), candidate(B)),
        NEW,
        (Cause.DATA, Arm.TARGET),
    ),
    "both versions bad, data healthy: what they share": (
        (target(B), target(H, Pillar.DATA), candidate(B)),
        NEW,
        (Cause.INFRASTRUCTURE, Arm.TARGET),
    ),
    "data breached and no release": ((target(B, Pillar.DATA),), OLD, (Cause.DATA, Arm.TARGET)),
    "data and system breached and no release": (
        (target(B, Pillar.DATA), target(B)),
        OLD,
        (Cause.DATA, Arm.TARGET),
    ),
    "only the model breached and no release": (
        (target(B, Pillar.MODEL), target(H)),
        OLD,
        (Cause.MODEL, Arm.TARGET),
    ),
    "only the business breached and no release": (
        (target(B, Pillar.BUSINESS), target(H)),
        OLD,
        (Cause.MODEL, Arm.TARGET),
    ),
    "system breached and no release": ((target(B),), OLD, (Cause.INFRASTRUCTURE, Arm.TARGET)),
    "model and system breached and no release": (
        (target(B, Pillar.MODEL), target(B)),
        OLD,
        (Cause.INFRASTRUCTURE, Arm.TARGET),
    ),
    "stable bad, candidate good: the stable": (
        (target(B), candidate(H)),
        OLD,
        (Cause.INFRASTRUCTURE, Arm.TARGET),
    ),
    "a revision that was good before is not to blame": (
        (target(B),),
        GOOD,
        (Cause.INFRASTRUCTURE, Arm.TARGET),
    ),
    "all healthy": ((target(H), candidate(H)), NEW, None),
    "all unknown": ((target(U), candidate(U)), NEW, None),
    "nothing measured": ((), NEW, None),
    "unknown beside a breach does not hide it": (
        (target(B), target(U, Pillar.DATA)),
        OLD,
        (Cause.INFRASTRUCTURE, Arm.TARGET),
    ),
    "an unknown candidate does not excuse the release": (
        (target(B), candidate(U)),
        NEW,
        (Cause.RELEASE, Arm.TARGET),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_decision_table(row: str):
    """Each row of the table, and what surrounds it."""
    verdicts, release, blamed = ROWS[row]
    found = diagnose(verdicts, release)
    assert (found and (found.cause, found.arm)) == blamed


@pytest.mark.parametrize(
    ("changed", "onset", "seen", "blamed"),
    [
        (None, T0, T0, False),  # nobody knows when the revision began
        (T0, T0 + 1, T0 + 2, True),
        (T0, T0 - 1, T0 + 1, True),  # between a clean and a broken sample
        (T0, T0 - 1, T0, True),
        (T0, T0 - 3, T0 - 1, False),  # it was seen before the revision changed
        (T0, T0 + 1800, T0 + 1801, True),
        (T0, T0 + 1801, T0 + 1802, False),  # too long after it
    ],
)
def test_a_release_is_blamed_when_the_fault_can_have_begun_with_it(changed, onset, seen, blamed):
    """Not for what was there before, and not for what began long after."""
    release = ReleaseContext(changed=changed, proven_good=False, blame_within=1800)
    found = diagnose((target(B, onset=onset, seen=seen),), release)
    assert found is not None
    assert (found.cause is Cause.RELEASE) is blamed


def test_the_fault_is_as_old_as_its_first_signal():
    """A second signal that breaks after a release does not make it the release's fault."""
    release = ReleaseContext(changed=T0, proven_good=False, blame_within=1800)
    before = target(B, onset=T0 - 10, seen=T0 - 9)
    after = target(B, Pillar.MODEL, onset=T0 + 3, seen=T0 + 4)
    found = diagnose((after, before), release)
    assert found is not None
    assert (found.cause, found.onset) == (Cause.INFRASTRUCTURE, T0 - 10)


@pytest.mark.parametrize(
    ("held", "blamed"),
    [
        (verdict("errors", H, clean_at=T0 - 1), False),
        (verdict("errors", H, clean_at=T0), True),
        (verdict("errors", H, clean_at=T0 + 1), True),
        (verdict("errors", U, reason="WarmingUp"), False),
        (verdict("errors", U, reason="NoData"), True),
        (verdict("other", H, clean_at=T0 - 1), True),
        (verdict("errors", B, arm=Arm.CANDIDATE), True),
    ],
)
def test_a_candidate_is_blamed_when_the_target_outlived_its_fault(held, blamed):
    """Scrapes of both arms differ in time: until the target's next one the fault may be shared.

    A target that cannot be measured does not keep a candidate that fails.
    """
    found = diagnose((held, verdict("errors", B, arm=Arm.CANDIDATE, onset=T0 - 1, seen=T0)), OLD)
    assert (found is not None) is blamed


@pytest.mark.parametrize(("later", "blamed"), [(0.3, False), (1.4, False), (1.5, True)])
def test_a_candidate_is_blamed_only_after_all_pods_of_the_target_were_scraped(later, blamed):
    """A fault of both shows up later in a target of several pods, each scraped once a second."""
    failing = verdict("errors", B, arm=Arm.CANDIDATE, onset=T0 - 1, seen=T0)
    holding = verdict("errors", H, clean_at=T0 + later)
    trial = CandidateStatus(fingerprint="c1", since=datetime.fromtimestamp(T0 - 60, UTC))
    seen = view(
        spec=spec(candidate=CANDIDATE),
        status=ModelMonitorStatus(candidate=trial),
        look=Look(verdicts=(holding, failing), scrape_interval=1.0),
    )
    assert (under_way(decide(seen).status) is not None) is blamed


@pytest.mark.parametrize(
    ("verdicts", "release", "fails", "because"),
    [
        (
            (target(B, onset=T0),),
            NEW,
            "target fails",
            "began 5 s after the revision changed: the release is to blame",
        ),
        (
            (target(B, onset=T0 - 6, seen=T0),),
            NEW,
            "target fails",
            "began 0 ms after the revision changed: the release is to blame",
        ),
        (
            (target(B), candidate(B)),
            NEW,
            "target fails",
            "both versions fail, so no release is to blame and no rollback would help",
        ),
        (
            (target(H), candidate(B)),
            OLD,
            "candidate fails while the target does not",
            "its version is to blame",
        ),
        (
            (target(U), candidate(B)),
            OLD,
            "candidate fails while nothing is known of the target",
            "its version is to blame",
        ),
        (
            (target(B, Pillar.DATA),),
            OLD,
            "target fails",
            "the data is at fault and the revision is not new: no rollback helps",
        ),
    ],
)
def test_the_sentence_says_what_and_why(verdicts, release, fails, because):
    """One sentence with the numbers; it claims about the other arm only what is known."""
    found = diagnose(verdicts, release)
    assert found is not None
    assert found.why == f"{fails}: errors 50 % (5 of 10), allowed 5%; {because}"


def test_all_breached_signals_are_evidence():
    """Of both arms, each with its numbers; healthy ones are none."""
    found = diagnose((target(B), target(H, Pillar.DATA), candidate(B, Pillar.MODEL)), OLD)
    assert found is not None
    assert found.evidence == (
        "system-signal on target: errors 50 % (5 of 10), allowed 5%",
        "model-signal on candidate: errors 50 % (5 of 10), allowed 5%",
    )


@pytest.mark.parametrize(
    ("held", "while_new", "later"),
    [
        (verdict(outcome=U, reason="InsufficientData"), False, True),
        (verdict(outcome=U, reason="NoData"), False, True),
        (verdict(outcome=U, reason="WarmingUp"), False, False),
        (verdict(clean_at=T0 + 60), False, True),
        (verdict(clean_at=T0 + 60)._replace(beside=Beside.BETTER), True, True),
    ],
)
def test_a_target_that_was_just_released_must_be_demonstrably_better(held, while_new, later):
    """Its verdict may rest on pods that are gone; then a fault of both is not the candidate's.

    After the warm-up time it counts as any, or an idle target would protect a bad candidate.
    """
    seen = (held, verdict(outcome=B, arm=Arm.CANDIDATE))
    new = ReleaseContext(T0 - 5, proven_good=False, blame_within=1800, warming_up=True)
    old = ReleaseContext(T0 - 500, proven_good=False, blame_within=1800)
    silent = dataclasses.replace(new, serves=False)
    assert (diagnose(seen, new) is not None) == while_new
    assert (diagnose(seen, old) is not None) == later
    assert (diagnose(seen, silent) is not None) == later
