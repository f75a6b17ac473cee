"""Single pods on a real API server, with the controllers that own and replace them."""

import pytest
from tests.adapters.real import eventually
from tests.adapters.workload_bodies import ON_CLUSTER, Model, template

from backstop.adapters.pods import WorkloadPods
from backstop.core.facts import PodFacts
from backstop.ports import NotFoundError

pytestmark = ON_CLUSTER


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_one_pod_of_a_real_workload(api, namespace, kind):
    """The very pod is deleted and replaced; the others, and one of its name, are left alone."""
    model, pods = Model(api, kind, namespace), WorkloadPods(api)
    facts = await model.create()
    before = await model.pod_uids()
    listed = await api.list(model.pods, labelSelector="app=model")
    name = min(one["metadata"]["name"] for one in listed)
    pod = await pods.find(facts, name)
    assert pod.uid in before
    await pods.delete(pod)

    async def replaced():
        now = await model.pod_uids()
        return len(now) == 2 and pod.uid not in now and now

    after = await eventually(replaced)
    assert before - after == {pod.uid}
    await pods.delete(pod)
    assert await model.pod_uids() == after


async def test_pods_of_others(api, namespace):
    """A pod with the right labels and no owner, or of another workload, is not ours."""
    model, other = Model(api, "Deployment", namespace), Model(api, "StatefulSet", namespace, "b")
    facts = await model.create(replicas=1)
    await other.create(replicas=1)
    alone = template(1, app="other", tier="a")
    alone["metadata"]["name"] = "alone"
    await api.create(model.pods, alone)
    pods = WorkloadPods(api)
    for name in ("alone", "b-0", ""):
        with pytest.raises(NotFoundError, match="is not a pod of Deployment/model"):
            await pods.find(facts, name)
    with pytest.raises(NotFoundError, match="absent"):
        await pods.find(facts, "absent")
    await pods.delete(PodFacts(namespace, "absent", "some-uid"))
    await pods.delete(PodFacts(namespace, "alone", "some-other-uid"))
    assert (await api.get(f"{model.pods}/alone"))["metadata"].get("deletionTimestamp") is None
