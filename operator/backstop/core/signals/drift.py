"""Whether data or predictions are still what they were: in training, in the past, or on stable.

A feature has drifted when three things hold: its effect size is above its limit and above what
chance does at this sample size, a test says so beyond the false discoveries that are allowed over
all features, and the size is more than what is usual for that feature. Drift alone is a cause
without a symptom, so it is reported and changes nothing unless the spec says otherwise.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field

from backstop.core import promql
from backstop.core.cel import cel
from backstop.core.drifting import (
    Table,
    Terms,
    incomparable,
    judge,
    nothing,
    say,
    undecided,
    worst_of,
)
from backstop.core.evidence_state import fingerprint
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    UnknownReason,
    Usual,
)
from backstop.core.measures.distributions import (
    FeatureCategories,
    FeatureHistograms,
    PredictionCounter,
    ScoreHistogram,
    Watched,
)
from backstop.core.measures.drift_reference import DriftReference, Range
from backstop.core.measures.effects import LIMITS, ORDERED, By
from backstop.core.measures.features import Floats, Side, side_by_side
from backstop.core.measures.past import remember, remembered
from backstop.core.presets.preset import Preset
from backstop.core.reference import Reference
from backstop.core.samples import newest
from backstop.core.signals.rule import Asked, OnBreach, Rule, Scope, Subject
from backstop.core.tally import Tally
from backstop.core.units import Decimal, Percent, fraction

_KEPT_PART: Final = 10.0
"""An answer is good for its window divided by this: it can hardly change sooner."""

_CURRENT: Final = "current"
_STABLE: Final = "stable"
_WATCHED: Final = ("features", "scores", "predictions", "categories")


def _is_ordered(self: "Drift") -> bool:
    return self.features is not None or self.scores is not None


@cel(
    "!has(self.range) || (has(self.by) && self.by == 'wasserstein')",
    "range is for by: wasserstein only",
    lambda self: self.range is None or self.by is By.WASSERSTEIN,
)
@cel(
    "!has(self.by) || !(self.by in ['ks', 'wasserstein'])"
    " || has(self.features) || has(self.scores)",
    "ks and wasserstein need numbers: features or scores",
    lambda self: self.by not in ORDERED or _is_ordered(self),
)
@cel(
    "!self.falseDiscoveries.matches('^(100|0{1,2}([.]0+)?)%$')",
    "falseDiscoveries must be above 0% and below 100%",
    lambda self: 0.0 < fraction(self.false_discoveries) < 1.0,
)
@cel(
    "self.alpha.matches('^[0-4]?[0-9]([.][0-9]+)?%$') && !self.alpha.matches('^0{1,2}([.]0+)?%$')",
    "alpha must be above 0% and below 50%",
    lambda self: 0.0 < fraction(self.alpha) < 0.5,  # noqa: PLR2004 - as the message says
)
@cel(
    "!has(self.max) || double(self.max) > 0.0",
    "max must be above 0",
    lambda self: self.max is None or float(self.max) > 0.0,
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _WATCHED) + " == 1",
    f"drift needs exactly one of {', '.join(_WATCHED)}",
    lambda self: sum(getattr(self, name) is not None for name in _WATCHED) == 1,
)
class Drift(Rule):
    """A distribution that must stay what it was: of features, scores, predictions or categories."""

    KIND: ClassVar[str] = "drift"
    ON_BREACH: ClassVar[OnBreach] = OnBreach.REPORT
    WINDOW: ClassVar[str] = "1h"
    SAMPLES: ClassVar[int] = 100

    features: FeatureHistograms | None = None
    """Features that are numbers."""

    scores: ScoreHistogram | None = None
    """The scores that the model gives."""

    predictions: PredictionCounter | None = None
    """The classes that the model answers."""

    categories: FeatureCategories | None = None
    """Features that are categories."""

    reference: DriftReference = Field(
        default_factory=lambda: DriftReference(past=["7d", "14d", "21d", "28d"])
    )
    """What it is compared with; the same window 7, 14, 21 and 28 days ago unless written."""

    by: By | None = None
    """The statistic: `psi` for numbers and `jensenShannon` for categories unless written."""

    max: Decimal | None = None
    """The largest effect size that is no drift. Unless written: psi 0.2, ks 0.1, wasserstein 0.2
    standard deviations, jensenShannon 0.1, lInfinity 0.1, chiSquare 0.3."""

    alpha: Percent = "0.1%"
    """How often chance may exceed an effect size for that size to count: it sets how many samples
    are needed."""

    false_discoveries: Percent = "5%"
    """Which share of the features that are called drifted may be so by chance."""

    affected: Annotated[int, Field(ge=1, le=5_000)] = 1
    """How many features must have drifted."""

    range: Range | None = None
    """Where the outermost buckets end, for `wasserstein`: it needs to know how far out values lie.
    """

    @property
    def watched(self) -> Watched:
        """What is compared."""
        found: Watched = getattr(self, self._field)
        return found

    @property
    def _field(self) -> str:
        return next(name for name in _WATCHED if getattr(self, name) is not None)

    @property
    def statistic(self) -> By:
        """What it is compared by."""
        return self.by or (By.PSI if self.watched.ORDERED else By.JENSEN_SHANNON)

    @property
    def limit(self) -> float:
        """The largest effect size that is no drift."""
        return LIMITS[self.statistic] if self.max is None else float(self.max)

    @property
    def pillar(self) -> Pillar | None:
        """Data for features, the model for what it answers; see :attr:`Rule.pillar`."""
        return self.watched.PILLAR

    @property
    def scope(self) -> Scope:
        """Only a candidate can be compared with stable; see :attr:`Rule.scope`."""
        return Scope.CANDIDATE if self.reference.stable else Scope.EACH_ARM

    @property
    def config_map(self) -> str | None:
        """The ConfigMap of the training data; see :attr:`Rule.config_map`."""
        return self.reference.config_map

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's selectors; see :meth:`Rule.resolved`."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, self._field: self.watched.resolved(preset)})

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return what to ask about both sides; see :meth:`Rule.questions`."""
        said, keep = promql.duration(window), window / _KEPT_PART
        asked = {_CURRENT: Question(self.watched.asks(subject.labels, said), keep)}
        if self.reference.stable and subject.beside is not None:
            asked[_STABLE] = Question(self.watched.asks(subject.beside, said), keep)
        for offset in self.reference.past or ():
            past = self.watched.asks(subject.labels, said, f"offset {offset}")
            asked[offset] = Question(past, window)
        return asked

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return how many features have drifted; see :meth:`Rule.measure`."""
        found = self.watched.read(asked.answers[_CURRENT])
        if not found.sides:
            return nothing(found, self.watched.NOUN)
        windows = self._windows(asked)
        if isinstance(windows, Missing):
            return windows
        cube = side_by_side(found.sides, windows)
        if not cube.names:
            return incomparable(cube, self.watched.NOUN)
        terms, about = self._terms(asked.least), fingerprint(self, _identity(asked))
        memory = remembered(asked.usual, about, cube.names)
        table = judge(cube, terms, memory)
        if not table.judged.any():
            return undecided(table, terms)
        worst = worst_of(table, terms)
        return Measurement(
            value=float(table.sizes.effect[worst]),
            breached=int(table.drifted.sum()) >= self.affected,
            said=say(table, worst, terms, found),
            samples=float(table.n[table.judged].max()),
            usual=_with(memory, table, about, asked),
        )

    def _windows(self, asked: Asked) -> list[Mapping[str, Side]] | Missing:
        """Return what is compared with, window by window."""
        if self.reference.config_map is not None:
            if isinstance(asked.reference, Reference):
                return [self.watched.within(asked.reference)]
            why = f"ConfigMap {self.reference.config_map} is not known"
            return asked.reference or Missing(UnknownReason.WARMING_UP, why)
        roles = [_STABLE] if self.reference.stable else (self.reference.past or [])
        windows = [self.watched.read(asked.answers.get(role, ())).sides for role in roles]
        if not any(windows):
            when = "on stable" if self.reference.stable else f"{', '.join(roles)} ago"
            why = f"nothing is known of {self.watched.NOUN} {when}, so there is nothing to compare"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        return windows

    def _terms(self, least: int) -> Terms:
        against = "the training data" if self.reference.config_map else ""
        return Terms(
            by=self.statistic,
            limit=self.limit,
            alpha=fraction(self.alpha),
            rate=fraction(self.false_discoveries),
            least=least,
            bounds=None if self.range is None else self.range.bounds,
            against="stable" if self.reference.stable else against,
            noun=self.watched.NOUN,
            many=self.watched.MANY,
            ordered=self.watched.ORDERED,
        )


def _identity(asked: Asked) -> str:
    return asked.reference.identity if isinstance(asked.reference, Reference) else ""


def _with(memory: Floats, table: Table, about: float, asked: Asked) -> Usual | None:
    """Return the past with this window in it, ``None`` if it overlaps one that is in it."""
    at = min(newest(asked.answers[_CURRENT]) or asked.now, asked.now)
    known = asked.usual
    if known is not None and known.about == about and at < known.at + asked.window:
        return None
    return remember(memory, about, at, table.cube.names, table.healthy_sizes)
