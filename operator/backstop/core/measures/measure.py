"""What every measure is: selectors, the questions that follow from them, and how to count.

A measure knows no limit. One that counts events (so many of so many) can be held against a limit,
an objective, or another version; a value only against a limit.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from backstop.core import promql
from backstop.core.cel import Part
from backstop.core.flat import Indices
from backstop.core.measurement import Missing, Pillar, Question, UnknownReason
from backstop.core.presets.preset import Preset
from backstop.core.samples import Series, Target
from backstop.core.tally import MOST, Answers, Tally
from backstop.core.units import Unit

Floats = NDArray[np.float64]


class Measure(Part, ABC):
    """One thing that can be measured, as written in a spec."""

    UNIT: ClassVar[Unit]
    """In which unit a limit of it is written."""

    PILLAR: ClassVar[Pillar | None] = None
    """The pillar that it speaks of, or ``None`` where a spec has to say it."""

    @property
    def bound(self) -> float:
        """The number that sets it apart from others of its kind when it counts, if it has one."""
        return math.nan

    def resolved(self, _preset: Preset | None) -> Self:
        """Return the measure with the selectors that the spec leaves to the preset.

        Raises:
            PresetError: the preset has no such number, or there is no preset.
        """
        return self

    @abstractmethod
    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return what to ask by role; ``window`` in seconds.

        Raises:
            PromqlError: a selector cannot be used.
        """


class Share(NamedTuple):
    """``part`` of ``whole`` events; 0 <= part <= whole, whole > 0."""

    part: float
    whole: float

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.part / self.whole


class Shares(NamedTuple):
    """The shares of many answers; ``nan`` where one is missing."""

    part: Floats
    whole: Floats


class Components(NamedTuple):
    """The counters of a measure, pod by pod: all events and, among them, the bad or the good."""

    whole: Sequence[Series]
    bad: Sequence[Series] = ()
    good: Sequence[Series] | None = None


class EventMeasure(Measure):
    """So many events of so many, from counters."""

    UNIT: ClassVar[Unit] = Unit.SHARE

    IS_BAD: ClassVar[bool | None] = True
    """Whether the events it counts are the bad ones; ``None`` where only a limit tells."""

    @classmethod
    @abstractmethod
    def count_all(cls, bounds: Floats, places: Indices, t: Tally) -> Shares:
        """Count what raw samples amount to, by the ``bounds`` of measures of this kind.

        ``places`` is where their answers stand in ``t``.
        """

    @abstractmethod
    def missing(self, answers: Answers, place: int, t: Tally) -> Missing:
        """Return why there is no share in ``answers``, which stand at ``place`` in ``t``."""

    @abstractmethod
    def say(self, share: Share) -> str:
        """Return ``share`` in words, without a limit: ``errors 4.1 % (312 of 7,610)``."""

    @abstractmethod
    def aggregated(
        self, labels: Mapping[str, str], window: str, modifier: str = ""
    ) -> Mapping[str, str]:
        """Return PromQL by role for the increases over ``window`` as the source computes them.

        For windows that are too long for raw samples. ``window`` is a PromQL duration, ``modifier``
        an ``offset`` or ``@`` to put behind it.
        """

    @abstractmethod
    def count_aggregated(self, answers: Answers) -> Share | Missing:
        """Return the share that the answers to :meth:`aggregated` amount to."""

    @abstractmethod
    def components(self, answers: Answers) -> Components | Missing:
        """Return the raw counters in ``answers`` for counting them pod by pod."""


class Value(NamedTuple):
    """A number, in words without a limit, and on how many observations it rests."""

    number: float
    said: str
    samples: float = math.inf
    at_least: bool = False
    """Whether the number is only a lower bound of the true one."""


