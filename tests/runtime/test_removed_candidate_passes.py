"""Passes over a monitor whose candidate was taken out of the spec, on a fake API."""

from tests.core.build import BASE
from tests.fakeapi.server import FakeApi
from tests.runtime.test_passes import (
    MONITORS,
    ROUTES,
    SLICES,
    Operator,
    api,
    operator,
    server,
)

from backstop.adapters.kube import KubernetesApi

__all__ = ["api", "operator", "server"]

TRIAL = {
    "fingerprint": "c1",
    "service": "fraud-next",
    "weight": 25,
    "since": "2026-01-01T00:00:00Z",
}


def listing(server: FakeApi, **weights: int) -> None:
    """Let the route list these Services, and let the target have a ready endpoint."""
    server.store.objects.clear()
    backends = [{"name": name.replace("_", "-"), "weight": one} for name, one in weights.items()]
    route = {"metadata": {"name": "fraud"}, "spec": {"rules": [{"backendRefs": backends}]}}
    server.add(ROUTES, route)
    ready = [{"conditions": {"ready": True}, "addresses": ["10.0.0.2"]}]
    labels = {"kubernetes.io/service-name": "fraud"}
    server.add(SLICES, {"metadata": {"name": "fraud", "labels": labels}, "endpoints": ready})
    monitor = {"metadata": {"name": "fraud"}, "spec": BASE, "status": {"candidate": TRIAL}}
    server.add(MONITORS, monitor)


async def weights(api: KubernetesApi) -> dict[str, int]:
    """Return the weights in the route."""
    found = await api.get(f"{ROUTES}/fraud")
    return {one["name"]: one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]}


async def test_its_traffic_goes_back_in_a_pass(
    server: FakeApi, api: KubernetesApi, operator: Operator
) -> None:
    """Written once, and told in the status that nothing is left of the trial."""
    listing(server, fraud=75, fraud_next=25, simple=0)
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    assert await weights(api) == {"fraud": 100, "fraud-next": 0, "simple": 0}
    assert (await operator.learns()).status.candidate is None


async def test_one_that_the_router_lists_no_more_is_forgotten(
    server: FakeApi, api: KubernetesApi, operator: Operator
) -> None:
    """It has no traffic there, and must not keep the circuit from being opened."""
    listing(server, fraud=100, simple=0)
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    stored = (await operator.learns()).status
    assert stored.candidate is None
    ready = {one.type: one for one in stored.conditions}["RouteReady"]
    assert ready.reason != "RouteHasNoRule"
    assert await weights(api) == {"fraud": 100, "simple": 0}


async def test_one_is_kept_while_the_router_cannot_be_read(
    server: FakeApi, operator: Operator
) -> None:
    """Whether it has traffic is not known then."""
    listing(server, other=100)
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    stored = (await operator.learns()).status
    assert stored.candidate is not None
    assert stored.candidate.phase == "Removed"
