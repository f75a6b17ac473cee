"""Values that are not about latency: means, rates, and any expression."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import StringConstraints

from backstop.core import promql
from backstop.core.flat import Floats, Indices
from backstop.core.measurement import Missing, Question, Selector, UnknownReason, raw_samples
from backstop.core.measures.measure import Value, ValueMeasure, falls, mean_of, summed
from backstop.core.tally import Answers, Tally
from backstop.core.units import Unit

Expression = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Mean(ValueMeasure):
    """A mean: what was summed, per observation."""

    UNIT: ClassVar[Unit] = Unit.PLAIN

    total: Selector
    """Selector of the counter of the sum, for example `model_prediction_score_sum`."""

    count: Selector
    """Selector of the counter of observations, for example `model_prediction_score_count`."""

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of both counters; see :meth:`Measure.questions`."""
        return {
            "total": raw_samples(self.total, labels, window),
            "count": raw_samples(self.count, labels, window),
        }

    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the mean; see :meth:`ValueMeasure.value`."""
        found = mean_of(answers, place, t, "observations")
        if isinstance(found, Missing):
            return found
        if falls(answers):
            why = "the sum falls without a restart: some observations are negative; use promql"
            return Missing(UnknownReason.NO_DATA, why)
        mean, count = found
        said = f"mean {mean:.4g} over {count:,.0f} observations"
        return Value(mean, said, samples=count)


class Rate(ValueMeasure):
    """Events per second of one counter."""

    UNIT: ClassVar[Unit] = Unit.PLAIN

    counter: Selector
    """Selector of the counter, for example `loan_approvals_total`."""

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the counter; see :meth:`Measure.questions`."""
        return {"counter": raw_samples(self.counter, labels, window)}

    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the rate of all pods together; see :meth:`ValueMeasure.value`."""
        series = answers["counter"]
        if not series:
            return Missing(UnknownReason.NO_DATA, "no series of the counter")
        if not t.twice[place]:
            why = "the counter was scraped once; a rate needs two scrapes in the window"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        events = summed(t.of(place))
        covered = t.covered(place, [one.target for one in series])
        if math.isnan(events):
            return Missing(UnknownReason.NO_DATA, "the counter is not a number")
        said = f"{events / covered:.4g} per second ({events:,.0f} in {covered:.3g} s)"
        return Value(events / covered, said)


class Promql(ValueMeasure):
    """Any expression that yields one number.

    A plain selector is read as raw samples, so that the time of its newest scrape is known and the
    next look can follow the next scrape at once.
    """

    UNIT: ClassVar[Unit] = Unit.PLAIN

    expr: Expression
    """The expression; it must yield one series. Each selector gets the labels of the arm."""

    @property
    def is_raw(self) -> bool:
        """Whether the answer holds raw samples: only that to a plain selector does."""
        return promql.is_selector(self.expr)

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the expression; see :meth:`Measure.questions`."""
        if self.is_raw:
            return {"value": raw_samples(self.expr, labels, window)}
        return {"value": Question(promql.confine(self.expr, labels))}

    @classmethod
    def plain(cls, places: Indices, t: Tally) -> Floats:
        """Return the only value of each raw answer; see :meth:`ValueMeasure.plain`."""
        values = np.full(places.size, np.nan)
        values[places >= 0] = t.gauges(places[places >= 0])
        return np.where(np.isfinite(values), values, np.nan)

    def value(self, answers: Answers, place: int, t: Tally) -> Value | Missing:
        """Return the newest value; see :meth:`ValueMeasure.value`."""
        found = answers["value"]
        counts = t.there_of(place) if self.is_raw else [one.times.size for one in found]
        series = [one for one, count in zip(found, counts, strict=True) if count]
        if not series:
            return Missing(UnknownReason.NO_DATA, "the expression returned no series")
        if len(series) > 1:
            return Missing(
                UnknownReason.BAD_QUERY,
                f"the expression returned {len(series)} series; aggregate them to one, for example"
                " with sum() or max()",
            )
        if series[0].buckets is not None:
            why = "use histogram_quantile, histogram_count or histogram_sum around it"
            return Missing(
                UnknownReason.BAD_QUERY, f"the expression returns a native histogram: {why}"
            )
        number = float(series[0].values[-1])
        if math.isnan(number):
            return Missing(UnknownReason.NO_DATA, "the expression returned NaN")
        if math.isinf(number):
            why = "the expression returned an infinite value, as a division by zero does"
            return Missing(UnknownReason.NO_DATA, why)
        return Value(number, self.say(number))
