"""Latency, means and rates: what is missing or no number is Unknown, and never breaks a limit."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, measure, series

from backstop.core.measurement import Measurement, Missing, Question, UnknownReason
from backstop.core.samples import Series
from backstop.core.signals.rule import Subject
from backstop.core.signals.threshold import Threshold

NAN, INF = math.nan, math.inf
GONE, FEW, BAD = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
    UnknownReason.BAD_QUERY,
)


def threshold(name: str, fields: dict[str, Any], **limits: str) -> Threshold:
    return Threshold.model_validate({name: fields, **limits})


LATENCY = threshold("latency", {"above": "250ms", "buckets": "b"}, max="5%")
QUANTILE = threshold("latencyQuantile", {"quantile": "p50", "buckets": "b"}, max="250ms")
LATENCY_MEAN = threshold("latencyMean", {"total": "t", "count": "c"}, max="100ms")
MEAN = threshold("mean", {"total": "t", "count": "c"}, min="0.05", max="0.5")
RATE = threshold("rate", {"counter": "c"}, min="5")


def counter(state: str, low: float, high: float, **labels: str) -> list[Series]:
    """Return a counter that is scraped three times and grows from `low` to `high`, or does not."""
    middle = (low + high) / 2
    values = {
        "present": [low, middle, high],
        "absent": None,
        "nan": [low, NAN, high],
        "infinite": [low, INF, high],
        "negative": [-high, -middle, -low],
        "zero": [high, high, high],
        "reset": [high, (high - low) / 2, high - low],
        "stale": [low],
    }[state]
    return [] if values is None else [series(values, **labels)]


STATES = ("present", "absent", "nan", "infinite", "negative", "zero", "reset", "stale")


def table(rows: dict[str, tuple[Any, ...]]) -> list[tuple[str, str, Any]]:
    """Return the cells of a table as (state of the column, state of the row, outcome)."""
    assert tuple(rows) == STATES
    return [
        (column, row, outcome)
        for row, outcomes in rows.items()
        for column, outcome in zip(STATES, outcomes, strict=True)
    ]


# Buckets: each way in which the edge and +Inf can be there or not

NEVER = (GONE,) * len(STATES)
BUCKETS = {
    # By the bucket at the bound, in the order of STATES.
    "present": (0.1, GONE, GONE, GONE, GONE, 1.0, 0.1, GONE),
    "absent": NEVER,
    "nan": NEVER,
    "infinite": NEVER,
    "negative": NEVER,
    # Torn: what is within the bound was also observed.
    "zero": (0.0, GONE, GONE, GONE, GONE, FEW, 0.0, GONE),
    "reset": (0.1, GONE, GONE, GONE, GONE, 1.0, 0.1, GONE),
    "stale": (GONE, GONE, GONE, GONE, GONE, GONE, GONE, FEW),
}


@pytest.mark.parametrize(("edge", "infinity", "outcome"), table(BUCKETS))
def test_latency_is_told_only_when_it_can_be(edge: str, infinity: str, outcome: object):
    """Both buckets must be there, in the same scrapes, with numbers, and something observed."""
    within = counter(edge, 10, 100, le="0.25")
    buckets = [*within, *counter(infinity, 20, 120, le="+Inf")]
    slow, quantile = measure(LATENCY, buckets=buckets), measure(QUANTILE, buckets=buckets)
    if isinstance(slow, Missing):
        assert slow.reason is outcome
        assert "latency" in slow.why
        assert quantile == slow
    else:
        assert isinstance(quantile, Measurement)
        assert slow.value == pytest.approx(outcome)
        assert slow.samples == quantile.samples


def test_a_bound_beyond_all_buckets_is_told():
    """Nobody knows how many requests were slower than the largest edge."""
    found = [*counter("present", 0, 9, le="0.1"), *counter("present", 0, 9, le="+Inf")]
    measured = measure(LATENCY, buckets=found)
    assert measured == Missing(
        BAD, "no bucket reaches 250 ms: the largest ends at 100 ms; choose a smaller bound"
    )


# Means: each way in which the sum and the number of observations can be there or not

MEANS = {
    # By the sum, in the order of STATES.
    "present": (0.1, GONE, GONE, GONE, GONE, 0.0, 0.1, GONE),
    "absent": NEVER,
    "nan": NEVER,
    "infinite": NEVER,
    "negative": NEVER,
    "zero": (FEW, GONE, GONE, GONE, GONE, FEW, FEW, FEW),
    "reset": (0.1, GONE, GONE, GONE, GONE, 0.0, 0.1, GONE),
    "stale": (FEW, GONE, GONE, GONE, GONE, FEW, FEW, FEW),
}


@pytest.mark.parametrize(
    ("rule", "noun"), [(MEAN, "observations"), (LATENCY_MEAN, "requests")], ids=["mean", "latency"]
)
@pytest.mark.parametrize(("total", "count", "outcome"), table(MEANS))
def test_a_mean_is_told_only_when_it_can_be(rule, noun, total, count, outcome):
    """Both counters must be there and be numbers, the sum as long as observations are counted."""
    answers = {
        "total": counter(total, 10, 20),
        "count": counter(count, 100, 200, code="200"),
    }
    found = measure(rule, **answers)
    if (rule, total, count) == (MEAN, "reset", "present"):
        outcome = GONE  # times are never negative, but what is observed may be
    if isinstance(found, Missing):
        assert found.reason is outcome
        assert noun in found.why
    else:
        assert (found.value, found.samples) == (outcome, 100)
        assert found.breached == (rule is MEAN and outcome == 0.0)


@pytest.mark.parametrize(
    ("total", "count", "mean"),
    [
        ([1000, 990, 980], [100, 110, 120], None),
        ([1000, 2, 4], [100, 10, 20], 0.2),
        ([1000, 2, 1], [100, 10, 20], None),
    ],
)
def test_a_sum_of_negative_observations_is_no_counter(total, count, mean):
    """Where it falls it was not reset, unless the observations were counted anew as well.

    Taken for a reset, each fall would add the whole sum: a mean of -1 would seem to be 98.
    """
    found = measure(MEAN, total=[series(total)], count=[series(count, code="200")])
    if mean is None:
        why = "the sum falls without a restart: some observations are negative; use promql"
        assert found == Missing(GONE, why)
    else:
        assert isinstance(found, Measurement)
        assert found.value == pytest.approx(mean)


def test_a_pod_without_a_sum_is_no_part_of_a_mean():
    """Its requests would make the mean of the others smaller; an idle one changes nothing."""
    total, count = counter("present", 10, 20), counter("present", 100, 200)
    idle = measure(MEAN, total=total, count=[*count, *counter("zero", 0, 9, pod="b")])
    busy = measure(MEAN, total=total, count=[*count, *counter("present", 0, 9, pod="b")])
    assert isinstance(idle, Measurement)
    assert idle.value == 0.1
    assert busy == Missing(GONE, "the sum is missing where observations are counted")


def test_means_say_their_numbers():
    """The sentences hold the mean, the number of observations and the limits."""
    answers = {"total": [series([0, 300])], "count": [series([0, 1200])]}
    mean, latency = measure(MEAN, **answers), measure(LATENCY_MEAN, **answers)
    assert isinstance(mean, Measurement)
    assert isinstance(latency, Measurement)
    assert (mean.breached, latency.breached) == (False, True)
    assert mean.why == "mean 0.25 over 1,200 observations, allowed 0.05 to 0.5"
    assert latency.why == "mean latency 250 ms over 1,200 requests, allowed 100 ms"


def test_a_mean_of_times_may_be_in_other_units():
    """Milliseconds that a server sums are said and compared in seconds."""
    rule = threshold("latencyMean", {"total": "t", "count": "c", "unit": "ms"}, max="100ms")
    found = measure(rule, total=[series([0, 30_000])], count=[series([0, 100])])
    assert isinstance(found, Measurement)
    assert (found.value, found.breached) == (0.3, True)


@pytest.mark.parametrize("rule", [MEAN, LATENCY_MEAN], ids=["mean", "latency"])
def test_a_mean_asks_for_both_counters_of_the_arm(rule):
    """Two questions by role, confined to the arm, over the window."""
    assert rule.questions(Subject({"app": "x"}), 10.0) == {
        "total": Question('t{app="x"}[10000ms]', raw=True),
        "count": Question('c{app="x"}[10000ms]', raw=True),
    }


# Rates

RATES = (5.0, GONE, GONE, GONE, GONE, 0.0, 5.0, FEW)


@pytest.mark.parametrize(("state", "outcome"), [*zip(STATES, RATES, strict=True)])
def test_a_rate_is_told_only_when_it_can_be(state: str, outcome: object):
    """A counter that stands still has rate zero; one that is absent or no number has none."""
    found = measure(RATE, counter=counter(state, 10, 20))
    if isinstance(found, Missing):
        assert found.reason is outcome
        assert "counter" in found.why
    else:
        assert (found.value, found.breached) == (outcome, outcome == 0.0)


def test_a_rate_is_over_the_scrapes_there_are():
    """Not over the window, which reaches to before the first scrape; the sentence says so."""
    pods = [series([0, 10, 40], every=5), series([0, 20], every=5, pod="b")]
    found = measure(RATE, counter=pods)
    assert isinstance(found, Measurement)
    assert (found.value, found.samples) == (8.0, INF)
    assert found.why == "8 per second (60 in 7.5 s), allowed at least 5"


def pod(name: str, *, first: float, scrapes: int) -> Series:
    """Return the counter of a pod with 25 events per second, scraped each 15 s from `first` on."""
    values = [1000.0 + 375 * number for number in range(scrapes)]
    return series(values, start=T0 + first, every=15, pod=name, code="200")


PODS = {
    "scraped one after the other": [pod(str(n), first=3.75 * n, scrapes=2) for n in range(4)],
    "one scraped twice so far": [
        pod(str(n), first=3.75 * n, scrapes=1 + (n < 1)) for n in range(4)
    ],
    "all replaced": [
        *(pod(f"old{n}", first=n, scrapes=2) for n in range(4)),
        *(pod(f"new{n}", first=40 + n, scrapes=2) for n in range(4)),
    ],
}


@pytest.mark.parametrize("pods", PODS.values(), ids=list(PODS))
def test_a_rate_is_that_of_all_pods_together(pods):
    """Pods are scraped at different times, so all of them cover less than first to last scrape.

    Else four pods with 100 events per second would seem to have half of them, and a limit of 80
    would be broken by a healthy model.
    """
    found = measure(RATE, counter=pods)
    assert isinstance(found, Measurement)
    assert found.value == pytest.approx(100.0)


def test_a_rate_asks_for_the_counter_of_the_arm():
    """One question, confined to the arm, over the window."""
    asked = RATE.questions(Subject({"app": "x"}), 10.0)
    assert asked == {"counter": Question('c{app="x"}[10000ms]', raw=True)}


# Numbers that no healthy server exports

ERRORS = threshold("errors", {"requests": "r", "errors": "e"}, max="5%")
RATIO = threshold("ratio", {"part": "p", "whole": "w"}, max="5%")
CAPPED = threshold("rate", {"counter": "c"}, max="1000")
HEALTHY: dict[str, tuple[Threshold, dict[str, list[tuple[dict[str, str], list[float]]]]]] = {
    "errors": (
        ERRORS,
        {"errors": [({"code": "500"}, [0, 1, 2])], "requests": [({}, [0, 100, 200])]},
    ),
    "ratio": (RATIO, {"part": [({}, [0, 0, 1])], "whole": [({"path": "/"}, [0, 100, 200])]}),
    "latency": (
        LATENCY,
        {"buckets": [({"le": le}, [0, 100, 200]) for le in ("0.1", "0.25", "1", "+Inf")]},
    ),
    "quantile": (
        QUANTILE,
        {"buckets": [({"le": le}, [0, 100, 200]) for le in ("0.1", "0.25", "1", "+Inf")]},
    ),
    "latency mean": (
        LATENCY_MEAN,
        {"total": [({}, [0, 5, 10])], "count": [({}, [0, 100, 200])]},
    ),
    "mean": (
        threshold("mean", {"total": "t", "count": "c"}, max="0.5"),
        {"total": [({}, [0, 5, 10])], "count": [({}, [0, 100, 200])]},
    ),
    "rate": (CAPPED, {"counter": [({}, [0, 100, 200])]}),
}
_hostile = st.sampled_from([NAN, INF, -INF, -1.0, -1e308, 1e308, 2.0**53])


@pytest.mark.parametrize("name", HEALTHY)
@given(data=st.data())
def test_no_absurd_number_breaks_a_limit(name: str, data: st.DataObject):
    """Whichever sample of a healthy server is absurd: Unknown with a sentence, or still healthy."""
    rule, healthy = HEALTHY[name]
    answers = {
        role: [(labels, list(values)) for labels, values in found]
        for role, found in healthy.items()
    }
    samples = [values for found in answers.values() for _, values in found]
    for _ in range(data.draw(st.integers(1, 4))):
        values = data.draw(st.sampled_from(samples))
        values[data.draw(st.integers(0, 2))] = data.draw(_hostile)
    found = measure(
        rule,
        **{
            role: [series(values, **labels) for labels, values in some]
            for role, some in answers.items()
        },
    )
    if isinstance(found, Missing):
        assert found.reason in {GONE, FEW}
        assert len(found.why) < 100
    else:
        assert not found.breached


@pytest.mark.parametrize("name", HEALTHY)
def test_thousands_of_pods_count_as_one_does(name: str):
    """The share, mean or quantile is the same, and rests on all of their observations."""
    rule, healthy = HEALTHY[name]
    one, many = (
        measure(
            rule,
            **{
                role: [
                    series(values, **labels, pod=f"p{n}")
                    for n in range(pods)
                    for labels, values in found
                ]
                for role, found in healthy.items()
            },
        )
        for pods in (1, 2000)
    )
    assert isinstance(one, Measurement)
    assert isinstance(many, Measurement)
    assert many.value == pytest.approx(one.value * (2000 if name == "rate" else 1))
    assert many.samples == one.samples * 2000
    assert isinstance(many.why, str)


@pytest.mark.parametrize(
    ("above", "found", "said"),
    [
        ("250ms", ["fast"], "latency has a series without a numeric le label"),
        ("250ms", ["nan"], "latency has a series without a numeric le label"),
        ("250ms", ["0.1", "0.2"], "no bucket reaches 250 ms: the largest ends at 200 ms"),
        ("250ms", [], "latency is not a histogram with a +Inf bucket"),
    ],
)
def test_absurd_edges_are_told(above, found, said):
    """An edge that is no number, or none that reaches the bound, is said in one sentence."""
    rule = threshold("latency", {"above": above, "buckets": "b"}, max="5%")
    buckets = [series([0, 9], le=le) for le in (*found, "+Inf")]
    measured = measure(rule, buckets=buckets)
    assert isinstance(measured, Missing)
    assert measured.why.startswith(said)
    aggregated = rule.measure_of.count_aggregated(
        {"buckets": [series([9], le=le) for le in (*found, "+Inf")]}
    )
    assert aggregated == measured


# Latency as the source counts it, and pod by pod


def test_aggregated_buckets_count_as_raw_ones():
    """The increase of each edge is asked by `le`, and gives the share that raw samples give."""
    measure_of = LATENCY.measure_of
    assert measure_of.aggregated({"app": "x"}, "1h", "offset 1d") == {
        "buckets": 'sum by (le)(increase(b{app="x"}[1h] offset 1d))'
    }
    found = [series([n], le=le) for le, n in {"0.1": 80, "0.25": 90, "+Inf": 100}.items()]
    assert tuple(measure_of.count_aggregated({"buckets": found})) == (10.0, 100.0)


def test_components_of_latency_are_fast_and_all_requests():
    """The bucket at the bound and the one of all requests, of each pod."""
    measure_of = LATENCY.measure_of
    good = [series([0, 5], le="0.25", pod=pod) for pod in "ab"]
    whole = [series([0, 9], le="+Inf", pod=pod) for pod in "ab"]
    slow = [series([0, 7], le="1", pod=pod) for pod in "ab"]
    found = measure_of.components({"buckets": [*slow, *good, *whole]})
    assert not isinstance(found, Missing)
    assert (found.whole, found.good, found.bad) == (whole, good, ())


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        (["0.25"], "latency is not a histogram with a +Inf bucket"),
        ([], "latency is not a histogram with a +Inf bucket"),
        (["0.1", "+Inf"], "no bucket reaches 250 ms"),
        (["0.25", "0.25", "+Inf"], "the buckets of latency differ between pods or scrapes"),
    ],
)
def test_components_of_no_histogram_are_missing(edges, said):
    """The same conditions as for a share hold when counters are counted pod by pod."""
    pods = iter("abc")
    buckets = [series([0, 5], le=le, pod=next(pods)) for le in edges]
    found = LATENCY.measure_of.components({"buckets": buckets})
    assert isinstance(found, Missing)
    assert found.why.startswith(said)
