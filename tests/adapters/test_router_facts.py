"""What each router's object says, and the sentence for each way in which it cannot be used."""

import re
from typing import Any

import pytest
from tests.adapters.router_cases import (
    deployment,
    grpc_route,
    ingress,
    service,
    virtual_service,
)

from backstop.adapters.traffic import (
    gateway_api,
    replica_ratio,
    service_selector,
)
from backstop.adapters.traffic import (
    ingress as nginx,
)
from backstop.adapters.traffic import (
    virtual_service as istio,
)
from backstop.adapters.traffic.registry import KINDS, WATCHED, Routers, facts_of
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import InvalidError, UnsupportedError

BOTH = Services("target", "next", None)
NGINX = "nginx.ingress.kubernetes.io"
UNRECONCILED = {"type": "Reconciled", "status": "False"}


class Objects:
    """Answers reads from a table, and refuses every write."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = {one["metadata"]["name"]: one for one in bodies}
        self.autoscalers: list[dict[str, Any]] = []

    async def get(self, path: str) -> dict[str, Any]:
        return self.bodies[path.rsplit("/", 1)[1]]

    async def list(self, path: str, **query: str) -> list[dict[str, Any]]:  # noqa: ARG002
        return self.autoscalers


def in_cluster(body: dict[str, Any], **status: Any) -> dict[str, Any]:
    """Return a body as the API server gives it."""
    metadata = {"namespace": "demo", "uid": "u", "resourceVersion": "7", "generation": 3}
    body["metadata"] = {**metadata, **body["metadata"]}
    return {**body, "status": status} if status else body


# The registry


def test_each_router_of_the_api_has_an_adapter():
    """Whatever a spec can name can be read and written."""
    assert set(KINDS) == {
        "HTTPRoute",
        "GRPCRoute",
        "VirtualService",
        "Ingress",
        "Service",
        "ReplicaRatio",
        "InferenceService",
    }
    assert {kind for kind in KINDS if kind not in WATCHED} >= {"Ingress", "Service", "ReplicaRatio"}


def test_only_what_one_object_tells_comes_from_a_watch():
    """The rest is read."""
    body = in_cluster(grpc_route())
    found = facts_of("GRPCRoute", body, BOTH)
    assert found == gateway_api.route_facts(body, BOTH)
    assert found is not None
    assert found.ref == ObjectRef("GRPCRoute", "demo", "model")
    assert facts_of("Service", service("model"), BOTH) is None
    assert facts_of("Unheard", {}, BOTH) is None


async def test_an_unknown_router_is_refused():
    """The sentence lists those that are known."""
    with pytest.raises(UnsupportedError, match="Gateway is no router; use one of HTTPRoute"):
        await Routers(Objects()).read(ObjectRef("Gateway", "demo", "x"), BOTH)


# Istio


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("next", True),
        ("next.demo", True),
        ("next.demo.svc", True),
        ("next.demo.svc.cluster.local", True),
        ("next.other", False),
        ("next.other.svc.cluster.local", False),
        ("next.example.com", False),
        ("other", False),
    ],
)
def test_a_destination_is_a_service_of_the_same_namespace(host, ours):
    """However long its host is written."""
    body = in_cluster(virtual_service())
    body["spec"]["http"][1]["route"][1]["destination"]["host"] = host
    rules = istio.route_facts(body, BOTH).rules
    assert [dict(one.weights) for one in rules] == ([{"target": 100, "next": 0}] if ours else [])


def test_a_single_destination_has_all_of_the_traffic():
    """It has no weight of its own."""
    found = istio.route_facts(in_cluster(virtual_service()), Services("target", None, None))
    assert [dict(one.weights) for one in found.rules] == [
        {"target": 100},
        {"target": 100, "next": 0},
    ]


def test_subsets_of_one_service_cannot_be_told_apart():
    """The sentence says what to do instead."""
    body = in_cluster(virtual_service())
    body["spec"]["http"][1]["route"].append({"destination": {"host": "next", "subset": "v2"}})
    with pytest.raises(InvalidError, match=r"lists next twice.*Service of its own"):
        istio.route_facts(body, BOTH)


@pytest.mark.parametrize(
    ("status", "accepted", "message"),
    [
        ({}, 3, ""),
        ({"conditions": [{"type": "Reconciled", "status": "True"}]}, 3, ""),
        (
            {"conditions": [{"type": "Reconciled", "status": "False", "message": "0/2 proxies"}]},
            None,
            "0/2 proxies",
        ),
        (
            {"validationMessages": [{"level": "ERROR", "type": {"code": "IST0101"}}]},
            None,
            "Istio refuses it: IST0101",
        ),
        ({"validationMessages": [{"level": "WARNING", "type": {"code": "IST1"}}]}, 3, ""),
        ({"observedGeneration": "3"}, 3, ""),
        ({"observedGeneration": 2}, 2, ""),
        ({"observedGeneration": "2", "validationMessages": [{"level": "ERROR"}]}, 2, ""),
        ({"conditions": [UNRECONCILED | {"observedGeneration": 2}]}, 2, ""),
        ({"conditions": [UNRECONCILED]}, None, "Istio has not reconciled it yet"),
        ({"conditions": [{"type": "Other", "status": "False"}]}, 3, ""),
    ],
)
def test_istio_tells_only_of_what_went_wrong(status, accepted, message):
    """Silence is acceptance, and what it said of an older generation holds no longer."""
    found = istio.route_facts(in_cluster(virtual_service(), **status), BOTH)
    assert (found.accepted_generation, found.message) == (accepted, message)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({1: {"target": -1}}, "weight -1 for Service target is not between 0 and 2147483647"),
        ({1: {"target": 2**31}}, "weight 2147483648 for Service target is not between"),
        ({1: {"target": 0}}, "HTTP route 1 of VirtualService/model would send traffic to nobody"),
        ({1: {"other": 1}}, "lists no Service other in HTTP route 1"),
        ({0: {"target": 1}}, "lists no Service target in HTTP route 0"),
    ],
)
async def test_a_weight_that_the_route_has_no_place_for_is_refused(weights, said):
    """Before anything is sent."""
    found = istio.route_facts(in_cluster(virtual_service()), BOTH)
    with pytest.raises(InvalidError, match=said):
        await istio.VirtualServiceTraffic(Objects()).write(found, weights)


# ingress-nginx


@pytest.mark.parametrize(
    ("weight", "total", "target", "canary", "grain"),
    [
        ("5", None, 95, 5, 100),
        ("5", "1000", 995, 5, 1000),
        ("5", "10", 95, 5, 100),
        ("10", "0", 90, 10, 100),
        ("150", None, 0, 100, 100),
        ("2000", "1000", 0, 1000, 1000),
        ("many", "some", 100, 0, 100),
    ],
)
def test_a_canary_takes_its_weight_of_the_total(weight, total, target, canary, grain):
    """As ingress-nginx counts: a total below 100 is 100, and no weight is more than all."""
    annotations = {"canary-weight": weight} | ({"canary-weight-total": total} if total else {})
    found = nginx.route_facts(in_cluster(ingress(**annotations)), BOTH)
    assert dict(found.rules[0].weights) == {"target": target, "next": canary}
    assert found.grain == grain


def test_one_canary_cannot_lead_to_both():
    """The sentence says to choose."""
    found = nginx.route_facts(in_cluster(ingress()), Services("target", "next", "simple"))
    assert found.rules == ()
    assert found.message == (
        "ingress-nginx allows one canary Ingress: name a candidate or a fallback, not both"
    )


@pytest.mark.parametrize(
    ("annotations", "services", "said"),
    [
        ({"canary": "false"}, BOTH, "is no canary: set its annotation"),
        ({"canary-by-header": "x"}, BOTH, "by header or cookie"),
        ({}, Services("target", "other", None), "leads to next: it must lead to other alone"),
        ({}, Services("target", None, None), "must lead to a candidate or a fallback alone"),
    ],
)
def test_an_ingress_that_is_no_canary_of_ours_is_refused(annotations, services, said):
    """Each with what to change."""
    with pytest.raises(InvalidError, match=re.escape(said)):
        nginx.route_facts(in_cluster(ingress(**annotations)), services)


async def test_a_canary_has_no_weight_for_others():
    """Nothing is sent."""
    found = nginx.route_facts(in_cluster(ingress()), BOTH)
    with pytest.raises(InvalidError, match="splits between target and next only"):
        await nginx.IngressTraffic(Objects()).write(found, {0: {"other": 1}})


# A Service's selector


async def read_front(front: dict[str, Any], *named: dict[str, Any], services: Services = BOTH):
    """Return what a front Service says about those it is switched between."""
    bodies = [in_cluster(one) for one in (front, *named)]
    api = service_selector.ServiceSelectorTraffic(Objects(*bodies))
    return await api.read(ObjectRef("Service", "demo", "model"), services)


async def test_the_service_with_the_same_selector_has_the_traffic():
    """All of it: such a router can only switch."""
    found = await read_front(service("model", "next"), service("target"), service("next"))
    assert dict(found.rules[0].weights) == {"next": 1, "target": 0}
    assert found.grain == 1
    assert ObjectRef("Service", "demo", "target") in found.parts


async def test_a_selector_of_nobody_is_told():
    """There is then no rule that could be written."""
    found = await read_front(service("model", "else"), service("target"), service("next"))
    assert found.rules == ()
    assert found.message == "its selector is that of none of next, target"


async def test_two_services_of_the_same_pods_are_refused():
    """Nobody could tell which of them has the traffic."""
    with pytest.raises(InvalidError, match="two of the Services next, target select the same"):
        await read_front(service("model"), service("target", "x"), service("next", "x"))


async def test_the_front_is_a_service_of_its_own():
    """Switching a Service to itself would change nothing."""
    with pytest.raises(InvalidError, match="must be a Service of its own in front"):
        await read_front(service("model"), services=Services("model", "next", None))


@pytest.mark.parametrize("weights", [{"target": 1, "next": 1}, {"target": 0}, {"other": 1}, {}])
async def test_a_switch_needs_exactly_one(weights):
    """Nothing is sent otherwise."""
    front = service("model", "next")
    found = await read_front(front, service("target"), service("next"))
    with pytest.raises(InvalidError, match="exactly one Service gets the traffic"):
        await service_selector.ServiceSelectorTraffic(Objects()).write(found, {0: weights})


# A ratio of replicas


def scaled(name: str, replicas: int, ready: int) -> dict[str, Any]:
    """Return a Deployment with some pods ready."""
    return in_cluster(deployment(name, replicas), readyReplicas=ready, replicas=replicas)


async def test_pods_are_the_split_and_are_waited_for():
    """In effect when as many are ready as are wanted."""
    ref = ObjectRef("ReplicaRatio", "demo", "target")
    router = replica_ratio.ReplicaRatioTraffic(
        Objects(scaled("target", 3, 3), scaled("next", 1, 1))
    )
    found = await router.read(ref, BOTH)
    assert (dict(found.rules[0].weights), found.grain) == ({"target": 3, "next": 1}, 4)
    assert (found.in_effect, found.piecemeal, found.resource_version) == (True, True, "7/7")
    router = replica_ratio.ReplicaRatioTraffic(
        Objects(scaled("target", 3, 2), scaled("next", 1, 1))
    )
    waiting = await router.read(ref, BOTH)
    assert (waiting.in_effect, waiting.message) == (
        False,
        "waiting for 1 of 4 pods to become ready",
    )


@pytest.mark.parametrize(
    ("services", "said"),
    [
        (
            Services("target", "next", "simple"),
            "a circuit needs a router, for example an HTTPRoute",
        ),
        (Services("target", None, None), "name a candidate, or leave traffic out"),
    ],
)
async def test_a_ratio_is_between_target_and_candidate(services: Services, said: str):
    """Pods alone cannot stand in for a fallback, and one Deployment divides nothing."""
    router = replica_ratio.ReplicaRatioTraffic(Objects())
    with pytest.raises(InvalidError, match=said):
        await router.read(ObjectRef("ReplicaRatio", "demo", "target"), services)


async def test_an_autoscaler_would_undo_the_split():
    """The sentence names it."""
    objects = Objects(scaled("target", 3, 3), scaled("next", 1, 1))
    target = {"kind": "Deployment", "name": "next"}
    objects.autoscalers = [{"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": target}}]
    router = replica_ratio.ReplicaRatioTraffic(objects)
    with pytest.raises(InvalidError, match="HorizontalPodAutoscaler/hpa sets the replicas of next"):
        await router.read(ObjectRef("ReplicaRatio", "demo", "target"), BOTH)


async def test_a_ratio_has_no_replicas_for_others():
    """Nothing is sent."""
    objects = Objects(scaled("target", 3, 3), scaled("next", 1, 1))
    router = replica_ratio.ReplicaRatioTraffic(objects)
    found = await router.read(ObjectRef("ReplicaRatio", "demo", "target"), BOTH)
    with pytest.raises(InvalidError, match="splits between target and next only"):
        await router.write(found, {0: {"other": 1}})
