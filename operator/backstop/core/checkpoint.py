"""Sequential tests across restarts: their state is stored in the status now and then.

A test counts in fixed steps of time, so what came after the last checkpoint is counted again from
the raw samples, step by step, and ends in the very same state. A checkpoint is due long before its
samples leave the window of the signal.
"""

from types import MappingProxyType
from typing import Final

from backstop.api.status import ModelMonitorStatus, SequentialTest
from backstop.core.evidence import evidence_from
from backstop.core.inquiry import SignalKey
from backstop.core.verdicts import History
from backstop.core.view import Memory

EVERY: Final = 90.0
"""Seconds of evidence between two checkpoints."""

MOST: Final = 16
"""How many tests a status holds."""


def restore(status: ModelMonitorStatus) -> Memory:
    """Return a memory in which the tests stand where ``status`` says."""
    begins = evidence_from(status)
    histories: dict[SignalKey, History] = {
        (test.signal, test.arm): History(state=test.state, until=test.until.timestamp())
        for test in status.tests
        if _begin(test) == begins[test.arm]
    }
    return Memory(histories=MappingProxyType(histories), evidence_from=MappingProxyType(begins))


def _begin(test: SequentialTest) -> float:
    return test.since.timestamp() if test.since else 0.0


def due(status: ModelMonitorStatus, memory: Memory) -> list[SequentialTest]:
    """Return the tests to store: those that are stored already while they are recent enough.

    With more than MOST tests the last ones are not stored, and begin anew after a restart.
    """
    begins = evidence_from(status)
    counted = [(key, past) for key, past in memory.histories.items() if begins[key[1]] < past.until]
    running = dict(counted[:MOST])
    known = {(test.signal, test.arm): test for test in status.tests}
    if running.keys() == known.keys() and all(
        _begin(known[key]) == begins[key[1]] and past.until < known[key].until.timestamp() + EVERY
        for key, past in running.items()
    ):
        return status.tests
    return [
        SequentialTest.model_validate(
            {
                "signal": name,
                "arm": arm,
                "since": begins[arm] or None,
                "until": past.until,
                "state": past.state,
            }
        )
        for (name, arm), past in running.items()
    ]
