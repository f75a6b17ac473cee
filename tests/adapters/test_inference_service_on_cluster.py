"""InferenceServices on the real API server with KServe's real definition.

KServe itself does not run there: the tests write what it would write, the status included. The
ReplicaSets, in which the past is read, are made by the real controller of Deployments.
"""

from collections.abc import Awaitable, Callable

import pytest
from tests.adapters.foreign_bodies import (
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    SOURCE_URI,
    Json,
    foreign_fields,
    inference_service,
    model_uri,
    owners,
    ready_status,
)
from tests.adapters.real import eventually
from tests.adapters.workload_bodies import ON_CLUSTER

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic.registry import Routers
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.predictor import fingerprint
from backstop.adapters.workloads.registry import Workloads
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import ConflictError, NotFoundError, UnknownKindError

pytestmark = ON_CLUSTER
CRD = "inferenceservices.serving.kserve.io"
FIRST, SECOND = (fingerprint(inference_service(one)) for one in (1, 2))
BOTH = Services("model-predictor", "model-next-predictor", None)


class KServe:
    """What KServe does, done by hand."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self.api = api
        self.ref = ObjectRef("InferenceService", namespace, "model")
        self.collection = INFERENCE_SERVICES.format(namespace)
        self.path = f"{self.collection}/model"
        self.deployments = DEPLOYMENTS.format(namespace)
        self.workloads = Workloads(api)
        self.routers = Routers(api)

    async def create(self, body: Json, **status: object) -> Json:
        made = await self.api.create(self.collection, body)
        await self.report(**status)
        return made

    async def report(self, **status: object) -> None:
        await self.api.merge_patch(f"{self.path}/status", {"status": ready_status(**status)})

    async def deploy(self, version: int, uid: str = "", **annotations: str) -> None:
        """Make or update the Deployment, and wait until its controller has done its part."""
        template = {
            "metadata": {
                "labels": {"app": "isvc.model-predictor"},
                "annotations": {SOURCE_URI: model_uri(version), **annotations},
            },
            "spec": {"containers": [{"name": "kserve-container", "image": "example.com/s:1"}]},
        }
        path = f"{self.deployments}/model-predictor"
        if uid:
            metadata = {
                "name": "model-predictor",
                "ownerReferences": owners("serving.kserve.io/v1beta1", self.ref.kind, uid),
            }
            labels = {"matchLabels": {"app": "isvc.model-predictor"}}
            spec = {"replicas": 0, "selector": labels, "template": template}
            await self.api.create(self.deployments, {"metadata": metadata, "spec": spec})
        else:
            await self.api.merge_patch(path, {"spec": {"template": template}})

        async def observed() -> bool:
            found = await self.api.get(path)
            seen = found.get("status", {}).get("observedGeneration")
            return bool(seen == found["metadata"]["generation"])

        await eventually(observed)

    async def body(self) -> Json:
        return await self.api.get(self.path)


@pytest.fixture
async def kserve(
    api: KubernetesApi, namespace: str, foreign_crds: Callable[[str], Awaitable[None]]
) -> KServe:
    await foreign_crds(CRD)
    return KServe(api, namespace)


async def test_there_and_back(kserve):
    """The model goes back to the earlier one, and forth again; nothing else of the spec changes."""
    made = await kserve.create(inference_service())
    await kserve.deploy(1, made["metadata"]["uid"])
    await kserve.deploy(2)
    before = await kserve.body()
    facts = await kserve.workloads.read(kserve.ref)
    assert (facts.fingerprint, facts.rolled_out, facts.ready) == (SECOND, True, 0)
    found = await kserve.workloads.revisions(kserve.ref)
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]
    back = await kserve.workloads.rollback(facts, FIRST, "act-1")
    assert (back.fingerprint, back.last_action, back.rolled_out) == (FIRST, "act-1", False)
    ours = "spec.predictor.model.storageUri", "spec.predictor.annotations"
    after = await kserve.body()
    assert foreign_fields(after, *ours) == foreign_fields(before, *ours)
    assert after["status"] == before["status"]
    await kserve.deploy(1, **{ACTION_ID: "act-1"})

    async def done():
        return (await kserve.workloads.read(kserve.ref)).rolled_out

    await eventually(done)
    facts = await kserve.workloads.read(kserve.ref)
    assert await kserve.workloads.rollback(facts, FIRST, "act-1") == facts
    await kserve.workloads.rollback(facts, SECOND, "act-2")
    assert foreign_fields(await kserve.body(), ours[1]) == foreign_fields(before, ours[1])


async def test_restart_and_promotion(kserve):
    """A restart and a promotion are accepted by the real schema, and touch nothing else."""
    await kserve.create(inference_service())
    facts = await kserve.workloads.read(kserve.ref)
    restarted = await kserve.workloads.restart(facts, "act-1")
    assert (restarted.fingerprint, restarted.last_action) == (SECOND, "act-1")
    await kserve.api.create(kserve.collection, inference_service(5, "next"))
    next_ref = ObjectRef(kserve.ref.kind, kserve.ref.namespace, "next")
    source = await kserve.workloads.read(next_ref)
    adopted = await kserve.workloads.adopt(restarted, source, "act-2")
    assert adopted.last_action == "act-2"
    assert adopted.fingerprint == source.fingerprint
    after, wanted = await kserve.body(), await kserve.api.get(f"{kserve.collection}/next")
    annotations = "spec.predictor.annotations"
    assert foreign_fields(after, annotations)["spec"] == foreign_fields(wanted)["spec"]


async def test_old_facts(kserve):
    """Nothing is written on facts that are out of date; read again, the change goes through."""
    await kserve.create(inference_service())
    facts = await kserve.workloads.read(kserve.ref)
    await kserve.api.merge_patch(kserve.path, {"metadata": {"labels": {"touched": "yes"}}})
    before = await kserve.body()
    for change in (
        kserve.workloads.restart(facts, "act-1"),
        kserve.workloads.rollback(facts, FIRST, "act-1"),
        kserve.workloads.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(ConflictError):
            await change
    assert await kserve.body() == before
    facts = await kserve.workloads.read(kserve.ref)
    assert (await kserve.workloads.restart(facts, "act-1")).last_action == "act-1"


async def test_knative_traffic(kserve):
    """The percentage moves and comes back; it is in effect once the status shows it."""
    body = inference_service()
    body["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = "Knative"
    body["spec"]["predictor"]["canaryTrafficPercent"] = 0

    async def divide(percent):
        newest = {"latestRevision": True, "percent": percent, "revisionName": "model-2"}
        predictor = {"latestRolledoutRevision": "model-1", "traffic": [newest]}
        await kserve.report(components={"predictor": predictor}, deploymentMode="Knative")

    await kserve.create(body)
    await divide(0)
    before = await kserve.body()
    facts = await kserve.routers.read(kserve.ref, BOTH)
    assert (dict(facts.rules[0].weights), facts.in_effect) == (
        {"model-predictor": 100, "model-next-predictor": 0},
        True,
    )
    moved = await kserve.routers.write(
        facts, {0: {"model-predictor": 95, "model-next-predictor": 5}}
    )
    assert not moved.in_effect
    with pytest.raises(ConflictError):
        await kserve.routers.write(facts, {0: {"model-predictor": 0, "model-next-predictor": 100}})
    await divide(5)
    moved = await kserve.routers.read(kserve.ref, BOTH)
    assert moved.in_effect
    share = "spec.predictor.canaryTrafficPercent"
    after = await kserve.body()
    assert after["spec"]["predictor"]["canaryTrafficPercent"] == 5
    assert foreign_fields(after, share) == foreign_fields(before, share)
    await kserve.routers.write(moved, {0: {"model-predictor": 100, "model-next-predictor": 0}})
    assert foreign_fields(await kserve.body()) == foreign_fields(before)


async def test_standard_traffic(kserve):
    """A canary's share moves and comes back; without an HTTPRoute that divides it has no effect."""
    body = inference_service()
    canary = inference_service(3)["spec"]["predictor"] | {"name": "next", "minReplicas": 1}
    # Its definition asks for a name here, though it sets that of the container itself.
    canary["model"]["name"] = "kserve-container"
    body["spec"]["canary"] = [{"trafficPercent": 0, "predictor": canary}]
    await kserve.create(body)
    before = await kserve.body()
    facts = await kserve.routers.read(kserve.ref, BOTH)
    assert not facts.in_effect
    assert "enableGatewayApi" in facts.message
    moved = await kserve.routers.write(
        facts, {0: {"model-predictor": 75, "model-next-predictor": 25}}
    )
    assert (await kserve.body())["spec"]["canary"][0]["trafficPercent"] == 25
    routes = f"/apis/gateway.networking.k8s.io/v1/namespaces/{kserve.ref.namespace}/httproutes"
    backends = [
        {"name": name, "namespace": kserve.ref.namespace, "port": 80, "weight": weight}
        for name, weight in (("model-predictor", 3), ("model-next-predictor", 1))
    ]
    parent = {"name": "no-such-gateway", "namespace": "default"}
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}
    await kserve.api.create(
        routes,
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "model"},
            "spec": spec,
        },
    )
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-01T10:00:00Z",
    }
    report = {
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent},
        "controllerName": "example.com/gateway",
        "conditions": [accepted],
    }
    await kserve.api.merge_patch(f"{routes}/model/status", {"status": {"parents": [report]}})
    moved = await kserve.routers.read(kserve.ref, BOTH)
    assert (moved.in_effect, moved.message) == (True, "")
    await kserve.routers.write(moved, {0: {"model-predictor": 100, "model-next-predictor": 0}})
    assert foreign_fields(await kserve.body()) == foreign_fields(before)


async def test_absent(kserve):
    """An object that is absent, and a kind that the cluster does not know, are told apart."""
    with pytest.raises(NotFoundError, match="inferenceservices") as absent:
        await kserve.workloads.read(kserve.ref)
    assert not isinstance(absent.value, UnknownKindError)
    definition = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}"
    await kserve.api.delete(definition)

    async def unknown():
        try:
            await kserve.workloads.read(kserve.ref)
        except UnknownKindError as error:
            return str(error)
        except NotFoundError:
            return ""

    said = await eventually(unknown)
    assert "the cluster does not know inferenceservices (serving.kserve.io/v1beta1)" in said
    with pytest.raises(UnknownKindError):
        await kserve.routers.read(kserve.ref, BOTH)
