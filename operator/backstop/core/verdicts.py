"""What a look at a monitor finds, and what is remembered of it.

A look counts only if it rests on a sample that no earlier look has seen, so that looking more often
never makes a breach more likely. An Unknown look neither counts towards a breach nor clears one.
How verdicts come about is in :mod:`backstop.core.judging`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from backstop.api.words import Arm, Finding, Verdict
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.measurement import Missing, Pillar, Usual
from backstop.core.reference import Reference


class History(NamedTuple):
    """What the last looks at one signal found, oldest first; ``True`` is a broken limit.

    ``newest`` is the time of the newest sample seen, ``clean_at`` that of the newest sample at
    which the limit still held, ``broken_at`` that of the first one since at which it did not.
    ``state`` and ``until`` are those of a sequential test, ``usual`` is what a rule wants to be
    remembered in memory.
    """

    outcomes: tuple[bool, ...] = ()
    newest: float = 0.0
    clean_at: float | None = None
    broken_at: float | None = None
    verdict: Verdict = Verdict.UNKNOWN
    state: str = ""
    until: float = 0.0
    usual: Usual | None = None


class Beside(StrEnum):
    """How an arm does on a limit that it holds since the other arm was seen to break it."""

    BETTER = "Better"
    """Demonstrably better than the other."""

    ALIKE = "Alike"
    """It breaks the limit as well, though its window does not show that yet."""

    OPEN = "Open"
    """There is too little to tell."""


class SignalVerdict(NamedTuple):
    """The verdict on one signal of one arm, with its numbers in ``why``.

    A breach began after ``onset`` and not later than ``seen``; the limit last held at ``clean_at``.
    All three are Unix times. ``reports`` says that a breach is only reported, ``attributes`` that
    it proves the revision to be at fault, ``proven`` that the signal is certain to hold.
    ``samples`` is how many observations it rests on, ``inf`` where that is unknown.
    Of a breach, ``pod`` is the one pod that carries most of it, empty where none does and ``None``
    where pods cannot be told apart; ``shows`` is what a breach of such a signal is a finding of.
    ``beside`` is of a Healthy arm whose other arm is breached, ``None`` where no
    events are counted. ``value`` is what was held against the limit, in the limit's unit, ``None``
    where the verdict is Unknown.
    """

    name: str
    arm: Arm
    pillar: Pillar
    verdict: Verdict
    said: str | Callable[[], str]
    reason: str = ""
    onset: float | None = None
    seen: float | None = None
    clean_at: float | None = None
    reports: bool = False
    attributes: bool = False
    proven: bool = False
    samples: float = math.inf
    pod: str | None = None
    shows: Finding | None = None
    beside: Beside | None = None
    value: float | None = None

    @property
    def why(self) -> str:
        """The numbers in words."""
        return self.said if isinstance(self.said, str) else self.said()


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all signals: the verdicts and the histories to judge the next one by.

    ``newest`` holds the newest sample time of each scrape target, ``scrape_interval`` the distance
    between scrapes in seconds where it is known. ``answered`` says whether the metrics source has
    answered at all.
    """

    verdicts: tuple[SignalVerdict, ...] = ()
    histories: Mapping[SignalKey, History] = field(default_factory=lambda: MappingProxyType({}))
    newest: tuple[float, ...] = ()
    scrape_interval: float | None = None
    answered: bool = False


class Sight(NamedTuple):
    """One monitor before a look: what is asked, what is remembered, and which samples count.

    ``weight`` is the candidate's share of the traffic in [0, 1] by the route, 0 where unknown.
    ``references`` holds, by ConfigMap, what rules compare with, or why it is not known.
    """

    inquiries: Mapping[SignalKey, Inquiry]
    histories: Mapping[SignalKey, History]
    evidence_from: Mapping[Arm, float]
    weight: float = 0.0
    references: Mapping[str, Reference | Missing] = MappingProxyType({})


def overall(verdicts: Sequence[SignalVerdict], arm: Arm) -> Verdict:
    """Return the verdict on an arm: Breached if any signal is, else Unknown if any is.

    Signals that only report do not count where any other is there.
    """
    ours = [verdict for verdict in verdicts if verdict.arm is arm]
    acting = [verdict for verdict in ours if not verdict.reports]
    found = {verdict.verdict for verdict in acting or ours}
    for verdict in (Verdict.BREACHED, Verdict.UNKNOWN, Verdict.HEALTHY):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
