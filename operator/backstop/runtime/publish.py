"""Telling people, after the fact: Incident objects, Events, log lines.

Nothing here delays an action or fails one. The Incident object is a copy of the episode in the
monitor's status, brought up to date whenever it differs, so a lost write heals with the next one.
One that cannot be written is tried again less and less often, and given up where it has no place.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import structlog

from backstop.adapters.notify.events import EventRecorder
from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.conditions import Reason
from backstop.api.incident import IncidentSpec, IncidentStatus, incident_status
from backstop.api.modelmonitor import Mode
from backstop.api.runbook import MESSAGES
from backstop.api.status import Action, Episode, ModelMonitorStatus
from backstop.api.words import ActionState, Progress, Severity, StepKind
from backstop.core.messages import Notification
from backstop.ports import (
    ConflictError,
    InvalidError,
    KubeApi,
    NotFoundError,
    Notifier,
    OutsideError,
)
from backstop.runtime import incident_metrics
from backstop.runtime.record import Record

_LOG = structlog.get_logger(__name__)

SETTLED_AFTER = 600.0
"""Seconds after its end in which an Incident object may still lag behind a crash."""

MONITOR_LABEL = "backstop.dev/monitor"

LONGEST_WAIT = 60.0
"""Seconds between two tries to write the same Incident object, at most."""

TRIES = 6
"""So often is an Incident object tried that is refused, or whose namespace is gone."""

_REASONS = {
    StepKind.OPEN_CIRCUIT: Reason.CIRCUIT_OPENED,
    StepKind.PROBE_CIRCUIT: Reason.CIRCUIT_HALF_OPEN,
    StepKind.CLOSE_CIRCUIT: Reason.CIRCUIT_CLOSED,
    StepKind.SHIFT_TRAFFIC: Reason.CANDIDATE_ABORTED,
    StepKind.ROLLBACK: Reason.ROLLED_BACK,
    StepKind.SCALE: Reason.SCALED,
    StepKind.RESTART: Reason.RESTARTED,
    StepKind.PAUSE_ROLLOUT: Reason.ROLLOUT_PAUSED,
    StepKind.RUN_JOB: Reason.JOB_STARTED,
    StepKind.CALL_WEBHOOK: Reason.WEBHOOK_CALLED,
    StepKind.NOTIFY: Reason.NOTIFIED,
    StepKind.PROMOTE: Reason.CANDIDATE_PROMOTED,
}


@dataclass(slots=True)
class _Pending:
    """An Incident object to be written: how often that failed, and when (monotonic) it is due."""

    spec: IncidentSpec
    episode: Episode
    limit: int
    failures: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Publisher:
    """Shows what was decided and done; all its writes happen in a task of its own."""

    api: KubeApi
    events: EventRecorder
    notifier: Notifier
    _pending: dict[tuple[str, str], _Pending] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def catch_up(self, record: Record, now: float) -> None:
        """Publish what the record's status tells that was not published yet; ``now`` is Unix time.

        After a restart the Incident object is brought up to date without repeating its Events,
        unless it was resolved long ago.
        """
        incident_metrics.count(record)
        first, old = record.published is None, record.published or record.status
        record.published = record.status
        self._asks(record, ModelMonitorStatus() if first else old)
        new = record.status.incident
        if new is None or (new == old.incident and not first):
            return
        if first and new.resolved and new.resolved.timestamp() < now - SETTLED_AFTER:
            return
        self._show(record, new)
        before = old.incident if old.incident and old.incident.name == new.name else None
        if old.incident is not None and before is None and old.incident.resolved is None:
            self._show(record, old.incident.model_copy(update={"resolved": new.detected}))
        self._page(record, new, before)
        if before is None:
            self._event(record, Reason.INCIDENT_DETECTED, "Diagnose", new.why, new.name)
        known = {action.id: action.state for action in before.actions} if before else {}
        for action in new.actions:
            if known.get(action.id) is not action.state:
                self._acted(record, action)
        if new.resolved is not None and (before is None or before.resolved is None):
            took = (new.resolved - new.onset).total_seconds()
            note = f"resolved {took:.0f} s after its onset: {new.why}"
            self._event(record, Reason.INCIDENT_RESOLVED, "Resolve", note, f"{new.name}/resolved")

    def frozen(self, record: Record, status: ModelMonitorStatus) -> None:
        """Wake somebody because too many monitors act at once; told once for all of them."""
        episode = status.incident
        self._event(record, Reason.ACTION_HELD, "Freeze", status.held, "freeze")
        self.notifier.notify(
            Notification(
                id=f"freeze/{record.uid}/{episode.name if episode else ''}",
                monitor=f"{record.namespace}/{record.name}",
                incident=episode.name if episode else "",
                severity=Severity.P0,
                title="P0 many monitors act at once: all further actions are frozen",
                text=status.held,
                page=True,
            )
        )

    def _asks(self, record: Record, before: ModelMonitorStatus) -> None:
        """Tell that a person must approve something."""
        asked = record.status.approval
        if asked is None or (before.approval is not None and before.approval.id == asked.id):
            return
        episode = record.status.incident
        note = f"{asked.step} waits for approval: backstop approve {record.name} {asked.id}"
        self._event(record, Reason.APPROVAL_NEEDED, "Approve", note, asked.id)
        severity = episode.severity if episode and episode.resolved is None else Severity.P2
        self.notifier.notify(
            Notification(
                id=f"approve/{asked.id}",
                monitor=f"{record.namespace}/{record.name}",
                incident=episode.name if episode else "",
                severity=severity,
                title=f"{record.name}: {asked.step} waits for approval",
                text=f"{asked.why}\n{note}",
                page=severity is not Severity.P2,
            )
        )

    def _page(self, record: Record, new: Episode, before: Episode | None) -> None:
        """Wake somebody once when an incident becomes P0, in a mode in which something is done."""
        known = before is not None and before.severity is Severity.P0
        if new.severity is not Severity.P0 or known or record.spec is None:
            return
        if record.spec.mode is Mode.OBSERVE:
            return
        in_vain = [one for one in new.steps if one.state in {Progress.NOT_HELPED, Progress.FAILED}]
        lines = [new.why, *(f"{one.name}: {one.state}, {one.why}" for one in in_vain)]
        self.notifier.notify(
            Notification(
                id=f"{record.uid}/{new.name}/P0",
                monitor=f"{record.namespace}/{record.name}",
                incident=new.name,
                severity=Severity.P0,
                title=f"P0 {record.name}: users suffer, and what was done has not helped",
                text="\n".join(lines),
                page=True,
            )
        )

    def _acted(self, record: Record, action: Action) -> None:
        if action.state is ActionState.VERIFIED and action.step not in MESSAGES:
            return
        reason = _REASONS[action.step]
        if action.step is StepKind.SHIFT_TRAFFIC and action.name:
            reason = Reason.TRAFFIC_SHIFTED
        note = f"{action.step} on {action.subject}: {action.why}"
        if action.state is ActionState.FAILED:
            reason = Reason.ACTION_FAILED
            note = f"{action.step} on {action.subject}: {action.message}"
        elif action.state is ActionState.OBSERVED:
            reason = Reason.WOULD_ACT
        self._event(record, reason, action.step.value, note, f"{action.id}/{action.state}")

    def trial_started(self, record: Record, weight: int) -> None:
        """Publish that the candidate got its share of traffic."""
        note = f"{weight} % of traffic to the candidate"
        key = f"{record.uid}/trial/{record.status.candidate}"
        self._event(record, Reason.CANDIDATE_STARTED, "shiftTraffic", note, key)

    def traffic_restored(self, record: Record, note: str) -> None:
        """Publish that moved traffic was put back because the monitor goes."""
        self._event(record, Reason.TRAFFIC_RESTORED, "Restore", note, f"{record.uid}/restored")

    def _event(self, record: Record, reason: Reason, action: str, note: str, key: str) -> None:
        quiet = reason in _GOOD_NEWS
        _LOG.info(note, monitor=f"{record.namespace}/{record.name}", reason=reason.value)
        self.events.record(
            regarding=record.regarding,
            reason=reason.value,
            action=action[:1].upper() + action[1:],
            note=note,
            type_="Normal" if quiet else "Warning",
            key=f"{record.uid}/{key}",
        )

    def _show(self, record: Record, episode: Episode) -> None:
        if record.spec is None:
            return
        spec = IncidentSpec(
            monitor=record.name,
            target=f"{record.spec.target.kind}/{record.spec.target.name}",
            mode=record.spec.mode.value,
        )
        place = (record.namespace, episode.name)
        new, known = _Pending(spec, episode, record.spec.history_limit), self._pending.get(place)
        if known is not None:
            new.failures, new.due = known.failures, known.due
        self._pending[place] = new
        self._changed.set()

    async def run(self) -> None:
        """Keep Incident objects up to date; runs until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait()):
                    await self._changed.wait()
            self._changed.clear()
            await self.flush()

    def _wait(self) -> float | None:
        """Return the seconds until the next try, ``None`` where nothing is to be tried again."""
        due = min((one.due for one in self._pending.values()), default=None)
        return None if due is None else max(0.0, due - time.monotonic())

    async def flush(self) -> bool:
        """Write what is due; return whether nothing is left to be written."""
        now = time.monotonic()
        for place in [place for place, one in self._pending.items() if one.due <= now]:
            one = self._pending.pop(place)
            try:
                await self._write(place[0], one.spec, incident_status(one.episode))
                if one.episode.resolved is not None:
                    await self._prune(place[0], one.spec.monitor, one.limit)
            except OutsideError as error:
                self._failed(place, one, error)
        return not self._pending

    def _failed(self, place: tuple[str, str], one: _Pending, error: OutsideError) -> None:
        one.failures += 1
        hopeless = isinstance(error, NotFoundError | InvalidError) and one.failures >= TRIES
        _LOG.warning(
            "incident given up" if hopeless else "incident not shown",
            incident=place[1],
            error=str(error),
        )
        if not hopeless:
            one.due = time.monotonic() + min(2.0 ** min(one.failures - 1, 10), LONGEST_WAIT)
            kept = self._pending.setdefault(place, one)
            kept.failures, kept.due = one.failures, one.due

    async def _write(self, namespace: str, spec: IncidentSpec, status: IncidentStatus) -> None:
        patch = [{"op": "add", "path": "/status", "value": status.to_json()}]
        path = namespaced(API_VERSION, namespace, "incidents", status.name, "status")
        try:
            await self.api.json_patch(path, patch)
        except NotFoundError:
            await self._create(namespace, spec, status.name)
            await self.api.json_patch(path, patch)

    async def _create(self, namespace: str, spec: IncidentSpec, name: str) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": "Incident",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {MONITOR_LABEL: spec.monitor[:63]},
            },
            "spec": spec.to_json(),
        }
        try:
            await self.api.create(namespaced(API_VERSION, namespace, "incidents"), body)
        except ConflictError:
            _LOG.debug("incident exists already", incident=name)

    async def _prune(self, namespace: str, monitor: str, limit: int) -> None:
        collection = namespaced(API_VERSION, namespace, "incidents")
        items = await self.api.list(collection, labelSelector=f"{MONITOR_LABEL}={monitor[:63]}")
        resolved = sorted(
            (item for item in items if (item.get("status") or {}).get("phase") == "Resolved"),
            key=lambda item: item["metadata"]["creationTimestamp"],
        )
        for item in resolved[: max(0, len(resolved) - limit)]:
            await self.api.delete(
                namespaced(API_VERSION, namespace, "incidents", item["metadata"]["name"])
            )


_GOOD_NEWS = frozenset(
    {
        Reason.CIRCUIT_CLOSED,
        Reason.CIRCUIT_HALF_OPEN,
        Reason.INCIDENT_RESOLVED,
        Reason.CANDIDATE_STARTED,
        Reason.CANDIDATE_PROMOTED,
        Reason.NOTIFIED,
        Reason.WEBHOOK_CALLED,
        Reason.TRAFFIC_RESTORED,
    }
)
