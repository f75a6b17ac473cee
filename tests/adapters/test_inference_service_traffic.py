"""KServe's own traffic: what counts as divided, and that one number is all that a write changes."""

import copy
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.foreign_bodies import (
    INFERENCE_SERVICES,
    Json,
    foreign_fields,
    inference_service,
)
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic.inference_service import InferenceServiceTraffic, traffic_facts
from backstop.adapters.traffic.registry import KINDS, WATCHED, Routers
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import ConflictError, InvalidError, NotFoundError

REF = ObjectRef("InferenceService", "demo", "model")
PATH = f"{INFERENCE_SERVICES.format('demo')}/model"
HTTP_ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes"
STABLE, NEXT = "model-predictor", "model-next-predictor"
BOTH = Services(target=STABLE, candidate=NEXT, fallback=None)
KNATIVE = "Knative"


def revisions(percent: int, **more: Any) -> Json:
    """Return the status of a Knative Service whose newest revision gets ``percent``."""
    predictor = {
        "latestRolledoutRevision": "model-predictor-00001",
        "latestReadyRevision": "model-predictor-00002",
        "traffic": [
            {"latestRevision": True, "percent": percent, "revisionName": "model-predictor-00002"},
            {"latestRevision": False, "percent": 100 - percent, "tag": "prev"},
        ],
    } | more
    route = {"type": "PredictorRouteReady", "status": "True"}
    return {
        "deploymentMode": KNATIVE,
        "observedGeneration": 1,
        "components": {"predictor": predictor},
        "conditions": [route],
    }


def listed(*shares: int) -> Json:
    """Return an InferenceService in Standard mode with one canary per share."""
    body = inference_service()
    names = ("next", "other", "third")
    body["spec"]["canary"] = [
        {"trafficPercent": share, "predictor": {"name": name, "minReplicas": 1}}
        for name, share in zip(names, shares, strict=False)
    ]
    return body


def divided(*weights: int, accepted: int | None = 3) -> Json:
    """Return the HTTPRoute that KServe makes: the predictor's weight, then those of canaries."""
    backends = [
        {"kind": "Service", "namespace": "demo", "name": name, "port": 80, "weight": weight}
        for name, weight in zip((STABLE, NEXT), weights, strict=False)
    ]
    parent = {"name": "edge", "namespace": "kserve"}
    said = {"type": "Accepted", "status": "True", "observedGeneration": accepted}
    reports = [{"parentRef": parent, "conditions": [said]}] if accepted else []
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "model", "namespace": "demo", "generation": 3},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]},
        "status": {"parents": reports},
    }


def seen(body: Json, status: Json | None = None) -> Json:
    more = {"namespace": "demo", "uid": "u1", "resourceVersion": "7", "generation": 9}
    return body | {"metadata": body["metadata"] | more, "status": status or {}}


def on_trial(percent: int, **more: Any) -> Json:
    return inference_service(canaryTrafficPercent=percent, model={"storageUri": "s3://m/2"}, **more)


# Facts


def test_newest_revision_is_the_candidate():
    """In Knative mode the newest revision has its percentage, the one before it has the rest."""
    facts = traffic_facts(seen(on_trial(10), revisions(10)), None, STABLE, NEXT)
    assert (facts.ref, facts.uid, facts.resource_version) == (REF, "u1", "7")
    assert [(one.index, dict(one.weights)) for one in facts.rules] == [(0, {STABLE: 90, NEXT: 10})]
    assert (facts.generation, facts.in_effect, facts.message) == (9, True, "")
    assert (facts.grain, facts.parts, facts.unresolved) == (0, (), "")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"deploymentMode": KNATIVE}, "no revision has had all traffic yet"),
        (revisions(10, latestRolledoutRevision=""), "no revision has had all traffic yet"),
        (revisions(5), "does not give the newest revision 10 % yet"),
        (revisions(10, traffic=[]), "does not give the newest revision 10 % yet"),
        (
            revisions(10) | {"conditions": [{"type": "PredictorRouteReady", "status": "Unknown"}]},
            "not finished its route: it gives no reason",
        ),
        (
            revisions(10)
            | {
                "conditions": [
                    {"type": "PredictorRouteReady", "status": "False", "message": "no\nmesh"}
                ]
            },
            "not finished its route: no mesh",
        ),
    ],
)
def test_shares_that_are_not_seen(status, why):
    """A percentage that the status does not show is not in effect, whatever generation it names."""
    facts = traffic_facts(
        seen(on_trial(10), status | {"observedGeneration": 99}), None, STABLE, NEXT
    )
    assert not facts.in_effect
    assert why in facts.message
    assert dict(facts.rules[0].weights) == {STABLE: 90, NEXT: 10}


