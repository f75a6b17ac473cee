"""A candidate that is worse than stable is found soon, one that is not is hardly ever blamed."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.core.rollout import (
    COMPARED,
    T0,
    Pod,
    Watch,
    comparison,
    first,
    pod,
    scraped,
    spec,
)

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core.checkpoint import restore
from backstop.core.judging import look_all
from backstop.core.measurement import Pillar
from backstop.core.signals.comparison import Comparison

KEY = ("s0", Arm.CANDIDATE)
END = T0 + 900.0
EVERY_5_S = np.arange(T0, T0 + 600, 5.0)


def rollout(
    seed: int = 1,
    *,
    errors: float | Sequence[float] = 0.004,
    stable: float = 0.004,
    rate: float = 10.0,
    begin: float = T0 - 400,
) -> list[Pod]:
    """Two pods of stable at 50 requests/s, and one of the candidate for each of its `errors`."""
    random = np.random.default_rng(seed)
    shares = [errors] if isinstance(errors, float) else errors
    phases = random.uniform(0, 15, 2 + len(shares))
    times = [scraped(begin, END, phase=phase) for phase in phases]
    return [
        *(pod("old", f"o{n}", times[n], random, rate=50.0, errors=stable) for n in range(2)),
        *(
            pod("new", f"n{n}", times[2 + n], random, rate=rate, errors=share)
            for n, share in enumerate(shares)
        ),
    ]


def after(pods: Sequence[Pod], looks: np.ndarray = EVERY_5_S, **fields: object) -> Watch:
    watch = Watch(spec(comparison(**fields)), pods)
    watch.run(looks)
    return watch


# What it finds


def test_a_worse_candidate_is_breached_and_an_equal_one_is_not():
    """With ten times the errors it takes a minute; with as many it stays Healthy."""
    worse = after(rollout(errors=0.04))
    assert T0 + 5.0 * first(worse.verdicts, "Breached") < T0 + 90
    equal = after(rollout())
    assert first(equal.verdicts, "Breached") == math.inf
    assert equal.verdicts[-1].verdict == "Healthy"


def test_a_rejection_is_final():
    """Errors that end after the breach do not clear it within the trial."""
    random = np.random.default_rng(2)
    pods = rollout()
    times = pods[-1].times
    bad = pod("new", "n0", times, random, rate=10.0, errors=np.where(times < T0 + 120, 0.05, 0.0))
    assert (
        after([*pods[:-1], bad], np.arange(T0, T0 + 880, 10.0)).verdicts[-1].verdict == "Breached"
    )


def test_the_sentence_states_the_counts_and_the_evidence_that_the_decision_used():
    """Rate, counts, stable's rate, ratio, evidence and time are those of the state."""
    watch = after(rollout(errors=0.03))
    place = int(first(watch.verdicts, "Breached"))
    said = watch.verdicts[place].why
    form = (
        r"errors [\d.]+ % \([\d,]+ of [\d,]+\) against [\d.]+ % on stable, [\d.]+x,"
        r" evidence 1:([\d,]+) after [\d.]+ (s|min), tolerated 1.25x"
    )
    found = re.fullmatch(form, said)
    assert found is not None, said
    assert int(found[1].replace(",", "")) >= 100
    assert "no evidence of a difference after" in after(rollout(errors=0.002)).verdicts[-1].why
    assert "evidence over 1:1,000,000,000 after" in watch.verdicts[-1].why


def test_a_sentence_without_events_states_zeros():
    """Where stable has no errors there is no ratio to state."""
    said = after(rollout(stable=0.0, errors=0.0), EVERY_5_S[:40]).verdicts[-1].why
    assert "against 0 % on stable, no evidence" in said


