"""Judging all monitors of a round in one pass, and one alone where that no longer holds.

What was judged together stands for a monitor only while its spec, its memory, the time from which
samples count and the split of the traffic are those it was judged by; an action in between asks for
another look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstop.core.evidence import evidence_from, without_answered
from backstop.core.judging import look_all
from backstop.core.samples import Reading
from backstop.core.verdicts import Look, Sight
from backstop.runtime.record import Record
from backstop.runtime.scheduler import Key


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at one monitor, and what it was judged by."""

    look: Look
    sight: Sight

    def holds_for(self, sight: Sight) -> bool:
        """Return whether the look is also the one at ``sight``."""
        return (
            self.sight.inquiries is sight.inquiries
            and self.sight.histories is sight.histories
            and self.sight.evidence_from == sight.evidence_from
            and self.sight.weight == sight.weight
            and self.sight.references == sight.references
        )


def glance(
    records: Sequence[Record], readings: Mapping[str, Reading], now: float
) -> dict[Key, Glance]:
    """Judge ``records`` together; ``now`` is the Unix time."""
    for record in records:
        record.memory = without_answered(record.memory, record.status)
    sights = [_sight(record) for record in records]
    looks = look_all(sights, readings, now=now)
    return {
        record.key: Glance(seen, sight)
        for record, sight, seen in zip(records, sights, looks, strict=True)
    }


def look_at(
    record: Record, readings: Mapping[str, Reading], glanced: Glance | None, now: float
) -> Look:
    """Return ``glanced`` if it still holds for ``record``, else another look at the readings."""
    sight = _sight(record)
    if glanced is not None and glanced.holds_for(sight):
        return glanced.look
    (seen,) = look_all([sight], readings, now=now)
    return seen


def _sight(record: Record) -> Sight:
    begins = evidence_from(record.status)
    histories = record.memory.histories
    return Sight(record.inquiries, histories, begins, record.weight, record.compared_with)
