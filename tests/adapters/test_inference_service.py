"""InferenceServices: what their status means, what is remembered of them, and what is restored."""

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.foreign_bodies import (
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    REPLICA_SETS,
    SOURCE_URI,
    Json,
    foreign_fields,
    inference_service,
    model_uri,
    owners,
    predictor_deployment,
    predictor_replica_set,
    ready_status,
)
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.inference_service import InferenceServiceWorkload, workload_facts
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.predictor import fingerprint
from backstop.adapters.workloads.registry import KINDS, WATCHED
from backstop.adapters.workloads.template import RESTARTED_BY
from backstop.core.facts import ObjectRef
from backstop.ports import ConflictError, NotFoundError, UnsupportedError

REF = ObjectRef("InferenceService", "demo", "model")
PATH = f"{INFERENCE_SERVICES.format('demo')}/model"
IMAGE = "example.com/sklearn:v1"
FIRST, SECOND = (fingerprint(inference_service(one)) for one in (1, 2))
SERVED = {
    "observedGeneration": 1,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}
KNATIVE = {"serving.kserve.io/deploymentMode": "Knative"}


def seen(body: Json, status: Json) -> Json:
    more = {"namespace": "demo", "uid": "u1", "resourceVersion": "7", "generation": 4}
    return copy.deepcopy(body) | {"metadata": body["metadata"] | more, "status": status}


def deployed(version: int = 2, **status: int) -> Json:
    return seen(of_one_runtime(predictor_deployment(version, "u1")), SERVED | status) | {
        "metadata": {"name": "model-predictor", "namespace": "demo", "generation": 1}
        | {"uid": "d1", "resourceVersion": "8"}
    }


def of_one_runtime(owner: Json) -> Json:
    """Let pods of every version run the same server."""
    owner["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE
    return owner


def knative_service(version: int = 2, uid: str = "u1", **status: Any) -> Json:
    """Return the Knative Service of the predictor."""
    annotations = {SOURCE_URI: model_uri(version), "autoscaling.knative.dev/min-scale": "1"}
    container = {"name": "kserve-container", "image": IMAGE}
    return {
        "metadata": {
            "name": "model-predictor",
            "generation": 1,
            "ownerReferences": owners("serving.kserve.io/v1beta1", "InferenceService", uid),
        },
        "spec": {
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [container]},
            }
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True"}],
            "latestCreatedRevisionName": f"model-predictor-{version}",
            "latestReadyRevisionName": f"model-predictor-{version}",
            **status,
        },
    }


# Facts


def test_facts():
    """The spec tells the revision, the Deployment the pods, the predictor who changed it last."""
    body = seen(inference_service(), ready_status())
    body["spec"]["predictor"]["annotations"] = {ACTION_ID: "a-1"}
    made = deployed()
    made["spec"]["template"]["metadata"]["annotations"][ACTION_ID] = "a-1"
    facts = workload_facts(body, made)
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert (facts.desired, facts.ready, facts.rolled_out) == (2, 2, True)
    assert (facts.paused, facts.last_action, facts.fingerprint) == (False, "a-1", SECOND)
    assert facts.images == {"kserve-container": IMAGE}


@pytest.mark.parametrize("generation", [0, 3, 99])
def test_a_generation_that_is_not_its_own(generation):
    """KServe reports the Deployment's generation as observed; it says nothing of the spec."""
    body = seen(inference_service(), ready_status(generation))
    assert workload_facts(body, deployed()).rolled_out


@pytest.mark.parametrize(
    ("status", "made"),
    [
        ({"conditions": [{"type": "Ready", "status": "False"}]}, deployed()),
        ({"conditions": []}, deployed()),
        ({"modelStatus": {"transitionStatus": "InProgress"}}, deployed()),
        ({"modelStatus": {"transitionStatus": "BlockedByFailedLoad"}}, deployed()),
        ({}, deployed(1)),
        ({}, deployed(updatedReplicas=1)),
        ({}, deployed(observedGeneration=0)),
        ({}, None),
    ],
)
def test_not_rolled_out(status, made):
    """Not ready, a model that loads, an older model or pods in the Deployment: not done yet."""
    body = seen(inference_service(), ready_status() | status)
    assert not workload_facts(body, made).rolled_out


def test_without_a_deployment():
    """Where nothing counts pods, the status tells whether all of them serve."""
    facts = workload_facts(seen(inference_service(), ready_status()), None)
    assert (facts.desired, facts.ready) == (2, 2)
    assert facts.changed == datetime(2026, 11, 1, 10, tzinfo=UTC)
    facts = workload_facts(seen(inference_service(), {}), None)
    assert (facts.ready, facts.rolled_out, facts.changed) == (0, False, None)


