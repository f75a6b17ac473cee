"""HTTPRoutes: which rules can be steered, and that a write moves weights and nothing else."""

import asyncio
import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.adapters.traffic.gateway_api import GatewayApiTraffic, route_facts
from backstop.core.weights import Services
from backstop.ports import InvalidError

Json = dict[str, Any]
BOTH = Services("model", None, "fallback")
GATEWAY = {"name": "edge"}


def backend(name: str, weight: int | None = None, **more: object) -> Json:
    return {"name": name, "port": 80} | ({} if weight is None else {"weight": weight}) | more


def route(
    *rules: list[Json], parents: list[Json] | None = None, reports: list[Json] | None = None
) -> Json:
    return {
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "u1",
            "resourceVersion": "7",
            "generation": 3,
        },
        "spec": {
            "parentRefs": [GATEWAY] if parents is None else parents,
            "rules": [{"backendRefs": rule} for rule in rules],
        },
        "status": {"parents": reports or []},
    }


def report(parent: Json = GATEWAY, status: str = "True", generation: int = 3, **more: str) -> Json:
    accepted = {"type": "Accepted", "status": status, "observedGeneration": generation} | more
    resolved = {"type": "ResolvedRefs", "status": "False", "observedGeneration": 9}
    return {"parentRef": parent, "conditions": [resolved, accepted]}


class OneRoute:
    """The API server's part: applies JSON patches to one route, and keeps them."""

    def __init__(self, body: Json) -> None:
        self.body = body
        self.patches: list[list[Json]] = []

    async def get(self, path: str) -> Json:
        assert path == "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes/web"
        return copy.deepcopy(self.body)

    async def json_patch(self, _path: str, body: list[Json]) -> Json:
        self.patches.append(body)
        self.body = jsonpatch.apply_patch(self.body, body)
        return copy.deepcopy(self.body)


# Which rules


def test_only_rules_with_all_services():
    """Rules that lack one of the Services are not ours, wherever they stand."""
    facts = route_facts(
        route(
            [backend("model", 1)],
            [backend("model", 90), backend("fallback", 10), backend("other", 5)],
            [],
            [backend("fallback", 0), backend("model")],
        ),
        BOTH,
    )
    assert [(rule.index, dict(rule.weights)) for rule in facts.rules] == [
        (1, {"model": 90, "fallback": 10, "other": 5}),
        (3, {"fallback": 0, "model": 1}),
    ]
    assert (str(facts.ref), facts.ref.namespace) == ("HTTPRoute/web", "demo")
    assert (facts.uid, facts.resource_version, facts.generation) == ("u1", "7", 3)


@pytest.mark.parametrize(
    ("more", "ours"),
    [
        ({}, True),
        ({"kind": "Service", "group": "", "namespace": "demo"}, True),
        ({"kind": "Service", "group": None, "namespace": None}, True),
        ({"namespace": "elsewhere"}, False),
        ({"kind": "ServiceImport", "group": "multicluster.x-k8s.io"}, False),
        ({"group": "example.com"}, False),
    ],
)
def test_only_services_of_the_same_namespace(more, ours):
    """A backend of another kind or namespace is not the Service of the same name."""
    facts = route_facts(route([backend("model", 9, **more), backend("fallback", 1)]), BOTH)
    assert bool(facts.rules) is ours


def test_a_service_listed_twice():
    """Weights by name make no sense there, and the message says what to change."""
    twice = route([backend("model"), backend("fallback"), backend("model", port=81)])
    with pytest.raises(InvalidError, match=r"lists Service model twice.*list it once"):
        route_facts(twice, BOTH)


def test_a_service_listed_twice_elsewhere():
    """In a rule that is not ours it is nobody's trouble."""
    twice = [backend("other"), backend("other", port=81)]
    facts = route_facts(route(twice, [backend("model"), backend("fallback")]), BOTH)
    assert [rule.index for rule in facts.rules] == [1]


# Whether it is in effect

SPELT_OUT = GATEWAY | {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "namespace": "demo",
}
SECOND = {"name": "inner", "namespace": "infra", "sectionName": "https"}


@pytest.mark.parametrize(
    ("parents", "reports", "accepted", "message"),
    [
        ([GATEWAY], [report()], 3, ""),
        ([GATEWAY], [report(generation=2)], 2, ""),
        ([GATEWAY, SECOND], [report(), report(SECOND, generation=1)], 1, ""),
        (
            [GATEWAY],
            [report(SPELT_OUT)],
            3,
            "",
        ),
        ([GATEWAY], [], None, "Gateway/edge has not reported on the route yet"),
        ([GATEWAY, SECOND], [report()], None, "Gateway/inner has not reported on the route yet"),
        ([GATEWAY], [report({"name": "edge", "sectionName": "x"})], None,
         "Gateway/edge has not reported on the route yet"),
        ([GATEWAY], [report(), report(SECOND, status="False")], 3, ""),
        (
            [GATEWAY],
            [report(status="False", message="no listener\nmatches", reason="NoMatchingParent")],
            None,
            "Gateway/edge does not accept the route: no listener matches",
        ),
        (
            [GATEWAY],
            [report(), report(status="False", reason="NoMatchingParent")],
            None,
            "Gateway/edge does not accept the route: NoMatchingParent",
        ),
        ([GATEWAY], [report(generation=1), report()], 3, ""),
        ([GATEWAY], [{"parentRef": GATEWAY, "conditions": []}, report(generation=2)], 2, ""),
        (
            [GATEWAY],
            [report(status="False", reason="NoMatchingParent"), report(generation=2)],
            None,
            "Gateway/edge does not accept the route: NoMatchingParent",
        ),
        (
            [GATEWAY],
            [report(status="Unknown")],
            None,
            "Gateway/edge does not accept the route: it gives no reason",
        ),
        (
            [GATEWAY],
            [{"parentRef": GATEWAY, "conditions": []}],
            None,
            "Gateway/edge has not said whether it accepts the route",
        ),
        ([], [], None, "the route names no parent, so no gateway serves it"),
    ],
)  # fmt: skip
def test_acceptance(parents, reports, accepted, message):
    """The slowest parent counts; one that refuses or is silent means not accepted, in its words.

    Of several reports on one parent the newest counts: who has moved a gateway to another
    implementation keeps the last word of the old one in the status.
    """
    rules = [backend("model"), backend("fallback")]
    facts = route_facts(route(rules, parents=parents, reports=reports), BOTH)
    assert (facts.accepted_generation, facts.message) == (accepted, message)
    assert facts.in_effect is (accepted == 3)


