"""What is particular about StatefulSets, on a real API server with its own controllers."""

import pytest
from tests.adapters.real import eventually
from tests.adapters.workload_bodies import ON_CLUSTER, Model

from backstop.adapters.workloads.mark import ACTION_ID
from backstop.ports import NotFoundError, UnsupportedError

pytestmark = ON_CLUSTER


@pytest.fixture
async def model(api, namespace):
    return Model(api, "StatefulSet", namespace)


async def stuck(model):
    """Release a version that never becomes ready, and wait until the rollout is stuck on it."""
    await model.release(2, ready=False)

    async def probe():
        status = (await model.api.get(model.path))["status"]
        broken = status.get("updatedReplicas") == 1 and status.get("readyReplicas") == 1
        return broken and status["currentRevision"] != status["updateRevision"]

    await eventually(probe)


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
async def test_out_of_a_broken_revision(model, policy):
    """A rollback gets past the pod that never becomes ready, and leaves the good one alone."""
    good = await model.create(podManagementPolicy=policy)
    assert good.changed is not None
    pods = await model.pod_uids()
    await stuck(model)
    before = await model.body()
    back = good.fingerprint
    written = await model.change(lambda now: model.workloads.rollback(now, back, "act-1"))
    assert (written.fingerprint, written.last_action) == (good.fingerprint, "act-1")
    after = await model.body()
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    before["spec"].pop("template")
    assert after["spec"].pop("template")["metadata"]["annotations"] == {"note": "1"}
    assert after == before
    done = await model.rolled_out(1)
    assert (done.ready, done.desired) == (2, 2)
    assert len(await model.pod_uids() & pods) == 1
    newest, older = await model.workloads.revisions(model.ref)
    assert (newest.fingerprint, newest.number) == (good.fingerprint, 3)
    assert older.number == 2


async def test_a_template_alone_does_not_help(model):
    """Whoever only writes the template back stays stuck; done again, the rollback finishes."""
    good = await model.create()
    await stuck(model)
    pods = await model.pod_uids()
    body = await model.api.get(model.path)
    (entry,) = [
        one
        for one in await model.workloads._of(model.ref)._history(body)
        if one.template["metadata"]["annotations"] == {"note": "1"}
    ]
    await model.workloads._of(model.ref)._replace(body, entry.template, "act-1")
    generation = (await model.api.get(model.path))["metadata"]["generation"]

    async def observed():
        status = (await model.api.get(model.path))["status"]
        return status["observedGeneration"] == generation

    await eventually(observed)
    facts = await model.read()
    assert facts.fingerprint == good.fingerprint
    assert not facts.rolled_out
    # The controller reports a generation after it has done all that it does about it.
    assert await model.pod_uids() == pods
    back = good.fingerprint
    await model.change(lambda now: model.workloads.rollback(now, back, "act-1"))
    assert (await model.rolled_out(1)).ready == 2


async def test_a_restart_of_a_broken_pod(model):
    """A restart gets at the pod that is not ready, for which a rollout alone would wait."""
    await model.create()
    await stuck(model)
    before = await model.pod_uids()
    await model.change(lambda now: model.workloads.restart(now, "act-1"))

    async def replaced():
        now = await model.pod_uids()
        return len(now) == 2 and len(now - before) == 1

    await eventually(replaced)


async def test_a_promotion_over_a_broken_pod(model, api, namespace):
    """A promoted version reaches all pods, also where the last rollout is stuck."""
    await model.create()
    await stuck(model)
    candidate = Model(api, "Deployment", namespace, "next")
    await candidate.create(replicas=1)
    await candidate.release(7)
    source = await candidate.rolled_out(7)
    await model.change(lambda now: model.workloads.adopt(now, source, "act-1"))
    assert (await model.rolled_out(7)).ready == 2


async def test_a_revision_that_is_gone(model):
    """A fingerprint without a ControllerRevision is no way back, and nothing is written."""
    facts = await model.create(replicas=1)
    before = await model.body()
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await model.workloads.rollback(facts, "0123456789abcdef", "act-1")
    assert await model.body() == before


async def test_on_delete(model):
    """A StatefulSet that updates no pods by itself is read, and every change says why not."""
    await model.create(replicas=1, updateStrategy={"type": "OnDelete"})
    await model.release(2)
    await eventually(lambda: _updated(model))
    facts = await model.read()
    assert not facts.rolled_out
    before = await model.body()
    for change in (
        model.workloads.rollback(facts, facts.fingerprint, "act-1"),
        model.workloads.restart(facts, "act-1"),
        model.workloads.pause(facts, "act-1"),
        model.workloads.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(UnsupportedError, match=r"set spec\.updateStrategy\.type to"):
            await change
    assert await model.body() == before
    await model.api.delete(f"{model.pods}/model-0")
    assert (await model.rolled_out(2)).ready == 1


async def _updated(model):
    body = await model.api.get(model.path)
    return body["status"].get("updateRevision") != body["status"].get("currentRevision")
