"""InferenceServices: what their status means, what is remembered of them, and what is restored."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.foreign_bodies import (
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    REPLICA_SETS,
    foreign_fields,
    inference_service,
    model_uri,
    predictor_deployment,
    predictor_replica_set,
    ready_status,
)
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.inference_service import (
    InferenceServiceWorkload,
    workload_facts,
)
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.registry import KINDS, WATCHED
from backstop.adapters.workloads.template import RESTARTED_BY, template_fingerprint
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError, UnsupportedError

Json = dict[str, Any]
REF = ObjectRef("InferenceService", "demo", "model")
PATH = f"{INFERENCE_SERVICES.format('demo')}/model"
FIRST, SECOND = (template_fingerprint({"storageUri": model_uri(one)}) for one in (1, 2))
CUSTOM = {"containers": [{"name": "kserve-container", "image": "example.com/sklearn:v2"}]}
SERVED = {
    "observedGeneration": 1,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}


def seen(status: Json, **predictor: Any) -> Json:
    body = inference_service(**predictor)
    body["metadata"] |= {"namespace": "demo", "uid": "u1", "resourceVersion": "7", "generation": 4}
    return body | {"status": status}


# Facts


def test_facts_without_a_deployment():
    """Where no Deployment counts pods, the status tells whether all of them serve."""
    body = seen(ready_status(4))
    body["metadata"]["annotations"][ACTION_ID] = "a-1"
    facts = workload_facts(body, None)
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert (facts.paused, facts.last_action, facts.fingerprint) == (False, "a-1", SECOND)
    assert facts.changed == datetime(2026, 11, 1, 10, tzinfo=UTC)


NOT_READY = [{"type": "Ready", "status": "False"}]


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 3},
        {"conditions": NOT_READY},
        {"conditions": []},
        {"modelStatus": {"transitionStatus": "InProgress"}},
        {"modelStatus": {"transitionStatus": "BlockedByFailedLoad"}},
        {"components": {"predictor": {"latestReadyRevision": "a", "latestCreatedRevision": "b"}}},
    ],
)
def test_not_rolled_out(status):
    """A stale status, one that is not ready, a model that loads or an older revision: not done."""
    assert workload_facts(seen(ready_status(4)), None).rolled_out
    assert not workload_facts(seen(ready_status(4) | status), None).rolled_out


def test_one_that_nobody_has_seen_yet():
    """Without a status nothing is ready."""
    facts = workload_facts(seen({}), None)
    assert (facts.ready, facts.rolled_out, facts.changed) == (0, False, None)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"canaryTrafficPercent": 10}, True),
        ({"minReplicas": 5, "maxReplicas": 9}, True),
        ({"annotations": {RESTARTED_BY: "a"}}, True),
        ({"model": {"storageUri": model_uri(3)}}, False),
        ({"model": {"storageUri": model_uri(2), "runtimeVersion": "v9"}}, False),
        (CUSTOM, False),
    ],
)
def test_what_is_a_version(change, same):
    """Weights, sizes and restarts are no version; the model and its runtime are."""
    body = seen(ready_status(4))
    if "containers" in change:
        del body["spec"]["predictor"]["model"]
    body["spec"]["predictor"] |= change
    assert (workload_facts(body, None).fingerprint == SECOND) is same


# Changes


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(INFERENCE_SERVICES.format("demo"), inference_service())["metadata"]["uid"]
        made = server.add(DEPLOYMENTS.format("demo"), predictor_deployment(2, uid))
        made["status"] = SERVED
        for number in (1, 2):
            one = predictor_replica_set(number, made["metadata"]["uid"])
            server.add(REPLICA_SETS.format("demo"), one)
        server.add(REPLICA_SETS.format("demo"), predictor_replica_set(3, "somebody-else"))
        stored(server)["status"] = ready_status()
        yield server


def stored(fake: FakeApi, name: str = "model") -> Json:
    return fake.store.objects["apis/serving.kserve.io/v1beta1/inferenceservices", "demo", name]


def made(fake: FakeApi) -> Json:
    return fake.store.objects["apis/apps/v1/deployments", "demo", "model-predictor"]


@pytest.fixture
async def services(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield InferenceServiceWorkload(api)
    await api.close()


async def test_pods_are_the_deployments(services, fake):
    """In Standard mode the Deployment counts the pods, and an update of them is awaited."""
    assert KINDS["InferenceService"].resource[2] == "inferenceservices"
    assert "InferenceService" not in WATCHED
    facts = await services.read(REF)
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert facts.images == {"kserve-container": "example.com/sklearn:v2"}
    made(fake)["status"] = SERVED | {"updatedReplicas": 1, "readyReplicas": 1}
    facts = await services.read(REF)
    assert (facts.ready, facts.rolled_out) == (1, False)


async def test_only_own_revisions(services, fake):
    """Versions come from annotations and from arguments; a foreign Deployment tells nothing."""
    found = await services.revisions(REF)
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]
    assert (await services.read(REF)).fingerprint == SECOND
    made(fake)["metadata"]["ownerReferences"][0]["uid"] = "other"
    assert await services.revisions(REF) == ()


async def test_a_rollback(services, fake):
    """Only the storageUri and our mark are written, in one request, once."""
    before = copy.deepcopy(stored(fake))
    facts = await services.rollback(await services.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action) == (FIRST, "act-1")
    assert fake.writes == [("patch", PATH)]
    changed = "spec.predictor.model.storageUri"
    assert stored(fake)["spec"]["predictor"]["model"]["storageUri"] == model_uri(1)
    assert foreign_fields(stored(fake), changed) == foreign_fields(before, changed)
    assert await services.rollback(facts, FIRST, "act-1") == facts
    assert len(fake.writes) == 1


async def test_a_runtime_version_is_restored(services, fake):
    """Where the spec sets a runtime version, that of the old pods comes back with the model."""
    stored(fake)["spec"]["predictor"]["model"]["runtimeVersion"] = "v2"
    facts = await services.read(REF)
    newest, oldest = await services.revisions(REF)
    assert newest.fingerprint == facts.fingerprint
    back = await services.rollback(facts, oldest.fingerprint, "act-1")
    model = stored(fake)["spec"]["predictor"]["model"]
    assert (model["storageUri"], model["runtimeVersion"]) == (model_uri(1), "v1")
    assert back.fingerprint == oldest.fingerprint


async def test_a_custom_predictor(services, fake):
    """The image of a custom predictor is its version."""
    del stored(fake)["spec"]["predictor"]["model"]
    stored(fake)["spec"]["predictor"] |= copy.deepcopy(CUSTOM)
    facts = await services.read(REF)
    newest, oldest = await services.revisions(REF)
    assert newest.fingerprint == facts.fingerprint
    await services.rollback(facts, oldest.fingerprint, "act-1")
    container = stored(fake)["spec"]["predictor"]["containers"][0]
    assert container == {"name": "kserve-container", "image": "example.com/sklearn:v1"}


async def test_no_history(services, fake):
    """Without a Deployment nothing earlier is known, and the refusal says what to do."""
    del fake.store.objects["apis/apps/v1/deployments", "demo", "model-predictor"]
    with pytest.raises(UnsupportedError, match="use Standard mode"):
        await services.rollback(await services.read(REF), FIRST, "act-1")
    assert fake.writes == []


async def test_a_version_that_is_gone(services, fake):
    """A version without a ReplicaSet is not a way back."""
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await services.rollback(await services.read(REF), "0123456789abcdef", "act-1")
    assert fake.writes == []


@pytest.mark.parametrize(
    "predictor", [{"sklearn": {"storageUri": "s3://x"}}, {"model": {"modelFormat": {"name": "x"}}}]
)
async def test_other_forms(services, fake, predictor):
    """A model that is named in another way is read; a change of it is refused with a reason."""
    stored(fake)["spec"]["predictor"] = predictor
    facts = await services.read(REF)
    assert await services.revisions(REF) == ()
    for change in (
        services.rollback(facts, FIRST, "act-1"),
        services.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(UnsupportedError, match=r"spec\.predictor\.model\.storageUri"):
            await change
    assert fake.writes == []


async def test_a_restart(services, fake):
    """A restart is an annotation for the predictor's pods, and no new version."""
    before = copy.deepcopy(stored(fake))
    facts = await services.restart(await services.read(REF), "act-1")
    assert (facts.last_action, facts.fingerprint) == ("act-1", SECOND)
    assert stored(fake)["spec"]["predictor"]["annotations"] == {RESTARTED_BY: "act-1"}
    changed = "spec.predictor.annotations"
    assert foreign_fields(stored(fake), changed) == foreign_fields(before)
    assert await services.restart(facts, "act-1") == facts
    assert fake.writes == [("patch", PATH)]


