"""A free PromQL expression against bounds."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import StringConstraints, model_validator

from backstop.core import promql
from backstop.core.samples import Series
from backstop.core.signals.rule import (
    Measured,
    Measurement,
    Missing,
    Rule,
    UnknownReason,
    raw_samples,
)
from backstop.core.units import Decimal


class Promql(Rule):
    """Any expression that yields one number.

    A plain selector is read as raw samples, so that the time of its newest scrape is known and the
    next look can follow the next scrape at once.
    """

    KIND: ClassVar[str] = "promql"
    COUNTS_REQUESTS: ClassVar[bool] = False

    expr: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """The expression; it must yield one series. Each selector gets the labels of the arm."""

    min: Decimal | None = None
    """The smallest healthy value."""

    max: Decimal | None = None
    """The largest healthy value."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("promql needs min, max or both")
        return self

    @property
    def reads_raw_samples(self) -> bool:
        """Only a plain selector yields raw samples; see :attr:`Rule.reads_raw_samples`."""
        return promql.is_selector(self.expr)

    def queries(self, labels: Mapping[str, str], window: float) -> Mapping[str, str]:
        """Return the expression; see :meth:`Rule.queries`."""
        if self.reads_raw_samples:
            return {"value": raw_samples(self.expr, labels, window)}
        return {"value": promql.confine(self.expr, labels)}

    def measure(self, answers: Mapping[str, Sequence[Series]]) -> Measured:
        """Return the newest value; see :meth:`Rule.measure`."""
        series = answers["value"]
        if not series:
            return Missing(UnknownReason.NO_DATA, "the expression returned no series")
        if len(series) > 1:
            return Missing(
                UnknownReason.BAD_QUERY,
                f"the expression returned {len(series)} series; aggregate them to one, for example"
                " with sum() or max()",
            )
        value = float(series[0].values[-1])
        if math.isnan(value):
            return Missing(UnknownReason.NO_DATA, "the expression returned NaN")
        low = -math.inf if self.min is None else float(self.min)
        high = math.inf if self.max is None else float(self.max)
        return Measurement(
            value=value,
            breached=not low <= value <= high,
            why=f"value {value:.4g}, allowed {self._bounds()}",
        )

    def _bounds(self) -> str:
        if self.min is None:
            return f"at most {self.max}"
        if self.max is None:
            return f"at least {self.min}"
        return f"{self.min} to {self.max}"
