"""Workloads of Argo Rollouts and Flagger on a real API server with their real definitions.

Their controllers do not run there: what they would write is written by the tests.
"""

import pytest
from tests.adapters.foreign_bodies import (
    CANARIES,
    DEPLOYMENTS,
    LABELS,
    REPLICA_SETS,
    ROLLOUTS,
    argo_replica_set,
    flagger_canary,
    flagger_primary,
    flagger_target,
    foreign_fields,
    rollout,
    rollout_status,
)
from tests.adapters.real import Json, eventually, undisturbed
from tests.adapters.workload_bodies import ON_CLUSTER, template

from backstop.adapters.workloads.registry import Workloads
from backstop.adapters.workloads.rollout import RolloutWorkload
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.ports import ConflictError

pytestmark = ON_CLUSTER


def rich(number: int, **labels: str) -> Json:
    """Return a template of which much has defaults, with amounts as people write them."""
    made = template(number, **labels)
    main = made["spec"]["containers"][0]
    main |= {
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
        "livenessProbe": {"grpc": {"port": 81}},
        "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {"cpu": "1000m"}},
        "volumeMounts": [{"name": "rules", "mountPath": "/rules"}],
    }
    main["env"].append({"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
    del made["spec"]["terminationGracePeriodSeconds"]
    made["spec"]["volumes"] = [
        {"name": "rules", "configMap": {"name": "rules"}},
        {"name": "spare", "emptyDir": {"sizeLimit": "1024Mi"}},
    ]
    made["spec"]["serviceAccountName"] = "default"
    return made


@pytest.fixture
async def argo(api, namespace, foreign_crds):
    """Return the path of a Rollout of version 2, of which version 1 is stable."""
    await foreign_crds("rollouts.argoproj.io")
    path = f"{ROLLOUTS.format(namespace)}/model"
    made = await api.create(ROLLOUTS.format(namespace), rollout(template=rich(2, **LABELS)))
    for number in (1, 2):
        one = argo_replica_set(number, made["metadata"]["uid"])
        one["spec"]["template"] = rich(number, **one["spec"]["template"]["metadata"]["labels"])
        await api.create(REPLICA_SETS.format(namespace), one)
    await api.merge_patch(f"{path}/status", {"status": rollout_status(1, 2)})
    return path


async def test_a_rollout_and_its_replica_sets(api, namespace, argo):
    """What the API server adds to a ReplicaSet does not make it another revision."""
    ref = ObjectRef("Rollout", namespace, "model")
    facts = await Workloads(api).read(ref)
    newest, oldest = await Workloads(api).revisions(ref)
    assert (newest.number, newest.fingerprint) == (2, facts.fingerprint)
    assert (oldest.number, oldest.fingerprint != facts.fingerprint) == (1, True)
    assert not facts.rolled_out
    await api.merge_patch(f"{argo}/status", {"status": rollout_status(2, 2)})
    assert (await Workloads(api).read(ref)).rolled_out


async def test_a_rollout_back_to_stable(api, namespace, argo):
    """The update is aborted, the stable template written, and no foreign field changes."""
    workloads, ref = Workloads(api), ObjectRef("Rollout", namespace, "model")
    before = await api.get(argo)
    stale = await workloads.read(ref)
    _, stable = await workloads.revisions(ref)
    await api.merge_patch(argo, {"metadata": {"labels": {"seen": "yes"}}})
    with pytest.raises(ConflictError):
        await workloads.rollback(stale, stable.fingerprint, "act-1")
    untouched = await api.get(argo)
    assert untouched["spec"] == before["spec"]
    assert "abort" not in untouched["status"]
    facts = await workloads.rollback(await workloads.read(ref), stable.fingerprint, "act-1")
    assert (facts.fingerprint, facts.last_action) == (stable.fingerprint, "act-1")
    after = await api.get(argo)
    assert after["status"]["abort"] is True
    assert foreign_fields(after, "spec.template") == foreign_fields(untouched, "spec.template")
    assert await workloads.rollback(facts, stable.fingerprint, "act-1") == facts


async def test_other_changes_of_a_rollout(api, namespace, argo):
    """A restart, a pause and a retry are accepted by the definition, and change nothing else."""
    workload, ref = RolloutWorkload(api), ObjectRef("Rollout", namespace, "model")
    before = await api.get(argo)
    await api.merge_patch(f"{argo}/status", {"status": {"abort": True}})
    await workload.restart(await workload.read(ref), "act-1")
    assert (await workload.pause(await workload.read(ref), "act-2")).paused
    facts = await workload.retry(await workload.read(ref), "act-3")
    after = await api.get(argo)
    assert (after["status"]["abort"], facts.last_action) == (False, "act-3")
    changed = ("spec.paused", "spec.restartAt")
    assert foreign_fields(after, *changed) == foreign_fields(before)


@pytest.fixture
async def canary(api, namespace, foreign_crds):
    """Return the path of a Canary whose target is at version 2, whose primary is at 1."""
    await foreign_crds("canaries.flagger.app")
    path = f"{CANARIES.format(namespace)}/fraud"
    made = await api.create(CANARIES.format(namespace), flagger_canary())
    primary = flagger_primary(1, made["metadata"]["uid"])
    primary["spec"]["replicas"] = 0
    for body in (flagger_target(), primary):
        await api.create(DEPLOYMENTS.format(namespace), body)

    async def observed() -> bool:
        found = await api.list(DEPLOYMENTS.format(namespace))
        return all(one.get("status", {}).get("conditions") for one in found)

    await eventually(observed)
    await api.merge_patch(f"{path}/status", {"status": {"phase": "Succeeded"}})
    return path


async def test_a_canary(api, namespace, canary):
    """The target goes back to the primary's template, and neither of the others changes."""
    workloads, ref = Workloads(api), ObjectRef("Canary", namespace, "fraud")
    paths = [f"{DEPLOYMENTS.format(namespace)}/{name}" for name in ("model", "model-primary")]
    before = [await api.get(path) for path in (*paths, canary)]
    stale = await workloads.read(ref)
    newest, oldest = await workloads.revisions(ref)
    assert newest.fingerprint == stale.fingerprint
    await api.merge_patch(paths[0], {"metadata": {"labels": {"seen": "yes"}}})
    with pytest.raises(ConflictError):
        await workloads.rollback(stale, oldest.fingerprint, "act-1")
    await api.merge_patch(paths[0], {"metadata": {"labels": {"seen": None}}})

    async def rolled_back() -> WorkloadFacts:
        return await workloads.rollback(await workloads.read(ref), oldest.fingerprint, "act-1")

    await undisturbed(rolled_back)
    after = [await api.get(path) for path in (*paths, canary)]
    labels = after[0]["spec"]["template"]["metadata"]["labels"]
    assert labels == before[0]["spec"]["template"]["metadata"]["labels"]
    skip = ("spec.template", "metadata.annotations.deployment", "metadata.labels")
    for now, then in zip(after, before, strict=True):
        for body in (now, then):
            body["metadata"]["annotations"].pop("deployment.kubernetes.io/revision", None)
        assert foreign_fields(now, *skip) == foreign_fields(then, *skip)
    assert (await workloads.read(ref)).fingerprint == oldest.fingerprint


async def test_a_canary_is_paused_and_restarted(api, namespace, canary):
    """Suspending is one field of the Canary; the newest of our marks is the one that is told."""
    workloads, ref = Workloads(api), ObjectRef("Canary", namespace, "fraud")
    facts = await workloads.pause(await workloads.read(ref), "act-1")
    assert (facts.paused, facts.last_action) == (True, "act-1")
    assert (await api.get(canary))["spec"]["suspend"] is True
