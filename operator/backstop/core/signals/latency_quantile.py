"""A quantile of latency against a bound."""

from typing import ClassVar

from backstop.core.signals.histogram import Histogram, LatencyRule
from backstop.core.signals.rule import Measurement, Pillar
from backstop.core.units import Duration, Quantile, quantile, say_seconds, seconds


class LatencyQuantile(LatencyRule):
    """A quantile of the latency histogram, for example the 99th percentile."""

    KIND: ClassVar[str] = "latencyQuantile"
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM

    quantile: Quantile
    """Which quantile: `p50`, `p95`, `p99`."""

    max: Duration
    """The largest latency that is healthy, for example `250ms`."""

    def judge(self, histogram: Histogram) -> Measurement:
        """Return the quantile against its bound."""
        value = histogram.quantile(quantile(self.quantile))
        return Measurement(
            value=value,
            breached=value > seconds(self.max),
            why=f"{self.quantile} latency {say_seconds(value)} over {histogram.count:,.0f}"
            f" requests, allowed {say_seconds(seconds(self.max))}",
            samples=histogram.count,
        )
