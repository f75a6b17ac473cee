"""What holds an action on the real cluster: a person, the kill switch, and who undoes it."""

from __future__ import annotations

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import FALLBACK, ROUTE, TARGET, Stage, actions, condition, remains, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}
ASIDE = {TARGET: 0, FALLBACK: 100}


async def annotate(stage: Stage, **annotations: str) -> None:
    """Set annotations of the monitor, as a person does."""
    named = {f"backstop.dev/{name}": value for name, value in annotations.items()}
    path = stage.path("ModelMonitor", manifests.MONITOR)
    await stage.api.patch(path, {"metadata": {"annotations": named}})


async def test_in_mode_approve_nothing_happens_without_a_person(stage: Stage) -> None:
    """What waits is told with its id; approved it goes on, and each change is asked about."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(mode="Approve")
    await stage.until_good()
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    asked = await stage.until_status("it asks", lambda s: s.get("approval"))
    assert asked["approval"]["step"] == "openCircuit"
    assert condition(asked, "Held")["reason"] == "ApprovalNeeded"

    async def untouched() -> bool:
        return await stage.weights() == WEIGHTS and not operator.proxy.wrote(What.ROUTE)

    await remains("nothing is written", untouched, seconds=3)
    await annotate(stage, approve=asked["approval"]["id"])
    await stage.until_circuit("Open")
    again = await stage.until_status(
        "it asks about the rollback",
        lambda s: (s.get("approval") or {}).get("step") == "rollback",
    )
    await annotate(stage, deny=again["approval"]["id"])
    refused = await stage.until_status(
        "the refusal is noted",
        lambda s: (
            [
                one["state"]
                for one in s["incident"].get("steps", [])
                if one["name"] == "back-to-the-good-revision"
            ]
            == ["Failed"]
        ),
    )
    assert refused["circuit"]["phase"] != "Closed"
    assert await stage.generation() == bad["metadata"]["generation"]
    await stage.release(VERSION="v3", ERROR_RATE="0")
    await stage.until_resolved()
    assert await stage.weights() == WEIGHTS


async def test_the_kill_switch_stops_every_write_until_it_is_off(stage: Stage) -> None:
    """The status says so; once it is off, what was wanted is done."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    switch = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "backstop-kill-switch"},
        "data": {"engaged": "true", "reason": "the network team works"},
    }
    path = f"/api/v1/namespaces/{stage.namespace}/configmaps/backstop-kill-switch"
    await stage.api.apply(path, switch)
    await stage.fault(1.0, TARGET)
    held = await stage.until_status("it is held", lambda s: s.get("held"))
    assert "the network team works" in held["held"]
    assert condition(held, "Held")["reason"] == "ActionHeld"

    async def untouched() -> bool:
        return not operator.proxy.wrote(What.ROUTE, What.DEPLOYMENT)

    await remains("nothing is written", untouched, seconds=4)
    await stage.api.request("DELETE", path)
    await stage.until_circuit("Open")
    assert await stage.weights() == ASIDE


async def test_what_others_undo_is_done_again_twice_and_then_left(stage: Stage) -> None:
    """Then the one who undoes it is named, and somebody is woken."""
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(circuit={"openFor": "5m", "maxOpenFor": "10m"})
    await stage.until_good()
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")
    undone = manifests.route(stage.host, WEIGHTS)
    for nth in (1, 2):
        await stage.apply(undone)
        await stage.until_status(
            f"it is done again {nth} times", lambda s, n=nth: s["incident"].get("reverts") == n
        )

        async def aside() -> bool:
            return await stage.weights() == ASIDE

        await until("the fallback answers again", aside)
    await stage.apply(undone)
    stopped = await stage.until_status("it stops", lambda s: s.get("held"))
    assert "undone by" in stopped["held"]
    manager = (await stage.get("HTTPRoute", ROUTE))["metadata"]["managedFields"]
    assert any(one["manager"] in stopped["held"] for one in manager if one["manager"])
    assert stopped["incident"]["severity"] == "P0"
    opened = actions(stopped["incident"], "openCircuit")
    assert len(opened) == 3

    async def left_alone() -> bool:
        return await stage.weights() == WEIGHTS

    await remains("it is left alone", left_alone, seconds=3)
