"""Replicas: who sets the number, and the one write that asks for another."""

import copy
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.workload_bodies import workload
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.replicas import ScaleReplicas, autoscaler_of
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, ForbiddenError, InvalidError, UnsupportedError

Json = dict[str, Any]
REF = ObjectRef("Deployment", "demo", "model")
DEPLOYMENTS = "/apis/apps/v1/namespaces/demo/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers"


def autoscaler(name: str = "busy", target: str = "model", **fields: Any) -> Json:
    of = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "metadata": {"name": name, "resourceVersion": "5", "labels": {"team": "ml"}},
        "spec": {"scaleTargetRef": of, "minReplicas": 2, "maxReplicas": 4} | fields,
    }


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        server.add(DEPLOYMENTS, workload("Deployment") | {"status": {"readyReplicas": 1}})
        yield server


@pytest.fixture
async def replicas(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield ScaleReplicas(api)
    await api.close()


def stored(fake: FakeApi, collection: str, name: str) -> Json:
    return fake.store.objects[collection, "demo", name]


@pytest.mark.parametrize(
    ("target", "is_found"),
    [
        ({}, True),
        ({"apiVersion": "apps/v1beta2"}, True),
        ({"name": "other"}, False),
        ({"kind": "StatefulSet"}, False),
        ({"apiVersion": "example.com/v1"}, False),
        ({"apiVersion": "v1"}, False),
    ],
)
def test_whose_autoscaler_it_is(target, is_found):
    """An autoscaler is of the workload that it names by group, kind and name."""
    of = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model"}
    found = autoscaler_of(REF, [autoscaler(scaleTargetRef=of | target)])
    assert (found is not None) is is_found


def test_limits_of_an_autoscaler():
    """The least number is one where none is set; of several the first by name counts."""
    found = autoscaler_of(REF, [autoscaler("b"), autoscaler("a", minReplicas=None)])
    assert found is not None
    assert (found.ref.name, found.least, found.most, found.resource_version) == ("a", 1, 4, "5")


async def test_facts(replicas, fake):
    """The wanted and the ready number, and the version that a write is to carry."""
    facts = await replicas.read(REF)
    assert (facts.desired, facts.ready, facts.autoscaler) == (2, 1, None)
    version = stored(fake, "apis/apps/v1/deployments", "model")["metadata"]["resourceVersion"]
    assert facts.resource_version == version


async def test_a_write_goes_to_the_scale(replicas, fake):
    """One write to the subresource, and none where the number is as wanted."""
    facts = await replicas.read(REF)
    assert await replicas.write(facts, 2) is facts
    before = copy.deepcopy(stored(fake, "apis/apps/v1/deployments", "model"))
    written = await replicas.write(facts, 3)
    assert fake.writes == [("patch", f"{DEPLOYMENTS}/model/scale")]
    assert written.desired == 3
    after = copy.deepcopy(stored(fake, "apis/apps/v1/deployments", "model"))
    assert written.resource_version == after["metadata"]["resourceVersion"]
    assert (before["spec"].pop("replicas"), after["spec"].pop("replicas")) == (2, 3)
    assert after["spec"] == before["spec"]


async def test_a_stale_scale(replicas, fake):
    """A workload that changed since it was read keeps its number."""
    facts = await replicas.read(REF)
    stored(fake, "apis/apps/v1/deployments", "model")["metadata"]["resourceVersion"] = "9999"
    with pytest.raises(ConflictError):
        await replicas.write(facts, 3)
    assert fake.writes == []


async def test_an_autoscaler_is_asked(replicas, fake):
    """Its least number is set, and neither its other fields nor the workload."""
    fake.add(AUTOSCALERS, autoscaler())
    facts = await replicas.read(REF)
    assert await replicas.write(facts, 2) is facts
    collection = "apis/autoscaling/v2/horizontalpodautoscalers"
    before = copy.deepcopy(stored(fake, collection, "busy"))
    written = await replicas.write(facts, 4)
    assert fake.writes == [("patch", f"{AUTOSCALERS}/busy")]
    after = copy.deepcopy(stored(fake, collection, "busy"))
    assert written.autoscaler is not None
    assert written.autoscaler.least == 4
    assert written.autoscaler.resource_version == after["metadata"]["resourceVersion"]
    assert written.desired == 2
    assert after["spec"] == before["spec"] | {"minReplicas": 4}
    assert after["metadata"]["labels"] == {"team": "ml"}
    restored = await replicas.write(written, 2)
    assert restored.autoscaler is not None
    assert stored(fake, collection, "busy")["spec"] == before["spec"]


async def test_a_stale_autoscaler(replicas, fake):
    """An autoscaler that changed since it was read keeps its numbers."""
    fake.add(AUTOSCALERS, autoscaler())
    facts = await replicas.read(REF)
    collection = "apis/autoscaling/v2/horizontalpodautoscalers"
    stored(fake, collection, "busy")["metadata"]["resourceVersion"] = "9999"
    with pytest.raises(ConflictError):
        await replicas.write(facts, 3)
    assert fake.writes == []


async def test_an_autoscaler_that_another_controller_writes_is_left_alone(replicas, fake):
    """KEDA would undo it at once; the message says where the number stands."""
    body = autoscaler()
    owner = {"kind": "ScaledObject", "name": "busy", "uid": "k", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    fake.add(AUTOSCALERS, body)
    facts = await replicas.read(REF)
    with pytest.raises(InvalidError, match="belongs to ScaledObject/busy, which would undo"):
        await replicas.write(facts, 3)
    assert fake.writes == []
    assert await replicas.write(facts, 2) is facts


async def test_more_than_an_autoscaler_allows(replicas, fake):
    """The limit is a person's: the message says what to raise, and nothing is written."""
    fake.add(AUTOSCALERS, autoscaler())
    facts = await replicas.read(REF)
    with pytest.raises(InvalidError) as caught:
        await replicas.write(facts, 5)
    assert str(caught.value) == (
        "HorizontalPodAutoscaler/busy allows 4 pods of Deployment/model at most, not 5;"
        " raise its spec.maxReplicas"
    )
    assert fake.writes == []


async def test_autoscalers_that_cannot_be_seen(replicas, fake):
    """Where an autoscaler may exist unseen, no number is read, so that none is written."""
    fake.faults.append(Fault("list", "horizontalpodautoscalers", status=403))
    with pytest.raises(ForbiddenError, match="horizontalpodautoscalers"):
        await replicas.read(REF)


async def test_kinds_without_a_number(replicas, fake):
    """A kind that has no scale is refused before anything is asked."""
    with pytest.raises(UnsupportedError, match="scale steps are for Deployment, StatefulSet"):
        await replicas.read(ObjectRef("InferenceService", "demo", "x"))
    assert fake.requests == []
