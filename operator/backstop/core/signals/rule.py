"""What every signal kind is: a rule that names its questions and measures what is answered.

A kind is one module in this package with one subclass of :class:`Rule`; the registry finds it, and
the custom resource grows a field of that name. A rule only measures: whether a measurement is
enough evidence, and whether it persists, is judged in one place for all kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, Self

from backstop.core.cel import Part
from backstop.core.measurement import Measured, Missing, Pillar, Question, Usual
from backstop.core.presets.preset import Preset
from backstop.core.reference import Reference
from backstop.core.samples import Series
from backstop.core.tally import Tally


class Scope(StrEnum):
    """Which workloads a kind is asked about."""

    EACH_ARM = "each arm"
    """The target and the candidate, each by itself."""

    CANDIDATE = "candidate"
    """The candidate against the target that serves beside it."""

    TARGET = "target"
    """The target alone, against its own past."""


class OnBreach(StrEnum):
    """What a breach of a signal leads to."""

    ACT = "Act"
    """Users suffer: diagnose, mitigate, repair."""

    REPORT = "Report"
    """A cause without a symptom yet: open a P2 incident and change nothing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a signal is asked about.

    ``labels`` select the series of the arm itself, ``beside`` those of the other arm (``None``
    without a candidate). ``workload`` is the name of the Deployment in ``namespace``; ``changed``
    the Unix time at which the target's current revision began, ``None`` where that is unknown.
    """

    labels: Mapping[str, str]
    beside: Mapping[str, str] | None = None
    namespace: str = ""
    workload: str = ""
    changed: float | None = None


class Asked(NamedTuple):
    """What was answered to the questions of one rule about one arm.

    ``place`` is where the answer stands in the tally, -1 where no raw samples were asked for.
    ``since`` is the Unix time from which samples are evidence, ``window`` is in seconds. ``state``
    and ``until`` are those of the last measurement of a sequential test. ``weight`` is the
    candidate's share of the traffic in [0, 1] by the route, 0 where that is unknown.
    ``reference`` is what the ConfigMap holds that the rule names, or why nothing is known of it,
    ``least`` how many observations the signal demands, and ``usual`` what the last measurement
    wanted to be remembered.
    """

    answers: Mapping[str, Sequence[Series]]
    place: int
    since: float
    now: float
    window: float
    subject: Subject
    state: str = ""
    until: float = 0.0
    weight: float = 0.0
    reference: Reference | Missing | None = None
    least: int = 0
    usual: Usual | None = None


class Rule(Part, ABC):
    """One signal kind, as written in a spec."""

    KIND: ClassVar[str]
    """The field of a signal that holds this rule."""

    SCOPE: ClassVar[Scope] = Scope.EACH_ARM

    ON_BREACH: ClassVar[OnBreach] = OnBreach.ACT
    """What a breach leads to unless the spec says otherwise."""

    WINDOW: ClassVar[str] = "30s"
    """How far back the samples reach unless the spec says otherwise."""

    SAMPLES: ClassVar[int] = 50
    """How many observations are demanded unless the spec says otherwise."""

    PERSISTENCE: ClassVar[tuple[int, int]] = (2, 3)
    """How many of how many looks make a breach unless the spec says otherwise."""

    COUNTS: ClassVar[bool] = True
    """Whether a minimum of observations can be demanded at all."""

    @property
    @abstractmethod
    def pillar(self) -> Pillar | None:
        """The pillar that the rule speaks of, or ``None`` where a spec has to say it."""

    @property
    def on_breach(self) -> OnBreach:
        """What a breach leads to unless the spec says otherwise."""
        return self.ON_BREACH

    @property
    def attributes(self) -> bool:
        """Whether a breach by itself proves that the revision is to blame, not what it runs on."""
        return False

    @property
    def scope(self) -> Scope:
        """Which workloads this rule is asked about."""
        return self.SCOPE

    @property
    def config_map(self) -> str | None:
        """The name of the ConfigMap that holds the reference of the rule, if it names one."""
        return None

    def settles(self, window: float) -> float:
        """Return for how many seconds after an action answers still look back over it.

        Matters only for kinds that ask for no raw samples; ``window`` is in seconds.
        """
        return window

    def resolved(self, _preset: Preset | None) -> Self:
        """Return the rule with what the spec leaves to the preset filled in.

        Raises:
            PresetError: the preset has no such number, or there is no preset.
        """
        return self

    @abstractmethod
    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return what to ask, by role, about ``subject``; ``window`` in seconds.

        Raises:
            PromqlError: an expression of the spec cannot be used.
        """

    @classmethod
    def measure_all(
        cls, rules: Sequence[Self], asked: Sequence[Asked], tally: Tally
    ) -> list[Measured]:
        """Return what ``asked`` amounts to for each of ``rules``, in their order."""
        return [rule.measure(one, tally) for rule, one in zip(rules, asked, strict=True)]

    def measure(self, asked: Asked, tally: Tally) -> Measured:
        """Return what ``asked`` amounts to; a kind has this or :meth:`measure_all`."""
        (measured,) = self.measure_all([self], [asked], tally)
        return measured
