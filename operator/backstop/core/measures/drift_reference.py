"""What a distribution is compared with, as written in a spec."""

from typing import Annotated

from pydantic import Field

from backstop.core.cel import Part, cel
from backstop.core.units import Decimal, DnsName, Duration


@cel(
    "!has(self.stable) || self.stable",
    "stable is true, or left out",
    lambda self: self.stable is not False,
)
@cel(
    "(has(self.configMap) ? 1 : 0) + (has(self.past) ? 1 : 0) + (has(self.stable) ? 1 : 0) == 1",
    "a reference needs exactly one of configMap, past, stable",
    lambda self: sum(one is not None for one in (self.config_map, self.past, self.stable)) == 1,
)
class DriftReference(Part):
    """What the distribution is compared with."""

    config_map: DnsName | None = None
    """Name of a ConfigMap in the monitor's namespace with the training data, as `backstop reference
    build` writes it: is the model outside of what it was trained on?"""

    past: Annotated[list[Duration], Field(min_length=1, max_length=12)] | None = None
    """How long ago the windows are whose median is the reference: did something change? Whole weeks
    compare Mondays with Mondays."""

    stable: bool | None = None
    """`true`: the target's traffic in the same window. Only the candidate is asked, and only this
    says that it is the version that differs."""


@cel(
    "double(self.min) < double(self.max)",
    "min of a range must be below its max",
    lambda self: float(self.min) < float(self.max),
)
class Range(Part):
    """The smallest and the largest value that there is."""

    min: Decimal
    """Where the first bucket begins."""

    max: Decimal
    """Where the last bucket ends."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Both as numbers."""
        return float(self.min), float(self.max)
