"""The one bad pod, and how the other arm does, from the samples behind a breach."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tests.core.build import T0, spec

from backstop.api.modelmonitor import Signal
from backstop.api.words import Arm, Finding, Verdict
from backstop.core.inquiry import inquiries
from backstop.core.judging import look_all
from backstop.core.samples import Reading, Series
from backstop.core.suspects import Arrived, beside, shows, suspect
from backstop.core.verdicts import Beside, Sight, SignalVerdict

BROKEN = T0 + 5
"""When the fault is first seen; samples are of every second from `T0` to `T0 + 10`."""

ERRORS = {"errors": {"requests": "requests_total", "errors": "errors_total"}, "max": "5%"}
SUCCESS = {"success": {"attempts": "visits", "successes": "orders"}, "min": "90%"}
RATIO = {"ratio": {"whole": "all", "part": "some"}, "min": "10%", "max": "50%"}
LATENCY = {"latency": {"above": "250ms", "buckets": "seconds_bucket"}, "max": "10%"}
P90 = {"latencyQuantile": {"buckets": "seconds_bucket", "quantile": "p90"}, "max": "250ms"}
P90_MIN = {**P90, "max": None, "min": "1ms"}
MEAN = {"latencyMean": {"total": "seconds_sum", "count": "seconds_count"}, "max": "250ms"}

Answers = dict[str, list[Series]]


def rule(threshold: Mapping[str, Any] = ERRORS, **more: Any):
    """Return the rule of a signal."""
    kind = more or {"threshold": {k: v for k, v in threshold.items() if v is not None}}
    return Signal.model_validate({"name": "x", "pillar": "system", **kind}).rule


def counted(before: float, after: float, *, phase: float = 0.0, until: float = 10.0):
    """Return times and values of a counter, with its increase a second before and after 4 s."""
    times = T0 + phase + np.arange(until + 1)
    steps = np.where(times > T0 + 4, after, before)
    return times, np.cumsum(steps)


def pods(shares: Sequence[float], *, each: float = 100.0, **more: float) -> Answers:
    """Return the samples of pods, `each` with so many requests, of which these shares fail."""
    answers: Answers = {"errors": [], "requests": []}
    for place, share in enumerate(shares):
        for role, after in (("requests", each), ("errors", share * each)):
            before = each if role == "requests" else 0.0
            answers[role].append(Series({"pod": f"p{place}"}, *counted(before, after, **more)))
    return answers


def of(shares: Sequence[float], *, since: float = 0.0, seen: float = BROKEN, **more: float):
    """Return the suspect among pods of which these shares of requests fail since second 4."""
    return suspect(rule(), Arrived(pods(shares, **more), since), seen)


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ([0.6, 0.0, 0.0], "p0"),
        ([0.0, 0.0, 0.6], "p2"),
        ([0.0, 1.0], "p1"),
        ([0.5, 0.02, 0.01], "p0"),  # the others hold the limit
        ([0.5, 0.3, 0.0], ""),  # without it, another breaks it
        ([0.3, 0.3, 0.3], ""),  # all alike
        ([0.6], ""),  # nothing to compare it with
        ([], ""),
        ([0.02, 0.0, 0.0], ""),  # all together hold the limit
        ([0.5, *[0.045] * 20], ""),  # less than half of the errors
    ],
)
def test_a_pod_is_named_if_without_it_the_others_hold_the_limit(shares, named):
    """It must carry most of the errors, and be worse than by chance."""
    assert of(shares) == named


def test_a_pod_is_not_named_before_every_other_one_was_scraped():
    """Until then a fault of all is one of the pod that was scraped first."""
    answers = pods([0.6, 0.0, 0.0])
    assert suspect(rule(), Arrived(answers, 0.0), T0 + 10) == "p0"
    late = {
        role: [*found[:2], Series(found[2].labels, found[2].times[:-1], found[2].values[:-1])]
        for role, found in answers.items()
    }
    assert suspect(rule(), Arrived(late, 0.0), T0 + 10) == ""


def test_what_the_others_did_before_the_fault_says_nothing_for_them():
    """A window full of healthy requests hides that all pods fail now."""
    answers = pods([0.9, 0.0])
    after = T0 + 9
    for role, one in (("requests", 0.0), ("errors", 20.0)):
        series = answers[role][1]
        values = series.values + np.where(series.times > after, one, 0.0)
        answers[role][1] = Series(series.labels, series.times, values)
    assert suspect(rule(), Arrived(answers, 0.0), T0 + 5) == "p0"
    assert suspect(rule(), Arrived(answers, 0.0), T0 + 9.5) == ""


def test_a_pod_without_traffic_since_the_fault_is_not_named():
    """What it did before is over."""
    answers = pods([0.6, 0.0])
    flat = answers["requests"][0].values.copy()
    flat[8:] = flat[8]
    errors = np.minimum(answers["errors"][0].values, answers["errors"][0].values[8])
    labels, times = answers["requests"][0].labels, answers["requests"][0].times
    answers["requests"][0], answers["errors"][0] = (
        Series(labels, times, flat),
        Series(labels, times, errors),
    )
    assert suspect(rule(), Arrived(answers, 0.0), T0 + 10) == ""


def test_few_requests_prove_nothing_for_the_others():
    """One pod with three errors is bad luck while the other has answered next to nothing."""
    answers = pods([0.6], each=100.0)
    quiet = pods([0.0], each=0.1)
    both = {
        role: [answers[role][0], Series({"pod": "q"}, quiet[role][0].times, quiet[role][0].values)]
        for role in answers
    }
    assert suspect(rule(), Arrived(both, 0.0), BROKEN) == ""


def test_a_pod_that_is_gone_is_no_other_pod():
    """The pods of the revision before do not speak for the one that replaced them."""
    answers = pods([0.6])
    gone = pods([0.0], until=5.0)
    for role in answers:
        answers[role].append(Series({"pod": "old"}, gone[role][0].times, gone[role][0].values))
    assert suspect(rule(), Arrived(answers, 0.0), BROKEN) == ""


def test_a_pod_without_a_label_has_the_name_of_its_address():
    """As it is known to the source."""
    answers = pods([0.6, 0.0])
    named = {
        role: [
            Series({"instance": f"10.0.0.{n}:80"}, one.times, one.values)
            for n, one in enumerate(found)
        ]
        for role, found in answers.items()
    }
    assert suspect(rule(), Arrived(named, 0.0), BROKEN) == "10.0.0.0:80"


def test_only_evidence_counts():
    """What was before the last action does not: here it leaves no two samples."""
    assert of([0.6, 0.0], since=T0 + 10) == ""


def shares_of(part: str, whole: str, first: float, second: float) -> Answers:
    """Return samples of two pods that have these shares."""
    answers = pods([first, second])
    return {part: answers["errors"], whole: answers["requests"]}


def buckets(first: float, second: float) -> Answers:
    """Return the buckets of two pods with these shares of slow requests."""
    answers = pods([first, second])
    series: list[Series] = []
    for slow, whole in zip(answers["errors"], answers["requests"], strict=True):
        fast = whole.values - slow.values
        series.append(Series({**whole.labels, "le": "0.25"}, whole.times, fast))
        series.append(Series({**whole.labels, "le": "+Inf"}, whole.times, whole.values))
    return {"buckets": series}


@pytest.mark.parametrize(
    ("threshold", "answers", "named"),
    [
        (SUCCESS, shares_of("successes", "attempts", 0.0, 0.95), ""),  # none before the fault
        (RATIO, shares_of("part", "whole", 0.9, 0.0), ""),
        ({**RATIO, "max": "20%"}, shares_of("part", "whole", 0.9, 0.0), "p0"),
        (LATENCY, buckets(0.9, 0.0), "p0"),
        (P90, buckets(0.9, 0.0), "p0"),
        (P90, buckets(0.9, 0.9), ""),
        (P90_MIN, buckets(0.9, 0.0), None),
        (MEAN, {"total": [], "count": []}, None),
    ],
)
def test_pods_are_told_apart_by_every_count_of_events(threshold, answers, named):
    """Shares add up over pods and a quantile is one; a mean is none."""
    assert suspect(rule(threshold), Arrived(answers, 0.0), BROKEN) == named


def test_of_two_limits_the_one_that_is_broken_counts():
    """A share that fell below its smallest healthy value is broken by the events that are missing.

    Held against the largest one, an arm with a normal share would never seem to be better, and one
    that fell as well would not seem to be alike.
    """
    both, low = rule(RATIO), {"value": 0.01}
    fell, normal = (
        Arrived(shares_of("part", "whole", share, share), T0 + 4) for share in (0.01, 0.3)
    )
    assert beside(both, fell, normal, BROKEN) is Beside.OPEN
    assert beside(both, fell, normal, BROKEN, **low) is Beside.BETTER
    assert beside(both, fell, fell, BROKEN, **low) is Beside.ALIKE
    one = Arrived(shares_of("part", "whole", 0.0, 0.45), T0 + 4)
    assert suspect(rule({**RATIO, "min": "30%"}), one, BROKEN) == ""
    assert suspect(rule({**RATIO, "min": "30%"}), one, BROKEN, **low) == "p0"
    assert suspect(rule({**P90, "min": "10ms"}), one, BROKEN, value=0.001) is None


def test_successes_that_are_missing_are_the_events():
    """Where more is better, the pod is named that has fewer."""
    answers = shares_of("failures", "attempts", 0.9, 0.0)
    successes = [
        Series(whole.labels, whole.times, whole.values - failed.values)
        for whole, failed in zip(answers["attempts"], answers["failures"], strict=True)
    ]
    arrived = Arrived({"successes": successes, "attempts": answers["attempts"]}, 0.0)
    assert suspect(rule(SUCCESS), arrived, BROKEN) == "p0"


COMPARISON = {"comparison": {"latency": {"above": ["250ms"], "buckets": "b"}}}


@pytest.mark.parametrize(
    ("signal", "finding"),
    [
        ({"threshold": ERRORS}, None),
        ({"threshold": LATENCY}, Finding.SLOW),
        ({"threshold": P90}, Finding.SLOW),
        ({"threshold": MEAN}, Finding.SLOW),
        (COMPARISON, Finding.SLOW),
        ({"comparison": {"errors": ERRORS["errors"]}}, None),
        ({"resource": {"cpu": {}, "max": "90%"}}, Finding.SATURATED),
        ({"resource": {"throughput": {"requests": "r"}, "min": "50%"}}, None),
    ],
)
def test_what_a_breach_shows_by_its_kind(signal, finding):
    """Latency is slow, a level is full; less load than usual is neither."""
    assert shows(rule(**signal)) is finding


def test_kinds_that_count_over_long_windows_tell_no_pods_apart():
    """Nor how the other arm does since."""
    compared = rule(**COMPARISON)
    assert suspect(compared, Arrived({}, 0.0), BROKEN) is None
    assert beside(compared, Arrived({}, 0.0), Arrived({}, 0.0), BROKEN) is None


@pytest.mark.parametrize(
    ("broken", "held", "each", "found"),
    [
        ([0.5], [0.0], 100.0, Beside.BETTER),
        ([0.5], [0.03], 100.0, Beside.BETTER),
        ([0.5], [0.2], 100.0, Beside.ALIKE),
        ([0.06], [0.05], 100.0, Beside.OPEN),  # it may be chance
        ([0.04], [0.05], 100.0, Beside.OPEN),  # the one that broke the limit is better by now
        ([0.5], [0.0], 0.5, Beside.OPEN),  # two requests
        ([0.5], [0.0], 0.0, Beside.OPEN),
        ([], [0.0], 100.0, Beside.OPEN),
    ],
)
def test_an_arm_is_judged_by_what_it_did_since_the_other_broke_the_limit(broken, held, each, found):
    """Demonstrably better, alike, or too little to tell."""
    ours = Arrived(pods(held, each=each), 0.0)
    assert beside(rule(), Arrived(pods(broken), 0.0), ours, BROKEN) is found


# In a look


def looks(
    target: Sequence[float],
    candidate: Sequence[float],
    threshold: Mapping[str, Any] = ERRORS,
    roles: Mapping[str, str] = {"errors": "errors", "requests": "requests"},
) -> dict[Arm, SignalVerdict]:
    """Return the verdicts on both arms after some looks at their pods."""
    candidate_of = {"name": "next", "service": "next", "metricLabels": {"app": "next"}}
    signal = {
        "name": "errors",
        "window": "10s",
        "minSamples": 1,
        "threshold": threshold,
        "pillar": "system",
    }
    asked = inquiries(spec(candidate=candidate_of, signals=[signal]), "demo")
    ever, histories = dict.fromkeys(Arm, 0.0), {}
    found: tuple[SignalVerdict, ...] = ()
    for now in T0 + np.arange(2.0, 11.0):
        readings = {}
        for (_, arm), one in asked.items():
            answers = pods(target if arm is Arm.TARGET else candidate)
            for role, question in one.questions.items():
                cut = [
                    Series(s.labels, s.times[s.times <= now], s.values[s.times <= now])
                    for s in answers[roles[role]]
                ]
                readings[question.promql] = Reading(tuple(cut))
        (seen,) = look_all([Sight(asked, histories, ever)], readings, now=float(now))
        histories, found = seen.histories, seen.verdicts
    return {one.arm: one for one in found}


def test_a_look_names_the_pod_that_carries_a_breach():
    """Of the arm that is breached, and of no other."""
    found = looks([0.6, 0.0, 0.0], [0.0])
    assert (found[Arm.TARGET].verdict, found[Arm.TARGET].pod) == (Verdict.BREACHED, "p0")
    assert (found[Arm.CANDIDATE].pod, found[Arm.CANDIDATE].beside) == (None, Beside.BETTER)


def test_a_look_compares_whichever_arm_holds():
    """A candidate that fails beside a target that does not."""
    found = looks([0.0, 0.0], [0.6])
    assert (found[Arm.CANDIDATE].verdict, found[Arm.CANDIDATE].pod) == (Verdict.BREACHED, "")
    assert found[Arm.TARGET].beside is Beside.BETTER
    both = looks([0.6, 0.6], [0.6])
    assert {one.beside for one in both.values()} == {None}


def test_a_look_compares_by_the_limit_that_is_broken():
    """The target's share is too small, which of the candidate's is not said by its largest."""
    found = looks([0.0], [0.4], RATIO, {"part": "errors", "whole": "requests"})
    assert found[Arm.TARGET].verdict is Verdict.BREACHED
    assert found[Arm.CANDIDATE].verdict is Verdict.HEALTHY
    assert found[Arm.CANDIDATE].beside is Beside.BETTER


def test_a_storm_of_breaches_is_not_examined_pod_by_pod(monkeypatch: pytest.MonkeyPatch):
    """When many monitors breach at once the source is the first suspect, and time matters."""
    monkeypatch.setattr("backstop.core.outcomes.MAX_EXAMINED", 0)
    found = looks([0.6, 0.0, 0.0], [0.0])
    assert (found[Arm.TARGET].verdict, found[Arm.TARGET].pod) == (Verdict.BREACHED, None)
    assert found[Arm.CANDIDATE].beside is None
    assert math.isfinite(found[Arm.TARGET].onset or math.nan)