class ValueMeasure(Measure):
    """A number that is not a share of events."""

    @classmethod
    def plain(cls, places: Indices, _t: Tally) -> Floats:
        """Return the numbers that arrays are enough for; they rest on no count of observations.

        ``places`` is where the answers stand in the tally, -1 where they do not. The others are
        ``nan`` and get a closer look: see :meth:`value`.
        """
        return np.full(places.size, np.nan)

    def say(self, number: float) -> str:
        """Return a plain number in words, without a limit."""
        return f"value {number:.4g}"

    @abstractmethod
    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the number that ``answers``, which stand at ``place`` in ``t``, amount to."""


def summed_increase(
    selector: str, labels: Mapping[str, str], window: str, modifier: str, by: str = ""
) -> str:
    """Return PromQL for the increase of ``selector``, summed over its series or ``by`` labels.

    Raises:
        PromqlError: ``selector`` is not a plain selector.
    """
    promql.require_selector(selector)
    confined = promql.confine(selector, labels)
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped}(increase({confined}[{window}]{modifier and ' ' + modifier}))"


def summed(increases: Floats) -> float:
    """Return the sum of ``increases``, ``nan`` where it is no count."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(increases.sum())
    return found if found < MOST else math.nan


def mean_of(
    answers: Answers, place: int, t: Tally, noun: str, scale: float = 1.0
) -> tuple[float, float] | Missing:
    """Return the mean and the number of observations, from the counters of both.

    The roles are ``total`` and ``count``, in this order; the total is multiplied by ``scale``.
    ``noun`` names the observations for the sentence.
    """
    totals = len(answers["total"])
    if not totals or not answers["count"]:
        return Missing(UnknownReason.NO_DATA, f"no series of the sum or of {noun}")
    total, count = summed(t.of(place)[:totals]) * scale, summed(t.of(place)[totals:])
    if math.isnan(total) or math.isnan(count):
        return Missing(UnknownReason.NO_DATA, f"the counters of {noun} are not numbers")
    if count == 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"no {noun} in the window")
    if _lags(answers, place, t):
        return Missing(UnknownReason.NO_DATA, f"the sum is missing where {noun} are counted")
    return total / count, count


def falls(answers: Answers) -> bool:
    """Return whether a total falls at a scrape at which no count of its target falls."""
    restarts = {
        (series.target, at) for series in answers["count"] for at in _fallen(series).tolist()
    }
    return any(
        (series.target, at) not in restarts
        for series in answers["total"]
        for at in _fallen(series).tolist()
    )


def _fallen(series: Series) -> Floats:
    """Return the times at which a counter is lower than before."""
    with np.errstate(invalid="ignore"):
        return np.asarray(series.times[1:][np.diff(series.values) < 0.0])


def _lags(answers: Answers, place: int, t: Tally) -> bool:
    """Return whether the total of a scrape target ends before a count of it that grew."""
    totals, last = len(answers["total"]), t.last_of(place).tolist()
    reached: dict[Target, float] = {}
    for series, at in zip(answers["total"], last[:totals], strict=True):
        reached[series.target] = max(at, reached.get(series.target, -math.inf))
    counts = zip(answers["count"], t.of(place)[totals:].tolist(), last[totals:], strict=True)
    return any(
        increase > 0.0 and reached.get(series.target, -math.inf) < at
        for series, increase, at in counts
    )


def one_number(series: Sequence[Series]) -> float:
    """Return the newest value of the only series, ``nan`` where there is not exactly one."""
    return float(series[0].values[-1]) if len(series) == 1 else math.nan


def share_of(part: float, whole: float, noun: str) -> Share | Missing:
    """Return the share, or why there is none; an absent (nan) part beside a whole is a zero."""
    if math.isnan(whole):
        return Missing(UnknownReason.NO_DATA, f"no series of {noun}")
    part = 0.0 if math.isnan(part) else part
    if not (0.0 <= whole < MOST and 0.0 <= part < MOST):
        return Missing(UnknownReason.NO_DATA, f"the counters of {noun} are not numbers")
    if whole == 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"no {noun} in the window")
    return Share(min(part, whole), whole)
