"""What the watches feed: kopf's raw events, nothing else of kopf.

Handlers only take note. kopf writes nothing, keeps no state of ours, and owns no timer. Watches can
miss deletions after a broken stream, so monitors are also listed afresh now and then.

While this replica stands by, statuses are taken as they are told, so that it knows all of them when
it takes over. Monitors of other shards are only counted.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import kopf
import structlog

from backstop.adapters.paths import collection
from backstop.adapters.workloads.registry import WATCHED as WORKLOADS
from backstop.api import API_VERSION, GROUP, VERSION
from backstop.core.facts import ObjectRef
from backstop.core.shards import Shard
from backstop.ports import Clock, ForbiddenError, KubeApi
from backstop.runtime.cluster import Cluster
from backstop.runtime.fleet import FleetState
from backstop.runtime.foreign import foreign
from backstop.runtime.record import Record, newer, record_of
from backstop.runtime.runbooks import Runbooks
from backstop.runtime.scheduler import Key, Scheduler

Resource = tuple[str, str, str]
"""Group, version and plural of a kind."""

PAUSE_EACH = 50
"""Monitors of a listing that are taken note of before anything else gets its turn."""

_LOG = structlog.get_logger(__name__)


class Watch:
    """Keeps records and facts up to date from events and from listings."""

    def __init__(
        self,
        *,
        records: dict[Key, Record],
        scheduler: Scheduler,
        cluster: Cluster,
        runbooks: Runbooks,
        fleet: FleetState,
        clock: Clock,
        tenant_labels: Mapping[str, str],
        shard: Shard,
    ) -> None:
        self._records = records
        self._scheduler = scheduler
        self._cluster = cluster
        self._runbooks = runbooks
        self._fleet = fleet
        self._clock = clock
        self._tenant_labels = tenant_labels
        self._shard = shard
        self._referrers: dict[ObjectRef, set[Key]] = {}
        self._named: dict[Key, frozenset[ObjectRef]] = {}
        self.active = False
        self.listed = asyncio.Event()

    def registry(self, kinds: Mapping[str, Resource]) -> kopf.OperatorRegistry:
        """Return a registry with our handlers, and nothing in kopf's global one.

        ``kinds`` are the workloads and routers that the cluster knows.
        """
        registry = kopf.OperatorRegistry()
        kopf.on.event(GROUP, VERSION, "modelmonitors", registry=registry)(self._monitor)
        kopf.on.event(GROUP, VERSION, "runbooks", registry=registry)(self._object)
        for resource in kinds.values():
            kopf.on.event(*resource, registry=registry)(self._object)
        return registry

    async def _monitor(self, event: Any, **_: Any) -> None:
        body = event["object"]
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event["type"] == "DELETED":
            self._forget(key)
        else:
            self.saw_monitor(key, body)

    def saw_monitor(self, key: Key, body: Any) -> None:
        """Take note of a monitor; look at it soon if it is new or its spec changed.

        One of another shard is only counted.
        """
        if not self._shard.owns(*key):
            self._count(key, body)
            return
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = record_of(body, self._tenant_labels)
            changed = True
        else:
            changed = record.absorb(body, with_status=False) if self.active else record.follow(body)
        self._names(key, record.references)
        if changed and self.active:
            self._scheduler.put(key, self._clock.now())

    def _names(self, key: Key, refs: frozenset[ObjectRef]) -> None:
        """Take note of what a monitor names; of what nobody names any more, nothing is kept."""
        before = self._named.pop(key, frozenset())
        if refs:
            self._named[key] = refs
        for ref in refs - before:
            self._referrers.setdefault(ref, set()).add(key)
        for ref in before - refs:
            self._referrers[ref].discard(key)
            if not self._referrers[ref]:
                del self._referrers[ref]
                self._cluster.forget(ref)

    def _count(self, key: Key, body: Any) -> None:
        known = self._fleet.version(key)
        if not known or newer(body["metadata"]["resourceVersion"], known):
            self._fleet.saw(key, foreign(body), self._clock.now())

    def is_referenced(self, ref: ObjectRef) -> bool:
        """Return whether a monitor names ``ref``."""
        return bool(self._referrers.get(ref))

    def _forget(self, key: Key) -> None:
        record = self._records.pop(key, None)
        if record is not None:
            record.gone = True
        self._names(key, frozenset())
        self._scheduler.forget(key)
        self._fleet.forget(key)

    async def _object(self, event: Any, **_: Any) -> None:
        body = event["object"]
        metadata = body["metadata"]
        ref = ObjectRef(body["kind"], metadata["namespace"], metadata["name"])
        seen = None if event["type"] == "DELETED" else body
        if ref.kind == "Runbook":
            self._runbooks.saw(ref, seen)
        elif not self._cluster.saw(ref, seen, workload=ref.kind in WORKLOADS):
            return
        for key in self._referrers.get(ref, ()):
            record = self._records.get(key)
            busy = record is not None and record.is_busy
            if self.active and (busy or seen is None):
                self._scheduler.put(key, self._clock.now() + 0.05)

    async def list(self, api: KubeApi, namespaces: list[str]) -> None:
        """List all monitors and forget those that are gone.

        In one of several namespaces in which that is forbidden, what is known stays.

        Raises:
            OutsideError: the API server did not answer.
        """
        before, found = {*self._records, *self._named, *self._fleet.foreign}, set[Key]()
        for namespace in namespaces or [""]:
            try:
                bodies = await api.list(collection(API_VERSION, "modelmonitors", namespace))
            except ForbiddenError as error:
                if len(namespaces) <= 1:
                    raise
                _LOG.warning("monitors not listed", namespace=namespace, error=str(error))
                found.update(key for key in before if key[0] == namespace)
                continue
            for place, body in enumerate(bodies):
                if place % PAUSE_EACH == 0:
                    await asyncio.sleep(0)
                key = (body["metadata"]["namespace"], body["metadata"]["name"])
                found.add(key)
                self.saw_monitor(key, body)
        for key in before - found:  # a monitor may be created while the list is on its way
            self._forget(key)
        self.listed.set()

    def everything_due(self, spread: float) -> None:
        """Look at all monitors within ``spread`` seconds."""
        now = self._clock.now()
        for place, key in enumerate(self._records):
            self._scheduler.put(key, now + spread * place / max(1, len(self._records)))
