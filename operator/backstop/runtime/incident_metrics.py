"""Counts of incidents and of what was done in them, from how a monitor's status changes.

Each event counts once, on the replica that saw it happen: what a status already tells when it is
first seen, for example after a restart or a change of the leader, is not counted again.
"""

from collections.abc import Iterable
from datetime import datetime

from backstop.api.modelmonitor import Mode
from backstop.api.status import Action, Episode
from backstop.api.words import ActionState
from backstop.runtime import metrics
from backstop.runtime.record import Record


def begin(records: Iterable[Record]) -> None:
    """Leave uncounted what the statuses of ``records`` tell: another replica has counted it."""
    for record in records:
        record.counted = record.status.incident


def held(record: Record, brake: str) -> None:
    """Take note that ``brake`` holds the next step of ``record``; with "" none does."""
    if brake and brake != record.brake:
        metrics.ACTIONS_HELD.labels(brake).inc()
    record.brake = brake


def count(record: Record) -> None:
    """Count what has happened in the newest incident of ``record`` since the last call."""
    before, after = record.counted, record.status.incident
    if after is None or after is before:
        return
    record.counted = after
    known = before if before is not None and before.name == after.name else None
    if known is None:
        metrics.INCIDENTS.labels(after.cause, after.severity).inc()
        metrics.DETECTION_SECONDS.labels(after.severity).observe(_since(after, after.detected))
    if after.mitigated is not None and (known is None or known.mitigated is None):
        metrics.MITIGATION_SECONDS.labels(after.severity).observe(_since(after, after.mitigated))
    if after.resolved is not None and (known is None or known.resolved is None):
        metrics.RECOVERY_SECONDS.labels(after.severity).observe(_since(after, after.resolved))
    _count_actions(known, after)


def _since(episode: Episode, moment: datetime) -> float:
    return max(0.0, (moment - episode.onset).total_seconds())


def _count_actions(before: Episode | None, after: Episode) -> None:
    """Count actions that were only observed, and those that turned out to be without effect.

    Those that are carried out, or refused, are counted where that happens.
    """
    known = {one.id: one.state for one in before.actions} if before else {}
    for action in after.actions:
        if known.get(action.id) is action.state:
            continue
        if action.state is ActionState.OBSERVED:
            metrics.ACTIONS.labels(action.step, Mode.OBSERVE).inc()
        elif _was_in_vain(action):
            metrics.ACTIONS_FAILED.labels(action.step, "ineffective").inc()


def _was_in_vain(action: Action) -> bool:
    return action.state is ActionState.FAILED and action.applied_at is not None
