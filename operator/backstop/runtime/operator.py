"""The operator as a whole: parts made, connected, started, and stopped in order.

kopf watches; everything else is ours. A replica that loses its lease exits, so that nothing of an
old leader is left in memory.
"""

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

import structlog

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.notify.events import EventRecorder
from backstop.core.facts import ObjectRef
from backstop.core.shards import Shard
from backstop.ports import MetricsSource, OutsideError
from backstop.runtime import collector, flagger_hook, health, incident_metrics, metrics
from backstop.runtime.act import Actor
from backstop.runtime.cluster import Cluster
from backstop.runtime.config import BudgetsConfig
from backstop.runtime.default_prediction import DefaultPredictions
from backstop.runtime.fleet import FleetState
from backstop.runtime.journal import Journal
from backstop.runtime.kinds import awaited
from backstop.runtime.lease import Lease
from backstop.runtime.loop import Loop
from backstop.runtime.measured import MeasuredSource
from backstop.runtime.monitor_metrics import MonitorMetrics
from backstop.runtime.options import Options, SystemClock, sources_of
from backstop.runtime.outside import Outside
from backstop.runtime.publish import Publisher
from backstop.runtime.reconcile import Reconciler
from backstop.runtime.record import Record
from backstop.runtime.references import References
from backstop.runtime.rights import Rights
from backstop.runtime.runbooks import Runbooks
from backstop.runtime.scheduler import Key, Scheduler
from backstop.runtime.survey import Surveyor
from backstop.runtime.watch import Resource, Watch
from backstop.runtime.watching import stop_on_signals, until_stopped

_LOG = structlog.get_logger(__name__)

PATIENCE = 100.0
"""Seconds that the API server may be away at the start of a pod; its startup probe allows 120."""

RESYNC = 300.0
"""Seconds between listings of all monitors."""


