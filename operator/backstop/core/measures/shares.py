"""Shares from two sets of counters: errors, successes, and any other.

The no-data rules live here: without a growing denominator there is no share, while an absent
numerator beside a present denominator is a zero.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from backstop.core.flat import Floats, Indices
from backstop.core.measurement import (
    Missing,
    Pillar,
    Question,
    Selector,
    UnknownReason,
    raw_samples,
)
from backstop.core.measures.measure import (
    Components,
    EventMeasure,
    Share,
    Shares,
    one_number,
    share_of,
    summed_increase,
)
from backstop.core.presets.preset import Preset, PresetError, demand
from backstop.core.tally import MOST, Answers, Tally
from backstop.core.units import say_share

_PART, _WHOLE = 0, 1


class CounterShare(EventMeasure):
    """A share of two counters; a measure adds the two selectors as fields."""

    PART_FIELD: ClassVar[str]
    WHOLE_FIELD: ClassVar[str]
    PART_NOUN: ClassVar[str]
    WHOLE_NOUN: ClassVar[str]

    @property
    @abstractmethod
    def selectors(self) -> tuple[str, str]:
        """The selectors of part and whole."""

    @property
    def bad_noun(self) -> str:
        """What its bad events are called."""
        return self.PART_NOUN if self.IS_BAD else f"{self.WHOLE_NOUN} without success"

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of both counters; see :meth:`Measure.questions`."""
        part, whole = self.selectors
        return {
            self.PART_FIELD: raw_samples(part, labels, window),
            self.WHOLE_FIELD: raw_samples(whole, labels, window),
        }

    @classmethod
    def count_all(cls, _bounds: Floats, places: Indices, t: Tally) -> Shares:
        """Count all shares at once; see :meth:`EventMeasure.count_all`."""
        part, whole = t.sums(_PART, places), t.sums(_WHOLE, places)
        good = (whole > 0.0) & (whole < MOST) & (part < MOST) & t.twice[places]
        return Shares(
            np.where(good, np.minimum(part, whole), np.nan), np.where(good, whole, np.nan)
        )

    def missing(self, answers: Answers, place: int, t: Tally) -> Missing:
        """Return why there is no share; see :meth:`EventMeasure.missing`."""
        noun, where = self.WHOLE_NOUN, np.array([place])
        if not answers[self.WHOLE_FIELD]:
            return Missing(UnknownReason.NO_DATA, f"no series of {noun}")
        if not (t.sums(_PART, where) < MOST and t.sums(_WHOLE, where) < MOST):
            return Missing(UnknownReason.NO_DATA, f"the counters of {noun} are not numbers")
        if not t.twice[place]:
            why = f"{noun} were scraped once; a difference needs two scrapes in the window"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"no {noun} in the window")

    def say(self, share: Share) -> str:
        """Return the share with both counts; see :meth:`EventMeasure.say`."""
        said = f"{share.part:,.0f} of {share.whole:,.0f}"
        return f"{self.PART_NOUN} {say_share(share.value)} ({said})"

    def aggregated(
        self, labels: Mapping[str, str], window: str, modifier: str = ""
    ) -> Mapping[str, str]:
        """Return both increases; see :meth:`EventMeasure.aggregated`."""
        part, whole = self.selectors
        return {
            self.PART_FIELD: summed_increase(part, labels, window, modifier),
            self.WHOLE_FIELD: summed_increase(whole, labels, window, modifier),
        }

    def count_aggregated(self, answers: Answers) -> Share | Missing:
        """Return the share of the two sums; see :meth:`EventMeasure.count_aggregated`."""
        part, whole = answers[self.PART_FIELD], answers[self.WHOLE_FIELD]
        if part and np.isnan(one_number(part)):
            return Missing(
                UnknownReason.NO_DATA, f"the counters of {self.WHOLE_NOUN} are not numbers"
            )
        return share_of(one_number(part), one_number(whole), self.WHOLE_NOUN)

    def components(self, answers: Answers) -> Components | Missing:
        """Return both sets of counters; see :meth:`EventMeasure.components`."""
        part, whole = answers[self.PART_FIELD], answers[self.WHOLE_FIELD]
        if not whole:
            return Missing(UnknownReason.NO_DATA, f"no series of {self.WHOLE_NOUN}")
        return Components(whole, bad=part) if self.IS_BAD else Components(whole, good=part)


class Errors(CounterShare):
    """Failed requests per request. A preset knows both counters."""

    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM
    PART_FIELD: ClassVar[str] = "errors"
    WHOLE_FIELD: ClassVar[str] = "requests"
    PART_NOUN: ClassVar[str] = "errors"
    WHOLE_NOUN: ClassVar[str] = "requests"

    requests: Selector | None = None
    """Selector of the counter of all requests, for example `model_requests_total`."""

    errors: Selector | None = None
    """Selector of the counter of failed ones, for example `model_requests_total{code=~"5.."}`."""

    @property
    def selectors(self) -> tuple[str, str]:
        """The selectors of failed and of all requests."""
        return self.errors or "", self.requests or ""

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's counters; see :meth:`Measure.resolved`."""
        if self.requests is not None and self.errors is not None:
            return self
        if self.requests is not None or self.errors is not None:
            raise PresetError("errors needs both requests and errors, or neither with a preset")
        known = demand(preset, "errors", lambda known: known.errors)
        return self.model_copy(update={"requests": known.whole, "errors": known.part})


class Success(CounterShare):
    """Attempts that succeeded, such as orders per visit: a business signal."""

    IS_BAD: ClassVar[bool | None] = False
    PILLAR: ClassVar[Pillar | None] = Pillar.BUSINESS
    PART_FIELD: ClassVar[str] = "successes"
    WHOLE_FIELD: ClassVar[str] = "attempts"
    PART_NOUN: ClassVar[str] = "successes"
    WHOLE_NOUN: ClassVar[str] = "attempts"

    attempts: Selector
    """Selector of the counter of attempts, for example `shop_visits_total`."""

    successes: Selector
    """Selector of the counter of those that succeeded, for example `shop_orders_total`."""

    @property
    def selectors(self) -> tuple[str, str]:
        """The selectors of successes and attempts."""
        return self.successes, self.attempts


class Ratio(CounterShare):
    """Any share of two counters."""

    IS_BAD: ClassVar[bool | None] = None
    PART_FIELD: ClassVar[str] = "part"
    WHOLE_FIELD: ClassVar[str] = "whole"
    PART_NOUN: ClassVar[str] = "share"
    WHOLE_NOUN: ClassVar[str] = "events"

    whole: Selector
    """Selector of the counter of all events."""

    part: Selector
    """Selector of the counter of those among them whose share is wanted."""

    @property
    def selectors(self) -> tuple[str, str]:
        """The selectors of part and whole."""
        return self.part, self.whole