# The state survives


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_an_interrupted_run_ends_in_the_same_state_and_verdicts(seed: int):
    """Memory is lost at a random look and restored from the status: not a bit differs."""
    random = np.random.default_rng(seed)
    share = float(random.choice([0.004, 0.012, 0.04]))
    monitored = spec(comparison(warmupSeconds=int(random.integers(0, 40))))
    pods = _wild(seed, share)
    lost = set(random.integers(3, 60, 3).tolist())
    plain, interrupted = (Watch(monitored, pods, weight=0.1) for _ in range(2))
    status = ModelMonitorStatus()
    for number, now in enumerate(T0 + np.cumsum(random.uniform(1.0, 14.0, 60))):
        plain.look(now)
        if number in lost:
            interrupted.memory = restore(status)
        interrupted.look(now)
        status = interrupted.status(status)
    assert plain.state == interrupted.state
    assert plain.histories[KEY].until == interrupted.histories[KEY].until
    assert [one.verdict for one in plain.verdicts] == [one.verdict for one in interrupted.verdicts]


def _wild(seed: int, share: float) -> list[Pod]:
    """Pods with jitter, resets, an outage, and one that joins in the middle."""
    random = np.random.default_rng(seed)

    def times(begin: float, end: float = END) -> np.ndarray:
        regular = scraped(begin, end, phase=random.uniform(0, 15))
        return regular + random.uniform(-0.1, 0.1, regular.size)

    def one(app: str, name: str, begin: float, errors: float) -> Pod:
        at = times(begin)
        resets = random.integers(1, at.size, random.integers(0, 3)).tolist()
        return pod(app, name, at, random, rate=20.0, errors=errors, resets=resets)

    join, out = T0 + random.uniform(30, 250), T0 + random.uniform(0, 400)
    return [
        one("old", "o0", T0 - 500, 0.004),
        one("old", "o1", T0 - 500, 0.004).without(out, out + 60),
        one("new", "n0", T0 - 60, share),
        one("new", "n1", join, share),
    ]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_steps_do_not_depend_on_looks(seed: int):
    """Looks at random times end in the very state of looks every five seconds."""
    random = np.random.default_rng(seed)
    pods, monitored = _wild(seed, 0.008), spec(comparison())
    often, seldom = (Watch(monitored, pods, weight=0.1) for _ in range(2))
    often.run([*np.arange(T0, T0 + 300, 5.0), T0 + 300])
    seldom.run([T0, *np.sort(random.uniform(T0 + 20, T0 + 300, 8)), T0 + 300])
    assert often.state == seldom.state


def test_after_a_gap_longer_than_the_window_evidence_stands_still():
    """What nobody saw is not made up: evidence goes on from where it was, later."""
    pods = rollout(errors=0.012, begin=T0 - 400)
    watch = Watch(spec(comparison()), pods)
    watch.run(np.arange(T0, T0 + 200, 5.0))
    seen = float(re.findall(r"of ([\d,]+)\)", watch.verdicts[-1].why)[0].replace(",", ""))
    watch.look(T0 + 800)
    later = float(re.findall(r"of ([\d,]+)\)", watch.verdicts[-1].why)[0].replace(",", ""))
    assert seen < later < seen + 10.0 * 320
    assert watch.until > T0 + 750


# What counts


def test_a_cold_pod_gives_no_evidence_while_it_warms_up():
    """Ten times the errors in the first 30 s of a new pod are left out, request by request."""
    random = np.random.default_rng(3)
    stable = rollout()[:2]
    times = scraped(T0 + 20, END, phase=7.0)
    cold = np.where(times < times[0] + 30.5, 0.5, 0.0)
    new = pod("new", "n0", times, random, rate=50.0, errors=cold)
    said = after([*stable, new]).verdicts[-1]
    assert said.verdict == "Healthy"
    assert said.why.startswith("errors 0 % (0 of ")


def test_a_new_pod_counts_from_its_first_request_without_warmup():
    """A pod that is born bad is found by its first scrapes."""
    random = np.random.default_rng(3)
    new = pod("new", "n0", scraped(T0 + 20, END), random, rate=50.0, errors=0.5)
    soon = after([*rollout()[:2], new], EVERY_5_S, warmupSeconds=0)
    late = after([*rollout()[:2], new], EVERY_5_S, warmupSeconds=60)
    assert first(soon.verdicts, "Breached") <= 14 < first(late.verdicts, "Breached")


def test_a_vanished_pod_is_not_waited_for():
    """The others are compared on, without what nobody saw."""
    pods = rollout(errors=[0.05, 0.05])
    gone = pods[2].only(pods[2].times < T0 + 20)
    assert first(after([*pods[:2], gone, pods[3]]).verdicts, "Breached") < 30


