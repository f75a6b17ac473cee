"""Argo Rollouts: what their status means, and how an update is taken back so that it lasts."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.foreign_bodies import (
    LABELS,
    REPLICA_SETS,
    ROLLOUTS,
    argo_replica_set,
    foreign_fields,
    rollout,
    rollout_status,
)
from tests.adapters.workload_bodies import template, workload
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.defaults import quantity, without_defaults
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.registry import KINDS, facts_of
from backstop.adapters.workloads.rollout import RolloutWorkload, workload_facts
from backstop.adapters.workloads.statefulset import StatefulSetWorkload
from backstop.adapters.workloads.template import template_fingerprint
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError, UnsupportedError

Json = dict[str, Any]
REF = ObjectRef("Rollout", "demo", "model")
PATH = f"{ROLLOUTS.format('demo')}/model"
FIRST, SECOND = (
    template_fingerprint(without_defaults(template(number, **LABELS))) for number in (1, 2)
)
ELSEWHERE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trunk"}
MOMENT = datetime(2026, 11, 1, 12, 30, 15, 999, tzinfo=UTC)


def seen(status: Json, **spec: Any) -> Json:
    body = rollout(**spec)
    body["metadata"] |= {"namespace": "demo", "uid": "u1", "resourceVersion": "7", "generation": 4}
    return body | {"status": status}


DONE = rollout_status(2, 2, generation=4)


# Facts


def test_facts():
    """A Rollout, read or watched, says who it is, what it runs and how far it got."""
    body = seen(DONE)
    body["metadata"]["annotations"][ACTION_ID] = "a-1"
    facts = facts_of("Rollout", body)
    assert KINDS["Rollout"].resource == ("argoproj.io", "v1alpha1", "rollouts")
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert (facts.paused, facts.last_action, facts.fingerprint) == (False, "a-1", SECOND)
    assert facts.images["main"] == "example.com/model:2"
    assert facts.changed == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert workload_facts(seen(DONE, paused=True)).paused


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Progressing"},
        {"phase": "Paused"},
        {"phase": "Degraded"},
        {"stableRS": "hash1"},
        {"stableRS": "", "currentPodHash": ""},
        {"observedGeneration": "3"},
        {"observedGeneration": ""},
    ],
)
def test_not_rolled_out(status):
    """No status, a stale one, an update under way or aborted each mean: not done yet."""
    assert workload_facts(seen(DONE)).rolled_out
    assert not workload_facts(seen(DONE | status if status else {})).rolled_out


def test_a_restart_is_awaited():
    """A restart is done once the controller says so, and is no new revision."""
    asked = "2026-11-01T12:00:00Z"
    pending = workload_facts(seen(DONE, restartAt=asked))
    assert (pending.rolled_out, pending.fingerprint) == (False, SECOND)
    assert workload_facts(seen(DONE | {"restartedAt": asked}, restartAt=asked)).rolled_out


def test_one_that_nobody_has_seen_yet():
    """Without a status nothing is ready or rolled out; replicas default to one."""
    body = seen({})
    del body["spec"]["replicas"]
    facts = workload_facts(body)
    assert (facts.desired, facts.ready, facts.rolled_out, facts.changed) == (1, 0, False, None)


def test_a_template_elsewhere():
    """Without a template of its own, the controller's pod hash tells revisions apart."""
    body = seen(DONE, workloadRef=ELSEWHERE)
    del body["spec"]["template"]
    facts = workload_facts(body)
    assert (facts.fingerprint, facts.rolled_out, dict(facts.images)) == ("hash2", True, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("0.5", "500m"), (2, "2"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("x", "x")],
)
def test_quantities(one, other):
    """One amount in two notations is one amount."""
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            {"ports": [{"containerPort": 1}]},
            {"ports": [{"containerPort": 1, "protocol": "TCP"}]},
            1,
        ),
        (
            {"ports": [{"containerPort": 1}]},
            {"ports": [{"containerPort": 1, "protocol": "UDP"}]},
            0,
        ),
        ({}, {"securityContext": {}, "dnsPolicy": "ClusterFirst"}, 1),
        ({"labels": {"protocol": "TCP"}}, {"labels": {}}, 0),
        ({"volumes": [{"name": "a", "emptyDir": {}}]}, {"volumes": [{"name": "a"}]}, 0),
    ],
)
def test_what_the_api_server_adds(one, other, same):
    """Defaults make no difference; anything else does."""
    assert (without_defaults(one) == without_defaults(other)) is bool(same)


