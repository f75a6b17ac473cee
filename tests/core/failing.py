"""Monitors from raw samples to steps: pods that count, scrapes at their own phases, looks at all.

What is decided moves the traffic, as in the world that it is carried out in.
"""

import dataclasses
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from tests.core.build import T0, deployment, spec
from tests.core.world import World

from backstop.api.status import CandidateStatus, ModelMonitorStatus
from backstop.api.words import Arm, Verdict
from backstop.core.evidence import evidence_from
from backstop.core.facts import WorkloadFacts
from backstop.core.inquiry import inquiries
from backstop.core.judging import look_all
from backstop.core.outcomes import MAX_EXAMINED
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import Look, Sight, SignalVerdict
from backstop.core.view import View

BEFORE = 10
"""So many scrapes there were before the first look."""


@dataclass
class Pod:
    """Counts requests, and how many of them failed and were slow, from scrape to scrape."""

    arm: Arm
    name: str
    phase: float
    share: float
    times: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)

    def scraped(self, at: float, answered: int, failed: int, slow: int) -> None:
        """Add a scrape after so many more requests."""
        counters = (self.requests, self.failed, self.slow)
        for counter, more in zip(counters, (answered, failed, slow), strict=True):
            counter.append((counter[-1] if counter else 0.0) + more)
        self.times.append(at)

    def series(self, app: str, metric: str, window: float, now: float) -> list[Series]:
        """Return what a question at `now` about a metric is answered."""
        first = bisect_right(self.times, now - window)
        end = bisect_right(self.times, now)
        if first == end:
            return []
        times, requests, failed, slow = (
            np.array(one[first:end]) for one in (self.times, self.requests, self.failed, self.slow)
        )
        labels = {"app": app, "pod": self.name}
        if metric == "requests_total":
            return [Series({**labels, "code": "200"}, times, requests)]
        if metric == "errors_total":
            return [Series({**labels, "code": "500"}, times, failed)]
        return [
            Series({**labels, "le": "0.25"}, times, requests - slow),
            Series({**labels, "le": "+Inf"}, times, requests),
        ]


class Live(World):
    """A world whose verdicts come from samples."""

    found: Look = Look()

    def sees_look(self, found: Look) -> None:
        """Carry out one pass over a look."""
        self.found = found
        self.sees({(one.name, one.arm): one for one in found.verdicts})  # type: ignore[misc]

    def _verdict(self, _key: Any, outcome: Any) -> SignalVerdict:
        return outcome

    def _write(self, status: ModelMonitorStatus) -> None:
        if status != self.status:
            super()._write(status)

    def _view(self, look: Look) -> View:
        seen = dataclasses.replace(self.found, verdicts=look.verdicts)
        return super()._view(seen if look.verdicts else look)


@dataclass
class Run:
    """One monitor, its pods and what befalls them."""

    number: int
    random: np.random.Generator
    signal: dict[str, Any]
    fault: float
    errors: float = 0.0
    slow: float = 0.0
    candidate: int = 0
    changed: float = T0 - 86_400
    until: float = np.inf
    per_second: float = 100.0
    every: int = 1
    fallback: bool = True
    world: Live = field(init=False)
    pods: list[Pod] = field(init=False)

    def __post_init__(self) -> None:
        wanted: dict[str, Any] = {
            "target": {"name": "fraud", "service": "fraud", "metricLabels": {"app": self.app("t")}},
            "signals": [self.signal],
        }
        weights = {"fraud": 100 - self.candidate, "simple": 0}
        if not self.fallback:
            wanted["fallback"] = None
        trial: WorkloadFacts | None = None
        status = ModelMonitorStatus()
        if self.candidate:
            labels = {"app": self.app("c")}
            wanted["candidate"] = {"name": "next", "service": "next", "metricLabels": labels}
            weights["next"] = self.candidate
            trial = deployment("c1")
            on = CandidateStatus.model_validate({"fingerprint": "c1", "since": T0 - 600})
            status = ModelMonitorStatus(candidate=on)
        self.world = Live(spec=spec(**wanted), rules=[weights], candidate=trial, status=status)
        self.world.changed = self.changed
        self.inquiries = inquiries(self.world.spec, "demo")
        self.pods = [*self._born(Arm.TARGET, 3), *self._born(Arm.CANDIDATE, 1 + self.number % 2)]
        for second in range(-BEFORE * self.every, 0, self.every):
            self.scrape(T0 + second)

    def app(self, arm: str) -> str:
        """Return the label of one version's pods."""
        return f"{arm}{self.number}"

    def _born(self, arm: Arm, pods: int) -> list[Pod]:
        if arm is Arm.CANDIDATE and not self.candidate:
            return []
        phases = self.random.random(pods)
        return [Pod(arm, f"{arm}-{i}", float(phases[i]), 1 / pods) for i in range(pods)]

    def scrape(self, second: float) -> None:
        """Let the time pass until each pod has been scraped once."""
        weights = self.world.rules[0]
        shares = {Arm.TARGET: weights["fraud"] / 100, Arm.CANDIDATE: weights.get("next", 0) / 100}
        for pod in self.pods:
            at = second + pod.phase * self.every
            broken = self.broken(at)
            answered = self.random.poisson(
                self.per_second * self.every * shares[pod.arm] * pod.share
            )
            failed = self.random.binomial(answered, broken * self.errors)
            slow = self.random.binomial(answered, broken * self.slow)
            pod.scraped(at, int(answered), int(failed), int(slow))

    def broken(self, at: float) -> float:
        """Return in which part of the time before a scrape the fault was there."""
        begin, end = max(self.fault, at - self.every), min(self.until, at)
        return max(0.0, end - begin) / self.every

    def is_over(self, now: float) -> bool:
        """Return whether a target is healthy so long after the fault that nothing can follow."""
        return now > self.until + 60 and self.world.status.verdict is Verdict.HEALTHY

    def readings(self, now: float) -> dict[str, Reading]:
        """Return the answers to everything that is asked at `now`."""
        found: dict[str, Reading] = {}
        for (_, arm), one in self.inquiries.items():
            app = self.app("t" if arm is Arm.TARGET else "c")
            pods = [pod for pod in self.pods if pod.arm is arm]
            for question in one.questions.values():
                metric = question.promql.partition("{")[0]
                answers = (pod.series(app, metric, one.window, now) for pod in pods)
                found[question.promql] = Reading(tuple(chain.from_iterable(answers)))
        return found


def play(runs: list[Run], seconds: int, every: float, begin: int = 0) -> None:
    """Let time pass, with a look at all monitors at once after `every` so many seconds."""
    scrapes = runs[0].every
    for second in range(begin, seconds, scrapes):
        for run in runs:
            run.scrape(T0 + second)
        for part in np.arange(every, scrapes + every / 2, every):
            look(runs, T0 + second + part)


def look(runs: list[Run], now: float) -> None:
    """Look at all monitors, and do what is decided; not where all is over."""
    runs = [one for one in runs if not one.is_over(now)]
    for begin in range(0, len(runs), MAX_EXAMINED):
        look_all_at(runs[begin : begin + MAX_EXAMINED], now)


def look_all_at(runs: list[Run], now: float) -> None:
    """Look at so many monitors at once that each breach is examined."""
    sights, readings = [], {}
    for run in runs:
        readings |= run.readings(now)
        begins = evidence_from(run.world.status)
        sights.append(Sight(run.inquiries, run.world.memory.histories, begins))
    for run, found in zip(runs, look_all(sights, readings, now=now), strict=True):
        run.world.now = now
        run.world.sees_look(found)