def test_arms_with_other_scrape_intervals_are_compared():
    """A candidate that is scraped every 5 s beside a stable that is scraped every 30 s."""
    random = np.random.default_rng(4)
    slow = pod("old", "o0", scraped(T0 - 400, END, every=30.0), random)
    for errors, found in ((0.004, False), (0.04, True)):
        quick = pod(
            "new",
            "n0",
            scraped(T0 - 400, END, every=5.0, phase=2.0),
            random,
            rate=10,
            errors=errors,
        )
        watch = after([slow, quick])
        assert (first(watch.verdicts, "Breached") < 40) is found


def test_steps_that_do_not_fit_the_window_are_told():
    """A scrape interval of two minutes needs a longer window, and the reason says so."""
    random = np.random.default_rng(4)
    pods = [pod(app, app, scraped(T0 - 900, END, every=120.0), random) for app in ("old", "new")]
    last = after(pods).verdicts[-1]
    assert last.reason == "InsufficientData"
    assert last.why == (
        "steps of 2.2 min do not fit the window of 5 min: it must be at least 4 times as long"
    )


def test_one_scrape_is_no_comparison():
    """There is no difference of one sample."""
    random = np.random.default_rng(4)
    pods = [*rollout()[:2], pod("new", "n0", np.array([T0 + 5.0]), random, born=T0)]
    last = after(pods, EVERY_5_S[:5]).verdicts[-1]
    assert (last.reason, last.why) == (
        "InsufficientData",
        "a comparison needs two scrapes of both versions in the window",
    )


# Whom it blames


def test_one_bad_pod_of_three_is_named_and_left_out():
    """The release is not blamed, the sentence names the pod, and the others are judged on."""
    pods = rollout(5, errors=[0.004, 0.08, 0.004], rate=20.0)
    watch = after(pods)
    assert first(watch.verdicts, "Breached") == math.inf
    last = watch.verdicts[-1]
    assert last.reason == "OnePod"
    assert re.fullmatch(
        r"one pod of the candidate, n1, has [\d,]+ of [\d,]+ errors in [\d,]+ of [\d,]+:"
        r" it is left out; restart it",
        last.why,
    )


def test_a_pod_that_is_good_again_is_taken_in_again():
    """Then the candidate is Healthy, by evidence that began anew."""
    random = np.random.default_rng(6)
    pods = rollout(5, errors=[0.004, 0.004, 0.004], rate=20.0)
    times = pods[3].times
    share = np.where(times < T0 + 100, 0.08, 0.004)
    watch = after([*pods[:3], pod("new", "n1", times, random, rate=20.0, errors=share), pods[4]])
    reasons = [one.reason for one in watch.verdicts]
    assert "OnePod" in reasons
    assert first(watch.verdicts, "Breached") == math.inf
    assert watch.verdicts[-1].verdict == "Healthy"


def test_a_bad_pod_that_is_deleted_is_forgotten():
    """Once its samples have left the window, the candidate is judged by its other pods."""
    pods = rollout(5, errors=[0.004, 0.08, 0.004], rate=20.0)
    gone = pods[3].only(pods[3].times < T0 + 120)
    watch = after([*pods[:3], gone, pods[4]], np.arange(T0, T0 + 600, 5.0))
    assert "OnePod" in [one.reason for one in watch.verdicts]
    assert watch.verdicts[-1].verdict == "Healthy"


def test_a_second_bad_pod_is_the_release():
    """While one pod is left out, the others are tested as any candidate is."""
    random = np.random.default_rng(6)
    pods = rollout(5, errors=[0.004, 0.08, 0.004], rate=20.0)
    times = pods[2].times
    share = np.where(times < T0 + 200, 0.004, 0.08)
    watch = after([*pods[:2], pod("new", "n0", times, random, rate=20.0, errors=share), *pods[3:]])
    assert "OnePod" in [one.reason for one in watch.verdicts]
    assert watch.verdicts[-1].verdict == "Breached"


