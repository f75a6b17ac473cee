"""One round of looks: whatever is wrong with one monitor, the others are looked at."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tests.core.build import T0
from tests.runtime.test_watch import monitor

from backstop.core.samples import Reading
from backstop.runtime.loop import Loop
from backstop.runtime.reconcile import Reconciler
from backstop.runtime.record import Record, record_of
from backstop.runtime.references import References
from backstop.runtime.scheduler import Key, Scheduler


class Clock:
    """It stands still until it is set."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> float:
        return self.time


class Source:
    """It never answers."""

    async def read(self, queries: Sequence[str]) -> Mapping[str, Reading]:
        return dict.fromkeys(queries, Reading(failure="down"))


class Passes:
    """Notes which monitors had a pass."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def reconcile(self, record: Record, *_: Any) -> float:
        self.names.append(record.name)
        return T0 + 1000.0


class Broken:
    """References with a bug in those of one monitor, as long as it lasts."""

    def __init__(self) -> None:
        self.lasts = True

    def of(self, record: Record) -> Mapping[str, Any]:
        if self.lasts and record.name == "bad":
            raise KeyError(record.name)
        return {}


async def test_a_bug_in_one_monitor_before_its_questions_stops_no_other():
    """And that one is tried again, later each time, instead of being lost for ever."""
    found = [record_of(monitor(name), {}) for name in ("bad", "good")]
    records: dict[Key, Record] = {record.key: record for record in found}
    clock, passes, references = Clock(), Passes(), Broken()
    scheduler = Scheduler(clock)
    loop = Loop(
        records,
        scheduler,
        {"default": Source()},
        cast("Reconciler", passes),
        clock,
        asyncio.Semaphore(2),
        cast("References", references),
    )
    for key in records:
        scheduler.put(key, T0)
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(10):
        while not passes.names:  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.01)
        assert passes.names == ["good"]
        assert scheduler._due == {("demo", "bad"): T0 + 5.0, ("demo", "good"): T0 + 1000.0}
        references.lasts = False
        clock.time = T0 + 5.0
        while len(passes.names) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert passes.names == ["good", "bad"]
    running.cancel()
