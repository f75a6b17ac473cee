"""The adapters on a real API server, with its own controllers, schemas and admission.

Each test works in a namespace of its own and needs nothing to be there but the Gateway `edge`.
"""

import asyncio
import copy
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.notify.events import EventRecorder
from backstop.adapters.traffic.gateway_api import GatewayApiTraffic
from backstop.adapters.workloads.deployment import ACTION_ID, DeploymentWorkload
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.ports import ConflictError, ForbiddenError, InvalidError, NotFoundError

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs `python -m backstop_lab exec`"),
]

Json = dict[str, Any]
T = TypeVar("T")
BOTH = frozenset({"model", "fallback"})


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    client = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    yield client
    await client.close()


@pytest.fixture
async def namespace(api: KubernetesApi) -> AsyncIterator[str]:
    name = f"adapters-{uuid.uuid4().hex[:8]}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


async def eventually(probe: Callable[[], Awaitable[T]]) -> T:
    """Return the first true result; fail after half a minute."""
    result = await probe()
    for _ in range(300):
        if result:
            return result
        await asyncio.sleep(0.1)
        result = await probe()
    raise AssertionError(f"not within 30 s; last seen: {result!r}")


def without_bookkeeping(body: Json) -> Json:
    """Return what a person wrote: the object without what the API server keeps about it."""
    body = copy.deepcopy(body)
    body.pop("status", None)
    for name in ("resourceVersion", "generation", "managedFields"):
        body["metadata"].pop(name, None)
    return body


# Deployments


