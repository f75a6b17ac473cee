"""GRPCRoutes are steered like HTTPRoutes, under their own name."""

import copy
from typing import Any

import jsonpatch
import pytest
from tests.adapters.router_cases import grpc_route

from backstop.adapters.traffic.registry import WATCHED, Routers, facts_of
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import InvalidError, UnknownKindError

Json = dict[str, Any]
REF = ObjectRef("GRPCRoute", "demo", "model")
BOTH = Services("target", "next", None)
PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/grpcroutes/model"


class OneRoute:
    """The API server's part: keeps one GRPCRoute, and where it was written."""

    def __init__(self) -> None:
        self.body = grpc_route()
        self.body["metadata"] |= {"namespace": "demo", "resourceVersion": "7", "generation": 3}
        self.patches: list[tuple[str, list[Json]]] = []

    async def get(self, path: str) -> Json:
        assert path == PATH
        return copy.deepcopy(self.body)

    async def json_patch(self, path: str, body: list[Json]) -> Json:
        self.patches.append((path, body))
        self.body = jsonpatch.apply_patch(self.body, body)
        return copy.deepcopy(self.body)


async def test_a_shift():
    """Read, write and what the write returns are all of the GRPCRoute."""
    api = OneRoute()
    routers = Routers(api)  # type: ignore[arg-type]
    facts = await routers.read(REF, BOTH)
    assert [(rule.index, dict(rule.weights)) for rule in facts.rules] == [
        (1, {"target": 100, "next": 0})
    ]
    shifted = await routers.write(facts, {1: {"target": 75, "next": 25}})
    assert (facts.ref, shifted.ref) == (REF, REF)
    assert dict(shifted.rules[0].weights) == {"target": 75, "next": 25}
    assert [path for path, _ in api.patches] == [PATH]
    place = "/spec/rules/1/backendRefs"
    assert api.patches[0][1] == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": f"{place}/0/name", "value": "target"},
        {"op": "add", "path": f"{place}/0/weight", "value": 75},
        {"op": "test", "path": f"{place}/1/name", "value": "next"},
        {"op": "add", "path": f"{place}/1/weight", "value": 25},
    ]


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute", "VirtualService"])
def test_an_object_without_a_kind_of_its_own_is_of_the_kind_that_is_watched(kind):
    """As the items of a list are."""
    body = OneRoute().body
    del body["kind"]
    found = facts_of(kind, body, BOTH)
    assert found is not None
    assert found.ref == ObjectRef(kind, "demo", "model")
    assert kind in WATCHED


def test_the_words_name_the_grpc_route():
    """A person sees which of the routes of that name is meant."""
    body = OneRoute().body
    body["spec"]["rules"][1]["backendRefs"].append({"name": "next", "port": 81})
    with pytest.raises(InvalidError, match="rule 1 of GRPCRoute/model lists Service next twice"):
        facts_of("GRPCRoute", body, BOTH)


@pytest.mark.parametrize(
    ("status", "accepted", "message"),
    [
        ("True", 3, ""),
        ("False", None, "Gateway/edge does not accept the route: no listener takes gRPC"),
    ],
)
def test_the_gateway_has_the_last_word(status, accepted, message):
    """A GRPCRoute is in effect when all of its parents have accepted it."""
    body = OneRoute().body
    condition = {
        "type": "Accepted",
        "status": status,
        "observedGeneration": 3,
        "message": "no listener takes gRPC",
    }
    parent = {"name": "edge", "namespace": "default"}
    body["status"] = {"parents": [{"parentRef": parent, "conditions": [condition]}]}
    found = facts_of("GRPCRoute", body, BOTH)
    assert found is not None
    assert (found.accepted_generation, found.message) == (accepted, message)


class Without:
    """A cluster in which the project of a router is not installed."""

    async def get(self, path: str) -> Json:
        raise UnknownKindError(f"the cluster does not know {path.split('/')[-2]}")


@pytest.mark.parametrize("kind", sorted(WATCHED))
async def test_a_kind_that_is_not_installed_is_told_as_such(kind):
    """For each kind that is read as one object."""
    with pytest.raises(UnknownKindError, match=f"does not know {WATCHED[kind][2]}"):
        await Routers(Without()).read(ObjectRef(kind, "demo", "x"), BOTH)  # type: ignore[arg-type]
