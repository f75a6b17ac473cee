"""The real definitions of other projects: the API server takes each, and our adapters find it."""

from collections.abc import Awaitable, Callable

import pytest

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic.registry import KINDS as ROUTERS
from backstop.adapters.workloads.registry import KINDS as WORKLOADS
from backstop.runtime.kinds import present

pytestmark = pytest.mark.cluster

Install = Callable[[str], Awaitable[None]]
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FOREIGN = {
    "VirtualService": ROUTERS["VirtualService"].resource,
    **{kind: WORKLOADS[kind].resource for kind in ("Rollout", "InferenceService", "Canary")},
}


@pytest.mark.parametrize("kind", sorted(_FOREIGN))
async def test_a_definition_is_installed_once_and_served_at_once(
    kind: str, api: KubernetesApi, foreign_crds: Install
) -> None:
    """Its objects can be listed when the fixture returns, and a second call changes nothing."""
    resource = _FOREIGN[kind]
    assert resource is not None
    group, version, plural = resource
    name = f"{plural}.{group}"
    await foreign_crds(name)
    assert isinstance(await api.list(f"/apis/{group}/{version}/{plural}"), list)
    first = await api.metadata(f"{_DEFINITIONS}/{name}")
    await foreign_crds(name)
    again = await api.metadata(f"{_DEFINITIONS}/{name}")
    assert (again["uid"], again["generation"]) == (first["uid"], first["generation"])


async def test_an_installed_router_can_be_watched(
    api: KubernetesApi, foreign_crds: Install
) -> None:
    """What the operator looks for at its start are the definitions of the real projects."""
    await foreign_crds("virtualservices.networking.istio.io")
    found = await present(api)
    assert found["VirtualService"] == ("networking.istio.io", "v1", "virtualservices")
    assert {"HTTPRoute", "GRPCRoute", "Deployment"} <= found.keys()
