"""What both versions have in common is never blamed on one of them, and a cold start on no release.

A thousand monitors at once, from raw samples to decisions: pods count what they answer, each is
scraped at a phase of its own, and what is decided moves the traffic.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.core.build import T0, deployment, spec
from tests.core.world import World

from backstop.api.status import (
    Arm,
    CandidateStatus,
    Cause,
    Finding,
    ModelMonitorStatus,
    StepKind,
    Verdict,
)
from backstop.core.evidence import evidence_from
from backstop.core.facts import WorkloadFacts
from backstop.core.inquiry import inquiries
from backstop.core.judging import look_all
from backstop.core.outcomes import MAX_EXAMINED
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import Look, Sight, SignalVerdict
from backstop.core.view import View

RUNS = 1000
EDGES = (0.25, 2.5)
BEFORE = 10
"""Seconds of samples before the first look."""


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

    def series(self, app: str, window: float, now: float) -> dict[str, list[Series]]:
        """Return what a look at `now` is answered, by metric."""
        times = np.array(self.times)
        kept = (times > now - window) & (times <= now)
        labels = {"app": app, "pod": self.name}
        requests, failed, slow = (
            np.array(one)[kept] for one in (self.requests, self.failed, self.slow)
        )

        def one(values: np.ndarray, **more: str) -> Series:
            return Series({**labels, **more}, times[kept], values)

        return {
            "requests_total": [one(requests, code="200")],
            "errors_total": [one(failed, code="500")],
            "seconds_bucket": [one(requests - slow, le="0.25"), one(requests, le="+Inf")],
        }


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
            answers = [p.series(app, one.window, now) for p in self.pods if p.arm is arm]
            for question in one.questions.values():
                metric = question.promql.partition("{")[0]
                series = [s for answer in answers for s in answer[metric] if s.times.size]
                found[question.promql] = Reading(tuple(series))
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


def errors(random: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """Return a signal on errors of at most 5 %."""
    breaches, looks = [(1, 1), (2, 3), (3, 5)][random.integers(3)]
    return {
        "name": "errors",
        "window": "10s",
        "minSamples": int(random.choice([1, 10, 50])),
        "persistence": {"breaches": breaches, "looks": looks},
        "threshold": {
            "errors": {"requests": "requests_total", "errors": "errors_total"},
            "max": "5%",
        },
        **changes,
    }


@pytest.fixture(scope="module")
def together() -> list[Run]:
    """Return runs in which both versions broke at one moment.

    The candidate has 1 to 20 % of the traffic, half of the targets had a release shortly before.
    """
    random = np.random.default_rng(7)
    runs = [
        Run(
            number,
            random,
            errors(random),
            fault=T0 + 1 + random.random(),
            errors=random.uniform(0.1, 0.9),
            candidate=int(random.integers(1, 21)),
            changed=T0 - (random.uniform(5, 1500) if number % 2 else 86_400),
            per_second=random.choice([50.0, 200.0, 1000.0]),
        )
        for number in range(RUNS)
    ]
    play(runs, seconds=8, every=0.5)
    return runs


def steps_of(runs: list[Run]) -> Counter[StepKind]:
    """Return how often each kind of step was taken."""
    return Counter(step for run in runs for step in run.world.steps)


def test_what_breaks_both_versions_is_blamed_on_neither(together: list[Run]):
    """Nothing is rolled back and no candidate loses its trial: the circuit opens, and that is all.

    So it is for each look of each run, although a scrape shows the fault of one version first.
    """
    steps = steps_of(together)
    assert steps[StepKind.ROLLBACK] == 0
    assert steps[StepKind.SHIFT_TRAFFIC] == 0
    assert set(steps) == {StepKind.OPEN_CIRCUIT}
    assert steps[StepKind.OPEN_CIRCUIT] >= 0.98 * RUNS  # a few are still too slow to show


def test_an_incident_of_both_versions_is_the_targets(together: list[Run]):
    """It never says that a rollback would help, nor that one pod or the candidate is at fault."""
    begun = [run.world.status.incident for run in together if run.world.status.incident]
    found = {finding for one in begun for finding in one.findings}
    assert {one.arm for one in begun} == {Arm.TARGET}
    assert found == {Finding.BOTH_FAIL, Finding.FOLLOWS_RELEASE}
    both = [one for one in begun if Finding.BOTH_FAIL in one.findings]
    assert {one.cause for one in both} == {Cause.INFRASTRUCTURE}


SLOW = {"latency": {"above": "250ms", "buckets": "seconds_bucket"}, "max": "10%"}
P90 = {"latencyQuantile": {"buckets": "seconds_bucket", "quantile": "p90"}, "max": "250ms"}


def rolled_out(count: int, fault_lasts: float, rates: Sequence[float]) -> list[Run]:
    """Return runs in which a revision is slow from its first request on, for so many seconds."""
    random = np.random.default_rng(11)
    runs = []
    for number in range(count):
        delay = random.uniform(0, 30)
        signal = {"name": "slow", "window": "40s", "threshold": [SLOW, P90][number % 2]}
        runs.append(
            Run(
                number,
                random,
                signal,
                fault=T0 + delay,
                until=T0 + delay + fault_lasts,
                slow=random.uniform(0.3, 1.0),
                changed=T0,
                every=10,
                fallback=number % 4 < 2,
                per_second=random.choice(rates),
            )
        )
    return runs


def test_a_cold_start_is_not_rolled_back():
    """The first 60 s of a revision are slow in a thousand rollouts: it may warm up.

    Half of the targets have no fallback, so that all users meet the slow pods until the end.
    """
    runs = rolled_out(RUNS, 60.0, [20.0, 200.0])
    play(runs, seconds=240, every=10.0)
    steps = steps_of(runs)
    assert steps[StepKind.ROLLBACK] == 0
    assert steps[StepKind.RESTART] == steps[StepKind.SCALE] == 0
    assert steps[StepKind.OPEN_CIRCUIT] >= RUNS / 2


@pytest.mark.parametrize("fallback", [True, False])
def test_a_release_that_stays_slow_is_rolled_back_after_its_warm_up(fallback: bool):  # noqa: FBT001
    """What is slow for longer than a warm-up is the release: it was only not blamed at once."""
    runs = [one for one in rolled_out(40, np.inf, [200.0]) if one.fallback is fallback]
    play(runs, seconds=120, every=10.0)
    assert steps_of(runs)[StepKind.ROLLBACK] == 0
    play(runs, seconds=600, every=10.0, begin=120)
    assert steps_of(runs)[StepKind.ROLLBACK] == len(runs)


def test_a_release_that_fails_is_rolled_back():
    """Without a candidate nothing else can share the fault, and errors need no warm-up."""
    random = np.random.default_rng(5)
    runs = [
        Run(number, random, errors(random), fault=T0 + 1, errors=0.5, changed=T0 - 1)
        for number in range(40)
    ]
    play(runs, seconds=8, every=0.5)
    assert steps_of(runs)[StepKind.ROLLBACK] == len(runs)
