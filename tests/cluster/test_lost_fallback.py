"""A fallback that falls over under the traffic that it was given."""

from __future__ import annotations

import pytest
from tests.cluster.stage import FALLBACK, TARGET, Stage, actions, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


async def test_a_fallback_that_nobody_is_behind_is_left(stage: Stage) -> None:
    """The target answers again, somebody is woken, and the incident ends with its health."""
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(circuit={"openFor": "5m"})
    await stage.until_good()
    await stage.fault(0.5, TARGET)
    await stage.until_circuit("Open")
    await stage.scale(FALLBACK, 0)
    closed = await stage.until_circuit("Closed")
    assert await stage.weights() == WEIGHTS
    assert closed["incident"]["severity"] == "P0"
    assert "resolved" not in closed["incident"]

    async def answered() -> bool:
        newest = stage.load.answers[-20:]
        return any(one.status == 200 for one in newest)

    await until("the target answers some of the users", answered)
    await stage.fault(0.0, TARGET)
    incident = await stage.until_resolved()
    assert incident["status"]["severity"] == "P0"
    steps = [one["step"] for one in actions(incident["status"])]
    assert steps.count("openCircuit") == steps.count("closeCircuit") == 1
