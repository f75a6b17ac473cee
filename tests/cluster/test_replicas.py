"""Several Backstops at once."""

from __future__ import annotations

import pytest
from tests.cluster.api_proxy import Cut, What, Write
from tests.cluster.stage import FALLBACK, TARGET, Operator, Stage, actions, until

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
    assert steps == ["openCircuit", "rollback", "probeCircuit", "closeCircuit"]
    assert len(await stage.incidents()) == 1


async def test_standby_does_nothing_until_the_leader_is_killed_and_then_finishes(
    stage: Stage,
) -> None:
    """With one lease one replica writes; after a SIGKILL the other ends the same incident."""
    leader = await stage.start(lease="shared")
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    standby = await stage.start(lease="shared")

    async def stands_by() -> bool:
        return any("/leases/" in path for path in standby.proxy.reads)

    await until("the standby looks at the lease", stands_by)

    async def kill_before_repair(write: Write) -> None:
        if write.what is What.DEPLOYMENT:
            leader.kill()
            raise Cut

    leader.proxy.before = kill_before_repair
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await stage.until_circuit("Open")
    await leader.process.wait()
    assert standby.proxy.writes == []
    await _check_one_repair(stage, bad["metadata"]["generation"])


async def test_two_active_replicas_change_each_target_once(stage: Stage) -> None:
    """Even with two leases, so that both act, preconditions let only one change happen."""
    await stage.start()
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await _check_one_repair(stage, bad["metadata"]["generation"])
