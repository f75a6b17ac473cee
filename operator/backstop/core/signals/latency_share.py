"""The share of requests slower than a bound."""

import math
from typing import ClassVar

from backstop.core.signals.histogram import Histogram, LatencyRule
from backstop.core.signals.rule import Measured, Measurement, Missing, Pillar, UnknownReason
from backstop.core.units import Duration, Percent, fraction, say_seconds, say_share, seconds


class LatencyShare(LatencyRule):
    """Requests slower than a bound, per request; exact when the bound is an edge of a bucket."""

    KIND: ClassVar[str] = "latencyShare"
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    above: Duration
    """What counts as slow; choose an edge of a bucket, or the next larger edge is used."""

    max: Percent
    """The largest share of slow requests that is healthy, for example `1%`."""

    def judge(self, histogram: Histogram) -> Measured:
        """Return the share of slow requests against its bound."""
        slow = histogram.above(seconds(self.above))
        if math.isnan(slow):
            return Missing(
                UnknownReason.BAD_QUERY,
                f"no bucket reaches {say_seconds(seconds(self.above))}: the largest ends at"
                f" {say_seconds(float(histogram.edges[-2]))}; choose a smaller bound",
            )
        value = slow / histogram.count
        return Measurement(
            value=value,
            breached=value > fraction(self.max),
            why=f"{say_share(value)} of requests slower than {say_seconds(seconds(self.above))}"
            f" ({slow:,.0f} of {histogram.count:,.0f}), allowed {self.max}",
            samples=histogram.count,
        )
