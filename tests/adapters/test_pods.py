"""Pods: whose they are by their owners, and that the very one is deleted."""

from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.pods import WorkloadPods
from backstop.core.facts import ObjectRef, PodFacts, WorkloadFacts
from backstop.ports import ConflictError, NotFoundError

Json = dict[str, Any]
APPS = "/apis/apps/v1/namespaces/demo"
PODS = "/api/v1/namespaces/demo/pods"


def facts(kind: str, uid: str) -> WorkloadFacts:
    return WorkloadFacts(
        ref=ObjectRef(kind, "demo", "model"),
        uid=uid,
        resource_version="1",
        fingerprint="f",
        desired=1,
        ready=1,
        rolled_out=True,
    )


def owned(name: str, *owners: Json) -> Json:
    return {"metadata": {"name": name, "ownerReferences": list(owners)}}


def owner(kind: str, name: str, uid: str, api: str = "apps/v1", *, is_controller=True) -> Json:
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": is_controller}


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def api(fake):
    client = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield client
    await client.close()


@pytest.fixture
def pods(api):
    return WorkloadPods(api)


def add(fake: FakeApi, collection: str, body: Json) -> str:
    return str(fake.add(collection, body)["metadata"]["uid"])


async def test_a_pod_of_a_deployment(fake, pods):
    """Pod, ReplicaSet, Deployment: each by the uid of its controller."""
    replica_set = add(fake, f"{APPS}/replicasets", owned("rs", owner("Deployment", "model", "u1")))
    uid = add(
        fake,
        PODS,
        owned(
            "one",
            owner("ReplicaSet", "other", "u9", is_controller=False),
            owner("ReplicaSet", "rs", replica_set),
        ),
    )
    assert await pods.find(facts("Deployment", "u1"), "one") == PodFacts("demo", "one", uid)


async def test_a_pod_of_a_stateful_set(fake, pods):
    """Pod, StatefulSet: nothing else needs to be read."""
    uid = add(fake, PODS, owned("model-0", owner("StatefulSet", "model", "u1")))
    found = await pods.find(facts("StatefulSet", "u1"), "model-0")
    assert found == PodFacts("demo", "model-0", uid)
    assert len(fake.requests) == 1


async def test_a_pod_of_a_project(fake, pods):
    """A Deployment may itself belong to the workload, as those of Flagger and KServe do."""
    mine = owner("Canary", "model", "u1", "flagger.app/v1beta1")
    deployment = add(fake, f"{APPS}/deployments", owned("model-primary", mine))
    parent = owner("Deployment", "model-primary", deployment)
    replica_set = add(fake, f"{APPS}/replicasets", owned("rs", parent))
    uid = add(fake, PODS, owned("one", owner("ReplicaSet", "rs", replica_set)))
    assert (await pods.find(facts("Canary", "u1"), "one")).uid == uid


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [owner("StatefulSet", "model", "u1", is_controller=False)],
        [owner("StatefulSet", "model", "u2")],
        [owner("ReplicaSet", "gone", "u3")],
        [owner("ReplicaSet", "rs", "another-uid")],
        [owner("ReplicaSet", "rs", "u3", "example.com/v1")],
        [owner("Job", "job", "u4", "batch/v1")],
    ],
    ids=["alone", "no controller", "other", "gone", "replaced", "other API", "of a Job"],
)
async def test_pods_of_others(fake, pods, owners):
    """What does not lead to the workload is not its pod, whatever it is called."""
    add(fake, f"{APPS}/replicasets", owned("rs", owner("StatefulSet", "model", "u1")))
    add(fake, PODS, owned("model-0", *owners))
    with pytest.raises(NotFoundError) as caught:
        await pods.find(facts("StatefulSet", "u1"), "model-0")
    assert str(caught.value) == "Pod/model-0 is not a pod of StatefulSet/model"


async def test_owners_in_a_circle(fake, pods):
    """A chain that leads back into itself ends."""
    body = owned("rs")
    uid = add(fake, f"{APPS}/replicasets", body)
    stored = fake.store.objects["apis/apps/v1/replicasets", "demo", "rs"]
    stored["metadata"]["ownerReferences"] = [owner("ReplicaSet", "rs", uid)]
    add(fake, PODS, owned("one", owner("ReplicaSet", "rs", uid)))
    with pytest.raises(NotFoundError):
        await pods.find(facts("Deployment", "u1"), "one")
    assert len(fake.requests) == 2


@pytest.mark.parametrize("name", ["", "absent"])
async def test_absent_pods(pods, name):
    """No name, and a name that no pod has, are NotFoundError."""
    with pytest.raises(NotFoundError):
        await pods.find(facts("Deployment", "u1"), name)


async def test_the_very_pod_is_deleted(fake, pods):
    """It is deleted once; another one of its name stays, and one that is gone is fine."""
    uid = add(fake, PODS, owned("one"))
    await pods.delete(PodFacts("demo", "one", "another-uid"))
    assert fake.writes == []
    await pods.delete(PodFacts("demo", "one", uid))
    await pods.delete(PodFacts("demo", "one", uid))
    assert fake.writes == [("delete", f"{PODS}/one")]


async def test_a_conflict_that_is_none_of_names(fake, pods):
    """A refusal for another reason is not taken for a pod that is gone."""
    uid = add(fake, PODS, owned("one"))
    fake.faults.append(Fault("delete", "one", status=409))
    with pytest.raises(ConflictError):
        await pods.delete(PodFacts("demo", "one", uid))


async def test_a_pod_that_goes_during_a_conflict(fake, pods):
    """Where the pod is gone after a refusal, all is well."""
    fake.faults.append(Fault("delete", "one", status=409))
    await pods.delete(PodFacts("demo", "one", "u"))
    assert [verb for verb, _ in fake.requests] == ["delete", "get"]


async def test_deletions_without_a_uid(fake, api):
    """Without a uid there is no precondition and no body."""
    add(fake, PODS, owned("one"))
    await api.delete(f"{PODS}/one")
    assert fake.writes == [("delete", f"{PODS}/one")]
    assert fake.headers[0].get("Content-Length", "0") == "0"
