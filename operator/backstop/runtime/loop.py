"""The loop: who is due, one round of questions, one pass each.

Each metrics source has its rounds on its own, so that a slow one delays nobody else; each monitor
has its passes on its own, so that a failing one delays nobody else. While this replica does not
hold the lease, monitors are kept up to date and nothing is looked at.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from backstop.core.samples import Reading
from backstop.ports import Clock, ConflictError, MetricsSource, OutsideError, UnavailableError
from backstop.runtime import metrics
from backstop.runtime.gather import Kept, by_source, gather, questions
from backstop.runtime.glance import Glance, glance
from backstop.runtime.reconcile import Gone, Reconciler
from backstop.runtime.record import Record
from backstop.runtime.references import References
from backstop.runtime.scheduler import Key, Scheduler

_LOG = structlog.get_logger(__name__)

HEARTBEAT_LIMIT = 30.0
"""Seconds without a turn of the loop after which it counts as dead."""

LONGEST_BACKOFF = 60.0

BEAT = 1.0
"""Seconds between signs of life."""

SET_BACK = 5.0
"""Seconds by which the clock may be corrected while the operator runs."""

NOT_SURE = 0.2
"""Seconds until a replica that may have lost its lease asks itself again."""


class SetBackError(Exception):
    """The clock was set back, so nothing that is remembered by its times is true any more."""


@dataclass(slots=True)
class Loop:
    """Drives passes over ``records``, while ``acts`` says that this replica surely may."""

    records: dict[Key, Record]
    scheduler: Scheduler
    sources: Mapping[str, MetricsSource]
    reconciler: Reconciler
    clock: Clock
    writes: asyncio.Semaphore
    references: References
    acts: Callable[[], bool] = lambda: True
    turned: float = field(default_factory=time.monotonic)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def alive(self) -> bool:
        """Return whether the loop has turned lately."""
        return time.monotonic() - self.turned < HEARTBEAT_LIMIT

    async def beat(self) -> None:
        """Mark that the event loop turns, also while this replica stands by.

        Raises:
            SetBackError: all would wait for times that are far ahead now; a new start does not.
        """
        wall, self.turned = self.clock.now(), time.monotonic()
        while True:
            before = wall - self.turned
            wall, self.turned = self.clock.now(), time.monotonic()
            back = before - (wall - self.turned)
            if back > SET_BACK:
                raise SetBackError(f"the clock was set back by {back:.0f} s")
            metrics.LATENESS.set(self.scheduler.lateness())
            metrics.MONITORS.set(len(self.records))
            await asyncio.sleep(BEAT)

    async def run(self) -> None:
        """Look at monitors as they come due; runs until cancelled."""
        try:
            while True:
                keys = await self.scheduler.batch()
                self.turned = time.monotonic()
                if not self.acts():
                    self._put_back(keys)
                    continue
                due = [self.records[key] for key in keys if key in self.records]
                for key in set(keys) - self.records.keys():
                    self.scheduler.forget(key)
                for name, records in by_source(due).items():
                    task = asyncio.create_task(self._round(name, records))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        finally:
            for task in self._tasks:
                task.cancel()

    def _put_back(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.scheduler.back(key, self.clock.now() + NOT_SURE)

    async def _round(self, name: str, due: Sequence[Record]) -> None:
        records = [record for record in due if self._prepared(record)]
        try:
            readings = await gather(
                self.sources.get(name),
                name,
                records,
                self._kept.setdefault(name, Kept()),
                self.clock.now(),
            )
        except Exception as error:  # noqa: BLE001 - a bug in a source must not end the loop
            _LOG.exception("reading failed", source=name)
            failure = Reading(failure=f"reading failed: {type(error).__name__}")
            readings = dict.fromkeys(questions(records), failure)
        glances = self._glances(records, readings)
        passes = (self._one(record, readings, glances.get(record.key)) for record in records)
        await asyncio.gather(*passes)

    def _prepared(self, record: Record) -> bool:
        """Return whether a monitor can be asked about; one with a bug in it is looked at later."""
        try:
            record.catch_up()
            record.compared_with = self.references.of(record)
        except Exception:  # noqa: BLE001 - a bug in one monitor must not stop the others
            _LOG.exception("not prepared", monitor=record.name)
            metrics.PASSES.labels("bug").inc()
            self.scheduler.back(record.key, self._later(record, 5.0))
            return False
        return True

    def _glances(
        self, records: Sequence[Record], readings: Mapping[str, Reading]
    ) -> Mapping[Key, Glance]:
        """Judge all monitors of a round at once; where that fails, each is judged by itself."""
        try:
            with metrics.JUDGE_SECONDS.time():
                return glance(records, readings, self.clock.now())
        except Exception:  # noqa: BLE001 - a bug in one signal must not blind the others
            _LOG.exception("judging together failed")
            return {}

    async def _one(
        self, record: Record, readings: Mapping[str, Reading], seen: Glance | None
    ) -> None:
        due, result = self.clock.now() + record.interval, "ok"
        try:
            async with self.writes:
                with metrics.PASS_SECONDS.time():
                    due = await self.reconciler.reconcile(record, readings, seen)
            record.failures = 0
        except Gone:
            if self.records.get(record.key) is record:
                del self.records[record.key]
                self.scheduler.forget(record.key)
            result = "gone"
        except ConflictError:
            due, result = self.clock.now() + 0.05, "conflict"
        except UnavailableError as error:
            due, result = self._later(record, max(0.2, error.retry_after)), "unavailable"
            _LOG.warning("pass failed", monitor=record.name, error=str(error))
        except OutsideError as error:
            due, result = self._later(record, 2.0), "refused"
            _LOG.warning("pass failed", monitor=record.name, error=str(error))
        except Exception:  # noqa: BLE001 - a bug in one monitor must not stop the others
            due, result = self._later(record, 5.0), "bug"
            _LOG.exception("pass failed", monitor=record.name)
        metrics.PASSES.labels(result).inc()
        if self.records.get(record.key) is record:
            self.scheduler.back(record.key, due)

    def _later(self, record: Record, first: float) -> float:
        record.failures += 1
        wait = min(first * 2.0 ** min(record.failures - 1, 10), LONGEST_BACKOFF)
        return self.clock.now() + wait
