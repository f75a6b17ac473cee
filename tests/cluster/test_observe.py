"""Mode Observe: everything is decided and told, nothing is done."""

from __future__ import annotations

import pytest
from tests.cluster.api_proxy import What
from tests.cluster.stage import FALLBACK, MONITOR, ROUTE, TARGET, Object, Stage, actions, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


async def test_observe_records_what_it_would_do_and_writes_to_no_target(stage: Stage) -> None:
    """The Incident holds the actions as Observed; route, Deployment and monitor are untouched."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(mode="Observe")
    await stage.until_good()
    route = await stage.get("HTTPRoute", ROUTE)
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")

    async def observed() -> Object | None:
        steps = {"openCircuit", "rollback", "notify"}
        for incident in await stage.incidents():
            if {one["step"] for one in actions(incident["status"])} == steps:
                return incident
        return None

    incident = await until("all actions are observed", observed)
    assert {one["state"] for one in actions(incident["status"])} == {"Observed"}
    assert incident["spec"]["mode"] == "Observe"
    assert "mitigated" not in incident["status"]

    async def told() -> bool:
        return "WouldAct" in await stage.event_reasons()

    await until("an Event with reason WouldAct", told)
    await stage.release(VERSION="v3", ERROR_RATE="0")
    await stage.until_resolved()
    assert not operator.proxy.wrote(What.ROUTE, What.DEPLOYMENT, What.MONITOR, What.OTHER)
    assert (await stage.get("HTTPRoute", ROUTE))["spec"] == route["spec"]
    assert await stage.generation() == bad["metadata"]["generation"] + 1
    assert "finalizers" not in (await stage.get("ModelMonitor", MONITOR))["metadata"]
