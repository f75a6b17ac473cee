"""Deployments: what their status means, which revisions they have, and what a rollback changes."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.deployment import (
    DeploymentWorkload,
    history,
    workload_facts,
)
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.revisions import revision_facts
from backstop.adapters.workloads.template import pod_template, template_fingerprint
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError

Json = dict[str, Any]
REF = ObjectRef("Deployment", "demo", "web")
DEPLOYMENTS = "/apis/apps/v1/namespaces/demo/deployments"
REPLICA_SETS = "/apis/apps/v1/namespaces/demo/replicasets"
DONE = {
    "observedGeneration": 4,
    "replicas": 3,
    "updatedReplicas": 3,
    "readyReplicas": 3,
    "availableReplicas": 3,
}


def template(image: str, **labels: str) -> Json:
    return {
        "metadata": {"labels": {"app": "web"} | labels},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def deployment(image: str = "m:2", **more: Any) -> Json:
    metadata = {
        "name": "web",
        "namespace": "demo",
        "uid": "u1",
        "resourceVersion": "7",
        "generation": 4,
    }
    selector = {"matchLabels": {"app": "web"}}
    spec = {"replicas": 3, "selector": selector, "template": template(image)}
    return {"metadata": metadata, "spec": spec, "status": dict(DONE)} | more


def replica_set(name: str, image: str, number: str, owner: str = "u1") -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "demo",
            "creationTimestamp": "2026-11-01T10:00:00Z",
            "annotations": {"deployment.kubernetes.io/revision": number} if number else {},
            "ownerReferences": [
                {"kind": "Other", "uid": "u1"},
                {"kind": "Deployment", "uid": owner, "controller": True},
            ],
        },
        "spec": {"template": template(image, **{"pod-template-hash": name})},
    }


def fingerprint_of(image: str) -> str:
    return template_fingerprint(template(image))


# The workload


def test_facts():
    """A Deployment object, read or watched, says who it is, what it runs and how far it got."""
    body = deployment()
    body["metadata"]["annotations"] = {ACTION_ID: "a-1"}
    body["spec"]["paused"] = True
    body["status"]["conditions"] = [
        {"type": "Available", "lastUpdateTime": "2020-01-01T00:00:00Z"},
        {"type": "Progressing", "lastUpdateTime": "2026-11-23T07:00:00Z"},
    ]
    facts = workload_facts(body)
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert (facts.desired, facts.ready, facts.rolled_out) == (3, 3, True)
    assert (facts.paused, facts.last_action, dict(facts.images)) == (True, "a-1", {"main": "m:2"})
    assert facts.changed == datetime(2026, 11, 23, 7, tzinfo=UTC)
    assert facts.fingerprint == fingerprint_of("m:2")


def test_a_deployment_that_nobody_has_seen_yet():
    """Without a status nothing is known, ready or rolled out; replicas default to one."""
    body = deployment(status={})
    del body["spec"]["replicas"]
    facts = workload_facts(body)
    assert (facts.desired, facts.ready, facts.rolled_out, facts.changed) == (1, 0, False, None)


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 3},
        {"replicas": 4},
        {"updatedReplicas": 2},
        {"availableReplicas": 2},
        {"availableReplicas": None},
        {"unavailableReplicas": 1},
    ],
)
def test_not_rolled_out(status):
    """A stale status, an old pod, a missing or an unavailable one each mean: not done yet."""
    assert workload_facts(deployment()).rolled_out
    assert not workload_facts(deployment(status=DONE | status)).rolled_out


def test_scaled_to_zero_is_rolled_out():
    """A Deployment that wants no pods and has none is done."""
    body = deployment(status={"observedGeneration": 4})
    body["spec"]["replicas"] = 0
    assert workload_facts(body).rolled_out


# Fingerprints

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(one) for name, one in reversed(value.items())}
    return [reordered(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=5), json_values), st.text(), st.booleans())
def test_deployment_and_replica_set_agree(spec, digest, dated):
    """What the controller adds to a ReplicaSet's template does not change its fingerprint."""
    own = {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": spec}
    theirs = reordered(copy.deepcopy(own))
    theirs["metadata"]["labels"]["pod-template-hash"] = digest
    if dated:
        theirs["metadata"]["creationTimestamp"] = None
    before = copy.deepcopy(theirs)
    assert template_fingerprint(pod_template({"spec": {"template": own}})) == template_fingerprint(
        pod_template({"spec": {"template": theirs}})
    )
    assert theirs == before


@given(json_values, json_values)
def test_different_templates_differ(one, other):
    """Any difference in the template is a different revision."""
    same = template_fingerprint({"spec": one}) == template_fingerprint({"spec": other})
    assert same is (repr(reordered_keys(one)) == repr(reordered_keys(other)))


def reordered_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered_keys(value[name]) for name in sorted(value)}
    return [reordered_keys(one) for one in value] if isinstance(value, list) else value