@pytest.mark.parametrize(
    ("made", "predictor", "done"),
    [
        (knative_service(), {}, True),
        (knative_service(), {"canaryTrafficPercent": 100}, True),
        (knative_service(), {"canaryTrafficPercent": 10}, False),
        (knative_service(1), {}, False),
        (knative_service(observedGeneration=0), {}, False),
        (knative_service(conditions=[]), {}, False),
        (knative_service(latestReadyRevisionName="model-predictor-1"), {}, False),
        (knative_service(latestCreatedRevisionName=""), {}, False),
    ],
)
def test_rolled_out_in_knative_mode(made, predictor, done):
    """It is rolled out once the newest Revision is ready and has all traffic."""
    body = seen(inference_service(), ready_status(deploymentMode="Knative"))
    body["spec"]["predictor"] |= predictor
    made = made | {"metadata": made["metadata"] | {"namespace": "demo"}}
    assert workload_facts(body, made).rolled_out is done


# Changes


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        uid = server.add(INFERENCE_SERVICES.format("demo"), inference_service())["metadata"]["uid"]
        made = server.add(DEPLOYMENTS.format("demo"), of_one_runtime(predictor_deployment(2, uid)))
        made["status"] = SERVED
        for number in (1, 2):
            one = of_one_runtime(predictor_replica_set(number, made["metadata"]["uid"]))
            server.add(REPLICA_SETS.format("demo"), one)
        server.add(REPLICA_SETS.format("demo"), predictor_replica_set(3, "somebody-else"))
        stored(server)["status"] = ready_status()
        yield server


def stored(fake: FakeApi, name: str = "model") -> Json:
    return fake.store.objects["apis/serving.kserve.io/v1beta1/inferenceservices", "demo", name]


def made(fake: FakeApi, name: str = "model-predictor", kind: str = "deployments") -> Json:
    return fake.store.objects[f"apis/apps/v1/{kind}", "demo", name]


@pytest.fixture
async def services(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield InferenceServiceWorkload(api)
    await api.close()


async def test_revisions(services, fake):
    """Revisions are those of the own Deployment; a foreign one tells nothing."""
    assert KINDS["InferenceService"].resource[2] == "inferenceservices"
    assert "InferenceService" not in WATCHED
    found = await services.revisions(REF)
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]
    assert (await services.read(REF)).fingerprint == SECOND
    made(fake)["metadata"]["ownerReferences"][0]["uid"] = "other"
    assert await services.revisions(REF) == ()


async def test_a_rollback(services, fake):
    """Only the storageUri and our mark are written, in one request, once."""
    before = copy.deepcopy(stored(fake))
    facts = await services.rollback(await services.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.last_action, facts.rolled_out) == (FIRST, "act-1", False)
    assert fake.writes == [("patch", PATH)]
    ours = "spec.predictor.model.storageUri", "spec.predictor.annotations"
    assert stored(fake)["spec"]["predictor"]["model"]["storageUri"] == model_uri(1)
    assert stored(fake)["spec"]["predictor"]["annotations"] == {ACTION_ID: "act-1"}
    assert foreign_fields(stored(fake), *ours) == foreign_fields(before, *ours)
    assert await services.rollback(facts, FIRST, "act-1") == facts
    assert len(fake.writes) == 1


async def test_annotations_of_others_stay(services, fake):
    """Our mark is added to the annotations that the predictor has."""
    stored(fake)["spec"]["predictor"]["annotations"] = {"team.example.com/a": "b"}
    facts = await services.read(REF)
    oldest = (await services.revisions(REF))[-1]
    await services.rollback(facts, oldest.fingerprint, "act-1")
    annotations = stored(fake)["spec"]["predictor"]["annotations"]
    assert annotations == {"team.example.com/a": "b", ACTION_ID: "act-1"}


async def test_a_named_predictor(services, fake):
    """After a promotion of a canary, the Deployment carries the name of the predictor."""
    stored(fake)["spec"]["predictor"]["name"] = "next"
    assert await services.revisions(REF) == ()
    body = made(fake)
    body["metadata"]["name"] = "model-next-predictor"
    fake.store.objects["apis/apps/v1/deployments", "demo", "model-next-predictor"] = body
    assert [one.fingerprint for one in await services.revisions(REF)] == [SECOND, FIRST]


