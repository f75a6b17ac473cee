"""Counting bad requests over time, for what an action would have saved.

Counts are differences of raw samples. A difference that began before the time counted from is taken
in proportion, as when within it the requests failed is not known. What no sample tells (a gap, a
series that appears) is not counted, so a count is never too high by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.words import Arm
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.measurement import Missing, Question
from backstop.core.measures.measure import EventMeasure
from backstop.core.samples import Reading, Series

WINDOW: Final = 300.0
"""Seconds of samples that one count reads; must hold two counts and two scrapes."""

EVERY: Final = 120.0
"""Seconds between two counts, if looks are not further apart."""


@dataclass(frozen=True, slots=True)
class Countable:
    """The counters behind a signal that counts bad requests, and what to ask to read them."""

    measure: EventMeasure
    questions: Mapping[str, Question]


def countables(
    spec: ModelMonitorSpec, inquiries: Mapping[SignalKey, Inquiry]
) -> dict[SignalKey, Countable]:
    """Return the signals of ``inquiries`` that count bad requests, whatever their kind."""
    labels = {Arm.TARGET: spec.target.metric_labels}
    if spec.candidate is not None:
        labels[Arm.CANDIDATE] = spec.candidate.metric_labels
    found: dict[SignalKey, Countable] = {}
    for key, inquiry in inquiries.items():
        fields = (getattr(inquiry.rule, name) for name in type(inquiry.rule).model_fields)
        for measure in fields:
            if isinstance(measure, EventMeasure) and measure.IS_BAD:
                found[key] = Countable(measure, measure.questions(labels[key[1]], WINDOW))
    return found


_SeriesKey = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class BadEvents:
    """A running count of bad requests from ``since`` (Unix seconds) on."""

    countable: Countable
    since: float
    total: float | None = None
    _due: float = 0.0
    _counted: dict[_SeriesKey, float] = field(default_factory=dict)

    def is_due(self, now: float) -> bool:
        """Return whether samples will be lost unless they are counted soon."""
        return now >= self._due

    def add(self, readings: Mapping[str, Reading], now: float) -> None:
        """Count what ``readings`` at ``now`` hold beyond what was counted before."""
        asked = {role: readings[one.promql] for role, one in self.countable.questions.items()}
        if any(reading.failure for reading in asked.values()):
            return
        found = self.countable.measure.components(
            {role: reading.series for role, reading in asked.items()}
        )
        if isinstance(found, Missing):
            return
        self._due = now + EVERY
        bad = sum(self._grown("bad", one) for one in found.bad)
        if found.good is not None:
            whole = sum(self._grown("whole", one) for one in found.whole)
            bad = whole - sum(self._grown("good", one) for one in found.good)
        self.total = (self.total or 0.0) + max(0.0, bad)

    def _grown(self, role: str, series: Series) -> float:
        key = (role, tuple(sorted(series.labels.items())))
        start = max(self.since, self._counted.get(key, self.since))
        newest = float(series.times[-1])
        if newest <= start:
            return 0.0
        self._counted[key] = newest
        return increase(series, start)


def increase(series: Series, start: float) -> float:
    """Return by how much a counter grew from ``start`` (Unix seconds) to its newest sample.

    A counter that falls was reset. Between two samples it is taken to grow evenly.
    """
    steps = np.diff(series.values)
    steps = np.where(steps < 0.0, series.values[1:], steps)
    grown = np.concatenate(([0.0], np.cumsum(np.where(np.isfinite(steps), steps, 0.0))))
    return float(grown[-1] - np.interp(start, series.times, grown))