def test_a_candidate_whose_pods_are_all_bad_is_breached():
    """No pod is named where all fail alike."""
    watch = after(rollout(5, errors=[0.04, 0.04, 0.04], rate=20.0))
    assert first(watch.verdicts, "Breached") < 30
    assert "OnePod" not in [one.reason for one in watch.verdicts]


# The split


def split(seed: int, weight: float, share: float, **changes: object) -> Watch:
    """Give the candidate `share` of 100 requests/s where the route gives it `weight`."""
    random = np.random.default_rng(seed)
    times = [scraped(T0 - 400, END, phase=phase) for phase in random.uniform(0, 15, 2)]
    pods = [
        pod("old", "o", times[0], random, rate=100.0 * (1.0 - share)),
        pod("new", "n", times[1], random, rate=100.0 * share),
    ]
    return Watch(spec(comparison()), pods, weight=weight, **changes)


@pytest.mark.parametrize(("weight", "share"), [(0.1, 0.2), (0.1, 0.02), (0.9, 0.98), (0.5, 0.0)])
def test_a_split_that_is_not_the_route_s_is_unfair(weight: float, share: float):
    """Nothing is said of the candidate, while its evidence is counted on."""
    watch = split(1, weight, share)
    watch.run(EVERY_5_S[:50])
    before = watch.state
    last = watch.run(EVERY_5_S[50:60])
    assert last.reason == "UnevenSplit"
    assert "of requests where the route gives it" in last.why
    assert watch.state != before


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_split_as_the_route_has_it_is_fair(weight: float):
    """Neither while pods warm up, nor where the weight is not known."""
    watch = split(1, weight, weight if 0.0 < weight < 1.0 else 0.3)
    assert watch.run(EVERY_5_S).verdict == "Healthy"
    assert "UnevenSplit" not in {one.reason for one in watch.verdicts}


def test_a_pod_that_warms_up_does_not_make_the_split_unfair():
    """Its share is missing from the candidate's counts, but not from the traffic."""
    random = np.random.default_rng(1)
    stable = [pod("old", f"o{n}", scraped(T0 - 400, END, phase=n), random, rate=50) for n in (1, 2)]
    new = pod("new", "n0", scraped(T0 + 20, END), random, rate=100.0)
    watch = Watch(spec(comparison(warmupSeconds=50)), [*stable, new], weight=0.5)
    watch.run(EVERY_5_S)
    assert "UnevenSplit" not in {one.reason for one in watch.verdicts}


def test_a_new_weight_is_counted_anew():
    """Requests that were routed by the weight before do not make the new one look wrong."""
    random = np.random.default_rng(1)
    times = [scraped(T0 - 400, END, phase=phase) for phase in (3.0, 8.0)]
    early = times[0] < T0 + 200
    pods = [
        pod("old", "o", times[0], random, rate=np.where(early, 95.0, 50.0)),
        pod("new", "n", times[1], random, rate=np.where(times[1] < T0 + 200, 5.0, 50.0)),
    ]
    watch = Watch(spec(comparison()), pods, weight=0.05)
    watch.run(EVERY_5_S[EVERY_5_S < T0 + 200])
    watch.weight = 0.5
    watch.run(EVERY_5_S[EVERY_5_S >= T0 + 200])
    assert {one.reason for one in watch.verdicts[30:]} == {""}
    watch.weight = 0.2
    watch.run(np.arange(T0 + 600, T0 + 890, 5.0))
    assert watch.verdicts[-1].reason == "UnevenSplit"


# Proof


def test_an_equal_candidate_is_proven_and_one_that_is_twice_as_bad_is_not():
    """Within ten minutes at 50 requests/s and 2 % errors, and with a fair split only."""
    equal = after(rollout(stable=0.02, errors=0.02, rate=50.0))
    assert equal.verdicts[-1].proven
    worse = after(rollout(stable=0.02, errors=0.04, rate=50.0))
    assert not any(one.proven for one in worse.verdicts)


# Other measures


LATENCY = {"latency": {"above": ["100ms", "200ms"], "buckets": "seconds_bucket"}}


