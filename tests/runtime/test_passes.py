"""Passes over a monitor in a fake API: stopped by the kill switch, or left by the fallback."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.build import BASE, verdict
from tests.fakeapi.connection import connected
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.endpoints import EndpointSlices
from backstop.adapters.kube import KubernetesApi
from backstop.adapters.notify.events import EventRecorder
from backstop.api.words import CircuitPhase, Severity, Verdict
from backstop.core import breaker
from backstop.core.verdicts import Look
from backstop.runtime import reconcile
from backstop.runtime.act import Actor
from backstop.runtime.cluster import Cluster
from backstop.runtime.config import OperatorConfig
from backstop.runtime.default_prediction import DefaultPredictions
from backstop.runtime.fleet import FleetState
from backstop.runtime.journal import Journal
from backstop.runtime.options import SystemClock
from backstop.runtime.outside import Outside
from backstop.runtime.publish import Publisher
from backstop.runtime.reconcile import Reconciler
from backstop.runtime.record import Record, record_of
from backstop.runtime.rights import Rights
from backstop.runtime.runbooks import Runbooks
from backstop.runtime.survey import Surveyor

MONITORS = "/apis/backstop.dev/v1alpha1/namespaces/demo/modelmonitors"
INCIDENTS = "/apis/backstop.dev/v1alpha1/namespaces/demo/incidents"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
SWITCHES = "/api/v1/namespaces/demo/configmaps"
CONFIG = OperatorConfig.model_validate({"sources": {"default": {"url": "http://x"}}})
HEALTHY = Look(verdicts=(verdict(),))
BREACHED = Look(verdicts=(verdict(outcome=Verdict.BREACHED),))


@pytest.fixture
async def server() -> AsyncIterator[FakeApi]:
    async with FakeApi() as running:
        backends = [{"name": "fraud", "weight": 100}, {"name": "simple", "weight": 0}]
        route = {"metadata": {"name": "fraud"}, "spec": {"rules": [{"backendRefs": backends}]}}
        running.add(ROUTES, route)
        ready = [{"conditions": {"ready": True}, "addresses": ["10.0.0.1"]}]
        labels = {"kubernetes.io/service-name": "simple"}
        running.add(SLICES, {"metadata": {"name": "simple", "labels": labels}, "endpoints": ready})
        monitor = {"metadata": {"name": "fraud"}, "spec": BASE}
        running.add(MONITORS, monitor)
        yield running


@pytest.fixture
async def api(server: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesApi]:
    client = await connected(server, tmp_path)
    yield client
    await client.close()


class Operator:
    """What carries out passes over the one monitor, and what they see."""

    def __init__(self, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, clock, config = api, SystemClock(), CONFIG
        self.outside = Outside.of(api, config, "demo")
        self.publisher = Publisher(api, EventRecorder(api), self.outside.notifier)
        cluster = Cluster(
            self.outside.workloads, self.outside.traffic, lambda _: True, clock, frozenset()
        )
        outside = self.outside
        surveyor = Surveyor(
            cluster, Runbooks(api), outside.jobs, outside.configuration, outside.endpoints
        )
        self.reconciler = Reconciler(
            actor=Actor(self.outside.performers(), self.outside.kill_switch, clock),
            surveyor=surveyor,
            fleet=FleetState(),
            journal=Journal(api),
            publisher=self.publisher,
            responders=DefaultPredictions(api, "image"),
            rights=Rights(api),
            clock=clock,
        )
        self.look = HEALTHY
        monkeypatch.setattr(reconcile, "look_at", lambda *_: self.look)

    async def learns(self) -> Record:
        """Return the monitor as it stands in the cluster."""
        return record_of(await self.api.get(f"{MONITORS}/fraud"), {})


@pytest.fixture
async def operator(api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    made = Operator(api, monkeypatch)
    yield made
    await made.outside.close()


async def weights(api: KubernetesApi) -> list[Any]:
    """Return the weights in the route."""
    found = await api.get(f"{ROUTES}/fraud")
    return [one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]]


async def test_a_breach_is_seen_and_told_while_the_kill_switch_is_on(
    server: FakeApi, api: KubernetesApi, operator: Operator
) -> None:
    """Judging goes on: verdict, incident and Incident object are there, and no weight moves."""
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    assert record.status.verdict is Verdict.HEALTHY
    data = {"engaged": "true", "reason": "the network team works"}
    server.add(SWITCHES, {"metadata": {"name": "backstop-kill-switch"}, "data": data})
    operator.look = BREACHED
    due = await operator.reconciler.reconcile(record, {})
    assert due <= SystemClock().now() + reconcile.LOOK_AT_STOPPED
    stored = (await operator.learns()).status
    assert stored.verdict is Verdict.BREACHED
    assert stored.held == "all actions are stopped: the network team works"
    assert stored.incident is not None
    assert (stored.incident.severity, stored.action) == (Severity.P1, None)
    assert await weights(api) == [100, 0]
    assert await operator.publisher.flush()
    shown = await api.get(f"{INCIDENTS}/{stored.incident.name}")
    assert shown["status"]["phase"] == "Open"

    await api.delete(f"{SWITCHES}/backstop-kill-switch")
    await operator.reconciler.reconcile(record, {})
    assert record.status.incident is not None
    assert record.status.incident.name == stored.incident.name
    assert (record.status.held, await weights(api)) == ("", [0, 100])


async def test_a_fallback_without_endpoints_is_left_and_somebody_is_woken(
    api: KubernetesApi, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as its endpoints are ready it stays."""
    behind = {"fraud": 1, "simple": 1}

    async def ready(_slices: object, _namespace: str, service: str) -> int:
        return behind[service]

    monkeypatch.setattr(EndpointSlices, "ready", ready)
    monkeypatch.setattr(breaker, "FALLBACK_LOST", 0.0)
    record = await operator.learns()
    operator.look = BREACHED
    await operator.reconciler.reconcile(record, {})
    await operator.reconciler.reconcile(record, {})
    assert await weights(api) == [0, 100]
    behind["simple"] = 0
    await operator.reconciler.reconcile(record, {})
    assert await weights(api) == [100, 0]
    stored = (await operator.learns()).status
    assert stored.incident is not None
    assert (stored.incident.severity, stored.incident.resolved) == (Severity.P0, None)
    assert (stored.circuit.phase, stored.circuit.fallback_lost) == (CircuitPhase.CLOSED, None)


async def test_a_fallback_that_cannot_be_read_stays(
    server: FakeApi, api: KubernetesApi, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether anybody is behind it."""
    monkeypatch.setattr(breaker, "FALLBACK_LOST", 0.0)
    record = await operator.learns()
    operator.look = BREACHED
    await operator.reconciler.reconcile(record, {})
    server.faults.append(Fault("list", "endpointslices", status=403, message="no rights"))
    await operator.reconciler.reconcile(record, {})
    assert await weights(api) == [0, 100]