def test_a_backend_that_cannot_be_resolved():
    """The gateway's words on a missing backend are kept; a route is not rejected for it."""
    broken = report()
    broken["conditions"][0]["message"] = "Service simple has no port 80"
    facts = route_facts(route([backend("model")], reports=[broken]), Services("model", None, None))
    assert facts.in_effect
    assert facts.unresolved == (
        "Gateway/edge cannot resolve a backend: Service simple has no port 80"
    )
    fine = report()
    fine["conditions"][0]["status"] = "True"
    facts = route_facts(route([backend("model")], reports=[fine]), Services("model", None, None))
    assert facts.unresolved == ""


# What a write changes

names = st.sampled_from(["model", "fallback", "canary", "other"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
extras = st.dictionaries(st.sampled_from(["filters", "matches", "timeouts", "x~/y"]), scalars)
backends = st.builds(
    lambda name, weight, more, foreign: backend(name, weight, **more) | foreign,
    names,
    st.none() | st.integers(0, 100),
    extras,
    st.sampled_from([{}, {}, {"namespace": "elsewhere"}, {"kind": "Other", "group": "x.io"}]),
)
unique = st.lists(backends, max_size=5, unique_by=lambda one: one["name"])
rules_of_a_route = st.lists(
    st.builds(lambda refs, more: {"backendRefs": refs} | more, unique, extras), max_size=5
)


@given(rules_of_a_route, st.data())
def test_a_write_changes_weights_and_nothing_else(rules, data):
    """Every other byte of the route, foreign rules and filters included, stays as it was."""
    body = route() | {"extra": {"b": 1, "a": [None]}}
    body["spec"]["rules"] = rules
    facts = route_facts(body, BOTH)
    wanted = {
        rule.index: {
            name: data.draw(st.integers(0, 1_000_000))
            for name in data.draw(st.sets(st.sampled_from(sorted(rule.weights))))
        }
        for rule in facts.rules
    }
    expected = copy.deepcopy(body)
    for index, weights in wanted.items():
        for one in expected["spec"]["rules"][index]["backendRefs"]:
            is_ours = "namespace" not in one and "kind" not in one
            if is_ours and one["name"] in weights and weights[one["name"]] != one.get("weight", 1):
                one["weight"] = weights[one["name"]]
    api = OneRoute(body)
    written = asyncio.run(GatewayApiTraffic(api).write(facts, wanted))  # type: ignore[arg-type]
    assert json.dumps(api.body, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert written == route_facts(expected, BOTH)
    assert bool(api.patches) is (expected != body)


async def test_a_write_is_guarded():
    """One patch carries the version that was read, and tests each backend that it touches."""
    api = OneRoute(route([backend("model", 100), backend("fallback")]))
    traffic = GatewayApiTraffic(api)  # type: ignore[arg-type]
    facts = await traffic.read(route_facts(api.body, BOTH).ref, BOTH)
    after = await traffic.write(facts, {0: {"model": 0, "fallback": 100}})
    assert api.patches == [
        [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "test", "path": "/spec/rules/0/backendRefs/0/name", "value": "model"},
            {"op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 0},
            {"op": "test", "path": "/spec/rules/0/backendRefs/1/name", "value": "fallback"},
            {"op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 100},
        ]
    ]
    assert dict(after.rules[0].weights) == {"model": 0, "fallback": 100}


async def test_weights_that_are_so_already_are_not_written():
    """Nothing is sent when there is nothing to change."""
    api = OneRoute(route([backend("model"), backend("fallback", 0)]))
    facts = route_facts(api.body, BOTH)
    traffic = GatewayApiTraffic(api)  # type: ignore[arg-type]
    assert await traffic.write(facts, {0: {"model": 1, "fallback": 0}}) is facts
    assert api.patches == []


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({1: {"model": 0}}, "lists no Service model in rule 1"),
        ({0: {"stranger": 0}}, "lists no Service stranger in rule 0"),
        ({0: {"model": -1}}, "weight -1 for Service model is not between 0 and 1000000"),
        ({0: {"model": 1_000_001}}, "is not between 0 and 1000000"),
    ],
)
async def test_weights_that_cannot_be(weights, message):
    """What was not read, or what the Gateway API forbids, is refused before anything is sent."""
    api = OneRoute(route([backend("model"), backend("fallback")], [backend("model")]))
    traffic = GatewayApiTraffic(api)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match=message):
        await traffic.write(route_facts(api.body, BOTH), weights)
    assert api.patches == []
