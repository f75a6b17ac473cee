"""Canaries of Flagger: which of their Deployments tells what, and what goes back to which."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.foreign_bodies import (
    CANARIES,
    DEPLOYMENTS,
    REPLICA_SETS,
    flagger_canary,
    flagger_primary,
    flagger_target,
    foreign_fields,
    owners,
)
from tests.adapters.workload_bodies import workload
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.deployment import workload_facts as deployment_facts
from backstop.adapters.workloads.flagger_canary import (
    CanaryWorkload,
    Parts,
    primary_template,
    workload_facts,
)
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.registry import KINDS, WATCHED
from backstop.adapters.workloads.template import RESTARTED_BY, template_fingerprint
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError, UnavailableError, UnsupportedError

Json = dict[str, Any]
REF = ObjectRef("Canary", "demo", "fraud")
TARGET = f"{DEPLOYMENTS.format('demo')}/model"
SERVED = {
    "observedGeneration": 1,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}
FIRST, SECOND = (template_fingerprint(flagger_target(one)["spec"]["template"]) for one in (1, 2))


def seen(body: Json, version: str, **status: Any) -> Json:
    more = {"namespace": "demo", "uid": f"u{version}", "resourceVersion": version, "generation": 1}
    return body | {"metadata": body["metadata"] | more, "status": status}


def parts(phase: str = "Succeeded", served: Json = SERVED, copied: int = 2) -> Parts:
    """Return a Canary whose target carries version 2, and its primary version ``copied``."""
    return Parts(
        seen(flagger_canary(), "1", phase=phase),
        seen(flagger_target(), "2"),
        seen(flagger_primary(copied, "u1"), "3", **served),
    )


def ours(time: str) -> Json:
    return {"manager": "backstop", "time": time, "fieldsV1": {}}


# Facts


def test_facts():
    """The target tells the version, the primary the pods, and all three the resource version."""
    facts = workload_facts(parts())
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "1,2,3")
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert (facts.paused, facts.last_action, facts.fingerprint) == (False, "", SECOND)
    assert facts.images["main"] == "example.com/model:2"
    assert ObjectRef("ConfigMap", "demo", "rules") in facts.configuration


@pytest.mark.parametrize(
    ("phase", "served", "done"),
    [
        ("Initialized", SERVED, True),
        ("Succeeded", SERVED, True),
        ("Failed", SERVED, True),
        ("Succeeded", SERVED | {"availableReplicas": 1}, False),
        *((phase, SERVED, False) for phase in ("", "Initializing", "Progressing", "Waiting")),
        *((phase, SERVED, False) for phase in ("Promoting", "Finalising", "WaitingPromotion")),
    ],
)
def test_rolled_out(phase, served, done):
    """It is rolled out once Flagger is at rest and all pods of the primary run its template."""
    assert workload_facts(parts(phase, served)).rolled_out is done
    assert not workload_facts(parts(phase, served, copied=1)).rolled_out


def test_one_that_nobody_has_seen_yet():
    """Without a status nothing is rolled out."""
    made = parts()
    del made.canary["status"]
    assert not workload_facts(made).rolled_out


def test_the_newest_mark_counts():
    """The action that we marked last is told, on whichever of the three objects it stands."""
    made = parts()
    for number, part in enumerate((made.primary, made.target, made.canary)):
        part["metadata"]["annotations"][ACTION_ID] = f"act-{number}"
        part["metadata"]["managedFields"] = [ours(f"2026-11-01T1{number}:00:00Z")]
    assert workload_facts(made).last_action == "act-2"
    made.primary["metadata"]["managedFields"].append(ours("2026-11-01T19:00:00Z"))
    assert workload_facts(made).last_action == "act-0"


def test_what_flagger_renames():
    """The primary's template, as the target carries it, is the template that was released."""
    assert primary_template(parts(copied=1)) == flagger_target(1)["spec"]["template"]


def test_what_flagger_does_not_copy():
    """Annotations of Flux stay with the target, so they make no difference."""
    made = parts()
    noted = made.target["spec"]["template"]["metadata"]["annotations"]
    noted["kustomize.toolkit.fluxcd.io/substitute"] = "disabled"
    assert workload_facts(made).rolled_out


# Changes


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(CANARIES.format("demo"), flagger_canary())["metadata"]["uid"]
        server.add(DEPLOYMENTS.format("demo"), flagger_target())
        server.add(DEPLOYMENTS.format("demo"), flagger_primary(1, uid))
        stored(server, "model-primary")["status"] = SERVED
        stored(server, "fraud")["status"] = {"phase": "Progressing"}
        yield server


def stored(fake: FakeApi, name: str) -> Json:
    collection = "apis/flagger.app/v1beta1/canaries"
    if name != "fraud":
        collection = "apis/apps/v1/deployments"
    return fake.store.objects[collection, "demo", name]


