"""What both versions have in common is never blamed on one of them, and a cold start on no release.

A thousand monitors each, from raw samples to steps.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.core.build import T0
from tests.core.failing import Run, play

from backstop.api.words import Arm, Cause, Finding, StepKind

RUNS = 1000


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
    play(runs, seconds=7, every=0.5)
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
        signal = {"name": "slow", "window": "60s", "threshold": [SLOW, P90][number % 2]}
        runs.append(
            Run(
                number,
                random,
                signal,
                fault=T0 + delay,
                until=T0 + delay + fault_lasts,
                slow=random.uniform(0.3, 1.0),
                changed=T0,
                every=15,
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
    play(runs, seconds=225, every=15.0)
    steps = steps_of(runs)
    assert steps[StepKind.ROLLBACK] == 0
    assert steps[StepKind.RESTART] == steps[StepKind.SCALE] == 0
    assert steps[StepKind.OPEN_CIRCUIT] >= RUNS / 2


@pytest.mark.parametrize("fallback", [True, False])
def test_a_release_that_stays_slow_is_rolled_back_after_its_warm_up(fallback: bool):  # noqa: FBT001
    """What is slow for longer than a warm-up is the release: it was only not blamed at once."""
    runs = [one for one in rolled_out(40, np.inf, [200.0]) if one.fallback is fallback]
    play(runs, seconds=120, every=15.0)
    assert steps_of(runs)[StepKind.ROLLBACK] == 0
    play(runs, seconds=600, every=15.0, begin=120)
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
