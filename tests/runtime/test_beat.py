"""The loop shows that it lives, and does not go on with a clock that was set back."""

import asyncio
import time
from typing import Any, cast

import pytest
from tests.core.build import T0

from backstop.runtime import loop
from backstop.runtime.loop import Loop, SetBackError
from backstop.runtime.scheduler import Scheduler


class Clock:
    """It goes with the time, but for what it is set to."""

    ahead = T0 - time.monotonic()

    def now(self) -> float:
        return self.ahead + time.monotonic()


@pytest.mark.parametrize(("seconds", "goes_on"), [(0, True), (4, True), (-7200, True), (6, False)])
async def test_a_clock_that_was_set_back_ends_the_process(monkeypatch, seconds: float, goes_on):
    """Looks are due, answers are kept and facts are good until times by it.

    Were it set back by hours, nobody would be looked at for hours. A new start remembers nothing;
    a clock that was set forward, or corrected a little, only lets all be due.
    """
    monkeypatch.setattr(loop, "BEAT", 0.01)
    clock, nothing = Clock(), cast("Any", None)
    beating = Loop({}, Scheduler(clock), {}, nothing, clock, nothing, nothing)
    task = asyncio.create_task(beating.beat())
    await asyncio.sleep(0.03)
    clock.ahead -= seconds
    done, _ = await asyncio.wait({task}, timeout=0.2)
    assert beating.alive()
    task.cancel()
    if goes_on:
        assert not done
    else:
        with pytest.raises(SetBackError, match="the clock was set back by 6 s"):
            await task
