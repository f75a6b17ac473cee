"""What a diagnosis finds beside the cause, row by row, and the sentence that says so."""

from dataclasses import replace

import pytest
from tests.core.build import T0, verdict
from tests.core.test_diagnosis import GOOD, NEW, OLD, B, H, U, candidate, target

from backstop.api.words import Arm, Cause, Finding, Verdict
from backstop.core.diagnosis import ReleaseContext, diagnose
from backstop.core.facts import ConfigurationChange, ObjectRef
from backstop.core.measurement import Pillar
from backstop.core.verdicts import Beside

FOLLOWS, CONFIGURED = Finding.FOLLOWS_RELEASE, Finding.CONFIGURATION_CHANGED
BOTH, BETTER, ONE_POD = Finding.BOTH_FAIL, Finding.CANDIDATE_BETTER, Finding.ONE_POD
SATURATED, SLOW, HELPS = Finding.SATURATED, Finding.SLOW, Finding.ROLLBACK_HELPS
TRIED_OLD = replace(OLD, candidate_under_trial=True)
TRIED_NEW = replace(NEW, candidate_under_trial=True)


def changed(at: float | None, manager: str = "kubectl") -> ConfigurationChange:
    """Return that a ConfigMap's data was changed at a Unix time."""
    return ConfigurationChange(ObjectRef("ConfigMap", "demo", "x"), at, manager)


def configured(release: ReleaseContext, *at: float | None) -> ReleaseContext:
    """Return the context with changes of the configuration at these times."""
    return replace(release, configuration=tuple(changed(one) for one in at))


def better(outcome: Verdict = H, beside: Beside | None = Beside.BETTER, **more):
    """Return a verdict on the candidate, which held the limit long after the target broke it."""
    found = verdict("system-signal", outcome, arm=Arm.CANDIDATE, clean_at=T0 + 60, **more)
    return found._replace(beside=beside)


