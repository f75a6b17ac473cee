"""Of a route that others own too only our weights change, and never over others' changes."""

from __future__ import annotations

import copy
import json

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What, Write
from tests.cluster.stage import (
    CANDIDATE,
    FALLBACK,
    ROUTE,
    TARGET,
    Object,
    Stage,
    actions,
)

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}
OURS = 2
"""The rule that lists target and fallback."""


def _shared_route(host: str) -> Object:
    """Return a route with rules, filters, matches and notes of others around our rule."""
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}
    tagged = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-arm", "value": "a"}]},
    }
    shadow = {"headers": [{"name": "x-shadow", "value": "yes"}]}
    route = manifests.route(host, WEIGHTS)
    route["metadata"] |= {"annotations": {"team/note": "ours"}, "labels": {"team": "edge"}}
    backends = route["spec"]["rules"][0]["backendRefs"]
    backends[0]["filters"] = [tagged]
    route["spec"]["rules"] = [
        {
            "matches": [shadow, {"path": {"type": "PathPrefix", "value": "/shadow"}}],
            "filters": [header],
            "backendRefs": [{"name": FALLBACK, "port": 80, "weight": 3}],
        },
        {
            "matches": [{"path": {"type": "Exact", "value": "/old"}}],
            "filters": [
                {
                    "type": "RequestRedirect",
                    "requestRedirect": {
                        "statusCode": 301,
                        "path": {"type": "ReplaceFullPath", "replaceFullPath": "/predict"},
                    },
                }
            ],
        },
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "method": "GET"}],
            "filters": [header],
            "backendRefs": [{"name": CANDIDATE, "port": 80, "weight": 5}, *backends],
            "timeouts": {"request": "2s"},
        },
    ]
    return route


def _text(route: Object, weights: dict[str, int] | None = None) -> str:
    """Return the route as text without what the API server counts; with `weights` in our rule."""
    kept = copy.deepcopy(route)
    for volatile in ("resourceVersion", "generation", "managedFields"):
        kept["metadata"].pop(volatile)
    kept.pop("status", None)
    for backend in kept["spec"]["rules"][OURS]["backendRefs"]:
        backend["weight"] = (weights or {}).get(backend["name"], backend["weight"])
    return json.dumps(kept)


async def test_route_of_many_owners_is_identical_but_for_our_weights(stage: Stage) -> None:
    """While open only our two weights differ; after closing the text is the same byte for byte."""
    await stage.start()
    await stage.serve({**WEIGHTS, CANDIDATE: 0})
    await stage.apply(_shared_route(stage.host))
    before = await stage.get("HTTPRoute", ROUTE)
    await stage.watch()
    await stage.until_good()
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")
    assert await stage.weights(OURS) == {CANDIDATE: 5, TARGET: 0, FALLBACK: 100}
    assert _text(await stage.get("HTTPRoute", ROUTE), WEIGHTS) == _text(before)
    await stage.fault(0.0, TARGET)
    await stage.until_resolved()
    assert _text(await stage.get("HTTPRoute", ROUTE)) == _text(before)


async def test_conflict_is_read_again_and_the_other_change_survives(stage: Stage) -> None:
    """A change between our read and our write costs one refused write, and nothing is lost."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()

    async def interfere(write: Write) -> None:
        if write.what is What.ROUTE and not operator.proxy.wrote(What.ROUTE):
            operator.proxy.before = _unhindered
            note = {"metadata": {"annotations": {"team/note": "just now"}}}
            await stage.api.patch(stage.path("HTTPRoute", ROUTE), note)

    operator.proxy.before = interfere
    await stage.fault(1.0, TARGET)
    opened = await stage.until_circuit("Open")
    route = await stage.get("HTTPRoute", ROUTE)
    assert await stage.weights() == {TARGET: 0, FALLBACK: 100}
    assert route["metadata"]["annotations"]["team/note"] == "just now"
    assert [one.code for one in operator.proxy.writes if one.what is What.ROUTE] == [409, 200]
    assert len(actions(opened["incident"], "openCircuit")) == 1


async def test_weights_that_somebody_else_has_just_set_are_not_overwritten(stage: Stage) -> None:
    """The action fails and says so; the next decision starts from the new weights."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    theirs = {TARGET: 61, FALLBACK: 39}

    async def interfere(write: Write) -> None:
        if write.what is What.ROUTE:
            operator.proxy.before = _unhindered
            await stage.apply(manifests.route(stage.host, theirs))

    operator.proxy.before = interfere
    await stage.fault(1.0, TARGET)
    status = await stage.until_status(
        "the action has failed",
        lambda s: [one for one in actions(s.get("incident") or {}) if one["state"] == "Failed"],
    )
    failed = next(one for one in actions(status["incident"]) if one["state"] == "Failed")
    assert "changed by someone else" in failed["message"]
    assert str(theirs[TARGET]) in failed["message"]
    assert "HTTPRoute/model" in failed["message"]
    await stage.until_circuit("Open")
    codes = [one.code for one in operator.proxy.writes if one.what is What.ROUTE]
    assert codes == [409, 200]
    await stage.fault(0.0, TARGET)
    await stage.until_resolved()
    assert await stage.weights() == theirs


async def _unhindered(_: Write) -> None:
    pass
