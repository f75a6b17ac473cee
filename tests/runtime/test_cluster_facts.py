"""What a write returns never takes the place of what a watch has shown since."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.build import deployment, route

from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.runtime.cluster import Cluster, _of_route

SERVICES = Services(target="fraud", candidate=None, fallback="simple")
REF = ObjectRef("HTTPRoute", "demo", "fraud")


class Nothing:
    """Neither reads nor tells the time."""

    def now(self) -> float:
        return 0.0


def cluster() -> Cluster:
    unused: Any = Nothing()
    return Cluster(unused, unused, lambda _: True, unused, frozenset({"HTTPRoute", "Deployment"}))


def body(version: str) -> dict[str, Any]:
    return {"metadata": {"name": "fraud", "namespace": "demo", "resourceVersion": version}}


def test_acceptance_that_is_watched_before_the_write_returns_is_kept():
    """A gateway can be faster than the answer to our own write; its word must not be lost."""
    known = cluster()
    known.saw(REF, body("12"), workload=False)
    known.learn(replace(route({"fraud": 0, "simple": 100}), resource_version="11"), SERVICES)
    assert known._routes == {}
    newer = replace(route({"fraud": 0, "simple": 100}), resource_version="13")
    known.learn(newer, SERVICES)
    assert known._routes[REF, SERVICES].facts == newer


def test_workload_that_is_watched_before_the_write_returns_is_kept():
    """The same for a Deployment whose controller is faster."""
    known = cluster()
    newer = replace(deployment("v2"), resource_version="12")
    known.learn(newer, None)
    known.learn(replace(deployment("v1"), resource_version="11"), None)
    assert known._workloads[newer.ref].facts.fingerprint == "v2"


def test_versions_that_are_no_numbers_are_not_compared():
    """Where nothing can be told, what was just returned holds."""
    known = cluster()
    known.saw(REF, body("b"), workload=False)
    facts = replace(route({"fraud": 1}), resource_version="a")
    known.learn(facts, SERVICES)
    assert known._routes[REF, SERVICES].facts == facts


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("HTTPRoute", "not reported", "no rule that lists fraud and simple; add the missing"),
        ("GRPCRoute", "not reported", "the missing backendRefs with weight 0"),
        ("VirtualService", "", "the missing destinations with weight 0"),
        ("VirtualService", "Istio refuses it", "the missing destinations with weight 0"),
        ("Ingress", "one canary only", "Ingress/fraud: one canary only"),
        ("InferenceService", "", "the missing ones with weight 0"),
    ],
)
def test_a_router_without_a_rule_says_what_to_add(kind, message, said):
    """In the words of its kind."""
    ref = ObjectRef(kind, "demo", "fraud")
    problem = _of_route(replace(route(), ref=ref, rules=(), message=message), SERVICES)
    assert problem is not None
    assert said in problem.message


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("GRPCRoute", "no listener", "no gateway has accepted the newest GRPCRoute/fraud yet no"),
        ("ReplicaRatio", "waiting for 1 of 4 pods", "ReplicaRatio/fraud is not in effect yet: wai"),
        ("VirtualService", "", "is not in effect yet: its controller has not seen it"),
    ],
)
def test_a_router_that_is_not_in_effect_says_what_is_waited_for(kind, message, said):
    """Only some kinds have gateways."""
    ref = ObjectRef(kind, "demo", "fraud")
    facts = replace(route({"fraud": 1}), ref=ref, accepted_generation=None, message=message)
    problem = _of_route(facts, SERVICES)
    assert problem is not None
    assert said in problem.message
