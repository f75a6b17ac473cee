"""Restarts, pauses and promotions on a real API server, with its own controllers."""

import copy

import pytest
from tests.adapters.real import eventually
from tests.adapters.workload_bodies import ON_CLUSTER, Model

from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.template import RESTARTED_BY
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, InvalidError, NotFoundError, UnsupportedError

pytestmark = ON_CLUSTER
KINDS = ["Deployment", "StatefulSet"]


@pytest.fixture(params=KINDS)
async def model(request, api, namespace):
    made = Model(api, request.param, namespace)
    await made.create()
    return made


async def test_a_real_restart(model):
    """All pods are replaced, no field but ours changes, and the revision stays what it was."""
    facts, before, pods = await model.read(), await model.body(), await model.pod_uids()
    restarted = await model.change(lambda now: model.workloads.restart(now, "act-1"))
    assert (restarted.last_action, restarted.fingerprint) == ("act-1", facts.fingerprint)
    after = await model.body()
    assert after["spec"]["template"]["metadata"]["annotations"].pop(RESTARTED_BY) == "act-1"
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    assert after == before

    async def replaced():
        done = (await model.read()).rolled_out
        now = await model.pod_uids()
        return done and len(now) == 2 and not now & pods

    await eventually(replaced)
    facts = await model.read()
    assert await model.workloads.restart(facts, "act-1") == facts
    assert [one.fingerprint for one in await model.workloads.revisions(model.ref)] == [
        facts.fingerprint
    ]


async def test_back_to_a_restarted_revision(model):
    """A rollback goes to the template with its restart, so that pods that still run are kept."""
    facts = await model.change(lambda now: model.workloads.restart(now, "act-1"))
    await model.rolled_out()
    kept = await model.pod_uids()
    await model.release(2, ready=False)

    async def under_way():
        return await model.pod_uids() != kept

    await eventually(under_way)
    survivors = await model.pod_uids() & kept
    back = facts.fingerprint
    await model.change(lambda now: model.workloads.rollback(now, back, "act-2"))
    done = await model.rolled_out(1)
    assert (done.fingerprint, done.last_action) == (facts.fingerprint, "act-2")
    assert survivors
    assert survivors <= await model.pod_uids()


async def test_a_real_pause(model):
    """A paused workload keeps its pods whatever template comes, and all else stays."""
    before = await model.body()
    paused = await model.change(lambda now: model.workloads.pause(now, "act-1"))
    assert (paused.paused, paused.last_action) == (True, "act-1")
    after = await model.body()
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    if model.ref.kind == "Deployment":
        assert after["spec"].pop("paused")
    else:
        assert after["spec"]["updateStrategy"]["rollingUpdate"].pop("partition") > 2
        before["spec"]["updateStrategy"]["rollingUpdate"].pop("partition")
    assert after == before
    await model.release(2)
    pods = await model.pod_uids()
    generation = (await model.api.get(model.path))["metadata"]["generation"]

    async def observed():
        status = (await model.api.get(model.path))["status"]
        return status["observedGeneration"] == generation

    await eventually(observed)
    assert await model.pod_uids() == pods
    assert not (await model.read()).rolled_out


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_promotion(model, kind, api, namespace):
    """The target gets the candidate's version, keeps its own labels, and its pods follow."""
    candidate = Model(api, kind, namespace, "next")
    await candidate.create(replicas=1)
    await candidate.release(7)
    source = await candidate.rolled_out(7)
    before, untouched = await model.body(), await candidate.body()
    adopted = await model.change(lambda now: model.workloads.adopt(now, source, "act-1"))
    assert (adopted.last_action, adopted.images) == ("act-1", source.images)
    after = await model.body()
    template = after["spec"].pop("template")
    assert template["spec"] == untouched["spec"]["template"]["spec"]
    assert template["metadata"]["labels"] == {"app": "model", "tier": "a"}
    assert template["metadata"]["annotations"] == {"note": "7"}
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    del before["spec"]["template"]
    assert after == before
    done = await model.rolled_out(7)
    assert await model.workloads.adopt(done, source, "act-1") == done
    assert await candidate.body() == untouched
    back = (await model.workloads.revisions(model.ref))[1].fingerprint
    restored = await model.change(lambda now: model.workloads.rollback(now, back, "act-2"))
    assert restored.images["main"].endswith(":1")


async def test_a_candidate_that_moved_on(model, api, namespace):
    """What was not on trial is not promoted."""
    candidate = Model(api, "Deployment", namespace, "next")
    source = await candidate.create(replicas=1)
    await candidate.release(7)
    before = await model.body()
    with pytest.raises(ConflictError, match="Deployment/next changed"):
        await model.workloads.adopt(await model.read(), source, "act-1")
    assert await model.body() == before


async def test_changes_on_stale_facts(model, api, namespace):
    """A workload that changed since it was read is not written, by any change."""
    facts = await model.rolled_out()
    candidate = Model(api, "Deployment", namespace, "next")
    source = await candidate.create(replicas=1)
    await api.merge_patch(model.path, {"metadata": {"labels": {"touched": "yes"}}})
    before = await model.body()
    for change in (
        model.workloads.rollback(facts, facts.fingerprint, "act-1"),
        model.workloads.restart(facts, "act-1"),
        model.workloads.pause(facts, "act-1"),
        model.workloads.adopt(facts, source, "act-1"),
    ):
        with pytest.raises(ConflictError):
            await change
    assert await model.body() == before


async def test_a_template_that_the_target_cannot_have(api, namespace):
    """The API server's refusal of a version is InvalidError, and nothing is written."""
    spec = {
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Mi"}},
                },
            }
        ]
    }
    target = Model(api, "Deployment", namespace)
    facts = await target.create(replicas=1)
    candidate = Model(api, "StatefulSet", namespace, "next")
    await candidate.create(replicas=0, **spec)
    body = copy.deepcopy((await candidate.body())["spec"]["template"])
    body["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    await api.merge_patch(candidate.path, {"spec": {"template": body}})
    before = await target.body()
    facts = await target.read()
    with pytest.raises(InvalidError, match="volumeMounts"):
        await target.workloads.adopt(facts, await candidate.read(), "act-1")
    assert await target.body() == before


@pytest.mark.parametrize("kind", KINDS)
async def test_an_absent_workload(kind, api, namespace):
    """What does not exist is NotFoundError, with its name."""
    model = Model(api, kind, namespace, "absent")
    with pytest.raises(NotFoundError, match="absent"):
        await model.read()
    with pytest.raises(UnsupportedError, match="DaemonSet"):
        await model.workloads.read(ObjectRef("DaemonSet", namespace, "x"))
