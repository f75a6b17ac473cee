"""What is outside, with a count of how it answers.

Each adapter is wrapped as it is handed to the operator, so that neither it nor whoever asks it
knows of metrics. The wrapped ones answer and fail exactly as they do without.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from backstop.core.samples import Reading
from backstop.ports import KillSwitch, MetricsSource, OutsideError
from backstop.runtime import metrics

_LOG = structlog.get_logger(__name__)

LOOK_EVERY: Final = 15.0
"""Seconds between reads of the kill switch for its metric, while nothing is to be done."""


@dataclass(frozen=True, slots=True)
class MeasuredSource:
    """The metrics source ``name``."""

    name: str
    source: MetricsSource

    def __post_init__(self) -> None:
        """Let its counts begin at 0."""
        for result in metrics.READ_RESULTS:
            metrics.READS.labels(self.name, result)

    async def read(self, queries: Sequence[str]) -> Mapping[str, Reading]:
        """Answer as the source does."""
        with metrics.READ_SECONDS.labels(self.name).time():
            readings = await self.source.read(queries)
        counts = dict.fromkeys(metrics.READ_RESULTS, 0)
        for reading in readings.values():
            counts[_result(reading)] += 1
        for result, count in counts.items():
            metrics.READS.labels(self.name, result).inc(count)
        if readings:
            metrics.SOURCE_UP.labels(self.name).set(counts["failed"] < len(readings))
        return readings


def _result(reading: Reading) -> str:
    if not reading.failure:
        return "answered"
    return "rejected" if reading.bad_query else "failed"


@dataclass(frozen=True, slots=True)
class MeasuredKillSwitch:
    """The kill switch."""

    switch: KillSwitch

    async def engaged(self) -> str:
        """Answer as the switch does."""
        metric = metrics.KILL_SWITCH
        try:
            stopped = await self.switch.engaged()
        except OutsideError:
            metric.set(1)
            raise
        metric.set(bool(stopped))
        return stopped

    async def watch(self) -> None:
        """Look at the switch now and then, as nobody does while no step is taken."""
        while True:
            try:
                await self.engaged()
            except OutsideError as error:
                _LOG.warning("the kill switch cannot be read", error=str(error))
            await asyncio.sleep(LOOK_EVERY)