def bucketed(one: Pod, shares: dict[str, float | np.ndarray], seed: int = 1) -> Pod:
    """Return the pod with a histogram; `shares` are of requests up to each edge."""
    random = np.random.default_rng(seed)
    grown = np.diff(one.counters["requests_total"], prepend=0.0).clip(0).astype(int)
    found, left = {"seconds_bucket/+Inf": np.cumsum(grown).astype(float)}, grown
    for edge, share in sorted(shares.items(), key=lambda pair: -float(pair[0])):
        left = random.binomial(left, share)
        found[f"seconds_bucket/{edge}"] = np.cumsum(left).astype(float)
    return one.having(**found)


def histograms(candidate: dict, stable: dict) -> list[Pod]:
    pods = rollout(rate=50.0)
    return [
        bucketed(one, candidate if one.app == "new" else stable, seed)
        for seed, one in enumerate(pods)
    ]


STEADY = {"0.2": 0.98, "0.1": 0.5, "0.05": 0.2}


def test_a_slow_candidate_is_found_at_either_edge():
    """Evidence is the mean over the edges, and the sentence is about the one with the most."""
    tail = after(histograms({**STEADY, "0.2": 0.90}, STEADY), **LATENCY).verdicts
    assert first(tail, "Breached") < 40
    assert tail[-1].why.startswith("requests slower than 200 ms 10")
    shift = after(histograms({**STEADY, "0.1": 0.1}, STEADY), **LATENCY).verdicts
    assert shift[-1].why.startswith("requests slower than 100 ms 8")
    assert after(histograms(STEADY, STEADY), **LATENCY).verdicts[-1].verdict == "Healthy"


def test_other_edges_are_no_comparison():
    """Between arms, between pods and from scrape to scrape, and it is said."""
    for candidate, reason, said in (
        (
            {"0.25": 0.98, "0.05": 0.5},
            "BadQuery",
            "the buckets differ between candidate and stable",
        ),
        ({"0.05": 0.5}, "BadQuery", "the buckets differ between candidate and stable"),
    ):
        last = after(histograms(candidate, STEADY), **LATENCY).verdicts[-1]
        assert (last.reason, last.why[: len(said)]) == (reason, said)
    small = after(histograms({"0.05": 0.5}, {"0.05": 0.5}), **LATENCY).verdicts[-1]
    assert (small.reason, small.why) == (
        "BadQuery",
        "no bucket tells requests slower than 100 ms; choose a smaller edge",
    )


@pytest.mark.parametrize("edge", ["0.1", "0.2", "+Inf"])
def test_an_edge_that_ends_within_the_window_is_no_comparison(edge: str):
    """A container that restarts with other buckets leaves the old ones behind: not a breach."""
    pods = histograms(STEADY, STEADY)
    name = f"seconds_bucket/{edge}"
    cut = np.where(pods[-1].times < T0 + 100, pods[-1].counters[name], -math.inf)
    watch = after([*pods[:-1], pods[-1].having(**{name: cut})], EVERY_5_S[:60], **LATENCY)
    assert watch.verdicts[-1].reason == "BadQuery"
    assert first(watch.verdicts, "Breached") == math.inf


def test_no_buckets_are_no_data():
    """On either version, and it is said on which."""
    pods = histograms(STEADY, STEADY)
    missing = after([*pods[:2], *rollout()[2:]], **LATENCY).verdicts[-1]
    assert (missing.reason, missing.why) == ("NoData", "no buckets on the candidate")
    missing = after([*rollout()[:2], pods[-1]], **LATENCY).verdicts[-1]
    assert (missing.reason, missing.why) == ("NoData", "no buckets on stable")


SUCCESS = {"success": {"attempts": "visits_total", "successes": "orders_total"}}


def visits(candidate: float, stable: float, *, rate: float = 50.0) -> list[Pod]:
    """Return versions with such shares of visits that succeed."""
    pods = rollout(rate=rate, errors=candidate, stable=stable)
    return [
        one.having(
            visits_total=one.counters["requests_total"], orders_total=one.counters["errors_total"]
        )
        for one in pods
    ]


def test_orders_that_vanish_are_found_where_few_visits_end_in_one():
    """Failures hardly multiply from 97 % on, but successes halve: both are tested."""
    lost = after(visits(0.01, 0.03), **SUCCESS).verdicts
    assert first(lost, "Breached") < 60
    assert lost[-1].why.startswith("successes 1")
    assert lost[-1].why.endswith("tolerated 0.8x")
    equal = after(visits(0.03, 0.03), **SUCCESS).verdicts
    assert first(equal, "Breached") == math.inf
    assert not any(one.proven for one in lost)


