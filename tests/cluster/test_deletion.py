"""A monitor is deleted while its circuit is open."""

from __future__ import annotations

import pytest
from tests.cluster.stage import FALLBACK, MONITOR, TARGET, Stage, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 90, FALLBACK: 10}
OPEN = {TARGET: 0, FALLBACK: 100}


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

    async def gone() -> bool:
        return not await stage.exists("ModelMonitor", MONITOR)

    await until("the monitor is gone", gone)
    assert await stage.weights() == left
    assert len(await stage.incidents()) == 1
