"""StatefulSets: what their status means, and what a rollback does about pods that hold it up."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.workload_bodies import template, workload
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.statefulset import StatefulSetWorkload, workload_facts
from backstop.adapters.workloads.template import template_fingerprint
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError, UnsupportedError

Json = dict[str, Any]
REF = ObjectRef("StatefulSet", "demo", "model")
ROOT = "/apis/apps/v1/namespaces/demo"
PODS = "/api/v1/namespaces/demo/pods"
LABELS = {"app": "model", "tier": "a"}
DONE = {
    "observedGeneration": 4,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
    "currentRevision": "model-2",
    "updateRevision": "model-2",
}


def stateful_set(status: Json = DONE, **spec: Any) -> Json:
    body = workload("StatefulSet", **spec)
    body["metadata"] |= {
        "namespace": "demo",
        "uid": "u1",
        "resourceVersion": "7",
        "generation": 4,
    }
    body["spec"]["template"] = template(2, **LABELS)
    return body | {"status": status}


def rolling(partition: int) -> Json:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


# The workload


def test_facts():
    """A StatefulSet, read or watched, says who it is, what it runs and how far it got."""
    body = stateful_set()
    body["metadata"]["annotations"][ACTION_ID] = "a-1"
    facts = workload_facts(body)
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert (facts.paused, facts.last_action, facts.images["main"]) == (
        False,
        "a-1",
        "example.com/model:2",
    )
    assert facts.fingerprint == template_fingerprint(template(2, **LABELS))


def test_when_it_changed():
    """The newest write by whoever wrote the template counts; scales and statuses do not."""
    template, replicas = {"f:spec": {"f:template": {}}}, {"f:spec": {"f:replicas": {}}}
    body = stateful_set()
    body["metadata"]["managedFields"] = [
        {"manager": "a", "time": "2026-11-01T10:00:00Z", "fieldsV1": template},
        {"manager": "b", "time": "2026-11-01T11:00:00Z", "fieldsV1": template},
        {"manager": "c", "time": "2026-11-01T12:00:00Z", "fieldsV1": replicas},
        {"manager": "d", "time": "2026-11-01T13:00:00Z", "fieldsV1": {"f:metadata": {}}},
        {"manager": "e", "time": "2026-11-01T14:00:00Z", "subresource": "x", "fieldsV1": template},
        {"manager": "f", "fieldsV1": template},
    ]
    assert workload_facts(body).changed == datetime(2026, 11, 1, 11, tzinfo=UTC)


def test_one_that_nobody_has_seen_yet():
    """Without a status nothing is ready or rolled out; replicas default to one."""
    body = stateful_set(status={})
    del body["spec"]["replicas"]
    facts = workload_facts(body)
    assert (facts.desired, facts.ready, facts.rolled_out, facts.changed) == (1, 0, False, None)


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 3},
        {"replicas": 3},
        {"updatedReplicas": 1},
        {"availableReplicas": None},
        {"currentRevision": "model-1"},
    ],
)
def test_not_rolled_out(status):
    """A stale status, an old pod, a missing or an unavailable one each mean: not done yet."""
    assert workload_facts(stateful_set()).rolled_out
    assert not workload_facts(stateful_set(DONE | status)).rolled_out


def test_rolled_out_by_hand():
    """With OnDelete the pods decide, since the controller never reports the revision as current."""
    body = stateful_set(DONE | {"currentRevision": "model-1"}, updateStrategy={"type": "OnDelete"})
    assert workload_facts(body).rolled_out


@pytest.mark.parametrize(
    ("replicas", "partition", "paused"),
    [(2, 0, False), (2, 1, False), (2, 2, True), (2, 1_000_000, True), (0, 5, False)],
)
def test_paused(replicas, partition, paused):
    """It is paused when the partition lets no pod be updated."""
    body = stateful_set(replicas=replicas, updateStrategy=rolling(partition))
    assert workload_facts(body).paused is paused


# Rollbacks


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(f"{ROOT}/statefulsets", stateful_set())["metadata"]["uid"]
        for number in (1, 2):
            server.add(f"{ROOT}/controllerrevisions", revision(number, uid))
        server.add(f"{ROOT}/controllerrevisions", revision(3, "somebody-else"))
        server.add(PODS, pod("model-0", 1, uid, ready=True))
        server.add(PODS, pod("model-1", 2, uid, ready=False))
        server.add(PODS, pod("stranger", 2, "somebody-else", ready=False))
        yield server


def owners(uid: str) -> list[Json]:
    return [{"kind": "StatefulSet", "name": "model", "uid": uid, "controller": True}]


def revision(number: int, uid: str) -> Json:
    kept = template(number, **LABELS) | {"$patch": "replace"}
    return {
        "metadata": {"name": f"model-{number}", "ownerReferences": owners(uid)},
        "revision": number,
        "data": {"spec": {"template": kept}},
    }


def pod(name: str, number: int, uid: str, *, ready: bool) -> Json:
    labels = LABELS | {"controller-revision-hash": f"model-{number}"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": owners(uid)},
        "status": {"conditions": conditions},
    }


def stored(fake: FakeApi) -> Json:
    return fake.store.objects["apis/apps/v1/statefulsets", "demo", "model"]


def pods(fake: FakeApi) -> set[str]:
    return {name for collection, _, name in fake.store.objects if collection == "api/v1/pods"}


@pytest.fixture
async def stateful(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield StatefulSetWorkload(api)
    await api.close()


FIRST = template_fingerprint(template(1, **LABELS))
SECOND = template_fingerprint(template(2, **LABELS))


async def test_only_own_revisions(stateful):
    """A ControllerRevision that matches the selector but belongs to another one is left out."""
    found = await stateful.revisions(REF)
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]


async def test_a_rollback(stateful, fake):
    """The old template and the mark in one write, then the pod that would hold it up."""
    before = copy.deepcopy(stored(fake))
    facts = await stateful.rollback(await stateful.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action) == (FIRST, "act-1")
    assert fake.writes == [
        ("patch", f"{ROOT}/statefulsets/model"),
        ("delete", f"{PODS}/model-1"),
    ]
    after = copy.deepcopy(stored(fake))
    assert after["spec"].pop("template") == template(1, **LABELS)
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    del before["spec"]["template"]
    for body in (before, after):
        for name in ("resourceVersion", "generation"):
            del body["metadata"][name]
    assert after == before
    assert pods(fake) == {"model-0", "stranger"}


@pytest.mark.parametrize(
    "spared",
    [
        {"metadata": {"labels": {"controller-revision-hash": "model-1"}}},
        {"metadata": {"deletionTimestamp": "2026-11-01T10:00:00Z"}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    ],
    ids=["of the wanted revision", "being deleted", "ready"],
)
async def test_which_pods_are_spared(stateful, fake, spared):
    """A pod is deleted only where it is not ready, of another revision, and not going already."""
    one = fake.store.objects["api/v1/pods", "demo", "model-1"]
    for part, fields in spared.items():
        labels = one[part].get("labels", {})
        one[part] |= fields
        if "labels" in fields:
            one[part]["labels"] = labels | fields["labels"]
    await stateful.rollback(await stateful.read(REF), FIRST, "act-1")
    assert "model-1" in pods(fake)


@pytest.mark.parametrize(("change", "deleted"), [("restart", True), ("pause", False)])
async def test_other_changes(stateful, fake, change, deleted):
    """A pod that is not ready holds a restart up too; a pause replaces no pods."""
    await getattr(stateful, change)(await stateful.read(REF), "act-1")
    assert ("model-1" not in pods(fake)) is deleted
    assert "model-0" in pods(fake)


async def test_new_pods_are_not_deleted(stateful, fake):
    """A pod of the restart itself is left to become ready, although its revision looks the same."""
    done = await stateful.restart(await stateful.read(REF), "act-1")
    uid = stored(fake)["metadata"]["uid"]
    restart = revision(4, uid)
    restart["data"]["spec"]["template"] = stored(fake)["spec"]["template"] | {"$patch": "replace"}
    fake.add(f"{ROOT}/controllerrevisions", restart)
    fake.add(PODS, pod("model-1", 4, uid, ready=False))
    fake.writes.clear()
    assert await stateful.restart(done, "act-1") == done
    assert fake.writes == []


async def test_parallel_pods_are_left_to_the_controller(stateful, fake):
    """Without an order nothing is waited for, so that no pod needs to be deleted."""
    stored(fake)["spec"]["podManagementPolicy"] = "Parallel"
    await stateful.rollback(await stateful.read(REF), FIRST, "act-1")
    assert fake.writes == [("patch", f"{ROOT}/statefulsets/model")]


async def test_an_interrupted_rollback_is_finished(stateful, fake):
    """Done again for the same action, only the pods are left to be deleted, and then nothing."""
    uid = stored(fake)["metadata"]["uid"]
    done = await stateful.rollback(await stateful.read(REF), FIRST, "act-1")
    fake.add(PODS, pod("model-1", 2, uid, ready=False))
    fake.writes.clear()
    assert await stateful.rollback(done, FIRST, "act-1") == done
    assert await stateful.rollback(done, FIRST, "act-1") == done
    assert fake.writes == [("delete", f"{PODS}/model-1")]


async def test_a_pod_that_was_replaced_meanwhile(stateful, fake, monkeypatch):
    """The pod is deleted by uid: a new one of its name stays."""
    listed = stateful._api.list

    async def slowly(path, **query):
        found = await listed(path, **query)
        if path == PODS:
            fake.store.objects["api/v1/pods", "demo", "model-1"]["metadata"]["uid"] = "new"
        return found

    monkeypatch.setattr(stateful._api, "list", slowly)
    await stateful.rollback(await stateful.read(REF), FIRST, "act-1")
    assert "model-1" in pods(fake)


async def test_a_rollback_on_stale_facts(stateful, fake):
    """A StatefulSet that changed since it was read is not touched, and neither are its pods."""
    facts = await stateful.read(REF)
    stored(fake)["metadata"]["resourceVersion"] = "9999"
    with pytest.raises(ConflictError):
        await stateful.rollback(facts, FIRST, "act-1")
    assert fake.writes == []


async def test_a_revision_that_is_gone(stateful, fake):
    """A template of somebody else's ControllerRevision is not a way back either."""
    other = template_fingerprint(template(3, **LABELS))
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await stateful.rollback(await stateful.read(REF), other, "act-1")
    assert fake.writes == []


@pytest.mark.parametrize("change", ["restart", "pause"])
async def test_on_delete(stateful, fake, change):
    """A change that would not take effect is refused, with what to set."""
    stored(fake)["spec"]["updateStrategy"] = {"type": "OnDelete"}
    facts = await stateful.read(REF)
    with pytest.raises(UnsupportedError, match=r"set spec\.updateStrategy\.type to RollingUpdate"):
        await getattr(stateful, change)(facts, "act-1")
    assert fake.writes == []