def test_attempts_without_success_are_found_where_most_succeed():
    """From 1 % to 8 % failures, and a success counter that is gone is no success at all."""
    failing = after(visits(0.92, 0.99), **SUCCESS).verdicts
    assert first(failing, "Breached") < 20
    assert failing[-1].why.startswith("attempts without success 8")
    none = after([one.only(one.times > 0) for one in visits(0.0, 0.99)], **SUCCESS).verdicts
    assert first(none, "Breached") < 20


def test_one_pod_without_orders_is_named():
    """Also where fewer events are worse; and it is taken in again once it has some."""
    random = np.random.default_rng(8)
    pods = rollout(7, errors=[0.3, 0.3], stable=0.3, rate=50.0)
    times = pods[3].times
    share = np.where(times < T0 + 250, 0.0, 0.3)
    pods[3] = pod("new", "n1", times, random, rate=50.0, errors=share)
    pods = [
        one.having(
            visits_total=one.counters["requests_total"], orders_total=one.counters["errors_total"]
        )
        for one in pods
    ]
    watch = after(pods, np.arange(T0, T0 + 890, 10.0), **SUCCESS)
    named = [one for one in watch.verdicts if one.reason == "OnePod"]
    assert named[0].why.startswith("one pod of the candidate, n1, has ")
    assert first(watch.verdicts, "Breached") == math.inf
    assert watch.verdicts[-1].verdict == "Healthy"


SCORES = {"distribution": {"buckets": "seconds_bucket", "edges": ["0.1"]}}


def test_a_distribution_that_moves_is_found_on_either_side():
    """More values above an edge, and more up to it."""
    for share, said in ((0.2, "values above 0.1 8"), (0.9, "values up to 0.1 ")):
        moved = after(histograms({**STEADY, "0.1": share}, STEADY), **SCORES).verdicts
        assert first(moved, "Breached") < 40
        assert moved[-1].why.startswith(said)
    nowhere = {"distribution": {"buckets": "seconds_bucket", "edges": ["0.9"]}}
    last = after(histograms(STEADY, STEADY), **nowhere).verdicts[-1]
    assert last.why == "no bucket tells values above 0.9; choose a smaller edge"


# Hostile numbers


BAD = [math.nan, math.inf, -math.inf, -5.0, 1e308, 2.0**54]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("metric", ["requests_total", "errors_total"])
@pytest.mark.parametrize("place", [0, 2])
def test_numbers_that_are_no_counts_are_no_evidence(bad: float, metric: str, place: int):
    """A sample that no counter can have never blames the candidate."""
    pods = rollout()
    values = pods[place].counters[metric].copy()
    values[values.size // 2 :: 7] = bad
    pods[place] = pods[place].having(**{metric: values})
    assert first(after(pods).verdicts, "Breached") == math.inf


@pytest.mark.parametrize("bad", BAD)
def test_counters_that_are_nothing_but_bad_numbers_are_no_evidence(bad: float):
    """Also where every sample of an arm is one."""
    for place, metric in ((2, "errors_total"), (2, "requests_total"), (0, "errors_total")):
        pods = rollout()
        values = np.full_like(pods[place].counters[metric], bad)
        pods[place] = pods[place].having(**{metric: values})
        assert first(after(pods).verdicts, "Breached") == math.inf


def test_an_absent_arm_is_no_data():
    """Whether its series never were or nobody asked for them."""
    pods = rollout()
    assert after(pods[:2]).verdicts[-1].why == "no series of requests on the candidate"
    assert after(pods[2:]).verdicts[-1].why == "no series of requests on stable"
    assert after([]).verdicts[-1].reason == "NoData"


def test_an_absent_error_counter_is_no_error():
    """A version without a failed request often exports no counter of them."""
    pods = rollout()
    silent = replace(pods[2], counters={"requests_total": pods[2].counters["requests_total"]})
    last = after([*pods[:2], silent]).verdicts[-1]
    assert (last.verdict, last.why[:14]) == ("Healthy", "errors 0 % (0 ")


def test_thousands_of_series_are_added_up():
    """Exactly, whatever their labels are."""
    random = np.random.default_rng(9)
    times = scraped(T0 - 100, T0 + 300)
    many = [
        pod(app, f"{app}{n}", times, random, rate=1.0)
        for app in ("old", "new")
        for n in range(1000)
    ]
    assert after(many, np.array([T0, T0 + 100, T0 + 280])).verdicts[-1].verdict == "Healthy"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _state: "",
        lambda _state: "x",
        lambda state: "\N{SNOWMAN}" * len(state),
        lambda state: state[:-8],
        lambda state: "/" + state[1:] if state[0] != "/" else "A" + state[1:],
        lambda state: state[:60] + ("f" if state[60] != "f" else "g") + state[61:],
        lambda state: state[:200] + ("f" if state[200] != "f" else "g") + state[201:],
    ],
)
def test_a_damaged_state_begins_anew(damage):
    """Any other text is no evidence: the test goes on from now with none."""
    watch = Watch(spec(comparison()), rollout())
    watch.run(EVERY_5_S[:60])
    past = watch.histories[KEY]
    watch.memory = replace(watch.memory, histories={KEY: past._replace(state=damage(past.state))})
    last = watch.run(EVERY_5_S[60:75])
    assert last.verdict == "Healthy"
    assert "no evidence of a difference after" in last.why
    assert float(re.findall(r"of ([\d,]+)\)", last.why)[0].replace(",", "")) < 1000


