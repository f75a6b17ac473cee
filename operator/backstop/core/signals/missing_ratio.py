"""The share of feature values that were missing."""

from typing import ClassVar

from backstop.core.signals.ratio import CounterRatio
from backstop.core.signals.rule import Pillar, Selector


class MissingRatio(CounterRatio):
    """Missing values per value read, both from counters."""

    KIND: ClassVar[str] = "missingRatio"
    PILLAR: ClassVar[Pillar | None] = Pillar.DATA
    PART: ClassVar[str] = "missing"
    WHOLE: ClassVar[str] = "values"
    PART_NOUN: ClassVar[str] = "missing values"
    WHOLE_NOUN: ClassVar[str] = "feature values"

    values: Selector
    """Selector of the counter of all values that were read, missing ones included."""

    missing: Selector
    """Selector of the counter of values that were missing."""
