"""Several replicas that act at once, each on its own monitors, within limits that hold for all."""

from __future__ import annotations

import asyncio

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What, Write
from tests.cluster.stage import Object, Operator, Stage, remains, until

from backstop.core.shards import Shard

pytestmark = pytest.mark.cluster

SHARDS = (Shard(0, 2), Shard(1, 2))
BREACHED = {
    "name": "always",
    "pillar": "system",
    "window": "4s",
    "persistence": {"breaches": 1, "looks": 1},
    "threshold": {"promql": {"expr": "vector(1)"}, "max": "0"},
}
RESTART = [{"name": "fresh", "restart": {}}]
CAUSES = ("data", "model", "infrastructure", "release")
_OWN = {What.STATUS, What.MONITOR, What.DEPLOYMENT}


def _names(stage: Stage, of_each: int) -> dict[Shard, list[str]]:
    """Return names of monitors, as many of each shard."""
    tried = [f"model-{number}" for number in range(100)]
    return {
        shard: [name for name in tried if shard.owns(stage.namespace, name)][:of_each]
        for shard in SHARDS
    }


async def _watch(stage: Stage, names: list[str]) -> None:
    """Create workloads, and then at once their monitors, each of which wants to restart its own."""
    await stage.apply(*(manifests.deployment(name) for name in names))
    await asyncio.gather(*(stage.until_rolled_out(name) for name in names))
    monitors = [
        manifests.monitor(
            stage.namespace,
            name=name,
            target=manifests.arm(stage.namespace, name),
            traffic=None,
            fallback=None,
            circuit=None,
            signals=[BREACHED],
            runbook=dict.fromkeys(CAUSES, RESTART),
        )
        for name in names
    ]
    await asyncio.gather(*(stage.apply(one) for one in monitors))


async def _restarted(stage: Stage, names: list[str]) -> list[str]:
    return [name for name in names if await stage.generation(name) > 1]


def _wrote_about(operator: Operator) -> set[str]:
    """Return the names of the objects that a replica has written, or has tried to."""
    paths = [one.path.partition("?")[0] for one in operator.proxy.writes if one.what in _OWN]
    return {path.removesuffix("/status").rpartition("/")[2] for path in paths}


async def test_each_shard_acts_on_its_own_monitors_only(stage: Stage) -> None:
    """Under a lease of its own, and on each of its own."""
    operators = [await stage.start(lease="shards", shard=str(shard)) for shard in SHARDS]
    names = _names(stage, 1)
    every = [name for own in names.values() for name in own]
    await _watch(stage, every)

    async def all_restarted() -> bool:
        return await _restarted(stage, every) == every

    await until("each target is restarted", all_restarted)
    for shard, operator in zip(SHARDS, operators, strict=True):
        assert _wrote_about(operator) == set(names[shard])
        leases = {one.path.rpartition("/")[2].partition("?")[0] for one in _leases(operator)}
        assert leases <= {f"shards-{shard.index}", "leases"}
        created = [one.payload["metadata"]["name"] for one in _leases(operator, "POST")]
        assert created == [f"shards-{shard.index}"]
    assert [await stage.generation(name) for name in every] == [2, 2]


def _leases(operator: Operator, method: str = "") -> list[Write]:
    return [one for one in operator.proxy.wrote(What.LEASE) if method in {"", one.method}]


async def test_the_budget_of_all_holds_across_shards(stage: Stage) -> None:
    """Four monitors want one action each, one is allowed in an hour: at most one more is taken.

    That one more is what another shard may admit before it sees the first.
    """
    config: Object = {"budgets": {"actionsPerHour": 1}}
    operators = [
        await stage.start(lease="shards", shard=str(shard), config=config) for shard in SHARDS
    ]
    names = _names(stage, 2)
    every = [name for own in names.values() for name in own]
    await _watch(stage, every)

    async def acted_or_held() -> list[Object] | None:
        found = [await stage.status(name) for name in every]
        settled = [one.get("held") or (one.get("incident") or {}).get("actions") for one in found]
        return found if all(settled) else None

    found = await until("each monitor has acted or is held", acted_or_held)
    done = await _restarted(stage, every)
    print(f"allowed 1, taken {len(done)}")  # noqa: T201 (the measurement that the test is for)

    async def no_more() -> bool:
        return await _restarted(stage, every) == done

    assert 1 <= len(done) <= len(SHARDS)
    held = [one["held"] for one in found if one.get("held")]
    assert len(held) == len(every) - len(done)
    assert all("all monitors together took" in one for one in held)
    await remains("no more is done", no_more, seconds=5)
    for shard, operator in zip(SHARDS, operators, strict=True):
        assert _wrote_about(operator) <= set(names[shard])