def test_fingerprints_are_stable():
    """A fingerprint is stored in statuses, so that its definition must never change."""
    assert fingerprint_of("m:1") == "bbb0f59afa2a05ba"
    assert fingerprint_of("m:1") != template_fingerprint(template("m:1", track="canary"))


# Revisions


def test_revisions_are_newest_first():
    """Numbers are compared as numbers; a ReplicaSet without one is no revision."""
    sets = [
        replica_set("a", "m:1", "9"),
        replica_set("b", "m:2", "10"),
        replica_set("c", "m:3", ""),
        replica_set("d", "m:4", "x"),
    ]
    revisions = revision_facts(history(sets))
    assert [(one.number, one.fingerprint) for one in revisions] == [
        (10, fingerprint_of("m:2")),
        (9, fingerprint_of("m:1")),
    ]
    assert revisions[0].created == datetime(2026, 11, 1, 10, tzinfo=UTC)


# Rollbacks


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(DEPLOYMENTS, deployment())["metadata"]["uid"]
        server.add(REPLICA_SETS, replica_set("web-1", "m:1", "1", owner=uid))
        server.add(REPLICA_SETS, replica_set("web-2", "m:2", "2", owner=uid))
        server.add(REPLICA_SETS, replica_set("other-1", "m:0", "1", owner="somebody-else"))
        yield server


@pytest.fixture
async def workload(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield DeploymentWorkload(api)
    await api.close()


async def test_only_own_replica_sets_are_revisions(workload, fake):
    """A ReplicaSet that matches the selector but belongs to another Deployment is left out."""
    revisions = await workload.revisions(REF)
    assert [one.fingerprint for one in revisions] == [fingerprint_of("m:2"), fingerprint_of("m:1")]
    assert fake.queries[-1]["labelSelector"] == "app=web"


@pytest.mark.parametrize("annotations", [None, {"team": "ml", "a/b": "c"}])
async def test_a_rollback_changes_template_and_mark(workload, fake, annotations):
    """The old template and the action id, in one write; all else stays."""
    body = fake.store.objects["apis/apps/v1/deployments", "demo", "web"]
    if annotations:
        body["metadata"]["annotations"] = dict(annotations)
    before = copy.deepcopy(body)
    facts = await workload.rollback(await workload.read(REF), fingerprint_of("m:1"), "act-1")
    after = fake.store.objects["apis/apps/v1/deployments", "demo", "web"]
    assert (facts.fingerprint, facts.last_action) == (fingerprint_of("m:1"), "act-1")
    assert after["spec"]["template"] == template("m:1")
    assert after["metadata"]["annotations"] == (annotations or {}) | {ACTION_ID: "act-1"}
    for changed in (before, after):
        del changed["spec"]["template"]
        for name in ("annotations", "resourceVersion", "generation"):
            changed["metadata"].pop(name, None)
    assert before == after
    assert fake.writes == [("patch", f"{DEPLOYMENTS}/web")]


async def test_a_rollback_happens_once(workload, fake):
    """Asked again for the same action, there is nothing to write."""
    done = await workload.rollback(await workload.read(REF), fingerprint_of("m:1"), "act-1")
    assert await workload.rollback(done, fingerprint_of("m:1"), "act-1") == done
    assert len(fake.writes) == 1


async def test_a_rollback_on_stale_facts(workload, fake):
    """A Deployment that changed since it was read is not touched."""
    facts = await workload.read(REF)
    api = workload._api
    await api.merge_patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 5}})
    with pytest.raises(ConflictError):
        await workload.rollback(facts, fingerprint_of("m:1"), "act-1")
    assert len(fake.writes) == 1


async def test_a_change_between_look_and_write(workload, fake, monkeypatch):
    """The write itself carries the precondition, not only the look before it."""
    facts = await workload.read(REF)
    listed = workload._replica_sets

    async def slowly(body):
        found = await listed(body)
        await workload._api.merge_patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 5}})
        return found

    monkeypatch.setattr(workload, "_replica_sets", slowly)
    with pytest.raises(ConflictError):
        await workload.rollback(facts, fingerprint_of("m:1"), "act-1")
    assert len(fake.writes) == 1


async def test_a_revision_that_is_gone(workload, fake):
    """A template of somebody else's ReplicaSet is not a way back either."""
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await workload.rollback(await workload.read(REF), fingerprint_of("m:0"), "act-1")
    assert fake.writes == []


async def test_selectors_are_passed_on(workload, fake):
    """All forms of a label selector reach the API server as it writes them."""
    body = fake.store.objects["apis/apps/v1/deployments", "demo", "web"]
    body["spec"]["selector"]["matchExpressions"] = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "tier", "operator": "NotIn", "values": ["c"]},
        {"key": "tier", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    await workload.revisions(REF)
    assert fake.queries[-1]["labelSelector"] == ("app=web,tier in (a,b),tier notin (c),tier,!old")
