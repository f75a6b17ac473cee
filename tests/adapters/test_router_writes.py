"""Writes of each router: what is sent, what is refused before, and what a crash leaves behind."""

import copy
from collections.abc import Sequence
from typing import Any

import jsonpatch
import pytest
from tests.adapters.router_cases import deployment, grpc_route, ingress, service, virtual_service
from tests.core.build import T0, action, spec, view

from backstop.adapters.traffic.registry import Routers
from backstop.api.words import StepKind
from backstop.core import weights
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import InvalidError, UnavailableError
from backstop.runtime.actions.weights import MoveTraffic

Json = dict[str, Any]
BOTH = Services("target", "next", None)
VERSION = {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
NGINX_WEIGHT = "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight"


class Objects:
    """The API server's part: keeps objects by name, counts versions, and can fail a write."""

    def __init__(self, *bodies: Json) -> None:
        self.bodies: dict[str, Json] = {}
        self.sent: list[tuple[str, Any]] = []
        self.fail_after: int | None = None
        for body in bodies:
            more = {"namespace": "demo", "uid": "u", "resourceVersion": "7", "generation": 3}
            self.bodies[body["metadata"]["name"]] = {
                **body,
                "metadata": {**body["metadata"], **more},
            }

    async def get(self, path: str) -> Json:
        return copy.deepcopy(self.bodies[path.rsplit("/", 1)[1]])

    async def list(self, path: str, **query: str) -> list[Json]:  # noqa: ARG002
        return []

    async def json_patch(self, path: str, body: Sequence[Json]) -> Json:
        name = path.rsplit("/", 1)[1]
        self.sent.append((name, body))
        self.bodies[name] = jsonpatch.apply_patch(self.bodies[name], list(body))
        return copy.deepcopy(self.bodies[name])

    async def merge_patch(self, path: str, body: Json) -> Json:
        if len(self.sent) == self.fail_after:
            raise UnavailableError("the connection to the API server broke")
        name, subresource = path.rsplit("/", 2)[1:]
        assert subresource == "scale"
        changed = self.bodies[name]
        assert body["metadata"] == {"resourceVersion": changed["metadata"]["resourceVersion"]}
        self.sent.append((name, body["spec"]["replicas"]))
        changed["spec"]["replicas"] = body["spec"]["replicas"]
        changed["metadata"]["resourceVersion"] += "0"
        return changed


def front() -> list[Json]:
    """Return a front Service that leads to the target, and the two that it is switched between."""
    return [service("model", "target"), service("target"), service("next")]


@pytest.mark.parametrize(
    ("kind", "bodies", "index", "asked", "changes"),
    [
        (
            "GRPCRoute",
            [grpc_route()],
            1,
            {"target": 75, "next": 25},
            [
                {"op": "test", "path": "/spec/rules/1/backendRefs/0/name", "value": "target"},
                {"op": "add", "path": "/spec/rules/1/backendRefs/0/weight", "value": 75},
                {"op": "test", "path": "/spec/rules/1/backendRefs/1/name", "value": "next"},
                {"op": "add", "path": "/spec/rules/1/backendRefs/1/weight", "value": 25},
            ],
        ),
        (
            "VirtualService",
            [virtual_service()],
            1,
            {"target": 900, "next": 100},
            [
                {"op": "add", "path": "/spec/http/1/route/0/weight", "value": 900},
                {"op": "add", "path": "/spec/http/1/route/1/weight", "value": 100},
            ],
        ),
        (
            "Ingress",
            [ingress()],
            0,
            {"target": 75, "next": 25},
            [{"op": "add", "path": NGINX_WEIGHT, "value": "25"}],
        ),
        (
            "Service",
            front(),
            0,
            {"target": 0, "next": 1},
            [{"op": "replace", "path": "/spec/selector", "value": {"app": "next"}}],
        ),
    ],
)
async def test_a_shift_is_one_patch_under_the_version_that_was_read(
    kind, bodies, index, asked, changes
):
    """Sent to the router's own object; the same weights once more send nothing."""
    api = Objects(*bodies)
    routers = Routers(api)  # type: ignore[arg-type]
    facts = await routers.read(ObjectRef(kind, "demo", "model"), BOTH)
    after = await routers.write(facts, {index: asked})
    assert api.sent == [("model", [VERSION, *changes])]
    assert dict(after.rules[0].weights) == asked
    assert (after.ref, after.grain) == (facts.ref, facts.grain)
    await routers.write(after, {index: asked})
    assert len(api.sent) == 1


NO_SPLIT = [
    ("Ingress", [ingress()], Services("target", "next", "simple"), "allows one canary Ingress"),
    ("Service", [service("model", "x"), *front()[1:]], BOTH, "that of none of next, target"),
    ("ReplicaRatio", [deployment("target", 1), deployment("next", 0)], BOTH, "at least 2 pods"),
    ("ReplicaRatio", [deployment("target", 0), deployment("next", 0)], BOTH, "at least 2 pods"),
]


@pytest.mark.parametrize(("kind", "bodies", "services", "said"), NO_SPLIT)
async def test_a_router_with_nothing_to_divide_takes_no_weights(kind, bodies, services, said):
    """It says why; no weights at all, as when a monitor goes, are no error."""
    api = Objects(*bodies)
    routers = Routers(api)  # type: ignore[arg-type]
    name = "target" if kind == "ReplicaRatio" else "model"
    facts = await routers.read(ObjectRef(kind, "demo", name), services)
    assert facts.rules == ()
    assert said in facts.message
    assert await routers.write(facts, {}) is facts
    with pytest.raises(InvalidError, match=said):
        await routers.write(facts, {0: {"target": 1, "next": 1}})
    assert api.sent == []


@pytest.mark.parametrize(
    ("annotations", "weight", "said"),
    [
        ({}, 101, "weight 101 for Service next is not between 0 and 100"),
        ({}, -1, "weight -1 for Service next is not between 0 and 100"),
        ({"canary-weight-total": "10"}, 101, "weight 101 for Service next is not between 0"),
        ({"canary-weight-total": "1000"}, 1001, "next is not between 0 and 1000"),
    ],
)
async def test_a_canary_takes_no_more_than_the_total(annotations, weight, said):
    """ingress-nginx would take the annotation and ignore it."""
    api = Objects(ingress(**annotations))
    routers = Routers(api)  # type: ignore[arg-type]
    facts = await routers.read(ObjectRef("Ingress", "demo", "model"), BOTH)
    with pytest.raises(InvalidError, match=said):
        await routers.write(facts, {0: {"next": weight}})
    assert api.sent == []


@pytest.mark.parametrize(("total", "written"), [("10", "100"), ("100", "100"), ("1000", "1000")])
async def test_an_open_circuit_takes_all_traffic_of_a_canary(total, written):
    """A total below 100 counts as 100: less would leave traffic with the target."""
    api = Objects(ingress(**{"canary-weight-total": total}))
    routers = Routers(api)  # type: ignore[arg-type]
    ours = Services("target", None, "next")
    facts = await routers.read(ObjectRef("Ingress", "demo", "model"), ours)
    after = await routers.write(facts, weights.open_circuit(facts.rules, ours, facts.grain))
    assert api.sent[0][1][1] == {"op": "add", "path": NGINX_WEIGHT, "value": written}
    assert dict(after.rules[0].weights) == {"target": 0, "next": int(written)}


async def test_a_service_without_a_selector_cannot_answer_behind_another():
    """The endpoints of the front would stay as they are, whatever its selector says."""
    bare = service("next")
    del bare["spec"]["selector"]
    api = Objects(service("model", "target"), service("target"), bare)
    with pytest.raises(InvalidError, match="Service next has no selector"):
        await Routers(api).read(ObjectRef("Service", "demo", "model"), BOTH)  # type: ignore[arg-type]


# Replicas: two requests


async def read_ratio(api: Objects):
    """Return the facts of the ratio, and its routers."""
    routers = Routers(api)  # type: ignore[arg-type]
    return routers, await routers.read(ObjectRef("ReplicaRatio", "demo", "target"), BOTH)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"target": 1, "next": 3}, [("next", 3), ("target", 1)]),
        ({"target": 4, "next": 0}, [("target", 4), ("next", 0)]),
        ({"target": 3, "next": 2}, [("next", 2)]),
    ],
)
async def test_what_grows_does_so_before_anything_shrinks(asked, sent):
    """At no time are there fewer pods than before."""
    api = Objects(deployment("target", 3), deployment("next", 1))
    routers, facts = await read_ratio(api)
    after = await routers.write(facts, {0: asked})
    assert api.sent == sent
    assert dict(after.rules[0].weights) == asked