def deployment(image: str) -> Json:
    labels = {"app": "model", "tier": "a"}
    container = {
        "name": "main",
        "image": image,
        "command": ["sleep", "3600"],
        "env": [{"name": "VERSION", "value": image}],
        "resources": {"requests": {"cpu": "1m"}},
    }
    return {
        "metadata": {"name": "model", "labels": {"team": "ml"}},
        "spec": {
            "replicas": 1,
            "selector": {
                "matchLabels": {"app": "model"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
            },
            "template": {
                "metadata": {"labels": labels, "annotations": {"note": image}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
            },
        },
    }


class Model:
    """A real Deployment with a history of two revisions."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self.api = api
        self.ref = ObjectRef("Deployment", namespace, "model")
        self.collection = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.path = f"{self.collection}/model"
        self.workload = DeploymentWorkload(api)

    async def rolled_out(self, after: str = "") -> WorkloadFacts:
        async def probe() -> WorkloadFacts | None:
            facts = await self.workload.read(self.ref)
            return facts if facts.rolled_out and facts.fingerprint != after else None

        facts = await eventually(probe)
        assert facts is not None
        return facts


@pytest.fixture
async def model(api: KubernetesApi, namespace: str) -> Model:
    made = Model(api, namespace)
    await api.create(made.collection, deployment("example.com/model:1"))
    await made.rolled_out()
    second = deployment("example.com/model:2")
    await api.merge_patch(made.path, {"spec": {"template": second["spec"]["template"]}})
    return made


async def test_a_real_rollback(api, model):
    """Back to the previous revision: the template and our mark differ, and the pods follow."""
    facts = await model.rolled_out()
    current, previous = await model.workload.revisions(model.ref)
    assert (current.number, previous.number) == (2, 1)
    assert current.fingerprint == facts.fingerprint
    assert previous.created <= current.created
    before = without_bookkeeping(await api.get(model.path))

    facts = await model.workload.read(model.ref)
    written = await model.workload.rollback(facts, previous.fingerprint, "act-1")

    assert (written.fingerprint, written.last_action) == (previous.fingerprint, "act-1")
    after = without_bookkeeping(await api.get(model.path))
    template = after["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "example.com/model:1"
    assert template["metadata"]["labels"] == {"app": "model", "tier": "a"}
    assert template["metadata"]["annotations"] == {"note": "example.com/model:1"}
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    for body in (before, after):
        del body["spec"]["template"]
        body["metadata"]["annotations"].pop("deployment.kubernetes.io/revision")
    assert after == before

    done = await model.rolled_out(after=current.fingerprint)
    assert done.images == {"main": "example.com/model:1"}
    assert done.changed is not None
    newest, older = await model.workload.revisions(model.ref)
    assert (newest.fingerprint, newest.number) == (previous.fingerprint, 3)
    assert (older.fingerprint, older.number) == (current.fingerprint, 2)


async def test_a_real_rollback_on_stale_facts(api, model):
    """A Deployment that changed since it was read keeps its template and gets no mark."""
    facts = await model.rolled_out()
    _, previous = await model.workload.revisions(model.ref)
    await api.merge_patch(model.path, {"metadata": {"labels": {"touched": "yes"}}})
    before = without_bookkeeping(await api.get(model.path))
    with pytest.raises(ConflictError):
        await model.workload.rollback(facts, previous.fingerprint, "act-1")
    stale = {"op": "replace", "path": "/metadata/resourceVersion", "value": facts.resource_version}
    with pytest.raises(ConflictError, match="has been modified"):
        await api.json_patch(
            model.path, [stale, {"op": "replace", "path": "/spec/paused", "value": True}]
        )
    after = without_bookkeeping(await api.get(model.path))
    assert after["spec"] == before["spec"]
    assert ACTION_ID not in after["metadata"].get("annotations", {})


# Routes


def route() -> Json:
    header = {"name": "x-model", "value": "2"}
    split = [
        {"name": "model", "port": 80, "weight": 90},
        {
            "name": "fallback",
            "port": 80,
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [header]}}
            ],
        },
    ]
    mirror = {"backendRef": {"name": "shadow", "port": 80}}
    match = {"path": {"type": "PathPrefix", "value": "/score"}, "headers": [header]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "model", "annotations": {"team": "ml"}},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "default"}],
            "hostnames": ["model.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "Exact", "value": "/health"}}],
                    "backendRefs": [{"name": "model", "port": 80}],
                },
                {
                    "matches": [match],
                    "filters": [{"type": "RequestMirror", "requestMirror": mirror}],
                    "timeouts": {"request": "2s"},
                    "backendRefs": split,
                },
            ],
        },
    }


@pytest.fixture
async def routes(api: KubernetesApi, namespace: str) -> str:
    collection = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
    await api.create(collection, route())
    return collection


async def test_real_weights(api, namespace, routes):
    """Two weights move in one write, all else of the route stays, and the gateway takes it."""
    traffic = GatewayApiTraffic(api)
    ref = ObjectRef("HTTPRoute", namespace, "model")
    await eventually(lambda: _in_effect(traffic, ref))
    before = without_bookkeeping(await api.get(f"{routes}/model"))
    facts = await traffic.read(ref, BOTH)
    assert [(rule.index, dict(rule.weights)) for rule in facts.rules] == [
        (1, {"model": 90, "fallback": 1})
    ]

    written = await traffic.write(facts, {1: {"model": 0, "fallback": 100}})

    assert dict(written.rules[0].weights) == {"model": 0, "fallback": 100}
    assert written.generation == facts.generation + 1
    after = without_bookkeeping(await api.get(f"{routes}/model"))
    before["spec"]["rules"][1]["backendRefs"][0]["weight"] = 0
    before["spec"]["rules"][1]["backendRefs"][1]["weight"] = 100
    assert after == before
    await eventually(lambda: _in_effect(traffic, ref))


async def _in_effect(traffic: GatewayApiTraffic, ref: ObjectRef) -> bool:
    return (await traffic.read(ref, BOTH)).in_effect


async def test_real_weights_on_stale_facts(api, namespace, routes):
    """A route that changed since it was read keeps its weights."""
    traffic = GatewayApiTraffic(api)
    facts = await traffic.read(ObjectRef("HTTPRoute", namespace, "model"), BOTH)
    await api.merge_patch(f"{routes}/model", {"metadata": {"labels": {"touched": "yes"}}})
    before = without_bookkeeping(await api.get(f"{routes}/model"))
    with pytest.raises(ConflictError):
        await traffic.write(facts, {1: {"model": 0, "fallback": 100}})
    assert without_bookkeeping(await api.get(f"{routes}/model")) == before


# What the real server's refusals become


async def test_real_refusals(api, namespace, routes):
    """A failed `test` is a conflict, a broken rule of the schema is not, and both change nothing."""
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
    with pytest.raises(NotFoundError, match="get httproutes .*/absent"):
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
