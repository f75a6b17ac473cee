"""What all monitors do together, kept as counters so that asking costs the same for one or 10,000.

An action counts from the moment it is admitted, before anything is awaited, so that two monitors
that decide at the same time cannot both take the last place. What is counted follows from the
statuses of the monitors, and is the same after a restart.

Monitors of other shards are counted as the watch tells their statuses, a moment after they were
admitted. So in the second after an action of this shard each other shard is taken to have admitted
as much: together they exceed no limit by more than one for each shard but the first, as long as the
watch is less than half a second behind.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from backstop.api.modelmonitor import Mode
from backstop.api.words import Severity
from backstop.core import brakes
from backstop.core.clock_error import AHEAD
from backstop.core.episode import under_way
from backstop.core.fleet import Fleet
from backstop.core.view import Step, View
from backstop.runtime.foreign import Foreign, acts, may_act, recent
from backstop.runtime.record import Record
from backstop.runtime.scheduler import Key

UNSEEN: Final = 1.0
"""Seconds for which another shard may act without knowing of an action, or be unknown itself: twice
the half second that the watch may be behind."""

QUIET: Final = 600.0
"""Seconds for which a freeze must be over before the next one is told."""


@dataclass(slots=True)
class _LastHour:
    """How many actions there were in the last hour; each is added and dropped once.

    What a clock that was ahead put into the future counts from when that is noticed.
    """

    total: int = 0
    _times: list[tuple[float, int]] = field(default_factory=list)
    _latest: float = 0.0

    def add(self, moment: float, count: int) -> None:
        heapq.heappush(self._times, (moment, count))
        self._latest = max(self._latest, moment)
        self.total += count

    def at(self, now: float) -> int:
        if self._latest > now + AHEAD:
            self._times = [(min(moment, now), count) for moment, count in self._times]
            heapq.heapify(self._times)
            self._latest = now
        while self._times and self._times[0][0] <= now - brakes.HOUR:
            self.total -= heapq.heappop(self._times)[1]
        return self.total


class _Admitted(NamedTuple):
    """An action of this shard, and whether with it one more monitor acts."""

    at: float
    namespace: str
    joined: bool


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
        """Return whether to page: once in a freeze, and again after 10 minutes without one.

        Also to be called when another shard has paged, so that this one need not.
        """
        fresh = not self._told or (self._over is not None and now - self._over >= QUIET)
        self._told, self._over = True, None
        return fresh


@dataclass(slots=True)
class FleetState:
    """The state of all monitors; owned by the event loop.

    The first four are what the operator's configuration allows: actions in an hour in each
    namespace and everywhere, the share in [0, 1] of the monitors that may act at once, and how many
    may whatever that share is. ``shards`` is how many shards there are.
    """

    namespace_actions_per_hour: int = 20
    actions_per_hour: int = 60
    blast_radius: float = 0.2
    blast_radius_at_least: int = 5
    shards: int = 1
    freeze: Freeze = field(default_factory=Freeze)
    _uids: dict[Key, str] = field(default_factory=dict)
    _watched: set[Key] = field(default_factory=set)
    _acting: set[Key] = field(default_factory=set)
    _everywhere: _LastHour = field(default_factory=_LastHour)
    _namespaces: dict[str, _LastHour] = field(default_factory=dict)
    _foreign: dict[Key, Foreign] = field(default_factory=dict)
    _latest: deque[_Admitted] = field(default_factory=deque)

    def rebuild(self, records: Iterable[Record]) -> None:
        """Forget everything, and count anew what the statuses of ``records`` tell.

        What was told of other shards stays.
        """
        self._uids, self._watched, self._acting = {}, set(), set()
        self._everywhere, self._namespaces = _LastHour(), {}
        for record in records:
            self.update(record)
        foreign, self._foreign = self._foreign, {}
        for key, told in foreign.items():
            self._take_over(key, told)

    @property
    def foreign(self) -> AbstractSet[Key]:
        """The monitors of other shards."""
        return self._foreign.keys()

    def version(self, key: Key) -> str:
        """Return the resourceVersion at which a monitor of another shard is known, or ""."""
        known = self._foreign.get(key)
        return known.version if known is not None else ""

    def saw(self, key: Key, told: Foreign, now: float) -> None:
        """Count a monitor of another shard as it is told at the Unix time ``now``.

        One that is held by a freeze from now on has made its own shard page.
        """
        known = self._foreign.get(key)
        if known is not None and told.frozen and not known.frozen:
            self.freeze.tell(now)
        self._take_over(key, told)

    def _take_over(self, key: Key, told: Foreign) -> None:
        known = self._foreign.get(key)
        if known is not None and known.uid == told.uid:
            for moment, count in known.actions:
                self._count(key[0], moment, -count)
        self._foreign[key] = told
        for moment, count in told.actions:
            self._count(key[0], moment, count)
        _set(self._watched, key, present=told.may_act)
        _set(self._acting, key, present=told.acts)

    def update(self, record: Record) -> None:
        """Take over the mode and the incident of ``record``; to be called after each pass.

        One that is seen for the first time brings along the actions in its status.
        """
        if self._uids.get(record.key) != record.uid:
            self._uids[record.key] = record.uid
            for moment, count in recent(record):
                self._count(record.namespace, moment, count)
        _set(self._watched, record.key, present=may_act(record))
        _set(self._acting, record.key, present=acts(record))

    def forget(self, key: Key) -> None:
        """Leave out a monitor that was deleted; its actions of the last hour still count."""
        self._uids.pop(key, None)
        self._foreign.pop(key, None)
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
        assumed = self._assumed(key[0], now)
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
            assumed_acting=assumed[0],
            assumed_namespace_actions=assumed[1],
            assumed_actions=assumed[2],
        )
        if len(self._acting) < brakes.may_act(fleet):
            self.freeze.has_room(now)
        return fleet

    def _assumed(self, namespace: str, now: float) -> tuple[int, int, int]:
        """Return what all other shards together may have admitted unseen: joined, there, all."""
        while self._latest and self._latest[0].at <= now - UNSEEN:
            self._latest.popleft()
        others = self.shards - 1
        joined = sum(one.joined for one in self._latest)
        there = sum(one.namespace == namespace for one in self._latest)
        return others * joined, others * there, others * len(self._latest)

    def admit(self, view: View, step: Step) -> None:
        """Count ``step``, which no brake held in ``view``; nothing counts in mode Observe.

        Nothing may be awaited between :meth:`of`, from which the view was made, and this.
        """
        if not _is_counted(view, step):
            return
        self._count(view.namespace, view.now, 1)
        key, episode = (view.namespace, view.name), under_way(view.status)
        joins = episode is not None and episode.severity is not Severity.P2
        if self.shards > 1:
            joined = joins and key not in self._acting
            self._latest.append(_Admitted(view.now, view.namespace, joined))
        if joins:
            self._acting.add(key)

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
    return view.spec.mode is not Mode.OBSERVE and brakes.is_limited(view, step)


def _set(keys: set[Key], key: Key, *, present: bool) -> None:
    if present:
        keys.add(key)
    else:
        keys.discard(key)