@pytest.fixture
async def canaries(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield CanaryWorkload(api)
    await api.close()


def keep(fake: FakeApi, version: int, number: int) -> None:
    """Let the target have a ReplicaSet of ``version``."""
    uid = stored(fake, "model")["metadata"]["uid"]
    template = copy.deepcopy(flagger_target(version)["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = f"hash{version}"
    metadata = {
        "name": f"model-hash{version}",
        "annotations": {"deployment.kubernetes.io/revision": str(number)},
        "ownerReferences": owners("apps/v1", "Deployment", uid),
    }
    body = {"metadata": metadata, "spec": {"replicas": 0, "template": template}}
    fake.add(REPLICA_SETS.format("demo"), body)


async def test_revisions(canaries, fake):
    """Revisions are those of the target, and the primary's where none of them is left."""
    assert KINDS["Canary"].resource == ("flagger.app", "v1beta1", "canaries")
    assert "Canary" not in WATCHED
    found = await canaries.revisions(REF)
    assert [(one.number, one.fingerprint) for one in found] == [(0, FIRST)]
    for version in (7, 1, 2):
        keep(fake, version, version + 3)
    seventh = template_fingerprint(flagger_target(7)["spec"]["template"])
    found = await canaries.revisions(REF)
    assert [one.fingerprint for one in found] == [seventh, SECOND, FIRST]
    assert [one.number for one in found] == [10, 5, 4]
    assert found[0].created <= datetime.now(UTC)


async def test_after_a_promotion(canaries, fake):
    """Once both Deployments run a version, the target's past is still there to go back to."""
    keep(fake, 1, 1)
    keep(fake, 2, 2)
    primary = stored(fake, "model-primary")
    primary["spec"] = flagger_primary(2, "u")["spec"]
    stored(fake, "fraud")["status"] = {"phase": "Succeeded"}
    facts = await canaries.read(REF)
    assert facts.rolled_out
    facts = await canaries.rollback(facts, FIRST, "act-1")
    assert (facts.fingerprint, facts.rolled_out) == (FIRST, False)
    assert stored(fake, "model")["spec"]["template"] == flagger_target(1)["spec"]["template"]


async def test_before_flagger_has_begun(canaries, fake):
    """Until there is a primary, it is asked again later; the Canary is not taken for absent."""
    del fake.store.objects["apis/apps/v1/deployments", "demo", "model-primary"]
    with pytest.raises(UnavailableError, match="Flagger has yet to make its primary"):
        await canaries.read(REF)


async def test_a_rollback(canaries, fake):
    """The target gets the primary's template and a mark in one request; the rest stays."""
    before = copy.deepcopy(fake.store.objects)
    facts = await canaries.rollback(await canaries.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action) == (FIRST, "act-1")
    assert fake.writes == [("patch", TARGET)]
    assert stored(fake, "model")["spec"]["template"] == flagger_target(1)["spec"]["template"]
    for key, body in before.items():
        now = foreign_fields(fake.store.objects[key], "spec.template")
        assert now == foreign_fields(body, "spec.template")
    assert await canaries.read(REF) == facts
    assert await canaries.rollback(facts, FIRST, "act-1") == facts
    assert len(fake.writes) == 1


async def test_a_revision_that_is_gone(canaries, fake):
    """What neither the target nor the primary keeps is no way back, and the refusal says why."""
    for fingerprint in (SECOND, "0123456789abcdef"):
        with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
            await canaries.rollback(await canaries.read(REF), fingerprint, "act-1")
    assert fake.writes == []


@pytest.mark.parametrize(
    ("change", "name", "field"),
    [
        ("restart", "model-primary", "spec.template.metadata.annotations." + RESTARTED_BY),
        ("pause", "fraud", "spec.suspend"),
    ],
)
async def test_single_fields(canaries, fake, change, name, field):
    """A restart is of the primary, a pause of the Canary; each is one field, once per action."""
    before = copy.deepcopy(fake.store.objects)
    facts = await getattr(canaries, change)(await canaries.read(REF), "act-1")
    assert (facts.last_action, facts.fingerprint) == ("act-1", SECOND)
    assert facts.paused is (change == "pause")
    changed = foreign_fields(stored(fake, name))
    if change == "restart":
        annotations = changed["spec"]["template"]["metadata"]["annotations"]
        assert annotations.pop(RESTARTED_BY) == "act-1"
    else:
        assert changed["spec"].pop("suspend") is True
    key = next(one for one in before if one[2] == name)
    assert changed == foreign_fields(before[key]), field
    assert await getattr(canaries, change)(facts, "act-1") == facts
    assert len(fake.writes) == 1


async def test_adopt(canaries, fake):
    """The target takes a version over, and keeps the labels that its selector needs."""
    fake.add(DEPLOYMENTS.format("demo"), workload("Deployment", "next"))
    source = deployment_facts(stored(fake, "next"))
    facts = await canaries.adopt(await canaries.read(REF), source, "act-1")
    written = stored(fake, "model")["spec"]["template"]
    assert written["metadata"]["labels"] == {"app": "model", "tier": "a"}
    assert facts.images["main"] == "example.com/model:1"
    assert await canaries.adopt(facts, source, "act-1") == facts
    assert fake.writes == [("patch", TARGET)]


async def test_other_targets(canaries, fake):
    """A Canary of something else than a Deployment is refused, with what to name instead."""
    stored(fake, "fraud")["spec"]["targetRef"]["kind"] = "DaemonSet"
    with pytest.raises(UnsupportedError, match=r"is of a DaemonSet.* name the workload itself"):
        await canaries.read(REF)


@pytest.mark.parametrize("name", ["fraud", "model", "model-primary"])
async def test_stale_facts(canaries, fake, name):
    """Nothing is written where any of the three changed; read again, the rollback goes through."""
    facts = await canaries.read(REF)
    stored(fake, name)["metadata"]["resourceVersion"] = "9999"
    for change in (
        canaries.rollback(facts, FIRST, "act-1"),
        canaries.restart(facts, "act-1"),
        canaries.pause(facts, "act-1"),
        canaries.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(ConflictError):
            await change
    assert fake.writes == []
    await canaries.rollback(await canaries.read(REF), FIRST, "act-1")
    assert fake.writes == [("patch", TARGET)]
