"""VirtualServices: a write is one guarded patch of weights, whatever else the object holds."""

import asyncio
import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.adapters.traffic.registry import Routers
from backstop.adapters.traffic.virtual_service import MAX_WEIGHT, route_facts
from backstop.core.facts import ObjectRef
from backstop.core.weights import Services
from backstop.ports import InvalidError

Json = dict[str, Any]
BOTH = Services("model", None, "fallback")
REF = ObjectRef("VirtualService", "demo", "web")
PATH = "/apis/networking.istio.io/v1/namespaces/demo/virtualservices/web"
FORMS = ("{}", "{}.demo", "{}.demo.svc", "{}.demo.svc.cluster.local")


class OneObject:
    """The API server's part: applies JSON patches to one object, and keeps them."""

    def __init__(self, body: Json) -> None:
        self.body = body
        self.patches: list[list[Json]] = []

    async def get(self, path: str) -> Json:
        assert path == PATH
        return copy.deepcopy(self.body)

    async def json_patch(self, path: str, body: list[Json]) -> Json:
        assert path == PATH
        self.patches.append(body)
        self.body = jsonpatch.apply_patch(self.body, body)
        return copy.deepcopy(self.body)


def destination(host: str, weight: int | None = None, **more: object) -> Json:
    return {"destination": {"host": host}} | ({} if weight is None else {"weight": weight}) | more


def virtual_service(*routes: list[Json], **spec: object) -> Json:
    return {
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "u1",
            "resourceVersion": "7",
            "generation": 3,
        },
        "spec": {"hosts": ["web.example.com"], "http": [{"route": one} for one in routes]} | spec,
    }


async def test_a_write_is_one_guarded_patch():
    """It carries the version that was read; only weights that differ are in it."""
    body = virtual_service(
        [destination("model")],
        [destination("other", 10), destination("model", 90), destination("fallback.demo.svc")],
    )
    api = OneObject(body)
    routers = Routers(api)  # type: ignore[arg-type]
    facts = await routers.read(REF, BOTH)
    after = await routers.write(facts, {1: {"model": 90, "fallback": 45}})
    assert api.patches == [
        [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/spec/http/1/route/2/weight", "value": 45},
        ]
    ]
    assert dict(after.rules[0].weights) == {"other": 10, "model": 90, "fallback": 45}


async def test_routes_of_others_may_leave_their_traffic_to_nobody():
    """A route that keeps a destination of somebody else can lose all of ours."""
    api = OneObject(virtual_service([destination(one, 30) for one in ("other", "model")]))
    routers = Routers(api)  # type: ignore[arg-type]
    services = Services("model", None, None)
    await routers.write(route_facts(api.body, services), {0: {"model": 0}})
    assert api.body["spec"]["http"][0]["route"][1]["weight"] == 0
    with pytest.raises(InvalidError, match="would send traffic to nobody"):
        await routers.write(route_facts(api.body, services), {0: {"other": 0}})
    assert len(api.patches) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"http": None},
        {"http": [{"redirect": {"uri": "/new"}}, {"route": None}]},
        {"http": [], "tcp": [{"route": [destination("model"), destination("fallback")]}]},
        {"http": [], "tls": [{"route": [destination("model"), destination("fallback")]}]},
        {"http": [{"route": [{"weight": 1}, destination("model")]}]},
        {"http": [{"route": [destination("model")], "mirror": {"host": "fallback"}}]},
    ],
)
def test_what_splits_no_http_traffic_between_ours_is_no_rule(spec):
    """Redirects, mirrors, and routes of TCP and TLS are none."""
    assert route_facts(virtual_service(**spec), BOTH).rules == ()


hosts = st.builds(
    lambda name, form: (name, form.format(name)),
    st.sampled_from(["model", "fallback", "canary", "other"]),
    st.sampled_from(FORMS),
)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
extras = st.dictionaries(st.sampled_from(["match", "timeout", "headers", "x~/y"]), scalars)
listed = st.lists(
    st.tuples(hosts, st.none() | st.integers(0, 100), extras),
    max_size=4,
    unique_by=lambda one: one[0][0],
)


@given(st.lists(st.tuples(listed, extras), max_size=4), st.data())
def test_a_write_changes_weights_and_nothing_else(routes, data):
    """Every other byte stays as it was, foreign routes and destinations included."""
    body = virtual_service() | {"extra": {"b": 1, "a": [None]}}
    foreign = destination("model.elsewhere", 3)
    body["spec"]["http"] = [
        {
            "route": [destination(host, weight, **more) for (_, host), weight, more in one]
            + [foreign]
        }
        | further
        for one, further in routes
    ]
    facts = route_facts(body, BOTH)
    wanted = {
        rule.index: {"model": data.draw(st.integers(1, MAX_WEIGHT))}
        | ({"fallback": 0} if data.draw(st.booleans()) else {})
        for rule in facts.rules
    }
    expected = copy.deepcopy(body)
    for index, weights in wanted.items():
        names = [name for (name, _), _, _ in routes[index][0]]
        for name, weight in weights.items():
            one = expected["spec"]["http"][index]["route"][names.index(name)]
            if weight != one.get("weight", 0):
                one["weight"] = weight
    api = OneObject(copy.deepcopy(body))
    written = asyncio.run(Routers(api).write(facts, wanted))  # type: ignore[arg-type]
    assert api.body == expected
    assert written == route_facts(expected, BOTH)
    assert bool(api.patches) is (expected != body)
