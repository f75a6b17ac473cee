"""A measure against fixed limits."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from backstop.core.cel import cel
from backstop.core.flat import Floats, Indices
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    UnknownReason,
)
from backstop.core.measures.latency import Latency, LatencyMean, LatencyQuantile
from backstop.core.measures.measure import EventMeasure, Share, Value, ValueMeasure
from backstop.core.measures.shares import Errors, Ratio, Success
from backstop.core.measures.values import Mean, Promql, Rate
from backstop.core.presets.preset import Preset
from backstop.core.signals.columns import ColumnRule, Figures, Measurements
from backstop.core.signals.rule import Asked, Subject
from backstop.core.tally import Tally
from backstop.core.units import Bound, Unit, limit, say_seconds, unit_of

MEASURES = (
    "errors",
    "latency",
    "success",
    "ratio",
    "latencyQuantile",
    "latencyMean",
    "mean",
    "rate",
    "promql",
)
"""The fields of a threshold that name what is measured; exactly one is set."""


_SHARES = ("errors", "latency", "success", "ratio")
_TIMES = ("latencyQuantile", "latencyMean")


def _python(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


def _has(names: Sequence[str]) -> str:
    return " || ".join(f"has(self.{name})" for name in names)


def _in_unit(fields: Sequence[str], unit: Unit) -> Callable[[Any], bool]:
    def holds(self: Any) -> bool:
        asked = any(getattr(self, _python(name)) is not None for name in fields)
        limits = [one for one in (self.min, self.max) if one is not None]
        return not asked or all(unit_of(one) is unit for one in limits)

    return holds


def _limits_match(fields: Sequence[str], pattern: str) -> str:
    both = " && ".join(
        f"(!has(self.{name}) || self.{name}.matches('{pattern}'))" for name in ("min", "max")
    )
    return f"!({_has(fields)}) || ({both})"


@cel(
    _limits_match(("mean", "rate", "promql"), "[0-9]$"),
    'limits of mean, rate and promql are numbers in quotes, for example max: "0.8"',
    _in_unit(("mean", "rate", "promql"), Unit.PLAIN),
)
@cel(
    _limits_match(_TIMES, "[a-z]$"),
    "limits of latencyQuantile and latencyMean are durations, for example max: 250ms",
    _in_unit(_TIMES, Unit.SECONDS),
)
@cel(
    _limits_match(_SHARES, "%$"),
    "limits of errors, latency, success and ratio are percentages, for example max: 5%",
    _in_unit(_SHARES, Unit.SHARE),
)
@cel(
    "has(self.min) || has(self.max)",
    "a threshold needs min, max or both",
    lambda self: self.min is not None or self.max is not None,
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in MEASURES) + " == 1",
    f"a threshold needs exactly one of {', '.join(MEASURES)}",
    lambda self: sum(getattr(self, _python(name)) is not None for name in MEASURES) == 1,
)
class Threshold(ColumnRule):
    """One measure that must stay at or above `min`, at or below `max`, or between both."""

    KIND: ClassVar[str] = "threshold"

    errors: Errors | None = None
    """Failed requests per request."""

    latency: Latency | None = None
    """Requests slower than a bound, per request; needs fewer requests than a high quantile."""

    success: Success | None = None
    """Attempts that succeeded, per attempt."""

    ratio: Ratio | None = None
    """Any share of two counters."""

    latency_quantile: LatencyQuantile | None = None
    """A quantile of latency."""

    latency_mean: LatencyMean | None = None
    """Mean latency, for servers without a histogram."""

    mean: Mean | None = None
    """What was summed, per observation."""

    rate: Rate | None = None
    """Events per second of one counter."""

    promql: Promql | None = None
    """Any expression that yields one number."""

    min: Bound | None = None
    """The smallest healthy value, in the unit of the measure: `"0.8"`, `95%`, `10ms`."""

    max: Bound | None = None
    """The largest healthy value, in the unit of the measure: `5%` for shares, `250ms` for
    latency, a number in quotes for anything else."""

    @property
    def field(self) -> str:
        """The name of the field that says what is measured."""
        return next(name for name in MEASURES if getattr(self, _python(name)) is not None)

    @cached_property
    def measure_of(self) -> EventMeasure | ValueMeasure:
        """What is measured."""
        found: EventMeasure | ValueMeasure = getattr(self, _python(self.field))
        return found

    @property
    def pillar(self) -> Pillar | None:
        """The pillar of the measure; see :attr:`Rule.pillar`."""
        return self.measure_of.PILLAR

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest healthy value; infinite where there is no limit."""
        low = -math.inf if self.min is None else limit(self.min)
        return low, math.inf if self.max is None else limit(self.max)

    @property
    def allowed(self) -> str:
        """The limits in words."""
        low, high = (_said(one) for one in (self.min, self.max))
        if self.min is None:
            return high if self.measure_of.UNIT is not Unit.PLAIN else f"at most {high}"
        return f"at least {low}" if self.max is None else f"{low} to {high}"

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with its measure resolved; see :meth:`Rule.resolved`."""
        resolved = self.measure_of.resolved(preset)
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, _python(self.field): resolved})

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return the questions of the measure; see :meth:`Rule.questions`."""
        return self.measure_of.questions(subject.labels, window)

    @property
    def measures_as(self) -> type[EventMeasure | ValueMeasure]:
        """The kind of the measure; see :attr:`ColumnRule.measures_as`."""
        return type(self.measure_of)

    @property
    def figures(self) -> Figures:
        """Both limits and the bound of the measure; see :attr:`ColumnRule.figures`."""
        return (*self.limits, self.measure_of.bound)

    @classmethod
    def measure_columns(
        cls,
        rules: Sequence[Self],
        figures: Floats,
        places: Indices,
        asked: Callable[[int], Asked],
        tally: Tally,
    ) -> Measurements:
        """Hold one kind of measure against limits; see :meth:`ColumnRule.measure_columns`."""
        low, high, bounds = figures.T
        found = _numbers(rules[0].measure_of, bounds, places, tally)
        # No comparison with nan holds, so what is not known breaks no limit.
        breached = (found.value < low) | (found.value > high)
        others = {
            number: rules[number].closer(asked(number), tally)
            for number in np.flatnonzero(np.isnan(found.value)).tolist()
        }
        return Measurements(
            found.value, breached, found.samples, partial(_say, rules, found), others
        )

    def closer(self, asked: Asked, tally: Tally) -> Measured:
        """Return what arrays cannot tell: a number that is not plain, or why there is none."""
        measure = self.measure_of
        if isinstance(measure, EventMeasure):
            return measure.missing(asked.answers, asked.place, tally)
        return self.held(measure.value(asked.answers, asked.place, tally))

    def held(self, value: Value | Missing) -> Measured:
        """Return what ``value`` amounts to against the limits."""
        if isinstance(value, Missing):
            return value
        low, high = self.limits
        unreached = value.number < low or value.number < high < math.inf
        if value.at_least and unreached:
            return Missing(
                UnknownReason.BAD_QUERY,
                f"{value.said}, the largest bucket, so it cannot be held against"
                f" {self.allowed}; add a bucket for that",
            )
        breached = not low <= value.number <= high or (value.at_least and high < math.inf)
        return Measurement(value.number, breached, self.said(value.said), samples=value.samples)

    def said(self, measured: str) -> str:
        """Return what was measured, in words, beside the limits."""
        return f"{measured}, allowed {self.allowed}"


class _Numbers(NamedTuple):
    """What the measures of many rules amount to; ``part`` of ``samples`` events where they count.

    ``nan`` where it takes a closer look.
    """

    value: Floats
    part: Floats
    samples: Floats


def _numbers(
    measure: EventMeasure | ValueMeasure, bounds: Floats, places: Indices, tally: Tally
) -> _Numbers:
    """Return the numbers of all that is measured as by ``measure``."""
    if isinstance(measure, EventMeasure):
        part, whole = measure.count_all(bounds, places, tally)
        return _Numbers(part / whole, part, whole)
    value = measure.plain(places, tally)
    return _Numbers(value, value, np.full(value.size, np.inf))


def _say(rules: Sequence[Threshold], found: _Numbers, number: int) -> str:
    rule = rules[number]
    measure, (value, part, samples) = rule.measure_of, (float(one[number]) for one in found)
    if isinstance(measure, EventMeasure):
        return rule.said(measure.say(Share(part, samples)))
    return rule.said(measure.say(value))


def _said(bound: Bound | None) -> str:
    if bound is None or bound.endswith("%") or bound[-1].isdigit():
        return str(bound)
    return say_seconds(limit(bound))
