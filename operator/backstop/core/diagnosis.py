"""Tell the data, the model, the infrastructure and the new version apart.

A pure decision table over the verdicts of both arms and the history of revisions. The question that
decides about a rollback is whether it would help: only when the fault began after the current
revision did, and that revision was never known to be good, is the release to blame. A fault that
both versions share has a common cause, and no rollback removes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backstop.api.status import Arm, Cause, Severity, Verdict
from backstop.core.measurement import Pillar, UnknownReason
from backstop.core.units import say_seconds
from backstop.core.verdicts import SignalVerdict, overall


@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """When the target's current revision began, and whether it has been good since.

    ``changed`` is a Unix time, ``None`` when unknown; ``blame_within`` is in seconds.
    """

    changed: float | None
    proven_good: bool
    blame_within: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to blame, on which arm, since when, and in one sentence why."""

    cause: Cause
    arm: Arm
    onset: float
    why: str
    evidence: tuple[str, ...]
    severity: Severity = Severity.P1


def _breached(verdicts: Iterable[SignalVerdict], arm: Arm) -> tuple[SignalVerdict, ...]:
    return tuple(v for v in verdicts if v.arm is arm and v.verdict is Verdict.BREACHED)


def _onset(breached: Iterable[SignalVerdict]) -> float:
    return min(verdict.onset or 0.0 for verdict in breached)


def _said(breached: Iterable[SignalVerdict]) -> tuple[str, ...]:
    return tuple(f"{verdict.name} on {verdict.arm}: {verdict.why}" for verdict in breached)


def diagnose(
    verdicts: tuple[SignalVerdict, ...], release: ReleaseContext, *, settle: float = 0.0
) -> Diagnosis | None:
    """Return what the verdicts blame, or ``None`` when no signal of any arm is breached.

    Signals that only report are looked at last: what they find is a cause without a symptom yet.

    ``settle`` is how many seconds a fault of both may show later on the target than on the
    candidate, as its pods are scraped one after another.
    """
    acting = tuple(verdict for verdict in verdicts if not verdict.reports)
    target = _breached(acting, Arm.TARGET)
    candidate = _breached(acting, Arm.CANDIDATE)
    if target:
        return _blame_target(target, candidate, release)
    alone = tuple(one for one in candidate if not _may_be_shared(one, verdicts, settle))
    if alone:
        return _blame_candidate(alone, overall(verdicts, Arm.TARGET))
    reported = tuple(v for v in verdicts if v.reports and v.verdict is Verdict.BREACHED)
    return _report(reported) if reported else None


_SUSPECTS = {
    Pillar.DATA: Cause.DATA,
    Pillar.MODEL: Cause.MODEL,
    Pillar.BUSINESS: Cause.MODEL,
    Pillar.SYSTEM: Cause.INFRASTRUCTURE,
}


def _report(reported: tuple[SignalVerdict, ...]) -> Diagnosis:
    first = reported[0]
    why = f"{first.name} on the {first.arm}: {first.why}; only reported, as no user suffers of it"
    return Diagnosis(
        _SUSPECTS[first.pillar], first.arm, _onset(reported), why, _said(reported), Severity.P2
    )


_WAITING = UnknownReason.WARMING_UP


def _may_be_shared(
    candidate: SignalVerdict, verdicts: Iterable[SignalVerdict], settle: float
) -> bool:
    """Return whether the target may yet turn out to have the candidate's fault as well.

    A target that is Healthy must hold the bound ``settle`` seconds after the candidate broke it;
    one that has not been looked at often enough for a verdict is waited for.
    """
    for one in verdicts:
        if one.arm is Arm.TARGET and one.name == candidate.name:
            early = (one.clean_at or 0.0) < (candidate.seen or 0.0) + settle
            return (one.verdict is Verdict.HEALTHY and early) or one.reason == _WAITING
    return False


def _blame_candidate(candidate: tuple[SignalVerdict, ...], target: Verdict) -> Diagnosis:
    evidence = _said(candidate)
    held = "the target does not" if target is Verdict.HEALTHY else "nothing is known of the target"
    why = f"candidate fails while {held}: {candidate[0].why}; its version is to blame"
    return Diagnosis(Cause.RELEASE, Arm.CANDIDATE, _onset(candidate), why, evidence)


def _blame_target(
    target: tuple[SignalVerdict, ...],
    candidate: tuple[SignalVerdict, ...],
    release: ReleaseContext,
) -> Diagnosis:
    onset = _onset(target)
    cause, because = _cause(target, candidate, release, onset)
    why = f"target fails: {target[0].why}; {because}"
    return Diagnosis(cause, Arm.TARGET, onset, why, _said((*target, *candidate)))


def _cause(
    target: tuple[SignalVerdict, ...],
    candidate: tuple[SignalVerdict, ...],
    release: ReleaseContext,
    onset: float,
) -> tuple[Cause, str]:
    pillars = {verdict.pillar for verdict in target}
    if candidate:
        cause = Cause.DATA if Pillar.DATA in pillars else Cause.INFRASTRUCTURE
        return cause, "both versions fail, so no release is to blame and no rollback would help"
    if any(verdict.attributes for verdict in target):
        return Cause.RELEASE, "the version before it, which still serves, does not: it is to blame"
    seen = min(verdict.seen or onset for verdict in target)
    if _follows_release(release, onset, seen):
        after = say_seconds(max(0.0, onset - (release.changed or 0.0)))
        return Cause.RELEASE, f"began {after} after the revision changed: the release is to blame"
    if Pillar.DATA in pillars:
        return Cause.DATA, "the data is at fault and the revision is not new: no rollback helps"
    if pillars & {Pillar.MODEL, Pillar.BUSINESS} and Pillar.SYSTEM not in pillars:
        return Cause.MODEL, "the system is healthy, the revision not new: investigate the model"
    return Cause.INFRASTRUCTURE, "the revision is not new, so what it runs on is the first suspect"


def _follows_release(release: ReleaseContext, onset: float, seen: float) -> bool:
    """Return whether the fault, which began between ``onset`` and ``seen``, follows the release."""
    if release.changed is None or release.proven_good:
        return False
    return release.changed <= seen and onset - release.changed <= release.blame_within