def test_the_state_of_another_rule_begins_anew():
    """Evidence against one margin says nothing about another."""
    pods = rollout(errors=0.04)
    watch = after(pods, EVERY_5_S[:60])
    assert watch.verdicts[-1].verdict == "Breached"
    other = Watch(spec(comparison(margin="20", notWorseThan="40")), pods)
    other.memory = watch.memory
    assert other.look(T0 + 302).verdict != "Breached"
    assert other.run(EVERY_5_S[61:]).verdict == "Healthy"


# Through the whole path: raw counters in, verdicts out


def many(runs: int, *, seed: int, hours: float, ratio: float, **kinds: object) -> list[list[Pod]]:
    """Rollouts with scrapes every 30 s: 1 request/s on the candidate and 99 on stable."""
    random = np.random.default_rng(seed)
    share = float(kinds.get("errors", 0.005))
    shock = kinds.get("shock", np.ones_like)
    found = []
    for _ in range(runs):
        times = [
            scraped(T0 - 200, T0 + 3600 * hours, every=30.0, phase=p)
            for p in random.uniform(0, 30, 2)
        ]
        requests = kinds.get("rate", 1.0)
        old, new = (np.minimum(share * shock(one), 1.0) for one in times)
        found.append(
            [
                pod("old", "o", times[0], random, rate=99.0 * requests, errors=old),
                pod("new", "n", times[1], random, rate=requests, errors=new * ratio),
            ]
        )
    return found


def breached(rollouts: Sequence[Sequence[Pod]], looks: np.ndarray, **fields: object) -> np.ndarray:
    """Return the place of the look at which each is breached first, infinite without one."""
    monitored = spec({**comparison(**fields), "window": "30m"})
    watches = [Watch(monitored, pods) for pods in rollouts]
    found = np.full(len(watches), math.inf)
    for number, now in enumerate(looks):
        for place, watch in enumerate(watches):
            if math.isinf(found[place]) and watch.look(now).verdict == "Breached":
                found[place] = number
    return found


def allowed(alpha: float, runs: int) -> float:
    return alpha + 3.0 * math.sqrt(alpha * (1.0 - alpha) / runs)


def test_a_healthy_candidate_is_blamed_as_seldom_as_alpha_says():
    """In 300 rollouts of 720 steps at alpha 5 %: at most alpha and three standard errors.

    A window of 30 min lets one look count 50 steps; steps do not depend on looks.
    """
    rollouts = many(300, seed=11, hours=6.75, ratio=1.0, errors=0.02)
    looks = T0 + np.arange(0.0, 6.8 * 3600, 1700.0)
    alarms = np.isfinite(breached(rollouts, looks, margin="1", alpha="5%"))
    assert alarms.mean() <= allowed(0.05, 300)