# Changes


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(ROLLOUTS.format("demo"), rollout())["metadata"]["uid"]
        for number in (1, 2):
            server.add(REPLICA_SETS.format("demo"), argo_replica_set(number, uid))
        foreign = argo_replica_set(3, "somebody-else")
        server.add(REPLICA_SETS.format("demo"), foreign)
        stored(server)["status"] = rollout_status(1, 2)
        yield server


def stored(fake: FakeApi) -> Json:
    return fake.store.objects["apis/argoproj.io/v1alpha1/rollouts", "demo", "model"]


@pytest.fixture
async def api(fake):
    client = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield client
    await client.close()


@pytest.fixture
def rollouts(api):
    return RolloutWorkload(api, now=lambda: MOMENT)


async def test_only_own_revisions(rollouts):
    """The label that Argo adds is no part of a revision; foreign ReplicaSets are left out."""
    found = await rollouts.revisions(REF)
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]


async def test_back_to_stable(rollouts, fake):
    """An update under way is aborted, and then the stable template is written back with a mark."""
    before = copy.deepcopy(stored(fake))
    facts = await rollouts.rollback(await rollouts.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action) == (FIRST, "act-1")
    assert fake.writes == [("patch", f"{PATH}/status"), ("patch", PATH)]
    after = stored(fake)
    assert after["spec"]["template"] == template(1, **LABELS)
    assert after["status"] == before["status"] | {"abort": True}
    assert foreign_fields(after, "spec.template") == foreign_fields(before, "spec.template")
    assert await rollouts.rollback(facts, FIRST, "act-1") == facts
    assert len(fake.writes) == 2


async def test_one_aborted_already(rollouts, fake):
    """What the controller aborted by itself is written back without another abort."""
    stored(fake)["status"]["abort"] = True
    await rollouts.rollback(await rollouts.read(REF), FIRST, "act-1")
    assert fake.writes == [("patch", PATH)]


async def test_after_promotion(rollouts, fake):
    """Once promoted there is nothing to abort: the older template is written, an undo."""
    stored(fake)["status"] = rollout_status(2, 2)
    await rollouts.rollback(await rollouts.read(REF), FIRST, "act-1")
    assert fake.writes == [("patch", PATH)]
    assert stored(fake)["spec"]["template"] == template(1, **LABELS)


async def test_the_controller_writes_between(rollouts, fake, monkeypatch):
    """The controller's answer to the abort moves the version on; the template still goes out."""
    patched = rollouts._api.merge_patch

    async def answered(path, body):
        found = await patched(path, body)
        stored(fake)["metadata"]["resourceVersion"] = "9999"
        return found

    monkeypatch.setattr(rollouts._api, "merge_patch", answered)
    facts = await rollouts.rollback(await rollouts.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action) == (FIRST, "act-1")


async def test_somebody_else_writes_between(rollouts, fake, monkeypatch):
    """A new spec between abort and undo is somebody's decision: it is not written over."""
    patched = rollouts._api.merge_patch

    async def answered(path, body):
        found = await patched(path, body)
        stored(fake)["metadata"] |= {"resourceVersion": "9999", "generation": 9}
        return found

    monkeypatch.setattr(rollouts._api, "merge_patch", answered)
    with pytest.raises(ConflictError):
        await rollouts.rollback(await rollouts.read(REF), FIRST, "act-1")
    assert stored(fake)["spec"]["template"] == template(2, **LABELS)


async def test_a_version_that_never_rests(rollouts, fake):
    """Where every patch is refused, the last refusal is told instead of trying for ever."""
    facts = await rollouts.read(REF)
    fake.faults += [
        Fault("patch", f"{PATH}$", nth, status=409, message="busy") for nth in range(1, 9)
    ]
    with pytest.raises(ConflictError):
        await rollouts.rollback(facts, FIRST, "act-1")
    assert fake.writes == [("patch", f"{PATH}/status")]