async def test_a_revision_that_cannot_be_put_back(services, fake):
    """A revision with other resources is listed, refused with a reason, and nothing is written."""
    old = made(fake, "model-predictor-hash1", "replicasets")["spec"]["template"]
    old["spec"]["containers"][0]["args"] = ["--workers=9"]
    newest, oldest = await services.revisions(REF)
    assert newest.fingerprint == SECOND
    for wanted in (oldest.fingerprint, "0123456789abcdef"):
        with pytest.raises(UnsupportedError, match="apply the earlier InferenceService again"):
            await services.rollback(await services.read(REF), wanted, "act-1")
    assert fake.writes == []


async def test_what_was_recorded_can_be_put_back(services, fake):
    """A fingerprint that was seen when it ran proves the spec, though the runtime changed since."""
    old = made(fake, "model-predictor-hash1", "replicasets")["spec"]["template"]
    old["spec"]["containers"][0]["image"] = "example.com/sklearn:v0"
    facts = await services.rollback(await services.read(REF), FIRST, "act-1")
    assert facts.fingerprint == FIRST


async def test_nothing_is_left(services, fake):
    """A revision without a template is no way back, and neither is one without any history."""
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        await services.rollback(await services.read(REF), "0123456789abcdef", "act-1")
    del fake.store.objects["apis/apps/v1/deployments", "demo", "model-predictor"]
    with pytest.raises(UnsupportedError, match="KServe keeps no earlier spec"):
        await services.rollback(await services.read(REF), FIRST, "act-1")
    assert fake.writes == []


async def test_knative_revisions(services, fake):
    """In Knative mode the past is in Revisions, without what Knative adds to each."""
    stored(fake)["metadata"]["annotations"] |= KNATIVE
    uid = stored(fake)["metadata"]["uid"]
    service = fake.add(
        "/apis/serving.knative.dev/v1/namespaces/demo/services", knative_service(2, uid)
    )
    service["status"] = knative_service()["status"]
    for number in (1, 2):
        template = knative_service(number)["spec"]["template"]
        labels = {"serving.knative.dev/configurationGeneration": str(number)}
        metadata = template["metadata"] | {"name": f"model-predictor-{number}", "labels": labels}
        body = {"metadata": metadata, "spec": template["spec"]}
        fake.add("/apis/serving.knative.dev/v1/namespaces/demo/revisions", body)
    assert (await services.read(REF)).rolled_out
    found = await services.revisions(REF)
    selector = f"serving.knative.dev/serviceUID={service['metadata']['uid']}"
    assert fake.queries[-1]["labelSelector"] == selector
    assert [(one.number, one.fingerprint) for one in found] == [(2, SECOND), (1, FIRST)]
    facts = await services.rollback(await services.read(REF), FIRST, "act-1")
    assert (facts.fingerprint, facts.rolled_out) == (FIRST, False)


async def test_a_restart(services, fake):
    """A restart is an annotation for the predictor's pods, awaited, and no new revision."""
    before = copy.deepcopy(stored(fake))
    facts = await services.restart(await services.read(REF), "act-1")
    assert (facts.last_action, facts.fingerprint, facts.rolled_out) == ("act-1", SECOND, False)
    notes = {RESTARTED_BY: "act-1", ACTION_ID: "act-1"}
    assert stored(fake)["spec"]["predictor"]["annotations"] == notes
    changed = "spec.predictor.annotations"
    assert foreign_fields(stored(fake), changed) == foreign_fields(before)
    assert await services.restart(facts, "act-1") == facts
    assert fake.writes == [("patch", PATH)]


async def test_a_pause_is_refused(services, fake):
    """KServe cannot pause, and the refusal says what to take out."""
    with pytest.raises(UnsupportedError, match="take pauseRollout out of the runbook"):
        await services.pause(await services.read(REF), "act-1")
    assert fake.writes == []


async def test_adopt(services, fake):
    """The predictor of the candidate is taken over; the own size stays."""
    candidate = inference_service(5, "next")
    candidate["spec"]["predictor"] |= {"minReplicas": 1, "timeout": 3}
    fake.add(INFERENCE_SERVICES.format("demo"), candidate)
    source = await services.read(ObjectRef("InferenceService", "demo", "next"))
    facts = await services.adopt(await services.read(REF), source, "act-1")
    kept = {"minReplicas": 2, "annotations": {ACTION_ID: "act-1"}}
    assert stored(fake)["spec"]["predictor"] == candidate["spec"]["predictor"] | kept
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
    other = replace(source, ref=ObjectRef("Deployment", "demo", "next"))
    with pytest.raises(UnsupportedError, match="use an InferenceService"):
        await services.adopt(facts, other, "act-1")
    assert fake.writes == []


async def test_stale_facts(services, fake):
    """An InferenceService that changed since it was read is not touched until it is read again."""
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
