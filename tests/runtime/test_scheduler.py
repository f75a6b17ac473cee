"""Who is looked at when, also when the clock is set."""

import asyncio

from backstop.runtime.scheduler import Scheduler

A, B = ("demo", "a"), ("demo", "b")


class Clock:
    """It stands still until it is set."""

    def __init__(self) -> None:
        self.time = 10_000.0

    def now(self) -> float:
        return self.time


async def test_a_clock_that_is_set_back_stops_no_look():
    """As on a node that learns the time late: all looks are as far away as they were."""
    clock = Clock()
    scheduler = Scheduler(clock)
    scheduler.put(A, clock.time)
    scheduler.put(B, clock.time + 5.0)
    assert await scheduler.batch() == [A]
    scheduler.put(A, clock.time + 7.0)  # while it is out
    clock.time -= 3600.0
    waiting = asyncio.create_task(scheduler.batch())
    await asyncio.sleep(0)
    scheduler.back(A, clock.time + 100.0)
    assert scheduler._due == {A: clock.time + 7.0, B: clock.time + 5.0}
    clock.time += 5.0
    assert await asyncio.wait_for(waiting, 10) == [B]
    clock.time += 2.0
    assert await asyncio.wait_for(scheduler.batch(), 10) == [A]
    assert len(scheduler) == 2


async def test_small_corrections_of_a_clock_change_no_plan():
    """A clock that is slewed, or set by less than a second, is no reason."""
    clock = Clock()
    scheduler = Scheduler(clock)
    scheduler.put(A, clock.time)
    assert await scheduler.batch() == [A]
    scheduler.back(A, clock.time + 5.0)
    clock.time -= 0.5
    waiting = asyncio.create_task(scheduler.batch())
    await asyncio.sleep(0.01)
    assert scheduler._due == {A: 10_005.0}
    waiting.cancel()
