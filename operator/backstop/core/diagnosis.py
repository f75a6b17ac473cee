"""Tell the data, the model, the infrastructure and the new version apart.

A pure decision table over the verdicts of both arms and the history of changes. The question that
decides about a rollback is whether it would help: only when the fault began after the current
revision did, that revision was never known to be good, no configuration changed since, and no other
version may have the same fault. A fault that both versions share has a common cause, and no
rollback removes it. Whatever the cause, only the finding RollbackHelps says that a rollback would.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from backstop.api.words import Arm, Cause, Finding, Severity, Verdict
from backstop.core import findings
from backstop.core.facts import ConfigurationChange
from backstop.core.findings import Evidence, ReleaseContext
from backstop.core.measurement import Pillar
from backstop.core.units import say_seconds
from backstop.core.verdicts import SignalVerdict, overall

__all__ = ["Diagnosis", "ReleaseContext", "diagnose"]

_SUSPECTS: Final = {
    Pillar.DATA: Cause.DATA,
    Pillar.MODEL: Cause.MODEL,
    Pillar.BUSINESS: Cause.MODEL,
    Pillar.SYSTEM: Cause.INFRASTRUCTURE,
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to blame, on which arm, since when, and in one sentence why.

    ``onset`` is a Unix time. ``findings`` are sorted; ``pod`` is named with OnePod and only then.
    """

    cause: Cause
    arm: Arm
    onset: float
    why: str
    evidence: tuple[str, ...]
    severity: Severity = Severity.P1
    findings: tuple[Finding, ...] = ()
    pod: str = ""


class _Blame(NamedTuple):
    """A row of the table: the cause, why it is, and what was found that only this row tells."""

    cause: Cause
    because: str
    found: frozenset[Finding] = frozenset()


def diagnose(
    verdicts: tuple[SignalVerdict, ...], release: ReleaseContext, *, settle: float = 0.0
) -> Diagnosis | None:
    """Return what the verdicts blame, or ``None`` when no signal of any arm is breached.

    Signals that only report are looked at last: what they find is a cause without a symptom yet.

    ``settle`` is how many seconds a fault of both may show later on one arm than on the other, as
    their pods are scraped one after another.
    """
    if findings.breached(verdicts, Arm.TARGET):
        return _blame_target(Evidence(verdicts, release, settle))
    candidate = findings.breached(verdicts, Arm.CANDIDATE)
    new = release.warming_up and release.serves
    alone = tuple(
        one
        for one in candidate
        if not findings.may_be_shared(one, verdicts, settle, other_is_new=new)
    )
    if alone:
        return _blame_candidate(alone, verdicts)
    reported = tuple(v for v in verdicts if v.reports and v.verdict is Verdict.BREACHED)
    return _report(reported) if reported else None


def _said(breached: Iterable[SignalVerdict]) -> tuple[str, ...]:
    return tuple(f"{verdict.name} on {verdict.arm}: {verdict.why}" for verdict in breached)


def _report(reported: tuple[SignalVerdict, ...]) -> Diagnosis:
    first = reported[0]
    return Diagnosis(
        _SUSPECTS[first.pillar],
        first.arm,
        findings.onset_of(reported),
        f"{first.name} on the {first.arm}: {first.why}; only reported, as no user suffers of it",
        _said(reported),
        Severity.P2,
        tuple(sorted(findings.shown(reported, first.arm))),
    )


def _blame_candidate(
    candidate: tuple[SignalVerdict, ...], verdicts: tuple[SignalVerdict, ...]
) -> Diagnosis:
    healthy = overall(verdicts, Arm.TARGET) is Verdict.HEALTHY
    held = "the target does not" if healthy else "nothing is known of the target"
    return Diagnosis(
        Cause.RELEASE,
        Arm.CANDIDATE,
        findings.onset_of(candidate),
        f"candidate fails while {held}: {candidate[0].why}; its version is to blame",
        _said(candidate),
        findings=tuple(sorted(findings.shown(candidate, Arm.CANDIDATE))),
    )


def _blame_target(evidence: Evidence) -> Diagnosis:
    target, blame = evidence.target, _row(evidence)
    said = [f"target fails: {target[0].why}", blame.because]
    found = blame.found | findings.shown(evidence.verdicts, Arm.TARGET)
    if findings.follows_release(evidence):
        found |= {Finding.FOLLOWS_RELEASE}
    if findings.configuration_before(evidence) is not None:
        found |= {Finding.CONFIGURATION_CHANGED}
    if findings.candidate_holds(evidence):
        found |= {Finding.CANDIDATE_BETTER}
        said.append("the candidate is healthy: ask a person, nothing is promoted by this alone")
    return Diagnosis(
        blame.cause,
        Arm.TARGET,
        evidence.onset,
        "; ".join(said),
        _said((*target, *evidence.candidate)),
        findings=tuple(sorted(found)),
        pod=findings.one_pod(evidence) if Finding.ONE_POD in blame.found else "",
    )