class Operator:
    """All parts of a running operator."""

    def __init__(self, options: Options, api: KubernetesApi, kinds: Mapping[str, Resource]) -> None:
        self.options = options
        self.api = api
        self.kinds = kinds
        self._clock = SystemClock()
        self._scheduler = Scheduler(self._clock)
        self._records: dict[Key, Record] = {}
        self._runbooks = Runbooks(api)
        self.sources = sources_of(options.config)
        self.events = EventRecorder(api)
        self.outside = Outside.of(api, options.config, options.lease_namespace)
        self.publisher = Publisher(api, self.events, self.outside.notifier)
        self.rights = Rights(api, options.namespaces)
        self.fleet = _fleet_within(options.config.budgets, options.shard)
        self.cluster = Cluster(
            self.outside.workloads,
            self.outside.traffic,
            self._is_referenced,
            self._clock,
            frozenset(kinds),
            self._is_blind,
        )
        self.watch = Watch(
            records=self._records,
            scheduler=self._scheduler,
            cluster=self.cluster,
            runbooks=self._runbooks,
            fleet=self.fleet,
            clock=self._clock,
            tenant_labels=options.config.tenant_labels,
            shard=options.shard,
        )
        self.lease = Lease(
            api,
            options.lease_namespace,
            options.shard.lease(options.lease_name),
            f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        )
        self.loop = self._new_loop(self._new_reconciler())
        metrics.REGISTRY.register(self._monitor_metrics())
        self.stop = asyncio.Event()
        self.exit_code = 0
        self._looping: asyncio.Task[None] | None = None
        self._leasing: asyncio.Task[None] | None = None

    def _new_reconciler(self) -> Reconciler:
        outside, clock = self.outside, self._clock
        return Reconciler(
            actor=Actor(outside.performers(), outside.kill_switch, clock),
            surveyor=Surveyor(
                self.cluster,
                self._runbooks,
                outside.jobs,
                outside.configuration,
                outside.endpoints,
            ),
            fleet=self.fleet,
            journal=Journal(self.api),
            publisher=self.publisher,
            responders=DefaultPredictions(self.api, self.options.config.responder_image),
            rights=self.rights,
            clock=clock,
        )

    def _new_loop(self, reconciler: Reconciler) -> Loop:
        sources: dict[str, MetricsSource] = {
            name: MeasuredSource(name, source) for name, source in self.sources.items()
        }
        return Loop(
            self._records,
            self._scheduler,
            sources,
            reconciler,
            self._clock,
            asyncio.Semaphore(self.options.config.concurrent_writes),
            References(self.api, self._clock),
            acts=lambda: self.lease.is_sure,
        )

    def _monitor_metrics(self) -> MonitorMetrics:
        return MonitorMetrics(
            self._records,
            self.fleet,
            self._clock,
            acts=lambda: self.watch.active,
            at_most=self.options.config.metrics.monitors_at_most,
        )

    def _is_referenced(self, ref: ObjectRef) -> bool:
        return self.watch.is_referenced(ref)

    def _is_blind(self, ref: ObjectRef) -> bool:
        if ref.kind not in self.kinds:
            return False
        group, _, plural = self.kinds[ref.kind]
        return self.rights.is_blind(ref.namespace, group, plural)

    def _monitor(self, namespace: str, name: str) -> flagger_hook.Monitor | None:
        record = self._records.get((namespace, name))
        return flagger_hook.Monitor(record.spec, record.status) if record else None

    async def lead(self) -> None:
        """Begin to act: monitors are listed, as another replica may have written to them just now.

        All else is known from the watches already; each write reads its object again.
        """
        began = time.monotonic()
        await self.watch.list(self.api, list(self.options.namespaces))
        self.fleet.rebuild(self._records.values())
        incident_metrics.begin(self._records.values())
        collector.settle()
        self.watch.active = True
        self.watch.everything_due(spread=1.0 if len(self._records) > 100 else 0.0)  # noqa: PLR2004
        self._looping = self._task(self.loop.run(), "loop")
        metrics.LEADER.set(1)
        _LOG.info(
            "acting: this replica holds the lease",
            lease=self.lease.name,
            identity=self.lease.identity,
            monitors=len(self._records),
            prepared_seconds=round(time.monotonic() - began, 3),
        )

    def step_down(self) -> None:
        """Stop at once: another replica may act now."""
        _LOG.error("lease lost; exiting")
        self.watch.active = False
        metrics.LEADER.set(0)
        if self._looping is not None:
            self._looping.cancel()
        self.exit_code = 1
        self.stop.set()

    def _task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that the operator needs: when it fails, the operator ends."""
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        _LOG.error("a part of the operator failed; exiting", part=task.get_name())
        _LOG.error("because of", exc_info=task.exception())
        self.exit_code = 1
        self.stop.set()

    async def resync(self) -> None:
        """List all monitors now and then, since a watch can miss a deletion."""
        while True:
            try:
                await self.watch.list(self.api, list(self.options.namespaces))
            except OutsideError as error:
                _LOG.warning("monitors not listed", error=str(error))
                await asyncio.sleep(2.0)
                continue
            await asyncio.sleep(RESYNC)

    async def monitors_known(self) -> None:
        """Wait for the first listing, or for a stop.

        What the watches tell is kept only of what monitors name, so these must be known first.
        """
        waits = [asyncio.create_task(one.wait()) for one in (self.watch.listed, self.stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    async def compete(self) -> None:
        """Hold the lease as long as possible, but not before all monitors are known.

        To understand 10,000 for the first time takes longer than a lease lasts.
        """
        await self.monitors_known()
        await self.lease.run(self.lead, self.step_down)

    async def leave(self) -> None:
        """Once told to stop, end acting and give the lease up; the watches take longer to end."""
        await self.stop.wait()
        self.watch.active = False
        metrics.LEADER.set(0)
        ending = [task for task in (self._leasing, self._looping) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self.lease.release()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run all background tasks, and end them in order."""
        runner = await health.serve(
            self.options.health_host,
            self.options.health_port,
            alive=self.loop.alive,
            ready=self.watch.listed.is_set,
            more=flagger_hook.routes(
                self._monitor, acts=lambda: self.watch.active, shard=self.options.shard
            ),
        )
        self.events.start()
        self._leasing = self._task(self.compete(), "lease")
        tasks = [
            self._task(self.loop.beat(), "beat"),
            self._task(self.publisher.run(), "publisher"),
            self._task(self.outside.notifier.run(), "notifier"),
            self._task(self.outside.kill_switch.watch(), "kill switch"),
            self._task(self.rights.run(), "rights"),
            self._task(self.resync(), "resync"),
            self._leasing,
        ]
        leaving = self._task(self.leave(), "leaving")
        try:
            yield
        finally:
            self.stop.set()
            await asyncio.gather(leaving, return_exceptions=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.outside.close()
            await self.events.close()
            for source in self.sources.values():
                await source.close()
            await runner.cleanup()


def _fleet_within(budgets: BudgetsConfig, shard: Shard) -> FleetState:
    return FleetState(
        budgets.actions_per_hour_per_namespace,
        budgets.actions_per_hour,
        budgets.blast_radius_share,
        budgets.blast_radius_at_least,
        shard.count,
    )


async def run(options: Options) -> int:
    """Run until told to stop, and return the exit code."""
    api = await KubernetesApi.connect(kubeconfig=options.kubeconfig, context=options.context)
    try:
        patience = PATIENCE if options.in_cluster else 0.0
        kinds = await awaited(api, options.config.enabled, patience=patience)
        operator = Operator(options, api, kinds)
        stop_on_signals(operator.stop)
        async with operator.running():
            await operator.monitors_known()
            registry = operator.watch.registry(operator.kinds)
            await until_stopped(registry, options.namespaces, operator.stop)
            if not operator.stop.is_set():
                _LOG.error("the watches ended by themselves; exiting")
                operator.exit_code = 1
    finally:
        await api.close()
    return operator.exit_code