@pytest.mark.parametrize(
    ("percent", "weights"), [(20, (80, 20)), (20, (4, 1)), (0, (1,)), (0, (100, 0)), (100, (0, 7))]
)
def test_a_canary_is_the_candidate(percent, weights):
    """In Standard mode the HTTPRoute tells: what it divides as asked is in effect."""
    facts = traffic_facts(seen(listed(percent)), divided(*weights), STABLE, NEXT)
    assert dict(facts.rules[0].weights) == {STABLE: 100 - percent, NEXT: percent}
    assert (facts.in_effect, facts.message) == (True, "")
    assert facts.parts == (ObjectRef("HTTPRoute", "demo", "model"),)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (None, "enableGatewayApi"),
        (divided(100), f"does not give {NEXT} 20 %; KServe 0.20 does not divide"),
        (divided(90, 10), f"does not give {NEXT} 20 %"),
        (divided(), f"does not give {NEXT} 20 %"),
        (divided(80, 20, accepted=None), "has not reported on the route yet"),
        (divided(80, 20, accepted=2), "no gateway has accepted the newest HTTPRoute/model yet"),
    ],
)
def test_canaries_without_traffic(made, why):
    """Where the HTTPRoute does not divide, as with KServe 0.20, nothing is taken for granted."""
    facts = traffic_facts(seen(listed(20)), made, STABLE, NEXT)
    assert not facts.in_effect
    assert why in facts.message
    assert dict(facts.rules[0].weights) == {STABLE: 80, NEXT: 20}


def test_a_renamed_predictor():
    """After a promotion the Service of the predictor carries its name, and is looked for so."""
    body = listed(20)
    body["spec"]["predictor"]["name"] = "next"
    body["spec"]["canary"][0]["predictor"]["name"] = "third"
    made = divided(80, 20)
    backends = made["spec"]["rules"][0]["backendRefs"]
    backends[0]["name"], backends[1]["name"] = NEXT, "model-third-predictor"
    assert traffic_facts(seen(body), made, NEXT, "model-third-predictor").in_effect


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (inference_service(), "no version is on trial"),
        (on_trial(10), "ignores canaryTrafficPercent in Standard mode"),
    ],
)
def test_nothing_to_divide(body, why):
    """Without a version on trial there is no rule, and the message says what to set."""
    facts = traffic_facts(seen(body), None, STABLE, NEXT)
    assert facts.rules == ()
    assert why in facts.message


@pytest.mark.parametrize("candidate", ["other", "model-other-predictor"])
def test_one_of_several_canaries(candidate):
    """A candidate among several is found by its name or by that of its Service."""
    facts = traffic_facts(seen(listed(0, 30)), None, STABLE, candidate)
    assert dict(facts.rules[0].weights) == {STABLE: 70, candidate: 30}


@pytest.mark.parametrize(
    ("shares", "candidate", "why"),
    [
        ((10, 0), "model-fourth-predictor", "name one of model-next-predictor, model-other-pre"),
        ((10, 5), NEXT, "spec.canary other of InferenceService/model gets traffic too"),
    ],
)
def test_unclear_canaries(shares, candidate, why):
    """A candidate that is not listed, or shares traffic with a third version, is refused."""
    with pytest.raises(InvalidError, match=why):
        traffic_facts(seen(listed(*shares)), None, STABLE, candidate)


def test_read_on_demand():
    """One object does not tell all, so InferenceServices are read and not watched."""
    assert KINDS["InferenceService"].adapter is InferenceServiceTraffic
    assert "InferenceService" not in WATCHED


# Reads and writes


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def api(fake):
    client = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield client
    await client.close()


@pytest.fixture
def traffic(api):
    return Routers(api)


def add(fake: FakeApi, body: Json, status: Json | None = None) -> None:
    fake.add(INFERENCE_SERVICES.format("demo"), body)
    stored(fake)["status"] = status or {}