async def test_fewer_than_no_pods_are_refused():
    """Before anything is sent."""
    api = Objects(deployment("target", 3), deployment("next", 1))
    routers, facts = await read_ratio(api)
    with pytest.raises(InvalidError, match="fewer than 0 pods"):
        await routers.write(facts, {0: {"target": 5, "next": -1}})
    assert api.sent == []


async def test_pods_that_are_to_end_are_waited_for():
    """They still get their share of the traffic."""
    target, candidate = deployment("target", 3), deployment("next", 1)
    target["status"] = {"replicas": 4, "readyReplicas": 4}
    candidate["status"] = {"replicas": 1, "readyReplicas": 1}
    _, facts = await read_ratio(Objects(target, candidate))
    assert (facts.in_effect, facts.message) == (False, "waiting for 1 pods to end")


def ratio_action() -> tuple[Any, Any]:
    """Return a monitor whose traffic is a ratio of replicas, and its intent to shift it."""
    ratio = spec(
        target={"name": "target", "metricLabels": {"app": "target"}},
        candidate={"name": "next", "service": "both", "metricLabels": {"app": "next"}},
        fallback=None,
        traffic={"replicaRatio": {}},
    )
    change = {
        "before": weights.to_text({0: {"target": 3, "next": 1}}),
        "after": weights.to_text({0: {"target": 1, "next": 3}}),
        "subject": "ReplicaRatio/target",
    }
    return view(spec=ratio, now=T0), action(StepKind.SHIFT_TRAFFIC, **change)


