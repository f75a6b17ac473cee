"""What a write returns never takes the place of what a watch has shown since."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.core.build import deployment, route

from backstop.core.facts import ObjectRef, RouteFacts
from backstop.core.weights import Services
from backstop.ports import NotFoundError
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


class Slow:
    """A workload and a router of which each read takes as long as it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def read(self, *_: Any) -> Any:
        self.asked.set()
        await self.go.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def watched_deployment(version: str, ready: int) -> dict[str, Any]:
    """Return a Deployment as the watch shows it."""
    metadata = {"name": "fraud", "namespace": "demo", "uid": "d", "resourceVersion": version}
    template = {"metadata": {}, "spec": {"containers": []}}
    spec = {"replicas": 2, "selector": {}, "template": template}
    return {"metadata": metadata, "spec": spec, "status": {"readyReplicas": ready}}


def watched_route(version: str, weight: int) -> dict[str, Any]:
    """Return an HTTPRoute as the watch shows it."""
    backends = [{"name": "fraud", "weight": weight}, {"name": "simple", "weight": 0}]
    return {**body(version), "spec": {"rules": [{"backendRefs": backends}]}}


def names_both() -> Any:
    """Return what names the Deployment and the route."""
    return SimpleNamespace(
        is_busy=False, target=TARGET, candidate=None, route=REF, services=SERVICES
    )


async def around_while_told(reads: Slow, *told: tuple[ObjectRef, Any]) -> tuple[Any, Any]:
    """Return target and route at the first look and the next, ``told`` while they are read."""
    unused: Any = Nothing()
    routes: Any = reads if reads.answer is None or isinstance(reads.answer, RouteFacts) else unused
    known = Cluster(
        cast("Any", reads if routes is unused else Slow(deployment())),
        routes,
        lambda _: True,
        unused,
        frozenset({"HTTPRoute", "Deployment"}),
    )
    if routes is unused:
        known.saw(REF, watched_route("1", 100), workload=False)
    else:
        known.saw(TARGET, watched_deployment("1", 2), workload=True)
    first = asyncio.create_task(known.around(names_both()))
    await reads.asked.wait()
    for ref, what in told:
        known.saw(ref, what, workload=ref.kind == "Deployment")
    reads.go.set()
    await first
    return await first, await known.around(names_both())


TARGET = ObjectRef("Deployment", "demo", "fraud")


@pytest.mark.parametrize(
    "answer", [NotFoundError("not there yet"), replace(deployment("v1", ready=0), ready=0)]
)
async def test_workload_that_is_watched_while_it_is_read_is_kept(answer):
    """What was read before is older, and no further event may come to put it right."""
    found = await around_while_told(Slow(answer), (TARGET, watched_deployment("12", 2)))
    assert [one.target.ready for one in found if one.target] == [2, 2]


@pytest.mark.parametrize(("told", "weight"), [(watched_route("12", 7), 7), (None, None)])
async def test_route_that_is_watched_while_it_is_read_is_kept(told, weight):
    """The same for a router, also for one that is deleted meanwhile."""
    found = await around_while_told(Slow(route({"fraud": 100, "simple": 0})), (REF, told))
    last = found[1].route
    assert (last.rules[0].weights["fraud"] if last else None) == weight


def test_what_is_made_of_several_objects_is_dropped_with_each_of_them():
    """It is found by an index: an event must not cost more the more monitors there are."""
    known, one = cluster(), ObjectRef("ReplicaRatio", "demo", "fraud")
    first, second = (ObjectRef("Deployment", "demo", name) for name in ("fraud", "next"))
    split = replace(route({"fraud": 1}), ref=one, resource_version="a")
    other = Services(target="fraud", candidate="next", fallback=None)
    for part in (first, second, one):
        known.learn(replace(split, parts=(first, second)), SERVICES)
        known.learn(replace(split, parts=(second, one)), SERVICES)
        known.learn(replace(split, parts=(first, second)), SERVICES)
        known.learn(replace(split, parts=(first, second)), other)
        assert len(known._routes) == 2
        if part == one:
            known.forget(one)
        else:
            known.saw(part, None, workload=True)
        assert (known._routes, known._about) == ({}, {})


def test_an_event_looks_at_no_route_but_its_own():
    """After a watch began anew there are tens of thousands of them, and looks must go on."""
    known, compared = cluster(), 0

    class Counted(ObjectRef):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = ObjectRef.__hash__

    for number in range(1000):
        ref = Counted("HTTPRoute", "demo", f"r{number}")
        known.learn(replace(route({"fraud": 1}), ref=ref), SERVICES)
    compared = 0
    for number in range(100):
        known.saw(ObjectRef("Deployment", "demo", f"d{number}"), None, workload=True)
    assert compared < 1000