def _row(evidence: Evidence) -> _Blame:
    """Return the first row of the table that fits."""
    if evidence.candidate:
        return _both(evidence)
    if any(verdict.attributes for verdict in evidence.target):
        because = "the version before it, which still serves, does not: it is to blame"
        return _Blame(Cause.RELEASE, because, frozenset({Finding.ROLLBACK_HELPS}))
    pod = findings.one_pod(evidence)
    if pod:
        because = (
            f"pod {pod} carries most of it and the others hold the limit: that pod is at fault"
        )
        return _Blame(Cause.INFRASTRUCTURE, because, frozenset({Finding.ONE_POD}))
    if findings.follows_release(evidence):
        return _release(evidence)
    changed = findings.configuration_before(evidence)
    if changed is not None:
        because = f"{_changed(changed, evidence.onset)}: {_NOT_UNDONE}"
        return _Blame(Cause.RELEASE, because)
    return _old_revision(evidence)


def _both(evidence: Evidence) -> _Blame:
    """Return what is to blame where both arms are breached: never a release."""
    changed = findings.configuration_before(evidence)
    beside = "" if changed is None else f"; {_changed(changed, evidence.onset)}"
    cause = Cause.DATA if Pillar.DATA in evidence.pillars else Cause.INFRASTRUCTURE
    if not findings.both_fail(evidence):
        apart = findings.onset_of(evidence.candidate) - evidence.onset
        order = f"{say_seconds(abs(apart))} {'later' if apart > 0 else 'earlier'}"
        because = f"the candidate began to fail {order}: these may be two faults, no rollback helps"
        return _Blame(cause, because + beside)
    found = frozenset({Finding.BOTH_FAIL})
    because = "both versions fail, so no release is to blame and no rollback would help"
    if cause is Cause.DATA and any(verdict.attributes for verdict in evidence.target):
        because = (
            "both versions fail on this data and the version before them, which still serves,"
            " handles it: a rollback helps"
        )
        found |= {Finding.ROLLBACK_HELPS}
    return _Blame(cause, because + beside, found)


def _release(evidence: Evidence) -> _Blame:
    """Return how far the release is to blame that the fault follows, and whether to go back."""
    release, changed = evidence.release, findings.configuration_before(evidence)
    began = release.changed or 0.0
    said = f"began {say_seconds(max(0.0, evidence.onset - began))} after the revision changed"
    helps = frozenset({Finding.ROLLBACK_HELPS})
    if changed is not None:
        said = f"{said}; {_changed(changed, evidence.onset)}"
    if changed is not None and (changed.changed or 0.0) > began:
        return _Blame(Cause.RELEASE, f"{said}: {_NOT_UNDONE}")
    if release.warming_up and findings.is_only_slow(evidence):
        because = f"{said}: it may still be warming up, so slow answers do not roll it back yet"
        return _Blame(Cause.RELEASE, because)
    if findings.candidate_may_share(evidence) and Pillar.DATA in evidence.pillars:
        because = f"{said}, but the candidate may get the same broken data: the data is suspected"
        return _Blame(Cause.DATA, f"{because}, and nothing is rolled back")
    if findings.candidate_may_share(evidence):
        because = f"{said}: the release is the first suspect, but the candidate may fail as well"
        return _Blame(Cause.RELEASE, f"{because}, so nothing is rolled back")
    return _Blame(Cause.RELEASE, f"{said}: the release is to blame", helps)


def _old_revision(evidence: Evidence) -> _Blame:
    """Return what is to blame where nothing was changed."""
    pillars = evidence.pillars
    if Pillar.DATA in pillars:
        because = "the data is at fault and the revision is not new: no rollback helps"
        return _Blame(Cause.DATA, because)
    if Pillar.SYSTEM not in pillars:
        because = "the system is healthy, the revision not new: investigate the model"
        return _Blame(Cause.MODEL, because)
    if Finding.SATURATED in findings.shown(evidence.verdicts, Arm.TARGET):
        because = "the revision is not new and its resources are exhausted: it needs more of them"
        return _Blame(Cause.INFRASTRUCTURE, because)
    because = "the revision is not new, so what it runs on is the first suspect"
    return _Blame(Cause.INFRASTRUCTURE, because)


_NOT_UNDONE: Final = "a rollback of the pod template would not undo it"


def _changed(one: ConfigurationChange, onset: float) -> str:
    before = say_seconds(max(0.0, onset - (one.changed or 0.0)))
    by = f" (by {one.manager})" if one.manager else ""
    return f"{one.ref} changed {before} before{by}"
