"""What a sequential test carries from look to look, packed into text for the status.

The numbers are kept to the bit, so a test that is resumed goes on exactly where it was. A text that
was written by another rule, or is damaged, is no state: the test then begins anew.
"""

from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import numpy as np
from pydantic import BaseModel

from backstop.core.statistics.sequential import GRID, Floats, pack, unpack

MIRROR: Final = slice(1, None, 3)
"""Which points of the grid the mirrored test uses: fewer suffice, as it tests one ratio."""

MIRRORED: Final = len(GRID[MIRROR])
_HEADER: Final = 10
_LANE: Final = 2 + len(GRID) + MIRRORED


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceState:
    """The evidence of one test.

    ``rule`` tells the test from others. ``started`` is a Unix time, ``candidate`` and ``stable``
    count all events since, ``worst`` is the largest ln E so far. ``events``, shape (lanes, 2),
    counts the bad events of both versions; ``worse``, shape (lanes, 24), and ``mirror``, shape
    (lanes, 8), are log-likelihood ratios. ``weight`` is the candidate's share of traffic by the
    route, and ``routed`` what both versions answered in ``routed_steps`` steps since
    ``routed_from`` (Unix time), when it was set. ``left_out`` names a pod that is left out of the
    evidence, 0 if there is none.
    """

    rule: int
    started: float
    candidate: float
    stable: float
    worst: float
    weight: float
    routed: tuple[float, float]
    routed_steps: float
    routed_from: float
    left_out: float
    events: Floats
    worse: Floats
    mirror: Floats

    def pack(self) -> str:
        """Return the state as text; raises ValueError if a number is not finite."""
        header = (
            self.started,
            self.candidate,
            self.stable,
            self.worst,
            self.weight,
            *self.routed,
            self.routed_steps,
            self.routed_from,
            self.left_out,
        )
        lanes = np.concatenate((self.events, self.worse, self.mirror), axis=1)
        numbers = np.concatenate((np.array(header), lanes.ravel()))
        return pack(np.concatenate(([_seal(self.rule, numbers)], numbers)))

    def routed_by(self, weight: float, since: float) -> "EvidenceState":
        """Return the state with the split counted anew from then on if ``weight`` is another."""
        if weight == self.weight:
            return self
        return replace(self, weight=weight, routed=(0.0, 0.0), routed_steps=0.0, routed_from=since)


def fingerprint(rule: BaseModel, about: str = "") -> int:
    """Return a number that tells a test by the spec of ``rule`` and its object from others."""
    return crc32(f"{rule.model_dump_json()}{about}".encode())


def mark(name: str) -> float:
    """Return a number that tells ``name`` from others; never zero."""
    return float(crc32(name.encode()) or 1)


def _seal(rule: int, numbers: Floats) -> float:
    """Return a number that no other rule has, nor the same one with other ``numbers``."""
    return float(crc32(numbers.astype("<f8").tobytes(), rule))


def begin(rule: int, lanes: int, started: float, weight: float = 0.0) -> EvidenceState:
    """Return the state of a test that has seen nothing; ``rule`` is its :func:`fingerprint`."""
    return EvidenceState(
        rule=rule,
        started=started,
        candidate=0.0,
        stable=0.0,
        worst=0.0,
        weight=weight,
        routed=(0.0, 0.0),
        routed_steps=0.0,
        routed_from=started,
        left_out=0.0,
        events=np.zeros((lanes, 2)),
        worse=np.zeros((lanes, len(GRID))),
        mirror=np.zeros((lanes, MIRRORED)),
    )


def resume(rule: int, lanes: int, text: str) -> EvidenceState | None:
    """Return the state that was packed for the same test with so many lanes, ``None`` if not."""
    try:
        seal, *header = unpack(text, (1 + _HEADER + lanes * _LANE,)).tolist()
    except ValueError:
        return None
    numbers = np.array(header)
    if seal != _seal(rule, numbers):
        return None
    rows = numbers[_HEADER:].reshape(lanes, _LANE)
    started, candidate, stable, worst, *split = header[:_HEADER]
    weight, routed, routed_stable, routed_steps, since, left_out = split
    return EvidenceState(
        rule=rule,
        started=started,
        candidate=candidate,
        stable=stable,
        worst=worst,
        weight=weight,
        routed=(routed, routed_stable),
        routed_steps=routed_steps,
        routed_from=since,
        left_out=left_out,
        events=rows[:, :2],
        worse=rows[:, 2 : 2 + len(GRID)],
        mirror=rows[:, 2 + len(GRID) :],
    )
