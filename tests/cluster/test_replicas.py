"""Several Backstops that act at once; test_takeover.py is about one after the other."""

from __future__ import annotations

import os

import pytest
from tests.cluster.api_proxy import What
from tests.cluster.source_gate import Gate, SourceGate
from tests.cluster.stage import (
    FALLBACK,
    TARGET,
    Operator,
    Stage,
    actions,
    condition,
    remains,
    until,
)

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


def _accepted(operators: list[Operator], *kinds: What) -> int:
    return sum(len(one.proxy.wrote(*kinds)) for one in operators)


async def _check_one_repair(stage: Stage, released: int) -> None:
    """Check that all replicas together have done what one would have done."""
    incident = await stage.until_resolved()
    assert await stage.weights() == WEIGHTS
    assert await stage.generation() == released + 1
    assert _accepted(stage.operators, What.DEPLOYMENT) == 1
    assert _accepted(stage.operators, What.ROUTE) == 3
    steps = [one["step"] for one in actions(incident["status"])]
    assert steps == ["openCircuit", "rollback", "notify", "probeCircuit", "closeCircuit"]
    assert len(await stage.incidents()) == 1


async def test_two_active_replicas_change_each_target_once(stage: Stage) -> None:
    """Even with two leases, so that both act, preconditions let only one change happen."""
    await stage.start()
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await _check_one_repair(stage, bad["metadata"]["generation"])


async def test_replica_that_was_blind_does_not_write_over_what_the_other_did(stage: Stage) -> None:
    """One that has seen nothing of an incident reads the journal before it writes to it."""
    async with SourceGate(os.environ["LAB_PROMETHEUS_URL"]) as source:
        await stage.start()
        blind = await stage.start(source=source.url)
        await stage.serve(WEIGHTS)
        await stage.watch(circuit={"openFor": "5m"})
        await stage.until_good()
        await source.set(Gate.REFUSING)
        await stage.until_status(
            "one replica cannot read its source",
            lambda s: condition(s, "MetricsAvailable")["status"] == "False",
        )
        await stage.fault(1.0, TARGET)
        opened = await stage.until_circuit("Open")
        writes = len(blind.proxy.writes)
        await source.set(Gate.OPEN)

        async def blind_has_written() -> bool:
            return any(one.what is What.STATUS for one in blind.proxy.writes[writes:])

        await until("the replica that was blind has written", blind_has_written)

        async def as_it_was() -> bool:
            status = await stage.status()
            return (status["circuit"], status["incident"]["name"]) == (
                opened["circuit"],
                opened["incident"]["name"],
            )

        await remains("circuit and incident stay as written", as_it_was, seconds=3)
        assert _accepted(stage.operators, What.ROUTE) == 1
