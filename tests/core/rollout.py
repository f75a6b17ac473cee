"""Pods that count what they answer, scrapes of them, and looks at what was scraped."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core import checkpoint
from backstop.core.inquiry import Inquiry, SignalKey, inquiries
from backstop.core.judging import look_all
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import History, Sight, SignalVerdict
from backstop.core.view import Memory

T0 = 1_700_000_000.0
Counters = Mapping[str, np.ndarray]
_RANGE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\}\[(?P<window>\d+)ms\]")


@dataclass(frozen=True)
class Pod:
    """One pod: when it was scraped, and what each counter said then.

    A counter is named by its metric, or by metric and edge: `seconds_bucket/0.1`.
    """

    app: str
    name: str
    times: np.ndarray
    counters: Counters

    def series(self, metric: str, begin: float, end: float) -> Iterator[Series]:
        inside = (self.times > begin) & (self.times <= end)
        for name, values in self.counters.items():
            family, _, edge = name.partition("/")
            known = inside & ~np.isneginf(values)
            if family == metric and known.any():
                labels = {"app": self.app, "pod": self.name} | ({"le": edge} if edge else {})
                yield Series(labels, self.times[known], values[known])

    def only(self, kept: np.ndarray) -> "Pod":
        counters = {name: values[kept] for name, values in self.counters.items()}
        return replace(self, times=self.times[kept], counters=counters)

    def without(self, begin: float, end: float) -> "Pod":
        """Return the pod as if nobody had scraped it from `begin` to `end`."""
        return self.only((self.times < begin) | (self.times > end))

    def having(self, **counters: np.ndarray) -> "Pod":
        return replace(self, counters={**self.counters, **counters})


def scraped(begin: float, end: float, *, every: float = 15.0, phase: float = 0.0) -> np.ndarray:
    return np.arange(begin + phase, end, every)


def pod(
    app: str,
    name: str,
    times: np.ndarray,
    random: np.random.Generator,
    *,
    rate: float = 100.0,
    errors: float | np.ndarray = 0.004,
    born: float | None = None,
    resets: Sequence[int] = (),
) -> Pod:
    """Return a pod with `rate` requests per second, of which a share `errors` fails by scrape.

    It is born one interval before its first scrape unless said otherwise; at the scrapes `resets`
    its counters have just begun anew.
    """
    born = times[0] - np.median(np.diff(times)) if born is None else born
    requests = random.poisson(rate * np.diff(times, prepend=born)).astype(float)
    failed = random.binomial(requests.astype(int), errors).astype(float)
    return Pod(
        app,
        name,
        times,
        {
            "requests_total": _grown(requests, resets),
            "errors_total": _grown(failed, resets),
        },
    )


def _grown(steps: np.ndarray, resets: Sequence[int]) -> np.ndarray:
    total = np.cumsum(steps)
    for at in resets:
        total[at:] -= total[at] - steps[at]
    return total


COMPARED = {"errors": {"requests": "requests_total", "errors": "errors_total"}}


def spec(*signals: dict, **changes: object) -> ModelMonitorSpec:
    named = [{"name": f"s{place}", **one} for place, one in enumerate(signals)]
    base = {
        "target": {"name": "old", "service": "old", "metricLabels": {"app": "old"}},
        "candidate": {"name": "new", "service": "new", "metricLabels": {"app": "new"}},
        "traffic": {"httpRoute": "r"},
        "signals": named,
    }
    return ModelMonitorSpec.model_validate({**base, **changes})


def comparison(**fields: object) -> dict:
    measured = {"errors", "latency", "success", "distribution"} & fields.keys()
    return {"comparison": {**({} if measured else COMPARED), **fields}}


def change(**fields: object) -> dict:
    measured = {"errors", "latency", "success"} & fields.keys()
    return {"change": {**({} if measured else COMPARED), **fields}}


@dataclass
class Watch:
    """Looks at pods, one after the other, as the operator does.

    Questions that are no ranges of raw samples are answered by `past`, by the metric they name.
    """

    spec: ModelMonitorSpec
    pods: Sequence[Pod]
    since: float = T0
    weight: float = 0.0
    changed: float | None = None
    past: Mapping[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    inquiries: Mapping[SignalKey, Inquiry] = field(init=False)
    verdicts: list[SignalVerdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inquiries = inquiries(self.spec, "demo", self.changed)
        self.begins = {Arm.TARGET: self.since, Arm.CANDIDATE: self.since}

    @property
    def histories(self) -> Mapping[SignalKey, History]:
        return self.memory.histories

    @property
    def state(self) -> str:
        """The packed state of the only signal."""
        (history,) = self.histories.values()
        return history.state

    @property
    def until(self) -> float:
        (history,) = self.histories.values()
        return history.until

    def sight(self) -> Sight:
        return Sight(self.inquiries, self.memory.histories, self.begins, self.weight)

    def readings(self, now: float) -> dict[str, Reading]:
        asked = {q.promql for one in self.inquiries.values() for q in one.questions.values()}
        return {promql: self._reading(promql, now) for promql in asked}

    def _reading(self, promql: str, now: float) -> Reading:
        found = _RANGE.fullmatch(promql)
        if found is None:
            known = [v for name, v in self.past.items() if f"({name}{{" in promql]
            return Reading(tuple(Series({}, np.array([now]), np.array([v])) for v in known))
        begin = now - int(found["window"]) / 1000
        wanted = [one for one in self.pods if f'app="{one.app}"' in found["labels"]]
        return Reading(tuple(s for one in wanted for s in one.series(found["name"], begin, now)))

    def look(self, now: float) -> SignalVerdict:
        (seen,) = look_all([self.sight()], self.readings(now), now=now)
        self.memory = replace(self.memory, histories=seen.histories, evidence_from=self.begins)
        self.verdicts.append(seen.verdicts[0])
        return seen.verdicts[0]

    def run(self, times: Iterable[float]) -> SignalVerdict:
        for now in times:
            last = self.look(now)
        return last

    def status(self, before: ModelMonitorStatus) -> ModelMonitorStatus:
        """Return the status after a look, stored and read again as the API server has it."""
        begun = ModelMonitorStatus.model_validate(
            {"evidence_from": self.since, "candidate": {"since": self.since}}
        )
        before = before.model_copy(
            update={"evidence_from": begun.evidence_from, "candidate": begun.candidate}
        )
        tests = checkpoint.due(before, self.memory)
        return ModelMonitorStatus.model_validate(
            before.model_copy(update={"tests": tests}).to_json()
        )


def first(verdicts: Sequence[SignalVerdict], outcome: str) -> float:
    """Return the place of the first such verdict, infinite without one."""
    return next((n for n, one in enumerate(verdicts) if one.verdict == outcome), math.inf)
