"""What a real API server and a real Prometheus answer, in the words of the ports."""

import asyncio
import os

import pytest
from tests.adapters.real import route, without_bookkeeping

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.adapters.notify.events import EventRecorder
from backstop.ports import ConflictError, ForbiddenError, InvalidError, NotFoundError

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs `python -m backstop_lab exec`"),
]


async def test_real_refusals(api, routes):
    """A failed `test` is a conflict, a broken schema is not, and both change nothing."""
    path = f"{routes}/model"
    weight = "/spec/rules/1/backendRefs/0/weight"
    before = await api.get(path)
    with pytest.raises(ConflictError, match="no longer what the patch expects"):
        await api.json_patch(
            path,
            [
                {"op": "test", "path": "/spec/rules/1/backendRefs/0/name", "value": "other"},
                {"op": "add", "path": weight, "value": 5},
            ],
        )
    with pytest.raises(InvalidError, match="weight"):
        await api.json_patch(path, [{"op": "add", "path": weight, "value": 1_000_001}])
    with pytest.raises(ConflictError, match="already exists"):
        await api.create(routes, route())
    with pytest.raises(NotFoundError, match=r"get httproutes .*/absent"):
        await api.get(f"{routes}/absent")
    assert without_bookkeeping(await api.get(path)) == without_bookkeeping(before)


async def test_a_real_denial(namespace):
    """Without the right, the error names the verb and the resource."""
    client = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    client._client.set_default_header("Impersonate-User", "nobody")
    with pytest.raises(ForbiddenError, match='cannot patch resource "deployments"'):
        await client.merge_patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/x", {})
    await client.close()


async def test_real_field_ownership(api, namespace):
    """Applying a field that another manager owns is a conflict, and takes nothing from it."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}
    applied = await api.apply(f"{maps}/m", body)
    assert [one["manager"] for one in applied["metadata"]["managedFields"]] == ["backstop"]
    other = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    theirs = f"{maps}/m?fieldManager=someone&force=true"
    await other._client.call_api(
        "PATCH",
        f"{other._client.configuration.host}{theirs}",
        header_params={"Content-Type": "application/apply-patch+yaml"},
        body=body | {"data": {"a": "2"}},
    )
    await other.close()
    with pytest.raises(ConflictError, match="conflict"):
        await api.apply(f"{maps}/m", body | {"data": {"a": "3"}})
    assert (await api.get(f"{maps}/m"))["data"] == {"a": "2"}


async def test_real_pages(api, namespace):
    """A collection larger than a page is read to the end."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    for start in range(0, 520, 40):
        await asyncio.gather(
            *(
                api.create(maps, {"metadata": {"name": f"m{number}", "labels": {"x": "y"}}})
                for number in range(start, start + 40)
            )
        )
    assert len(await api.list(maps, labelSelector="x=y")) == 520


async def test_real_events(api, namespace):
    """The API server accepts our Events, long notes and repetitions included."""
    recorder = EventRecorder(api)
    recorder.start()
    regarding = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": namespace,
        "name": "model",
        "uid": "u-1",
    }
    for _ in range(3):
        recorder.record(
            regarding=regarding,
            reason="TrafficMoved",
            action="OpenCircuit",
            note="é" * 5000,
            type_="Warning",
            key="k",
        )
    await recorder.close(patience=10)
    events = await api.list(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    ours = [one for one in events if one.get("reportingController") == "backstop.dev/operator"]
    assert [one["series"]["count"] for one in ours] == [3]
    assert ours[0]["regarding"]["uid"] == "u-1"


async def test_a_real_prometheus():
    """Matrices, vectors, scalars and a rejected query come back as what they are."""
    source = PrometheusSource(os.environ["LAB_PROMETHEUS_URL"])
    readings = await source.read(
        ["vector(1)[30s:10s]", "vector(1) / 0", "scalar(vector(2))", "up{"]
    )
    (matrix,) = readings["vector(1)[30s:10s]"].series
    assert matrix.values.tolist() == [1.0, 1.0, 1.0]
    assert (matrix.times[1:] - matrix.times[:-1]).tolist() == [10.0, 10.0]
    assert [one.values.tolist() for one in readings["vector(1) / 0"].series] == [[float("inf")]]
    assert [one.values.tolist() for one in readings["scalar(vector(2))"].series] == [[2.0]]
    assert readings["up{"].bad_query
    assert "parse error" in readings["up{"].failure
    await source.close()
