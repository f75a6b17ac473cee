"""Which revision of the target is current, which was last good, and which one to go back to.

Revisions are told apart by the fingerprint of their pod template. One that was rolled back is never
rolled back to, and a rollback goes to the last revision recorded as good, or, where none is
recorded, to the newest earlier one that is not known to be bad.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backstop.api.status import Revision, RevisionsStatus
from backstop.core.facts import RevisionFacts, WorkloadFacts

MAX_KNOWN_BAD = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no revision to go back to."""

    why: str


def observe(
    revisions: RevisionsStatus, workload: WorkloadFacts | None, now: float
) -> RevisionsStatus:
    """Take note of the current revision.

    It began when the workload last changed, or, where that is not known, when it is first seen.
    """
    if workload is None:
        return revisions
    current = revisions.current
    if current is not None and current.fingerprint == workload.fingerprint:
        return revisions
    changed = workload.changed.timestamp() if workload.changed else now
    began = Revision.model_validate(
        {"fingerprint": workload.fingerprint, "since": min(changed, now)}
    )
    is_restored = workload.fingerprint == revisions.restored
    restored = revisions.restored if is_restored else ""
    return revisions.model_copy(update={"current": began, "restored": restored})


def record_good(
    revisions: RevisionsStatus, *, healthy_since: float | None, good_after: float, now: float
) -> RevisionsStatus:
    """Record the current revision as good once it has been healthy for ``good_after`` seconds."""
    current = revisions.current
    if current is None or healthy_since is None or now - healthy_since < good_after:
        return revisions
    if is_proven_good(revisions) or current.fingerprint in revisions.known_bad:
        return revisions
    return revisions.model_copy(update={"last_good": current})


def is_proven_good(revisions: RevisionsStatus) -> bool:
    """Return whether the current revision is the one recorded as good."""
    good, current = revisions.last_good, revisions.current
    return good is not None and current is not None and good.fingerprint == current.fingerprint


def rolled_back(revisions: RevisionsStatus, bad: str, restored: str) -> RevisionsStatus:
    """Remember that ``bad`` was rolled back, and what to."""
    return record_bad(revisions, bad).model_copy(update={"restored": restored})


def released(revisions: RevisionsStatus) -> float | None:
    """Return the Unix time since which the current revision, if somebody released it, is current.

    ``None`` for one that was rolled back to: it was there before, and a fault that it has shows no
    more than that the rollback did not help.
    """
    current = revisions.current
    if current is None or current.fingerprint == revisions.restored:
        return None
    return current.since.timestamp()


def record_bad(revisions: RevisionsStatus, fingerprint: str) -> RevisionsStatus:
    """Remember ``fingerprint`` as bad; the oldest of more than ten is forgotten."""
    others = [known for known in revisions.known_bad if known != fingerprint]
    return revisions.model_copy(update={"known_bad": [*others, fingerprint][-MAX_KNOWN_BAD:]})


def choose(
    revisions: RevisionsStatus, available: Sequence[RevisionFacts], current: str
) -> RevisionFacts | Refusal:
    """Return the revision to go back to from the one with fingerprint ``current``."""
    bad = {*revisions.known_bad, current}
    earlier = [one for one in available if one.fingerprint not in bad]
    if not earlier:
        why = "no earlier revision is left that was not rolled back before"
        return Refusal(f"{why}; the workload keeps {len(available)} in its history")
    good = revisions.last_good
    recorded = [one for one in earlier if good and one.fingerprint == good.fingerprint]
    if recorded:
        return recorded[0]
    numbers = [one.number for one in available if one.fingerprint == current]
    before = [one for one in earlier if not numbers or one.number < max(numbers)]
    if not before:
        return Refusal("no revision before the current one is in the workload's history")
    return max(before, key=lambda one: one.number)
