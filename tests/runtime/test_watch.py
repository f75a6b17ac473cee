"""What a replica takes note of: its own monitors in full, also on standby, others in short."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.core.build import T0, action, deployment, episode, spec, status

from backstop.api.words import ActionState, StepKind
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.core.shards import ALL, Shard
from backstop.ports import KubeApi, Traffic, Workload
from backstop.runtime.cluster import Cluster
from backstop.runtime.fleet import FleetState
from backstop.runtime.record import Record
from backstop.runtime.runbooks import Runbooks
from backstop.runtime.scheduler import Key, Scheduler
from backstop.runtime.watch import Watch

NOWHERE: Key = ("other", "z")
NAMES = [f"m{number}" for number in range(40)]
TEST = {
    "signal": "errors",
    "arm": "target",
    "since": None,
    "until": T0 - 5,
    "state": "counted",
}


class Clock:
    """It stands still."""

    def now(self) -> float:
        return T0


class Listing:
    """An API server of which only monitors are listed."""

    def __init__(self, *items: Mapping[str, Any]) -> None:
        self.items = items

    async def list(self, path: str) -> list[Mapping[str, Any]]:
        assert path == "/apis/backstop.dev/v1alpha1/modelmonitors"
        return list(self.items)


class Replica:
    """A watch of a shard, with what it feeds."""

    def __init__(self, shard: Shard = ALL) -> None:
        clock = Clock()
        api = cast("KubeApi", None)
        self.records: dict[Key, Record] = {}
        self.fleet = FleetState()
        self.scheduler = Scheduler(clock)
        self.cluster = Cluster(
            cast("Workload", None),
            cast("Traffic", None),
            self._is_referenced,
            clock,
            frozenset({"Deployment"}),
        )
        self.watch = Watch(
            records=self.records,
            scheduler=self.scheduler,
            cluster=self.cluster,
            runbooks=Runbooks(api),
            fleet=self.fleet,
            clock=clock,
            tenant_labels={},
            shard=shard,
        )

    def _is_referenced(self, ref: ObjectRef) -> bool:
        return self.watch.is_referenced(ref)

    async def list(self, *items: Mapping[str, Any]) -> None:
        await self.watch.list(cast("KubeApi", Listing(*items)), [])

    async def saw(self, body: Mapping[str, Any], how: str = "MODIFIED") -> None:
        await self.watch._monitor({"type": how, "object": body})


def monitor(name: str, version: int = 1, *, uid: str = "", **known: Any) -> dict[str, Any]:
    """Return a ModelMonitor in mode Act, at a resourceVersion, with this status."""
    metadata = {
        "namespace": "demo",
        "name": name,
        "uid": uid or name,
        "generation": 1,
        "resourceVersion": str(version),
    }
    own = spec(target={"name": name, "service": name, "metricLabels": {"app": name}})
    return {"metadata": metadata, "spec": own.to_json(), "status": status(**known).to_json()}


ACTING = {
    "incident": episode(
        actions=[action(StepKind.ROLLBACK, ActionState.VERIFIED).to_json()]
    ).to_json(),
    "recentActions": [{"last": T0, "count": 1}],
}


async def test_shards_together_keep_each_monitor_once_and_count_all():
    """None is looked at by nobody or by two; what the fleet does is the same to all."""
    items = [monitor(name, **(ACTING if name in NAMES[:4] else {})) for name in NAMES]
    replicas = [Replica(Shard(number, 3)) for number in range(3)]
    for one in replicas:
        await one.list(*items)
        one.fleet.rebuild(one.records.values())
    kept = [key for one in replicas for key in one.records]
    assert sorted(kept) == sorted(("demo", name) for name in NAMES)
    assert len({one.fleet.of(NOWHERE, T0) for one in replicas}) == 1
    found = replicas[0].fleet.of(NOWHERE, T0)
    assert (found.monitors, found.acting, found.actions) == (40, 4, 4)
    for one in replicas:
        one.watch.everything_due(0.0)
        assert len(one.scheduler) == len(one.records)


async def test_a_monitor_of_another_shard_that_is_gone_counts_no_more():
    """Whether the watch tells it or the next listing."""
    foreign = [name for name in NAMES if not Shard(0, 2).owns("demo", name)]
    one = Replica(Shard(0, 2))
    await one.list(*map(monitor, NAMES))
    one.fleet.rebuild(one.records.values())
    await one.saw(monitor(foreign[0]), "DELETED")
    assert one.fleet.of(NOWHERE, T0).monitors == 39
    await one.list(*(monitor(name) for name in NAMES if name not in foreign[:2]))
    assert one.fleet.of(NOWHERE, T0).monitors == 38
    await one.saw(monitor("new"))
    assert one.fleet.of(NOWHERE, T0).monitors == (38 if ("demo", "new") in one.records else 39)


async def test_an_older_object_of_another_shard_is_left_aside():
    """A listing and a watch may cross."""
    (name, *_) = [name for name in NAMES if not Shard(0, 2).owns("demo", name)]
    one = Replica(Shard(0, 2))
    await one.saw(monitor(name, 10, **ACTING))
    await one.list(monitor(name, 9))
    assert one.fleet.of(NOWHERE, T0).actions == 1
    await one.list(monitor(name, 11))
    assert one.fleet.of(NOWHERE, T0).actions == 0


async def test_a_standby_knows_what_the_leader_has_written():
    """Status and sequential tests: nothing of what it was when it first saw the monitor is left."""
    one = Replica()
    await one.list(monitor("m", 5))
    await one.saw(monitor("m", 7, tests=[TEST], **ACTING))
    record = one.records["demo", "m"]
    assert record.status.incident is not None
    assert record.written == record.status
    assert record.resource_version == "7"
    assert [past.state for past in record.memory.histories.values()] == ["counted"]
    await one.list(monitor("m", 6))
    assert record.status.incident is not None
    await one.list(monitor("m", 8))
    assert record.status.incident is None
    assert record.memory.histories == {}
    await one.saw(monitor("m", 3, uid="made anew", **ACTING))
    assert record.resource_version == "3"
    assert len(one.scheduler) == 0


async def test_a_long_listing_lets_others_have_their_turn():
    """The lease is renewed and probes are answered while 10,000 monitors are understood."""
    one, turns = Replica(), 0
    listing = asyncio.create_task(one.list(*(monitor(f"m{number}") for number in range(200))))
    while not listing.done():
        await asyncio.sleep(0)
        turns += 0 < len(one.records) < 200
    assert turns >= 3
    assert len(one.records) == 200


async def test_who_acts_takes_no_status_from_a_watch():
    """What it wrote is newer; what somebody else wrote is read when its next write is refused."""
    one = Replica()
    await one.list(monitor("m", 5))
    one.watch.active = True
    await one.saw(monitor("m", 7, **ACTING))
    await one.list(monitor("m", 8, **ACTING))
    record = one.records["demo", "m"]
    assert record.status.incident is None
    assert record.resource_version == "5"


async def test_a_standby_keeps_the_facts_that_its_monitors_name():
    """So nothing has to be read when it takes over; of what nobody names nothing is kept."""
    one = Replica(Shard(0, 2))
    await one.list(*map(monitor, NAMES))
    for name in NAMES:
        metadata = monitor(name)["metadata"]
        template = {"metadata": {}, "spec": {"containers": []}}
        found = {"replicas": 1, "selector": {}, "template": template}
        body = {"kind": "Deployment", "metadata": metadata, "spec": found, "status": {}}
        await one.watch._object({"type": "ADDED", "object": body})
    kept = {ref for ref, seen in one.cluster._workloads.items() if seen.facts}
    assert kept == {ObjectRef("Deployment", *key) for key in one.records}
    assert one.watch.listed.is_set()


class Deployments:
    """A cluster whose Deployments are read; ``asked`` counts how often."""

    def __init__(self, ready: int) -> None:
        self.ready, self.asked = ready, 0

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        self.asked += 1
        return replace(deployment(ready=self.ready), ref=ref)


async def looked_at(one: Replica, name: str) -> int | None:
    """Return how many pods of the target of a monitor are ready, as a look finds it."""
    record = one.records["demo", name]
    found = (await one.cluster.around(cast("Record", SimpleNamespace(**named(record))))).target
    return found.ready if found else None


def named(record: Record) -> dict[str, Any]:
    """Return what a record names, without its route."""
    nothing = {"candidate": None, "route": None, "services": None, "is_busy": False}
    return {"target": record.target, **nothing}


@pytest.mark.parametrize("gone", ["told", "listed", "let go"])
async def test_a_monitor_that_is_made_again_sees_what_its_target_is_by_now(gone):
    """Changes of what nobody names are not followed, so nothing is kept of it either."""
    one = Replica()
    one.cluster.workloads = cast("Workload", Deployments(ready=2))
    await one.list(monitor("m"))
    assert await looked_at(one, "m") == 2
    if gone == "let go":
        del one.records["demo", "m"]  # as the loop does when it has removed the finalizer
    if gone == "listed":
        await one.list()
    else:
        await one.saw(monitor("m"), "DELETED")
    assert not one.watch.is_referenced(ObjectRef("Deployment", "demo", "m"))
    assert not one.cluster._workloads
    assert not one.cluster._changed
    one.cluster.workloads = cast("Workload", Deployments(ready=0))
    await one.saw(monitor("m", 9, uid="another"))
    assert await looked_at(one, "m") == 0


async def test_what_another_monitor_names_as_well_is_kept():
    """And it is still followed."""
    one = Replica()
    one.cluster.workloads = cast("Workload", Deployments(ready=2))
    both = [monitor("m"), {**monitor("n"), "spec": monitor("m")["spec"]}]
    await one.list(*both)
    assert [await looked_at(one, name) for name in ("m", "n")] == [2, 2]
    await one.saw(both[0], "DELETED")
    assert one.watch.is_referenced(ObjectRef("Deployment", "demo", "m"))
    assert len(one.cluster._workloads) == 1
