"""Counting a share exactly: so many of so many, from two sets of counters.

Shared by the kinds that are a ratio of counters. The no-data rules live here: without a growing
denominator there is no ratio, while an absent numerator beside a present denominator is a zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from backstop.core.samples import Series, scrape_times, total_increase
from backstop.core.signals.rule import (
    Measured,
    Measurement,
    Missing,
    Rule,
    UnknownReason,
    raw_samples,
)
from backstop.core.units import Percent, fraction, say_share


@dataclass(frozen=True, slots=True)
class Share:
    """``part`` of ``whole`` observations; 0 <= part <= whole, whole > 0."""

    part: float
    whole: float

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.part / self.whole


def count_share(part: Sequence[Series], whole: Sequence[Series], noun: str) -> Share | Missing:
    """Return the share of ``part`` in ``whole``, or why it cannot be told.

    ``noun`` names what ``whole`` counts, for the sentence.
    """
    if not whole:
        return Missing(UnknownReason.NO_DATA, f"no series of {noun}")
    scraped = scrape_times((*part, *whole))
    if not any(times.size > 1 for times in scraped.values()):
        return Missing(
            UnknownReason.INSUFFICIENT_DATA,
            f"{noun} were scraped once; a difference needs two scrapes in the window",
        )
    counted = total_increase(whole, scraped)
    hits = total_increase(part, scraped)
    if not (0.0 <= counted < math.inf and 0.0 <= hits < math.inf):
        return Missing(UnknownReason.NO_DATA, f"the counters of {noun} are not numbers")
    if counted == 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"no {noun} in the window")
    return Share(part=min(hits, counted), whole=counted)


class CounterRatio(Rule):
    """A share of two counters with an upper bound; a kind adds the two selectors as fields."""

    PART: ClassVar[str]
    """The field with the selector of what is counted as bad."""

    WHOLE: ClassVar[str]
    """The field with the selector of what is counted at all."""

    PART_NOUN: ClassVar[str]
    WHOLE_NOUN: ClassVar[str]

    max: Percent
    """The largest share that is healthy, for example `5%`."""

    def queries(self, labels: Mapping[str, str], window: float) -> Mapping[str, str]:
        """Return the raw samples of both counters; see :meth:`Rule.queries`."""
        return {
            role: raw_samples(getattr(self, role), labels, window)
            for role in (self.PART, self.WHOLE)
        }

    def measure(self, answers: Mapping[str, Sequence[Series]]) -> Measured:
        """Return the share; see :meth:`Rule.measure`."""
        share = count_share(answers[self.PART], answers[self.WHOLE], self.WHOLE_NOUN)
        if isinstance(share, Missing):
            return share
        return Measurement(
            value=share.value,
            breached=share.value > fraction(self.max),
            why=f"{self.PART_NOUN} {say_share(share.value)} ({share.part:,.0f} of"
            f" {share.whole:,.0f}), allowed {self.max}",
            samples=share.whole,
        )
