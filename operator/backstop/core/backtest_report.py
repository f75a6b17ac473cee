"""What a backtest found, as values: signals over time, incidents, and how true they are.

History cannot be changed, so an incident lasts until the record itself is healthy again, and
nothing here says what became of requests that a fallback would have answered. An incident is called
wrong only against faults that a person has named; without them it is at most doubtful.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from backstop.api.words import Arm, Cause, Severity, StepKind
from backstop.core.measurement import Pillar
from backstop.core.units import Unit


class Assessment(StrEnum):
    """How an incident compares to what is known."""

    CONFIRMED = "Confirmed"
    """It overlaps a known fault."""

    WRONG = "Wrong"
    """It would have acted, and overlaps no known fault."""

    DOUBTFUL = "Doubtful"
    """It would have acted on a breach that ended by itself soon after; no faults are known."""

    NOT_JUDGED = "NotJudged"
    """Nothing can be said."""


class Finding(StrEnum):
    """What became of a known fault."""

    ACTED = "Acted"
    """An incident that acts overlaps it."""

    NOTICED = "Noticed"
    """Only incidents that change nothing overlap it."""

    MISSED = "Missed"
    """No incident overlaps it."""


@dataclass(frozen=True, slots=True)
class KnownFault:
    """A fault that a person knows of, from ``begin`` to ``end`` (Unix seconds)."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Time from ``begin`` to ``end`` (Unix seconds) in which ``query`` could not be read."""

    query: str
    begin: float
    end: float
    why: str


@dataclass(frozen=True, slots=True)
class Span:
    """The looks of a backtest: one each ``step`` seconds from ``begin`` to ``end`` (Unix seconds).

    Raises:
        ValueError: there would be no look.
    """

    begin: float
    end: float
    step: float

    def __post_init__(self) -> None:
        """Refuse a span without a look."""
        if not (self.step > 0.0 and self.end >= self.begin):
            raise ValueError("a backtest needs a positive step and an end after its beginning")

    @property
    def looks(self) -> int:
        """How many looks there are."""
        return int((self.end - self.begin) / self.step + 1e-9) + 1

    def time(self, number: int) -> float:
        """Return the Unix time of look ``number``, which begins at 0."""
        return self.begin + number * self.step


@dataclass(frozen=True, slots=True)
class SignalTrack:
    """One signal of one arm, in bins of equal length.

    ``healthy``, ``breached`` and ``unknown`` count looks, ``low`` and ``high`` are the extremes of
    the number measured in a bin, in ``unit``, ``None`` where there was none. ``allowed`` is the
    range of a healthy number (infinite where there is no limit), ``None`` for kinds without one.
    ``reasons`` counts the looks without a verdict by the reason for it.
    """

    name: str
    arm: Arm
    pillar: Pillar
    reports: bool
    healthy: tuple[int, ...]
    breached: tuple[int, ...]
    unknown: tuple[int, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    unit: Unit = Unit.PLAIN
    allowed: tuple[float, float] | None = None
    reasons: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ReplayedIncident:
    """An incident as it would have been.

    ``ended`` is the Unix time at which all was healthy again, ``None`` where the record ends
    before. ``step`` is what would have been done first and ``decided`` when; ``None`` where nothing
    would have been changed. ``saved`` are the bad requests in the record from the reaction to the
    end, ``None`` where the breached ``signals`` count no requests.
    """

    cause: Cause
    severity: Severity
    arm: Arm
    onset: float
    detected: float
    ended: float | None
    why: str
    evidence: tuple[str, ...]
    signals: tuple[str, ...]
    step: StepKind | None = None
    decided: float | None = None
    saved: float | None = None
    assessment: Assessment = Assessment.NOT_JUDGED
    faults: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether anything would have been changed."""
        return self.step is not None

    def overlaps(self, fault: KnownFault) -> bool:
        """Return whether the incident and ``fault`` have a moment in common."""
        ended = self.ended is None or self.ended >= fault.begin
        return self.onset <= fault.end and ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """A known fault, and what became of it."""

    fault: KnownFault
    finding: Finding


@dataclass(frozen=True, slots=True)
class Report:
    """All that a backtest found.

    ``reaction`` and ``brief`` are in seconds. ``first_sample`` is the Unix time of the first look
    that had any sample, ``None`` without one. ``outcomes`` is ``None`` where no faults are known.
    """

    namespace: str
    monitor: str
    span: Span
    reaction: float
    brief: float
    first_sample: float | None
    tracks: tuple[SignalTrack, ...]
    incidents: tuple[ReplayedIncident, ...]
    gaps: tuple[Gap, ...] = ()
    outcomes: tuple[Outcome, ...] | None = None

    @property
    def acting(self) -> tuple[ReplayedIncident, ...]:
        """The incidents in which something would have been changed."""
        return tuple(one for one in self.incidents if one.acts)

    @property
    def saved(self) -> float | None:
        """The requests saved in all incidents, ``None`` where none could be counted."""
        counted = [one.saved for one in self.incidents if one.saved is not None]
        return sum(counted) if counted else None

    def assessed(self, assessment: Assessment) -> int:
        """Return how many incidents are ``assessment``."""
        return sum(one.assessment is assessment for one in self.incidents)

    def found(self, finding: Finding) -> int:
        """Return how many known faults are ``finding``."""
        return sum(one.finding is finding for one in self.outcomes or ())


def assess(
    incident: ReplayedIncident, known: Sequence[KnownFault] | None, brief: float
) -> tuple[Assessment, tuple[str, ...]]:
    """Return what ``incident`` is, and the names of the known faults that it overlaps.

    ``brief`` is in seconds. ``known`` is ``None`` where nobody knows, and empty where it is known
    that there was no fault.
    """
    if known is None:
        ended, decided = incident.ended, incident.decided
        is_brief = ended is not None and decided is not None and ended - decided <= brief
        return (Assessment.DOUBTFUL if is_brief else Assessment.NOT_JUDGED), ()
    names = tuple(fault.name for fault in known if incident.overlaps(fault))
    if names:
        return Assessment.CONFIRMED, names
    return (Assessment.WRONG if incident.acts else Assessment.NOT_JUDGED), ()


def outcome(fault: KnownFault, incidents: Sequence[ReplayedIncident]) -> Outcome:
    """Return what became of ``fault``."""
    overlapping = [one for one in incidents if one.overlaps(fault)]
    if any(one.acts for one in overlapping):
        return Outcome(fault, Finding.ACTED)
    return Outcome(fault, Finding.NOTICED if overlapping else Finding.MISSED)