async def test_a_crash_between_two_requests_is_made_good_by_the_same_change():
    """Only what is missing is sent, each once."""
    api = Objects(deployment("target", 3), deployment("next", 1))
    api.fail_after = 1
    move = MoveTraffic(Routers(api), endpoints=None)  # type: ignore[arg-type]
    monitor, shift = ratio_action()
    with pytest.raises(UnavailableError):
        await move.change(monitor, shift, lambda _: None, None)
    api.fail_after = None
    learnt: list[Any] = []
    assert await move.change(monitor, shift, learnt.append, None) == ""
    assert api.sent == [("next", 3), ("target", 1)]
    assert dict(learnt[0].rules[0].weights) == {"target": 1, "next": 3}
    assert await move.change(monitor, shift, learnt.append, None) == ""
    assert len(api.sent) == 2


async def test_replicas_that_someone_else_set_are_left_to_them():
    """Neither those of before nor those that are asked for."""
    api = Objects(deployment("target", 3), deployment("next", 2))
    move = MoveTraffic(Routers(api), endpoints=None)  # type: ignore[arg-type]
    monitor, shift = ratio_action()
    said = await move.change(monitor, shift, lambda _: None, None)
    assert said == (
        'the weights of ReplicaRatio/target were changed by someone else to {"0": {"next": 2,'
        ' "target": 3}}'
    )
    assert api.sent == []