@pytest.mark.parametrize(("margin", "expected"), [("1", 90.0), ("1.25", 120.0)])
def test_ten_times_the_errors_are_found_as_soon_as_the_test_can(margin: str, expected: float):
    """At 0.5 % errors and 1 request/s the median is that of the benchmark, give or take a step.

    What comes on top is the wait for the end of a step and for the scrape after it.
    """
    rollouts = many(100, seed=12, hours=0.5, ratio=10.0)
    looks = np.arange(T0, T0 + 1700, 10.0)
    fields = {"margin": margin, "warmupSeconds": 0}
    monitored = spec({**comparison(**fields), "minSamples": 1})
    delays = []
    for pods in rollouts:
        watch = Watch(monitored, pods)
        while True:
            now = looks[len(watch.verdicts)]
            if watch.look(now).verdict == "Breached":
                break
        delays.append(watch.until - T0)
    step = 33.75
    assert abs(np.median(delays) - expected) <= 0.1 * expected + step


def test_versions_that_break_together_are_not_told_apart():
    """Errors rise a hundredfold on both in the middle: nobody is blamed beyond alpha."""

    def shock(times: np.ndarray) -> np.ndarray:
        broken = np.clip((times - (T0 + 300)) / 30.0, 0.0, 1.0)
        return 1.0 + 99.0 * broken

    rollouts = many(1000, seed=13, hours=0.25, ratio=1.0, shock=shock, rate=3.0)
    alarms = np.isfinite(breached(rollouts, np.array([T0, T0 + 890])))
    assert alarms.mean() <= allowed(0.01, 1000)


# What can be written


@pytest.mark.parametrize(
    "fields",
    [
        {"margin": "0.9"},
        {"margin": "101"},
        {"margin": "-1"},
        {"notWorseThan": "1.25"},
        {"notWorseThan": "1001"},
        {"alpha": "0%"},
        {"alpha": "100%"},
        {"beta": "0.00%"},
        {"step": "0s"},
        {"step": "5m"},
        {"warmupSeconds": -1},
        {"latency": {"above": ["100ms"]}},
    ],
)
def test_a_comparison_that_could_not_be_judged_is_refused(fields: dict):
    """Each field has bounds, and what is compared is exactly one thing."""
    with pytest.raises(ValidationError):
        Comparison.model_validate({**COMPARED, **fields})


def test_a_written_step_is_taken():
    """Unless it is shorter than an interval."""
    watch = after(rollout(), EVERY_5_S[:60], step="40s")
    assert watch.until % 40.0 == 0.0


def test_nothing_is_compared_by_a_rule_that_names_nothing():
    """The API server refuses such a rule."""
    with pytest.raises(ValueError, match="exactly one of"):
        _ = Comparison.model_construct().compared


@pytest.mark.parametrize(
    ("measured", "pillar"),
    [(COMPARED, "system"), (LATENCY, "system"), (SUCCESS, "business"), (SCORES, "model")],
)
def test_what_is_compared_speaks_of_its_pillar(measured: dict, pillar: str):
    """Orders are business, scores are the model."""
    assert Comparison.model_validate(measured).pillar is Pillar(pillar)


@pytest.mark.parametrize("measured", [{"latency": {"above": ["100ms"]}}, {"distribution": {}}])
def test_selectors_come_from_the_preset(measured: dict):
    """Also the buckets of an edge."""
    one = {"comparison": measured}
    found = Watch(spec(one, preset="backstop"), []).inquiries[KEY].questions
    assert found.keys() == {"candidate/buckets", "stable/buckets"}


def test_monitors_are_judged_together_as_alone():
    """One pass over several monitors gives each the state that it has by itself."""
    watches = [Watch(spec(comparison(margin=margin)), rollout()) for margin in ("1", "1.25", "1.9")]
    for now in EVERY_5_S[:30]:
        together = look_all([one.sight() for one in watches], watches[0].readings(now), now=now)
        for one, seen in zip(watches, together, strict=True):
            one.look(now)
            assert one.histories == seen.histories
    assert look_all([], {}, now=T0) == []
