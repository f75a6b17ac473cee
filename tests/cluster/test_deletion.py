"""A monitor is deleted while its circuit is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.cluster.api_proxy import Cut, What, Write
from tests.cluster.stage import FALLBACK, MONITOR, TARGET, Stage, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 90, FALLBACK: 10}
OPEN = {TARGET: 0, FALLBACK: 100}


def gone(stage: Stage) -> Callable[[], Awaitable[bool]]:
    """Return a probe that tells whether the monitor does not exist any more."""

    async def probe() -> bool:
        return not await stage.exists("ModelMonitor", MONITOR)

    return probe


@pytest.mark.parametrize(("on_delete", "left"), [("Restore", WEIGHTS), ("Leave", OPEN)])
async def test_deleted_monitor_leaves_traffic_as_its_spec_says(
    stage: Stage, on_delete: str, left: dict[str, int]
) -> None:
    """Restore puts the weights back before the monitor goes, Leave keeps them; both let it go."""
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(onDelete=on_delete, circuit={"openFor": "5m"})
    await stage.until_good()
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")
    assert await stage.weights() == OPEN
    held = await stage.get("ModelMonitor", MONITOR)
    assert held["metadata"]["finalizers"] == ["backstop.dev/restore-traffic"]
    await stage.delete("ModelMonitor", MONITOR)

    await until("the monitor is gone", gone(stage))
    assert await stage.weights() == left
    assert len(await stage.incidents()) == 1


async def test_deletion_with_a_planned_rollback_leaves_weights_that_nobody_moved(
    stage: Stage,
) -> None:
    """Where no traffic was moved, there is nothing to put back, whatever else was under way."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(fallback=None)
    await stage.until_good()

    async def kill_before_rollback(write: Write) -> None:
        if write.what is What.DEPLOYMENT:
            operator.kill()
            raise Cut

    operator.proxy.before = kill_before_rollback
    await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await asyncio.wait_for(operator.process.wait(), 40)
    assert (await stage.status())["action"]["step"] == "rollback"
    await stage.delete("ModelMonitor", MONITOR)
    await stage.start()
    await until("the monitor is gone", gone(stage))
    assert await stage.weights() == WEIGHTS
