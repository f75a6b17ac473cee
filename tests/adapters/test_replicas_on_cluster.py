"""Replicas on a real API server: through the scale, and through an autoscaler."""

import pytest
from tests.adapters.real import Json, eventually, undisturbed
from tests.adapters.workload_bodies import ON_CLUSTER, Model, written

from backstop.adapters.replicas import ScaleReplicas
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, InvalidError, NotFoundError, UnsupportedError

pytestmark = ON_CLUSTER


@pytest.fixture(params=["Deployment", "StatefulSet"])
async def model(request, api, namespace):
    made = Model(api, request.param, namespace)
    await made.create()
    return made


def autoscaler(kind: str, name: str = "model") -> Json:
    return {
        "metadata": {"name": name, "labels": {"team": "ml"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "model"},
            "minReplicas": 2,
            "maxReplicas": 4,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 60},
                    },
                }
            ],
        },
    }


def autoscalers(model: Model) -> str:
    return f"/apis/autoscaling/v2/namespaces/{model.ref.namespace}/horizontalpodautoscalers"


async def scaled(replicas, ref, to):
    async def write():
        return await replicas.write(await replicas.read(ref), to)

    return await undisturbed(write)


async def test_real_scale(model):
    """More pods and back: the number changes, nothing else does, and the pods follow."""
    replicas, before = ScaleReplicas(model.api), await model.body()
    facts = await replicas.read(model.ref)
    assert (facts.desired, facts.ready, facts.autoscaler) == (2, 2, None)
    assert (await scaled(replicas, model.ref, 3)).desired == 3
    after = await model.body()
    assert after["spec"].pop("replicas") == 3
    assert before["spec"].pop("replicas") == 2
    assert after == before

    async def grown():
        return (await replicas.read(model.ref)).ready == 3

    await eventually(grown)
    assert (await scaled(replicas, model.ref, 2)).desired == 2


async def test_a_stale_scale(model):
    """A workload that changed since it was read keeps its number."""
    replicas = ScaleReplicas(model.api)
    facts = await replicas.read(model.ref)
    await model.api.merge_patch(model.path, {"metadata": {"labels": {"touched": "yes"}}})
    before = await model.body()
    with pytest.raises(ConflictError):
        await replicas.write(facts, 3)
    assert await model.body() == before


async def test_a_real_autoscaler(model):
    """The least number is raised within the limit, and the scale itself is left to it."""
    replicas = ScaleReplicas(model.api)
    await model.api.create(autoscalers(model), autoscaler(model.ref.kind))
    path = f"{autoscalers(model)}/model"
    before = written(await model.api.get(path))

    facts = await scaled(replicas, model.ref, 3)
    assert (facts.autoscaler.least, facts.autoscaler.most) == (3, 4)
    assert facts.autoscaler.ref == ObjectRef(
        "HorizontalPodAutoscaler", model.ref.namespace, "model"
    )
    after = written(await model.api.get(path))
    assert after["spec"].pop("minReplicas") == 3
    assert before["spec"].pop("minReplicas") == 2
    assert after == before

    async def grown():
        return (await replicas.read(model.ref)).ready == 3

    await eventually(grown)
    with pytest.raises(InvalidError, match=r"allows 4 pods .* raise its spec\.maxReplicas"):
        await replicas.write(await replicas.read(model.ref), 5)


async def test_a_stale_autoscaler(model):
    """An autoscaler that changed since it was read keeps its numbers."""
    replicas = ScaleReplicas(model.api)
    await model.api.create(autoscalers(model), autoscaler(model.ref.kind))
    facts = await replicas.read(model.ref)
    path = f"{autoscalers(model)}/model"
    await model.api.merge_patch(path, {"spec": {"maxReplicas": 9}})
    before = written(await model.api.get(path))
    with pytest.raises(ConflictError):
        await replicas.write(facts, 3)
    assert written(await model.api.get(path)) == before


async def test_absent_and_unscalable(api, namespace):
    """What is not there, and what has no number of replicas, each has its error."""
    replicas = ScaleReplicas(api)
    with pytest.raises(NotFoundError, match="absent"):
        await replicas.read(ObjectRef("Deployment", namespace, "absent"))
    with pytest.raises(UnsupportedError, match="scale steps are for Deployment, StatefulSet"):
        await replicas.read(ObjectRef("DaemonSet", namespace, "x"))