FOUND = {
    "a release": ((target(B),), NEW, Cause.RELEASE, {FOLLOWS, HELPS}),
    "no release": ((target(B),), OLD, Cause.INFRASTRUCTURE, set()),
    "a good revision": ((target(B),), GOOD, Cause.INFRASTRUCTURE, set()),
    "a change against the version before": (
        (target(B)._replace(attributes=True),),
        OLD,
        Cause.RELEASE,
        {HELPS},
    ),
    "both": ((target(B), candidate(B)), OLD, Cause.INFRASTRUCTURE, {BOTH}),
    "both after a release": ((target(B), candidate(B)), NEW, Cause.INFRASTRUCTURE, {BOTH, FOLLOWS}),
    "both against the version before": (
        (target(B)._replace(attributes=True), candidate(B)),
        OLD,
        Cause.INFRASTRUCTURE,
        {BOTH},
    ),
    "both on data that the version before handles": (
        (target(B, Pillar.DATA), target(B)._replace(attributes=True), candidate(B)),
        OLD,
        Cause.DATA,
        {BOTH, HELPS},
    ),
    "both, the candidate long before": (
        (target(B), verdict("system-signal", B, arm=Arm.CANDIDATE, onset=T0 - 300)),
        NEW,
        Cause.INFRASTRUCTURE,
        {FOLLOWS},
    ),
    "both, the candidate long after": (
        (target(B, Pillar.DATA), verdict("system-signal", B, arm=Arm.CANDIDATE, onset=T0 + 300)),
        NEW,
        Cause.DATA,
        {FOLLOWS},
    ),
    "both after a change of the configuration": (
        (target(B), candidate(B)),
        configured(OLD, T0 - 20),
        Cause.INFRASTRUCTURE,
        {BOTH, CONFIGURED},
    ),
    "the configuration": (
        (target(B),),
        configured(OLD, T0 - 20),
        Cause.RELEASE,
        {CONFIGURED},
    ),
    "the configuration of a good revision": (
        (target(B),),
        configured(GOOD, T0 - 20),
        Cause.RELEASE,
        {CONFIGURED},
    ),
    "the configuration, too long before": (
        (target(B),),
        configured(OLD, T0 - 1801),
        Cause.INFRASTRUCTURE,
        set(),
    ),
    "the configuration, after the fault": (
        (target(B),),
        configured(OLD, T0 + 1),
        Cause.INFRASTRUCTURE,
        set(),
    ),
    "the configuration never changed": (
        (target(B),),
        configured(OLD, None),
        Cause.INFRASTRUCTURE,
        set(),
    ),
    "the configuration after the release": (
        (target(B),),
        configured(NEW, T0 - 600, T0 - 2),
        Cause.RELEASE,
        {CONFIGURED, FOLLOWS},
    ),
    "the configuration before the release": (
        (target(B),),
        configured(NEW, T0 - 7),
        Cause.RELEASE,
        {CONFIGURED, FOLLOWS, HELPS},
    ),
    "the configuration with the release": (
        (target(B),),
        configured(NEW, T0 - 5),
        Cause.RELEASE,
        {CONFIGURED, FOLLOWS, HELPS},
    ),
    "one pod": ((target(B)._replace(pod="a"),), OLD, Cause.INFRASTRUCTURE, {ONE_POD}),
    "one pod of a new revision": (
        (target(B)._replace(pod="a"),),
        NEW,
        Cause.INFRASTRUCTURE,
        {ONE_POD, FOLLOWS},
    ),
    "the only pod of a new revision": (
        (target(B)._replace(pod="a"),),
        replace(NEW, rolled_out=False),
        Cause.RELEASE,
        {FOLLOWS, HELPS},
    ),
    "one pod while an old revision is scaled": (
        (target(B)._replace(pod="a"),),
        replace(OLD, rolled_out=False),
        Cause.INFRASTRUCTURE,
        {ONE_POD},
    ),
    "one pod, and a signal that cannot tell pods apart": (
        (target(B)._replace(pod="a"), target(B)._replace(pod=None)),
        OLD,
        Cause.INFRASTRUCTURE,
        {ONE_POD},
    ),
    "one pod, and a model that is bad": (
        (target(B)._replace(pod="a"), target(B, Pillar.DATA)._replace(pod=None)),
        OLD,
        Cause.DATA,
        set(),
    ),
    "two signals, two pods": (
        (target(B)._replace(pod="a"), target(B)._replace(pod="b")),
        OLD,
        Cause.INFRASTRUCTURE,
        set(),
    ),
    "several pods": ((target(B)._replace(pod=""),), OLD, Cause.INFRASTRUCTURE, set()),
    "one pod of each version": (
        (target(B)._replace(pod="a"), candidate(B)._replace(pod="b")),
        OLD,
        Cause.INFRASTRUCTURE,
        {BOTH},
    ),
    "slow": ((target(B)._replace(shows=SLOW),), OLD, Cause.INFRASTRUCTURE, {SLOW}),
    "slow and full": (
        (target(B)._replace(shows=SLOW), target(B)._replace(shows=SATURATED, reports=True)),
        OLD,
        Cause.INFRASTRUCTURE,
        {SLOW, SATURATED},
    ),
    "full, of the candidate": (
        (target(B), candidate(H)._replace(shows=SATURATED)),
        OLD,
        Cause.INFRASTRUCTURE,
        set(),
    ),
    "slow while it may warm up": (
        (target(B)._replace(shows=SLOW),),
        replace(NEW, warming_up=True),
        Cause.RELEASE,
        {SLOW, FOLLOWS},
    ),
    "one slow pod while it may warm up": (
        (target(B)._replace(shows=SLOW, pod="a"),),
        replace(NEW, warming_up=True),
        Cause.RELEASE,
        {SLOW, FOLLOWS},
    ),
    "a trial of which nothing is known": ((target(B),), TRIED_NEW, Cause.RELEASE, {FOLLOWS, HELPS}),
    "slow and failing while it may warm up": (
        (target(B)._replace(shows=SLOW), target(B)),
        replace(NEW, warming_up=True),
        Cause.RELEASE,
        {SLOW, FOLLOWS, HELPS},
    ),
    "the candidate is better": (
        (target(B), better()),
        TRIED_OLD,
        Cause.INFRASTRUCTURE,
        {BETTER},
    ),
    "the candidate is better, no events are counted": (
        (target(B), better(beside=None)),
        TRIED_OLD,
        Cause.INFRASTRUCTURE,
        {BETTER},
    ),
    "the candidate is better, on data": (
        (target(B, Pillar.DATA), target(B), better()),
        TRIED_OLD,
        Cause.DATA,
        {BETTER},
    ),
    "the candidate is better than the release": (
        (target(B), better()),
        TRIED_NEW,
        Cause.RELEASE,
        {BETTER, FOLLOWS, HELPS},
    ),
    "a candidate that is not on trial": ((target(B), better()), OLD, Cause.INFRASTRUCTURE, set()),
    "the candidate may share it: not scraped since": (
        (target(B), candidate(H)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS},
    ),
    "the candidate may share it: its window does not show it yet": (
        (target(B), better(beside=Beside.ALIKE)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS},
    ),
    "the candidate may share it: too few requests since": (
        (target(B), better(beside=Beside.OPEN)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS},
    ),
    "the candidate may share it: too few requests": (
        (target(B), better(U, reason="InsufficientData", beside=None)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS},
    ),
    "the candidate may share broken data": (
        (target(B, Pillar.DATA), better(beside=Beside.OPEN)._replace(name="data-signal")),
        TRIED_NEW,
        Cause.DATA,
        {FOLLOWS},
    ),
    "the candidate may share it: too few looks": (
        (target(B), better(U, reason="WarmingUp", beside=None)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS},
    ),
    "the candidate cannot be measured": (
        (target(B), better(U, beside=None)),
        TRIED_NEW,
        Cause.RELEASE,
        {FOLLOWS, HELPS},
    ),
    "only reported": (
        (target(B)._replace(reports=True, shows=SATURATED),),
        NEW,
        Cause.INFRASTRUCTURE,
        {SATURATED},
    ),
    "the candidate alone": (
        (target(H, clean_at=T0 + 60), candidate(B)._replace(shows=SLOW)),
        NEW,
        Cause.RELEASE,
        {SLOW},
    ),
}


@pytest.mark.parametrize("row", FOUND)
def test_what_is_found_beside_the_cause(row: str):
    """Each finding, where it is made and where it is not."""
    verdicts, release, cause, found = FOUND[row]
    diagnosis = diagnose(verdicts, release, settle=1.5)
    assert diagnosis is not None
    assert (diagnosis.cause, set(diagnosis.findings)) == (cause, found)
    assert list(diagnosis.findings) == sorted(found)
    assert diagnosis.pod == ("a" if ONE_POD in found else "")


@pytest.mark.parametrize(
    ("apart", "same"), [(0.0, True), (2.5, True), (2.6, False), (-2.5, True), (-2.6, False)]
)
def test_both_fail_when_they_can_have_begun_to_at_one_moment(apart, same):
    """A fault began within an interval; two overlap, give or take the time to be scraped."""
    ours = target(B, onset=T0, seen=T0 + 1)
    theirs = verdict("x", B, arm=Arm.CANDIDATE, onset=T0 + apart, seen=T0 + apart + 1)
    diagnosis = diagnose((ours, theirs), OLD, settle=1.5)
    assert diagnosis is not None
    assert (BOTH in diagnosis.findings) is same