def stored(fake: FakeApi) -> Json:
    return fake.store.objects["apis/serving.kserve.io/v1beta1/inferenceservices", "demo", "model"]


async def test_shift_and_restore_revisions(fake, traffic):
    """The percentage moves and comes back, and nothing else of the object changes."""
    add(fake, on_trial(0, name="model"), revisions(0))
    stored(fake)["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = KNATIVE
    before = copy.deepcopy(stored(fake))
    facts = await traffic.read(REF, BOTH)
    moved = await traffic.write(facts, {0: {STABLE: 95, NEXT: 5}})
    assert stored(fake)["spec"]["predictor"]["canaryTrafficPercent"] == 5
    assert not moved.in_effect
    assert dict(moved.rules[0].weights) == {STABLE: 95, NEXT: 5}
    assert await traffic.write(moved, {0: {STABLE: 95, NEXT: 5}}) == moved
    await traffic.write(moved, {0: {STABLE: 100, NEXT: 0}})
    assert foreign_fields(stored(fake)) == foreign_fields(before)
    assert fake.writes == [("patch", PATH)] * 2


async def test_shift_and_restore_a_canary(fake, traffic):
    """The share of the canary's own entry moves and comes back; the HTTPRoute is only read."""
    add(fake, listed(0, 0))
    fake.add(HTTP_ROUTES, divided(75, 25))
    fake.store.objects["apis/gateway.networking.k8s.io/v1/httproutes", "demo", "model"]["metadata"][
        "generation"
    ] = 3
    before = copy.deepcopy(stored(fake))
    moved = await traffic.write(await traffic.read(REF, BOTH), {0: {STABLE: 75, NEXT: 25}})
    assert [one["trafficPercent"] for one in stored(fake)["spec"]["canary"]] == [25, 0]
    assert dict(moved.rules[0].weights) == {STABLE: 75, NEXT: 25}
    assert moved.in_effect
    await traffic.write(moved, {0: {STABLE: 100, NEXT: 0}})
    assert foreign_fields(stored(fake)) == foreign_fields(before)
    assert fake.writes == [("patch", PATH)] * 2


async def test_a_stale_read(fake, traffic):
    """Nothing is written on facts that are out of date; read again, the write goes through."""
    add(fake, listed(10))
    facts = await traffic.read(REF, BOTH)
    stored(fake)["metadata"]["resourceVersion"] = "9999"
    with pytest.raises(ConflictError):
        await traffic.write(facts, {0: {STABLE: 100, NEXT: 0}})
    assert fake.writes == []
    await traffic.write(await traffic.read(REF, BOTH), {0: {STABLE: 100, NEXT: 0}})
    assert stored(fake)["spec"]["canary"][0]["trafficPercent"] == 0


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ({1: {STABLE: 100, NEXT: 0}}, "has no rule 1"),
        ({0: {STABLE: 100, "fallback": 0}}, "has no rule 0 with fallback, model-predictor"),
        ({0: {STABLE: 50, NEXT: 20}}, "make them sum to 100"),
        ({0: {NEXT: 20}}, "make them sum to 100"),
        ({0: {STABLE: 101, NEXT: -1}}, "no percentages"),
    ],
)
async def test_weights_that_cannot_be_set(fake, traffic, weights, why):
    """Weights that are no percentages of target and candidate are refused before any request."""
    add(fake, listed(10))
    facts = await traffic.read(REF, BOTH)
    with pytest.raises(InvalidError, match=why):
        await traffic.write(facts, weights)
    assert fake.writes == []


@pytest.mark.parametrize(
    ("services", "why"),
    [
        (Services(STABLE, NEXT, "rules"), "cannot send any to the fallback rules"),
        (Services(STABLE, None, None), "needs a candidate"),
    ],
)
async def test_what_kserve_cannot_do(fake, traffic, services, why):
    """A fallback, or no candidate at all, is refused with what to do instead."""
    with pytest.raises(InvalidError, match=why):
        await traffic.read(REF, services)
    assert fake.requests == []


async def test_one_that_is_gone(traffic):
    """A missing InferenceService is told apart from a missing HTTPRoute."""
    with pytest.raises(NotFoundError):
        await traffic.read(REF, BOTH)
