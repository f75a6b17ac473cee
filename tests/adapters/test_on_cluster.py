"""The adapters on a real API server, with its own controllers, schemas and admission.

Each test works in a namespace of its own and needs nothing to be there but the Gateway `edge`.
"""

import os
from typing import TypeVar

import pytest
from tests.adapters.real import Json, eventually, without_bookkeeping

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic.gateway_api import GatewayApiTraffic
from backstop.adapters.workloads.deployment import DeploymentWorkload
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.core.weights import Services
from backstop.ports import ConflictError

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs `python -m backstop_lab exec`"),
]

T = TypeVar("T")
BOTH = Services("model", None, "fallback")


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
    assert (done.ready, done.desired) == (1, 1)
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
