"""What a diagnosis finds beside the cause: facts that the steps of a runbook can depend on.

Each is one question to the same evidence. Times are compared as intervals: a fault began between
the last sample at which its limit held and the first one at which it did not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backstop.api.words import Arm, Finding, Verdict
from backstop.core.facts import ConfigurationChange
from backstop.core.measurement import Pillar, UnknownReason
from backstop.core.verdicts import Beside, SignalVerdict


@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """What was changed, and when, before the fault.

    ``changed`` is the Unix time at which the target's current revision was released, ``None`` when
    unknown, and where it was rolled back to; ``proven_good`` says whether it was recorded as good
    since. ``blame_within`` is in seconds. ``configuration`` is what changed of the ConfigMaps and
    Secrets that the target refers to. ``candidate_under_trial`` says that a candidate gets traffic,
    ``rolled_out`` that all pods of the target run its current revision. ``warming_up`` says that
    the revision is so new that slow answers are no evidence against it, and that a verdict on it is
    still waited for, as far as ``serves`` says that it gets traffic to be judged by.
    """

    changed: float | None
    proven_good: bool
    blame_within: float
    configuration: tuple[ConfigurationChange, ...] = ()
    candidate_under_trial: bool = False
    rolled_out: bool = True
    warming_up: bool = False
    serves: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """All verdicts of a monitor of which an acting one on the target is breached.

    ``settle`` is by how many seconds one arm may show a fault of both later than the other.
    """

    verdicts: tuple[SignalVerdict, ...]
    release: ReleaseContext
    settle: float

    @property
    def target(self) -> tuple[SignalVerdict, ...]:
        """What acts and is breached on the target."""
        return breached(self.verdicts, Arm.TARGET)

    @property
    def candidate(self) -> tuple[SignalVerdict, ...]:
        """What acts and is breached on the candidate."""
        return breached(self.verdicts, Arm.CANDIDATE)

    @property
    def onset(self) -> float:
        """The Unix time after which the target's fault began."""
        return onset_of(self.target)

    @property
    def seen(self) -> float:
        """The Unix time by which the target's fault had begun."""
        return seen_of(self.target)

    @property
    def pillars(self) -> frozenset[Pillar]:
        """Which pillars of the target are breached."""
        return frozenset(verdict.pillar for verdict in self.target)

    def follows(self, changed: float | None) -> bool:
        """Return whether the fault can have begun with a change at Unix time ``changed``."""
        if changed is None:
            return False
        return changed <= self.seen and self.onset - changed <= self.release.blame_within


def breached(verdicts: Iterable[SignalVerdict], arm: Arm) -> tuple[SignalVerdict, ...]:
    """Return the breached verdicts on ``arm`` that do more than report."""
    return tuple(
        v for v in verdicts if v.arm is arm and v.verdict is Verdict.BREACHED and not v.reports
    )


def onset_of(verdicts: Iterable[SignalVerdict]) -> float:
    """Return the Unix time after which the first of these breaches began."""
    return min(verdict.onset or 0.0 for verdict in verdicts)


def seen_of(verdicts: Iterable[SignalVerdict]) -> float:
    """Return the Unix time by which the first of these breaches had begun."""
    return min(verdict.seen or verdict.onset or 0.0 for verdict in verdicts)


def follows_release(evidence: Evidence) -> bool:
    """Return whether the fault follows the current revision, which was never good."""
    return not evidence.release.proven_good and evidence.follows(evidence.release.changed)


def configuration_before(evidence: Evidence) -> ConfigurationChange | None:
    """Return the last change of the configuration that the fault follows, if there is one."""
    return max(
        (one for one in evidence.release.configuration if evidence.follows(one.changed)),
        key=lambda one: one.changed or 0.0,
        default=None,
    )


def both_fail(evidence: Evidence) -> bool:
    """Return whether both arms, which are both breached, can have been since the same moment."""
    later = max(evidence.onset, onset_of(evidence.candidate))
    earlier = min(evidence.seen, seen_of(evidence.candidate))
    return later - earlier <= evidence.settle


def candidate_holds(evidence: Evidence) -> bool:
    """Return whether a candidate on trial was seen to hold what the target broke, after it did."""
    if evidence.candidate or not evidence.release.candidate_under_trial:
        return False
    beside = [pair for one in evidence.target for pair in _pairs(one, evidence.verdicts)]
    return bool(beside) and all(
        other.verdict is Verdict.HEALTHY
        and other.beside in {None, Beside.BETTER}
        and not _is_early(one, other, evidence.settle)
        for one, other in beside
    )


def candidate_may_share(evidence: Evidence) -> bool:
    """Return whether the candidate on trial may yet turn out to have the target's fault as well.

    So it may while it is not demonstrably better, unless it cannot be measured at all.
    """
    if not evidence.release.candidate_under_trial:
        return False
    return any(
        may_be_shared(one, evidence.verdicts, evidence.settle)
        or any(
            other.beside is Beside.OPEN or other.reason == UnknownReason.INSUFFICIENT_DATA
            for _, other in _pairs(one, evidence.verdicts)
        )
        for one in evidence.target
    )


def may_be_shared(
    broken: SignalVerdict,
    verdicts: Iterable[SignalVerdict],
    settle: float,
    *,
    other_is_new: bool = False,
) -> bool:
    """Return whether the other arm may yet turn out to have broken the same limit.

    One that is Healthy must hold it ``settle`` seconds after it was broken, and what it did since
    must hold it too; one that has not been looked at often enough for a verdict is waited for.
    ``other_is_new`` says that the other arm was released just now: its verdict may rest on pods
    that are gone, so it must be demonstrably better since.
    """
    return any(
        other.reason == UnknownReason.WARMING_UP
        or (other_is_new and other.beside is not Beside.BETTER)
        or other.beside is Beside.ALIKE
        or (other.verdict is Verdict.HEALTHY and _is_early(one, other, settle))
        for one, other in _pairs(broken, verdicts)
    )


def _pairs(
    one: SignalVerdict, verdicts: Iterable[SignalVerdict]
) -> list[tuple[SignalVerdict, SignalVerdict]]:
    return [(one, v) for v in verdicts if v.name == one.name and v.arm is not one.arm]


def _is_early(broken: SignalVerdict, held: SignalVerdict, settle: float) -> bool:
    return (held.clean_at or 0.0) < (broken.seen or 0.0) + settle


def one_pod(evidence: Evidence) -> str:
    """Return the one pod of the target that carries the fault, or ``""``.

    All that is breached must name it, but for signals of the system that cannot tell pods apart.
    Where both versions fail it is no pod. While a rollout goes on, the only bad pod may be the only
    one of its revision, and one that is only slow may be the last to warm up.
    """
    release = evidence.release
    if evidence.candidate or (follows_release(evidence) and not release.rolled_out):
        return ""
    if release.warming_up and is_only_slow(evidence):
        return ""
    blamed = {
        verdict.pod or ""
        for verdict in evidence.target
        if verdict.pod is not None or verdict.pillar is not Pillar.SYSTEM
    }
    return blamed.pop() if len(blamed) == 1 else ""


def is_only_slow(evidence: Evidence) -> bool:
    """Return whether nothing but latency is breached."""
    return all(verdict.shows is Finding.SLOW for verdict in evidence.target)


def shown(verdicts: Iterable[SignalVerdict], arm: Arm) -> set[Finding]:
    """Return what the breached verdicts on ``arm`` show by their kind, also those that report."""
    return {
        v.shows
        for v in verdicts
        if v.arm is arm and v.verdict is Verdict.BREACHED and v.shows is not None
    }
