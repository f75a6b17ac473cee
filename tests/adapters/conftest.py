"""Servers, sources and namespaces for the tests of the adapters."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from tests.adapters.real import eventually, route
from tests.adapters.rude_server import RudeServer, rude_server

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.metrics.bounded_http import Access
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop_lab import crds

DEADLINE = 0.6
MAX_BODY = 200_000


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with rude_server() as running:
        yield running


@pytest.fixture
async def source(server: RudeServer) -> AsyncIterator[PrometheusSource]:
    access = Access(deadline=DEADLINE, max_body=MAX_BODY)
    adapter = PrometheusSource(server.url, access, threads=4, now=lambda: 42.0)
    yield adapter
    await adapter.close()


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    # A KUBECONFIG of somebody's own cluster must not be enough: these tests write.
    if "LAB_DIR" not in os.environ:
        pytest.skip("needs `python -m backstop_lab exec`")
    client = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    yield client
    await client.close()


@pytest.fixture
async def namespace(api: KubernetesApi) -> AsyncIterator[str]:
    name = f"adapters-{uuid.uuid4().hex[:8]}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
async def routes(api: KubernetesApi, namespace: str) -> str:
    collection = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
    await api.create(collection, route())
    return collection


@pytest.fixture
async def foreign_crds(api: KubernetesApi) -> Callable[[str], Awaitable[None]]:
    """Install a definition of another project, and wait until its objects can be made."""
    definitions = {one["metadata"]["name"]: one for one in crds.read(crds.foreign())}

    async def install(name: str) -> None:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        await api.apply(path, definitions[name])

        async def established() -> bool:
            found = (await api.get(path)).get("status", {}).get("conditions") or ()
            return any(c["type"] == "Established" and c["status"] == "True" for c in found)

        await eventually(established)

    return install
