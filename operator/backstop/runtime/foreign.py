"""What one monitor adds to the counters of the fleet, also where another shard acts on it.

Of a monitor of another shard nothing is kept but this: no spec, no questions, no memory. Most of
the time it does nothing, and that is seen without reading its spec and status in full.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from backstop.api.conditions import ConditionType, Reason
from backstop.api.modelmonitor import Mode
from backstop.api.words import Severity
from backstop.core import brakes
from backstop.core.episode import under_way
from backstop.runtime.record import Record, record_of


class Foreign(NamedTuple):
    """A monitor of another shard as its object tells it.

    ``actions`` are those that count: when, as Unix time, there were how many. ``acts`` says whether
    something is done in an incident under way, ``frozen`` whether a freeze holds that.
    """

    uid: str
    version: str
    may_act: bool
    acts: bool = False
    frozen: bool = False
    actions: tuple[tuple[float, int], ...] = ()


def foreign(body: Mapping[str, Any]) -> Foreign:
    """Return what the ModelMonitor ``body`` tells."""
    metadata, status = body["metadata"], body.get("status") or {}
    uid, version = metadata["uid"], metadata["resourceVersion"]
    incident = status.get("incident") or {}
    open_incident = incident and not incident.get("resolved")
    if not (open_incident or status.get("action") or status.get("recentActions")):
        return Foreign(uid, version, _may_act_at_a_glance(body))
    record = record_of(body, {})
    return Foreign(
        uid, version, may_act(record), acts(record), _is_frozen(record), tuple(recent(record))
    )


def _may_act_at_a_glance(body: Mapping[str, Any]) -> bool:
    spec = body.get("spec") or {}
    if spec.get("suspend") or "deletionTimestamp" in body["metadata"]:
        return False
    ready = [
        one.get("reason")
        for one in (body.get("status") or {}).get("conditions") or ()
        if one.get("type") == ConditionType.READY
    ]
    return spec.get("mode", Mode.OBSERVE) != Mode.OBSERVE and Reason.INVALID_SPEC not in ready


def may_act(record: Record) -> bool:
    """Return whether a monitor may ever do anything as it is now."""
    spec = record.spec
    if spec is None or record.deleted_at is not None or spec.suspend:
        return False
    return spec.mode is not Mode.OBSERVE


def acts(record: Record) -> bool:
    """Return whether something was done, or is about to be, in an incident under way."""
    status, services = record.status, record.services
    episode = under_way(status)
    if not may_act(record) or episode is None or episode.severity is Severity.P2:
        return False
    done = [action for action in episode.actions if action.applied_at is not None]
    planned = [status.action] if status.action is not None else []
    return any(brakes.counts(action, services) for action in (*done, *planned))


def recent(record: Record) -> list[tuple[float, int]]:
    """Return when there were how many actions: those applied, and the one that is planned."""
    found = [(one.last.timestamp(), one.count) for one in record.status.recent_actions]
    planned = record.status.action
    if planned is not None and brakes.counts(planned, record.services):
        found.append((planned.planned_at.timestamp(), 1))
    return found


def _is_frozen(record: Record) -> bool:
    episode = under_way(record.status)
    if episode is None or episode.severity is Severity.P2:
        return False
    return record.status.held.startswith(brakes.FREEZE)
