"""A quantile of latency against a bound."""

from typing import ClassVar

from backstop.core.signals.histogram import Histogram, LatencyRule
from backstop.core.signals.rule import Measured, Measurement, Missing, Pillar, UnknownReason
from backstop.core.units import Duration, Quantile, quantile, say_seconds, seconds


class LatencyQuantile(LatencyRule):
    """A quantile of the latency histogram, for example the 99th percentile."""

    KIND: ClassVar[str] = "latencyQuantile"
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    quantile: Quantile
    """Which quantile: `p50`, `p95`, `p99`."""

    max: Duration
    """The largest latency that is healthy, for example `250ms`."""

    def judge(self, histogram: Histogram) -> Measured:
        """Return the quantile against its bound."""
        q, bound = quantile(self.quantile), seconds(self.max)
        value, beyond = histogram.quantile(q), histogram.is_beyond(q)
        said = f"{'above ' if beyond else ''}{say_seconds(value)}"
        if beyond and value < bound:
            return Missing(
                UnknownReason.BAD_QUERY,
                f"{self.quantile} latency is {said}, the largest bucket, so it cannot be held"
                f" against {say_seconds(bound)}; add a bucket for that",
            )
        return Measurement(
            value=value,
            breached=beyond or value > bound,
            why=f"{self.quantile} latency {said} over {histogram.count:,.0f}"
            f" requests, allowed {say_seconds(bound)}",
            samples=histogram.count,
        )
