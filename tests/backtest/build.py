"""Monitors and records that the tests replay. Time starts at `T0`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.core.backtest import Watched, replay, watch
from backstop.core.backtest_report import KnownFault, Report, Span
from backstop.core.inquiry import inquiries
from backstop.core.samples import Reading, Series

T0 = 1_700_000_000.0
RATE = 100.0

ERRORS: dict[str, Any] = {
    "name": "errors",
    "window": "10s",
    "threshold": {
        "errors": {"requests": "requests_total", "errors": 'requests_total{code="500"}'},
        "max": "5%",
    },
}
LATENCY: dict[str, Any] = {
    "name": "slow",
    "window": "10s",
    "threshold": {"latency": {"above": "250ms", "buckets": "seconds_bucket"}, "max": "5%"},
}
GAUGE: dict[str, Any] = {
    "name": "drift",
    "pillar": "data",
    "onBreach": "Report",
    "window": "10s",
    "threshold": {"promql": {"expr": "drift"}, "max": "10"},
}
CANDIDATE = {"name": "next", "service": "next", "metricLabels": {"app": "next"}}


def spec(**changes: Any) -> dict[str, Any]:
    """Return a monitor's spec; a field set to None is left out."""
    written: dict[str, Any] = {
        "mode": "Act",
        "interval": "1s",
        "target": {"name": "fraud", "service": "fraud", "metricLabels": {"app": "fraud"}},
        "traffic": {"httpRoute": "fraud"},
        "fallback": {"service": "simple"},
        "signals": [ERRORS],
        **changes,
    }
    return {name: value for name, value in written.items() if value is not None}


def watched(**changes: Any) -> Watched:
    """Return a monitor that is replayed."""
    made = ModelMonitorSpec.model_validate(spec(**changes))
    return watch(made, inquiries(made, "demo"), namespace="demo", name="fraud")


Share = Callable[[float], float]
"""The share of bad requests in the second that begins then."""


def bad_between(*spans: tuple[float, float], share: float = 0.5) -> Share:
    """Return a share of bad requests in `spans` of seconds after `T0`, and none around them."""
    return lambda at: share if any(T0 + a <= at < T0 + b for a, b in spans) else 0.0


def good(_: float) -> float:
    """Return that no request is bad."""
    return 0.0


class Record:
    """Scrapes each second from `T0 - 60` on, for so many seconds.

    `gone` lists times after `T0` without samples, `failing` such without answers, `present` those
    in which the candidate exists.
    """

    def __init__(
        self,
        lasts: int,
        *,
        errors: Share = good,
        slow: Share = good,
        drift: Callable[[float], float] = good,
        gone: tuple[float, float] = (0.0, 0.0),
        failing: tuple[float, float] = (0.0, 0.0),
        present: tuple[tuple[float, float], ...] = (),
        candidate_errors: Share = good,
    ) -> None:
        self.lasts, self.gone, self.failing = lasts, gone, failing
        times = T0 - 60 + np.arange(lasts + 61, dtype=np.float64)
        seen = ~((times > T0 + gone[0]) & (times < T0 + gone[1]))
        self.series: dict[str, list[Series]] = {}
        drifted = np.array([drift(at) for at in times])
        self._add("drift", times[seen], drifted[seen], app="fraud")
        self._requests(times, seen, errors, app="fraud")
        fast = RATE * np.cumsum([1.0 - slow(at) for at in times - 1])
        whole = RATE * np.arange(times.size)
        for edge, counts in (("0.25", fast), ("+Inf", whole)):
            self._add("seconds_bucket", times[seen], counts[seen], app="fraud", le=edge)
        there = np.zeros(times.size, dtype=np.bool_)
        for begin, end in present:
            there |= (times >= T0 + begin) & (times < T0 + end)
        self._requests(times, seen & there, candidate_errors, app="next")

    def _requests(self, times, seen, share: Share, **labels: str) -> None:
        bad = RATE * np.cumsum([share(at) for at in times - 1])
        whole = RATE * np.arange(times.size)
        if seen.any():
            self._add("requests_total", times[seen], (whole - bad)[seen], code="200", **labels)
            self._add("requests_total", times[seen], bad[seen], code="500", **labels)

    def _add(self, name: str, times, values, **labels: str) -> None:
        one = Series({"pod": labels["app"], **labels}, times, values)
        self.series.setdefault(name, []).append(one)

    def at(self, now: float, asked: Iterable[str]) -> dict[str, Reading]:
        """Return the answers at `now`."""
        if self.failing[0] <= now - T0 < self.failing[1]:
            return dict.fromkeys(asked, Reading(failure="connection refused"))
        return {query: self._answer(query, now) for query in asked}

    def _answer(self, query: str, now: float) -> Reading:
        selector, _, window = query.removesuffix("ms]").rpartition("[")
        name = selector.partition("{")[0]
        wanted = [
            one
            for one in self.series[name]
            if f'app="{one.labels["app"]}"' in selector
            and ("code=" not in selector or one.labels["code"] == "500")
        ]
        begin = now - int(window) / 1000
        cut = (
            Series(one.labels, one.times[inside], one.values[inside])
            for one in wanted
            for inside in [(one.times > begin) & (one.times <= now)]
        )
        return Reading(tuple(one for one in cut if one.times.size))

    def span(self, step: float = 1.0) -> Span:
        """Return the looks at the whole record."""
        return Span(T0, T0 + self.lasts, step)

    def looks(
        self, one: Watched, step: float = 1.0
    ) -> Iterator[tuple[float, Mapping[str, Reading]]]:
        """Return the readings at each look."""
        span = self.span(step)
        for number in range(span.looks):
            now = span.time(number)
            yield now, self.at(now, one.questions)


def run(
    one: Watched, record: Record, *known: KnownFault, blind: bool = True, step: float = 1.0
) -> Report:
    """Replay a record; without `known` and `blind`, it is known that there was no fault."""
    return replay(
        one,
        record.span(step),
        record.looks(one, step),
        reaction=2.0,
        brief=60.0,
        known=None if blind and not known else known,
    )