async def test_a_pause_is_refused(services, fake):
    """KServe cannot pause, and the refusal says what to take out."""
    with pytest.raises(UnsupportedError, match="take pauseRollout out of the runbook"):
        await services.pause(await services.read(REF), "act-1")
    assert fake.writes == []


@pytest.mark.parametrize("predictor", [{}, CUSTOM], ids=["model", "containers"])
async def test_adopt(services, fake, predictor):
    """The model or the containers of the candidate are taken over, and replace the own ones."""
    candidate = inference_service(5, "next", **copy.deepcopy(predictor))
    fake.add(INFERENCE_SERVICES.format("demo"), candidate)
    source = await services.read(ObjectRef("InferenceService", "demo", "next"))
    facts = await services.adopt(await services.read(REF), source, "act-1")
    assert stored(fake)["spec"]["predictor"] == candidate["spec"]["predictor"]
    assert (facts.fingerprint, facts.last_action) == (source.fingerprint, "act-1")
    assert await services.adopt(facts, source, "act-1") == facts
    assert fake.writes == [("patch", PATH)]


async def test_sources(services, fake):
    """A source of another kind is refused; one that changed since it was read is a conflict."""
    facts = await services.read(REF)
    fake.add(INFERENCE_SERVICES.format("demo"), inference_service(5, "next"))
    source = await services.read(ObjectRef("InferenceService", "demo", "next"))
    stored(fake, "next")["spec"]["predictor"]["model"]["storageUri"] = "s3://other"
    with pytest.raises(ConflictError):
        await services.adopt(facts, source, "act-1")
    with pytest.raises(UnsupportedError, match="use an InferenceService"):
        await services.adopt(facts, _deployment_facts(source), "act-1")
    assert fake.writes == []


def _deployment_facts(facts: Any) -> Any:
    return type(facts)(ObjectRef("Deployment", "demo", "next"), "u", "1", "f", 1, 1, True)


async def test_stale_facts(services, fake):
    """An InferenceService that changed since it was read is not touched."""
    facts = await services.read(REF)
    stored(fake)["metadata"]["resourceVersion"] = "9999"
    for change in (
        services.rollback(facts, FIRST, "act-1"),
        services.restart(facts, "act-1"),
        services.adopt(facts, facts, "act-1"),
    ):
        with pytest.raises(ConflictError):
            await change
    assert fake.writes == []
    assert (await services.rollback(await services.read(REF), FIRST, "act-1")).last_action
