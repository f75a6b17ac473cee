"""What a write returns never takes the place of what a watch has shown since."""

from dataclasses import replace
from typing import Any

from tests.core.build import deployment, route

from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.runtime.cluster import Cluster

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
