"""A target that gets worse after its release is found soon, however long it was well before."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import promql_parser
import pytest
from pydantic import ValidationError
from tests.core.rollout import COMPARED, T0, Pod, Watch, change, first, pod, scraped, spec

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core.checkpoint import restore
from backstop.core.measurement import Pillar
from backstop.core.signals.change import Change

KEY = ("s0", Arm.TARGET)
HELD = {"holdbackLabels": {"app": "new"}}
HOUR = 3600.0
PAST = {"requests_total": 360_000.0, "errors_total": 1_440.0}


def target(
    errors: Sequence[float | np.ndarray] = (0.004,),
    *,
    seed: int = 1,
    end: float = T0 + 900,
    rate: float = 100.0,
    held: float = 10.0,
    every: float = 15.0,
    held_errors: float | np.ndarray = 0.004,
) -> list[Pod]:
    """Pods of the target, one for each of `errors`, and one of the holdback."""
    random = np.random.default_rng(seed)
    times = [scraped(T0 - 400, end, every=every, phase=p) for p in random.uniform(0, every, 4)]
    return [
        *(
            pod("old", f"o{n}", times[n], random, rate=rate / len(errors), errors=share)
            for n, share in enumerate(errors)
        ),
        pod("new", "held", times[3], random, rate=held, errors=held_errors),
    ]


def watch(pods: Sequence[Pod], changed: float | None = T0 - 10, **fields: object) -> Watch:
    return Watch(spec(change(**fields), candidate=None), pods, changed=changed, past=PAST)


LOOKS = np.arange(T0, T0 + 890, 10.0)


# Against the past


def test_without_a_holdback_a_change_is_reported():
    """It blames nobody: load and data may have changed for all since then."""
    seen = watch(target([0.03]))
    last = seen.run(LOOKS)
    assert (last.verdict, last.reports, last.attributes) == ("Breached", True, False)
    assert last.why.endswith(
        "against 0.4 % (1,440 of 360,000) in the 1h before the release, tolerated 1.25x"
    )
    assert last.why.startswith("errors 3")
    assert watch(target([0.004])).run(LOOKS).verdict == "Healthy"


def test_the_past_is_asked_for_once_at_the_release():
    """The question is valid PromQL, the same at every look, and its answer is kept."""
    asked = watch([], changed=T0).inquiries[KEY].questions
    past = {role: one for role, one in asked.items() if role.startswith("baseline/")}
    assert {role: one.promql for role, one in past.items()} == {
        "baseline/errors": 'sum(increase(errors_total{app="old"}[1h] @ 1700000000.000))',
        "baseline/requests": 'sum(increase(requests_total{app="old"}[1h] @ 1700000000.000))',
    }
    for one in past.values():
        promql_parser.parse(one.promql)
        assert one.keep > 0.0
        assert not one.raw


def test_without_a_release_there_is_no_past():
    """Nothing is asked, and the verdict says why."""
    seen = watch(target(), changed=None)
    assert not [role for role in seen.inquiries[KEY].questions if role.startswith("baseline/")]
    last = seen.run(LOOKS[:20])
    assert (last.reason, last.why) == (
        "InsufficientData",
        "no release was seen yet, so there is no past to hold the target against",
    )


def test_a_past_without_requests_is_no_past():
    """The reason names the time that was asked about."""
    seen = watch(target())
    seen.past = {"requests_total": 0.0, "errors_total": 0.0}
    last = seen.run(LOOKS[:20])
    assert last.reason == "InsufficientData"
    assert last.why == "no requests in the window, in the 1h before the release"


SUCCESS = {"success": {"attempts": "requests_total", "successes": "errors_total"}}


@pytest.mark.parametrize(
    ("past", "now", "found"), [(0.03, 0.03, False), (0.03, 0.015, True), (0.99, 0.93, True)]
)
def test_orders_that_vanish_are_found_by_the_past(past: float, now: float, found: bool):  # noqa: FBT001 - a row of a table
    """Where few attempts succeed, successes are missed; where most do, failures are found."""
    seen = watch(target([now]), **SUCCESS)
    seen.past = {"requests_total": 360_000.0, "errors_total": 360_000.0 * past}
    last = seen.run(LOOKS)
    assert (last.verdict == "Breached") is found
    assert last.why.startswith("attempts without success ")


# Against a holdback


def test_with_a_holdback_a_change_acts_and_blames_the_release():
    """Both have the same load and data, so it is the version."""
    seen = watch(target([0.03]), **HELD)
    last = seen.run(LOOKS)
    assert (last.verdict, last.reports, last.attributes) == ("Breached", False, True)
    assert " lately against 0." in last.why
    assert last.why.endswith(" on the holdback, tolerated 1.25x")
    assert watch(target([0.004]), **HELD).run(LOOKS).verdict == "Healthy"


def test_what_breaks_both_is_no_change():
    """Errors rise fiftyfold on target and holdback, each as its scrapes show it."""
    for seed in range(20):
        pods = target(seed=seed)
        random = np.random.default_rng(seed)
        broken = [
            pod(
                one.app,
                one.name,
                one.times,
                random,
                rate=100.0 if one.app == "old" else 10.0,
                errors=0.004 + 0.2 * np.clip((one.times - T0 - 300) / 15.0, 0.0, 1.0),
            )
            for one in pods
        ]
        assert first(_seen(watch(broken, **HELD), LOOKS), "Breached") == math.inf


def _seen(one: Watch, looks: np.ndarray) -> list:
    one.run(looks)
    return one.verdicts


def test_one_bad_pod_of_the_target_is_not_the_release():
    """It is named as what it is, and the release when all its pods are bad."""
    last = watch(target([0.004, 0.06, 0.004]), **HELD).run(LOOKS)
    assert last.reason == "OnePod"
    assert last.why.startswith(
        "one pod of the target alone is worse than the holdback: restart it;"
    )
    assert watch(target([0.06, 0.06, 0.06]), **HELD).run(LOOKS).verdict == "Breached"


def test_latency_and_success_are_compared_as_well():
    """Latency at one edge; successes in both directions."""
    pods = target([0.03])
    slow = [
        one.having(
            **{
                "seconds_bucket/+Inf": one.counters["requests_total"],
                "seconds_bucket/0.1": one.counters["requests_total"] - one.counters["errors_total"],
            }
        )
        for one in pods
    ]
    latency = {"latency": {"above": "100ms", "buckets": "seconds_bucket"}}
    last = watch(slow, **HELD, **latency).run(LOOKS)
    assert last.verdict == "Breached"
    assert last.why.startswith("requests slower than 100 ms 3")
    lost = watch(target([0.1], held_errors=0.3), **HELD, **SUCCESS).run(LOOKS)
    assert lost.verdict == "Breached"
    assert lost.why.startswith("successes ")
    assert lost.why.endswith("on the holdback, tolerated 0.8x")


# Late changes, recovery, restarts


def test_a_late_change_is_found_as_fast_as_the_benchmark_says():
    """After 16 h of health, ten times the errors of 0.5 % at 1 request/s take about 3 minutes.

    The window of 30 min lets one look count 50 steps; the wait for the end of steps comes on top.
    """
    healthy, delays = T0 + 16 * HOUR, []
    for seed in range(12):
        random = np.random.default_rng(seed)
        times = [scraped(T0 - 400, healthy + 2400, every=30.0, phase=p) for p in (4.0, 21.0)]
        late = np.where(times[0] > healthy + 30.0, 0.05, 0.005)
        pods = [
            pod("old", "o", times[0], random, rate=1.0, errors=late),
            pod("new", "n", times[1], random, rate=99.0, errors=0.005),
        ]
        one = Watch(
            spec({**change(**HELD, margin="1"), "window": "30m"}, candidate=None),
            pods,
            changed=T0 - 10,
        )
        one.run(np.arange(T0, healthy, 1700.0))
        assert first(one.verdicts, "Breached") == math.inf
        for now in np.arange(healthy + 60, healthy + 2300, 30.0):
            if one.look(now).verdict == "Breached":
                break
        delays.append(now - healthy)
    assert 90.0 < np.median(delays) < 180.0 + 3 * 33.75 + 30.0


def test_it_clears_after_recovery_and_finds_the_next_change():
    """Once the evidence has fallen, and not at the first good sample."""
    pods = target(end=T0 + 3600)
    times = pods[0].times
    bad = ((times > T0 + 300) & (times < T0 + 600)) | (times > T0 + 2800)
    shares = [np.where(bad, 0.05, 0.004)]
    one = watch(target(shares, end=T0 + 3600, rate=200.0, held=100.0), **HELD)
    at = np.arange(T0, T0 + 3500, 20.0)
    found = [seen.verdict == "Breached" for seen in _seen(one, at)]
    began = [
        float(now - T0)
        for now, was, is_ in zip(at[1:], found, found[1:], strict=False)
        if is_ and not was
    ]
    ended = [
        float(now - T0)
        for now, was, is_ in zip(at[1:], found, found[1:], strict=False)
        if was and not is_
    ]
    assert len(began) == 2
    assert len(ended) == 1
    assert 300 < began[0] < 420
    assert 600 < ended[0] < 1600
    assert 2800 < began[1] < 2920


def test_a_new_release_begins_anew():
    """What was found of the release before says nothing about this one."""
    pods = target([0.03])
    one = watch(pods, **HELD)
    assert one.run(LOOKS[:50]).verdict == "Breached"
    later = watch(pods, changed=T0 + 500, **HELD)
    later.memory = one.memory
    assert later.look(T0 + 505).verdict != "Breached"
    assert later.run(LOOKS[53:]).verdict == "Breached"


def test_false_alarms_come_as_seldom_as_is_written():
    """In 40 times 6 h with an alarm every 24 h: at most a quarter, and three standard errors."""
    alarms = 0
    for seed in range(40):
        pods = target(seed=seed, end=T0 + 6 * HOUR, every=30.0, rate=20.0, held=20.0)
        monitored = spec(
            {**change(**HELD, margin="1", falseAlarmEvery="24h"), "window": "30m"}, candidate=None
        )
        one = Watch(monitored, pods, changed=T0 - 10)
        one.run(np.arange(T0, T0 + 6 * HOUR, 1700.0))
        key = first(one.verdicts, "Breached")
        alarms += not math.isinf(key)
    assert alarms / 40 <= 0.25 + 3 * math.sqrt(0.25 * 0.75 / 40)


@pytest.mark.parametrize("fields", [{}, HELD])
@pytest.mark.parametrize("seed", range(6))
def test_an_interrupted_run_ends_in_the_same_state_and_verdicts(fields: dict, seed: int):
    """Memory is lost at random looks and restored from the status: not a bit differs."""
    random = np.random.default_rng(seed)
    pods = target([float(random.choice([0.004, 0.008, 0.03]))], seed=seed)
    plain, interrupted = watch(pods, **fields), watch(pods, **fields)
    lost = set(random.integers(2, 60, 3).tolist())
    status = ModelMonitorStatus()
    for number, now in enumerate(T0 + np.cumsum(random.uniform(1.0, 14.0, 60))):
        plain.look(now)
        if number in lost:
            interrupted.memory = restore(status)
        interrupted.look(now)
        status = interrupted.status(status)
    assert plain.state == interrupted.state
    assert [one.verdict for one in plain.verdicts] == [one.verdict for one in interrupted.verdicts]


# Numbers and arms that are not there


@pytest.mark.parametrize("bad", [math.nan, math.inf, -3.0, 1e308])
@pytest.mark.parametrize("fields", [{}, HELD])
def test_numbers_that_are_no_counts_are_no_evidence(bad: float, fields: dict):
    """No sample that no counter can have is taken for a change, nor such a past."""
    pods = target()
    for metric in ("requests_total", "errors_total"):
        values = pods[0].counters[metric].copy()
        values[values.size // 2 :: 5] = bad
        broken = watch([pods[0].having(**{metric: values}), pods[1]], **fields)
        assert first(_seen(broken, LOOKS), "Breached") == math.inf
    odd = watch(pods)
    odd.past = {"requests_total": bad, "errors_total": bad}
    assert odd.run(LOOKS[:20]).reason in {"NoData", "InsufficientData"}


def test_an_absent_arm_is_no_data():
    """Neither the target nor the holdback; and steps that do not fit are told."""
    pods = target()
    assert watch(pods[:1], **HELD).run(LOOKS[:5]).why == "no series of requests on stable"
    assert watch(pods[1:], **HELD).run(LOOKS[:5]).reason == "NoData"
    slow = watch(target(every=120.0), **HELD).run(LOOKS[:30])
    assert slow.why.startswith("steps of 2.2 min do not fit the window")


def test_no_requests_lately_are_said_without_a_rate():
    """A target that answers nothing has a rate of zero in the sentence."""
    one = target()[0]
    idle = one.having(
        requests_total=np.zeros(one.times.size), errors_total=np.zeros(one.times.size)
    )
    seen = watch([idle], changed=T0 - 10)
    seen.spec = spec({**change(), "minSamples": 0}, candidate=None)
    again = replace(seen)
    assert again.run(LOOKS).why.startswith("errors 0 % (0 of 0) lately against 0.4 %")


# What can be written


@pytest.mark.parametrize(
    "fields",
    [
        {"margin": "0.9"},
        {"margin": "101"},
        {"falseAlarmEvery": "5m"},
        {"baseline": "30s"},
        {"step": "2m"},
        {"holdbackLabels": {}},
        {"success": {"attempts": "a", "successes": "s"}},
    ],
)
def test_a_change_that_could_not_be_judged_is_refused(fields: dict):
    """Each field has bounds, and what is measured is exactly one thing."""
    with pytest.raises(ValidationError):
        Change.model_validate({**COMPARED, **fields})


def test_what_is_measured_speaks_of_its_pillar_and_takes_selectors_from_the_preset():
    """Orders are business, latency is the system."""
    assert Change.model_validate(COMPARED).pillar is Pillar.SYSTEM
    assert Change.model_validate(SUCCESS).pillar is Pillar.BUSINESS
    one = {"change": {"latency": {"above": "250ms"}}}
    found = Watch(spec(one, candidate=None, preset="backstop"), [], changed=T0)
    assert found.inquiries[KEY].questions.keys() == {
        "candidate/buckets",
        "stable/buckets",
        "baseline/buckets",
    }
    with pytest.raises(ValueError, match="exactly one of"):
        _ = Change.model_construct().measure_of


def test_a_written_step_is_taken():
    """Unless it is shorter than an interval."""
    one = watch(target(), **HELD, step="40s")
    one.run(LOOKS[:40])
    assert one.until % 40.0 == 0.0
