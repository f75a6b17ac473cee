"""What all monitors do together, kept as counters so that asking costs the same for one or 10,000.

An action counts from the moment it is admitted, before anything is awaited, so that two monitors
that decide at the same time cannot both take the last place. What is counted follows from the
statuses of the monitors, and is the same after a restart.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from backstop.api.modelmonitor import Mode
from backstop.api.status import ModelMonitorStatus, Severity
from backstop.core import brakes
from backstop.core.episode import under_way
from backstop.core.fleet import Fleet
from backstop.core.view import Step, View
from backstop.core.weights import Services
from backstop.runtime.record import Record
from backstop.runtime.scheduler import Key

QUIET: Final = 600.0
"""Seconds for which a freeze must be over before the next one is told."""


@dataclass(slots=True)
class _LastHour:
    """How many actions there were in the last hour; each is added and dropped once."""

    total: int = 0
    _times: list[tuple[float, int]] = field(default_factory=list)

    def add(self, moment: float, count: int) -> None:
        heapq.heappush(self._times, (moment, count))
        self.total += count

    def at(self, now: float) -> int:
        while self._times and self._times[0][0] <= now - brakes.HOUR:
            self.total -= heapq.heappop(self._times)[1]
        return self.total


@dataclass(slots=True)
class Freeze:
    """Whether somebody was told of the freeze that is on; a restart tells once more."""

    _told: bool = False
    _over: float | None = None

    def has_room(self, now: float) -> None:
        """Take note that one more monitor may act at the Unix time ``now``."""
        if self._told and self._over is None:
            self._over = now

    def tell(self, now: float) -> bool:
        """Return whether to page: once in a freeze, and again after 10 minutes without one."""
        fresh = not self._told or (self._over is not None and now - self._over >= QUIET)
        self._told, self._over = True, None
        return fresh


@dataclass(slots=True)
class FleetState:
    """The state of all monitors; owned by the event loop.

    The first four are what the operator's configuration allows: actions in an hour in each
    namespace and everywhere, the share in [0, 1] of the monitors that may act at once, and how many
    may whatever that share is.
    """

    namespace_actions_per_hour: int = 20
    actions_per_hour: int = 60
    blast_radius: float = 0.2
    blast_radius_at_least: int = 5
    freeze: Freeze = field(default_factory=Freeze)
    _uids: dict[Key, str] = field(default_factory=dict)
    _watched: set[Key] = field(default_factory=set)
    _acting: set[Key] = field(default_factory=set)
    _everywhere: _LastHour = field(default_factory=_LastHour)
    _namespaces: dict[str, _LastHour] = field(default_factory=dict)

    def rebuild(self, records: Iterable[Record]) -> None:
        """Forget everything, and count anew what the statuses of ``records`` tell."""
        self._uids, self._watched, self._acting = {}, set(), set()
        self._everywhere, self._namespaces = _LastHour(), {}
        for record in records:
            self.update(record)

    def update(self, record: Record) -> None:
        """Take over the mode and the incident of ``record``; to be called after each pass.

        One that is seen for the first time brings along the actions in its status.
        """
        if self._uids.get(record.key) != record.uid:
            self._uids[record.key] = record.uid
            for moment, count in _recent(record):
                self._count(record.namespace, moment, count)
        watched = _may_act(record)
        _set(self._watched, record.key, present=watched)
        acting = watched and _acts(record.status, record.services)
        _set(self._acting, record.key, present=acting)

    def forget(self, key: Key) -> None:
        """Leave out a monitor that was deleted; its actions of the last hour still count."""
        self._uids.pop(key, None)
        self._watched.discard(key)
        self._acting.discard(key)

    @property
    def acting(self) -> int:
        """How many monitors act."""
        return len(self._acting)

    @property
    def may_act(self) -> int:
        """How many monitors may act at once."""
        monitors = max(1, len(self._watched))
        return brakes.may_act(
            Fleet(
                monitors=monitors,
                blast_radius=self.blast_radius,
                blast_radius_at_least=self.blast_radius_at_least,
            )
        )

    def actions_left(self, now: float) -> int:
        """Return how many actions all monitors together may still take at the Unix time ``now``."""
        return max(0, self.actions_per_hour - self._everywhere.at(now))

    def namespace_actions_left(self, namespace: str, now: float) -> int:
        """Return how many actions the monitors of ``namespace`` may still take."""
        return max(0, self.namespace_actions_per_hour - self._in_namespace(namespace, now))

    def of(self, key: Key, now: float, stopped: str = "") -> Fleet:
        """Return the fleet as the monitor ``key`` sees it at the Unix time ``now``.

        ``stopped`` is why the kill switch stops all actions, empty while it does not.
        """
        fleet = Fleet(
            stopped=stopped,
            monitors=max(1, len(self._watched)),
            acting=len(self._acting) - (key in self._acting),
            namespace_actions=self._in_namespace(key[0], now),
            actions=self._everywhere.at(now),
            namespace_actions_per_hour=self.namespace_actions_per_hour,
            actions_per_hour=self.actions_per_hour,
            blast_radius=self.blast_radius,
            blast_radius_at_least=self.blast_radius_at_least,
        )
        if len(self._acting) < brakes.may_act(fleet):
            self.freeze.has_room(now)
        return fleet

    def admit(self, view: View, step: Step) -> None:
        """Count ``step``, which no brake held in ``view``; nothing counts in mode Observe.

        Nothing may be awaited between :meth:`of`, from which the view was made, and this.
        """
        if not _is_counted(view, step):
            return
        self._count(view.namespace, view.now, 1)
        episode = under_way(view.status)
        if episode is not None and episode.severity is not Severity.P2:
            self._acting.add((view.namespace, view.name))

    def withdraw(self, record: Record, view: View, step: Step) -> None:
        """Take back what :meth:`admit` counted, as nothing came of ``step``.

        Not to be called while the intent stands in the status: then it still will.
        """
        if _is_counted(view, step):
            self._count(view.namespace, view.now, -1)
            self.update(record)

    def _count(self, namespace: str, moment: float, count: int) -> None:
        self._everywhere.add(moment, count)
        self._namespaces.setdefault(namespace, _LastHour()).add(moment, count)

    def _in_namespace(self, namespace: str, now: float) -> int:
        counted = self._namespaces.get(namespace)
        found = counted.at(now) if counted is not None else 0
        if not found:
            self._namespaces.pop(namespace, None)
        return found


def _is_counted(view: View, step: Step) -> bool:
    return view.spec.mode is not Mode.OBSERVE and brakes.is_limited(step)


def _set(keys: set[Key], key: Key, *, present: bool) -> None:
    if present:
        keys.add(key)
    else:
        keys.discard(key)


def _may_act(record: Record) -> bool:
    spec = record.spec
    if spec is None or record.deleted_at is not None or spec.suspend:
        return False
    return spec.mode is not Mode.OBSERVE


def _acts(status: ModelMonitorStatus, services: Services | None) -> bool:
    """Return whether something was done, or is about to be, in an incident under way."""
    episode = under_way(status)
    if episode is None or episode.severity is Severity.P2:
        return False
    done = [action for action in episode.actions if action.applied_at is not None]
    planned = [status.action] if status.action is not None else []
    return any(brakes.counts(action, services) for action in (*done, *planned))


def _recent(record: Record) -> list[tuple[float, int]]:
    """Return when there were how many actions: those applied, and the one that is planned."""
    found = [(one.last.timestamp(), one.count) for one in record.status.recent_actions]
    planned = record.status.action
    if planned is not None and brakes.counts(planned, record.services):
        found.append((planned.planned_at.timestamp(), 1))
    return found