async def test_stale_facts(rollouts, fake):
    """A Rollout that changed since it was read is neither aborted nor changed."""
    facts = await rollouts.read(REF)
    stored(fake)["metadata"]["resourceVersion"] = "9999"
    for change in (
        rollouts.rollback(facts, FIRST, "act-1"),
        rollouts.retry(facts, "act-1"),
        rollouts.restart(facts, "act-1"),
        rollouts.pause(facts, "act-1"),
        rollouts.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(ConflictError):
            await change
    assert fake.writes == []


async def test_a_revision_that_is_gone(rollouts, fake):
    """A template of somebody else's ReplicaSet is not a way back, and nothing is aborted."""
    other = template_fingerprint(without_defaults(template(3, **LABELS)))
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await rollouts.rollback(await rollouts.read(REF), other, "act-1")
    assert fake.writes == []


async def test_retry(rollouts, fake):
    """An aborted update is taken up again, once per action, and marked."""
    stored(fake)["status"]["abort"] = True
    facts = await rollouts.retry(await rollouts.read(REF), "act-1")
    assert stored(fake)["status"]["abort"] is False
    assert (facts.last_action, facts.fingerprint) == ("act-1", SECOND)
    assert await rollouts.retry(facts, "act-1") == facts
    assert fake.writes == [("patch", f"{PATH}/status"), ("patch", PATH)]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [("restart", "restartAt", "2026-11-01T12:30:15Z"), ("pause", "paused", True)],
)
async def test_single_fields(rollouts, fake, change, field, value):
    """A restart and a pause are one field each, and are done once per action."""
    before = copy.deepcopy(stored(fake))
    facts = await getattr(rollouts, change)(await rollouts.read(REF), "act-1")
    assert stored(fake)["spec"][field] == value
    assert foreign_fields(stored(fake), f"spec.{field}") == foreign_fields(before)
    assert (facts.last_action, facts.fingerprint) == ("act-1", SECOND)
    assert await getattr(rollouts, change)(facts, "act-1") == facts
    assert fake.writes == [("patch", PATH)]


async def test_adopt(rollouts, fake):
    """A Rollout takes a Deployment's version over, and keeps the labels its selector needs."""
    fake.add("/apis/apps/v1/namespaces/demo/deployments", workload("Deployment", "next"))
    source = facts_of("Deployment", fake.store.objects["apis/apps/v1/deployments", "demo", "next"])
    facts = await rollouts.adopt(await rollouts.read(REF), source, "act-1")
    assert stored(fake)["spec"]["template"]["metadata"]["labels"] == LABELS
    assert facts.images["main"] == "example.com/model:1"
    assert await rollouts.adopt(facts, source, "act-1") == facts
    assert fake.writes == [("patch", PATH)]


async def test_a_rollout_as_source(rollouts, fake, api):
    """A Rollout's version can be taken over too, unless its template lives elsewhere."""
    collection = "/apis/apps/v1/namespaces/demo/statefulsets"
    fake.add(collection, workload("StatefulSet", "other"))
    others = StatefulSetWorkload(api)
    target = await others.read(ObjectRef("StatefulSet", "demo", "other"))
    source = await rollouts.read(REF)
    taken = await others.adopt(target, source, "act-1")
    assert taken.images["main"] == "example.com/model:2"
    del stored(fake)["spec"]["template"]
    with pytest.raises(UnsupportedError, match=r"spec\.workloadRef"):
        await others.adopt(taken, source, "act-2")


async def test_changes_of_a_template_elsewhere(rollouts, fake):
    """A template in another object is not changed, and the refusal says where it lives."""
    spec = stored(fake)["spec"]
    del spec["template"]
    spec["workloadRef"] = ELSEWHERE
    facts = await rollouts.read(REF)
    assert await rollouts.revisions(REF) == ()
    for change in (
        rollouts.rollback(facts, "hash1", "act-1"),
        rollouts.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(UnsupportedError, match="lives in Deployment/trunk"):
            await change
    assert fake.writes == []
    assert (await rollouts.pause(facts, "act-1")).paused
