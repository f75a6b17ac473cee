"""Latency from histogram buckets: exact counts, the usual quantile, and never an invention."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import series

from backstop.core.signals.histogram import Histogram, count_histogram
from backstop.core.signals.latency_quantile import LatencyQuantile
from backstop.core.signals.latency_share import LatencyShare
from backstop.core.signals.rule import Measurement, Missing, UnknownReason

EDGES = (0.1, 0.25, 0.5, 1.0)
GONE, FEW, BAD = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
    UnknownReason.BAD_QUERY,
)


def buckets(observed, *, edges=EDGES, pod: str = "a", before: float = 0.0):
    """Return the bucket series of one pod that observed these latencies between two scrapes."""
    found = np.asarray(observed, dtype=np.float64)
    counts = {f"{edge:g}": int((found <= edge).sum()) for edge in edges}
    counts["+Inf"] = found.size
    return [series([before, before + n], pod=pod, le=le) for le, n in counts.items()]


def histogram(observed, **how) -> Histogram:
    """Return the histogram that is counted from these observations."""
    counted = count_histogram(buckets(observed, **how), "latency")
    assert isinstance(counted, Histogram)
    return counted


# Quantiles against an oracle

_latencies = st.lists(st.floats(0.0005, 0.999), min_size=1, max_size=200)


@given(_latencies, st.integers(1, 999))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(observed: list[float], permille: int):
    """The true quantile (by rank, as numpy finds it) and the reported one share a bucket."""
    q = permille / 1000
    true = float(np.quantile(observed, q, method="inverted_cdf"))
    told = histogram(observed).quantile(q)
    place = np.searchsorted((0.0, *EDGES), true, side="left")
    low, high = (0.0, *EDGES)[place - 1], (0.0, *EDGES)[place]
    assert low <= told <= high


@given(_latencies, st.integers(1, 999))
def test_a_quantile_is_linear_between_the_edges(observed: list[float], permille: int):
    """Read back by numpy's interpolation of the cumulative counts, it has the rank asked for."""
    one = histogram(observed)
    told = one.quantile(permille / 1000)
    ranks = np.interp(told, [0.0, *EDGES], [0.0, *one.cumulative[:-1]])
    assert float(ranks) == pytest.approx(permille / 1000 * one.count)


@given(_latencies)
def test_quantiles_grow_with_their_probability(observed: list[float]):
    """No quantile is below a smaller one."""
    one = histogram(observed)
    told = [one.quantile(q) for q in np.linspace(0, 1, 21)]
    assert told == sorted(told)


@given(st.lists(_latencies, min_size=1, max_size=4))
def test_pods_add_up(pods: list[list[float]]):
    """Buckets of several pods, each with its own past, count as one population."""
    found = [
        one
        for number, observed in enumerate(pods)
        for one in buckets(observed, pod=f"p{number}", before=1000.0 * number)
    ]
    together = count_histogram(found, "latency")
    alone = histogram([value for observed in pods for value in observed])
    assert isinstance(together, Histogram)
    assert together.cumulative.tolist() == alone.cumulative.tolist()


def test_quantiles_at_the_ends():
    """The lowest quantile is where counting begins, and buckets may reach below zero."""
    assert histogram([0.05, 0.3]).quantile(0.0) == 0.0
    assert histogram([0.3]).quantile(0.0) == 0.1
    below = Histogram(np.array([-1.0, 1.0, np.inf]), np.array([4.0, 8.0, 8.0]))
    assert below.quantile(0.5) == -1.0
    assert below.quantile(0.75) == 0.0


def test_in_the_last_bucket_a_quantile_is_its_lower_edge():
    """Above the largest finite edge nothing is known but that edge."""
    one = histogram([0.05, 3.0])
    assert (one.quantile(0.99), one.is_beyond(0.99)) == (1.0, True)
    assert (one.quantile(0.5), one.is_beyond(0.5)) == (0.1, False)


# What is counted


def test_torn_buckets_are_made_monotone():
    """A bucket scraped a moment later than a larger one never makes a negative count."""
    torn = [
        series([0, 7], le="0.1"),
        series([0, 5], le="0.25"),
        series([0, 9], le="+Inf"),
    ]
    counted = count_histogram(torn, "latency")
    assert isinstance(counted, Histogram)
    assert counted.cumulative.tolist() == [7.0, 7.0, 9.0]
    assert counted.above(0.25) == 2.0


def test_edges_are_numbers_however_they_are_written():
    """`1` and `1.0` are one edge, and `5e-1` stands before both."""
    found = [
        series([0, 1], le="1"),
        series([0, 2], le="1.0", pod="b"),
        series([0, 1], le="5e-1"),
        series([0, 4], le="+Inf"),
    ]
    counted = count_histogram(found, "latency")
    assert isinstance(counted, Histogram)
    assert counted.edges.tolist() == [0.5, 1.0, math.inf]
    assert counted.cumulative.tolist() == [1.0, 3.0, 4.0]


_INF = series([0, 4], le="+Inf")
_ONE = series([0, 4], le="1")


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        ([], GONE, "no buckets of latency"),
        ([_ONE, series([0, 1])], GONE, "a series without a numeric le label"),
        ([_INF, series([0, 1], le="nan")], GONE, "a series without a numeric le label"),
        ([_INF, series([0, 1], le="-Inf")], GONE, "a series without a numeric le label"),
        ([_INF, series([0, 1], le="fast")], GONE, "a series without a numeric le label"),
        ([_ONE], GONE, r"not a histogram with a \+Inf bucket"),
        ([_INF], GONE, r"not a histogram with a \+Inf bucket"),
        ([_ONE, series([0, math.nan], le="+Inf")], GONE, "the buckets of latency are not numbers"),
        ([_ONE, series([0, math.inf], le="+Inf")], GONE, "the buckets of latency are not numbers"),
        ([series([4, 4], le="1"), series([9, 9], le="+Inf")], FEW, "nothing observed of latency"),
        ([series([4], le="1"), series([9], le="+Inf")], FEW, "nothing observed of latency"),
    ],
)
def test_what_is_no_histogram_is_missing(found, reason, said):
    """Nothing is read from buckets that are absent, torn off, not numbers or did not grow."""
    counted = count_histogram(found, "latency")
    assert isinstance(counted, Missing)
    assert counted.reason is reason
    assert re.search(said, counted.why)


# The two rules


def measure(rule, observed):
    """Return what `rule` says to these observations."""
    return rule.measure({"buckets": buckets(observed)})


def quantile_rule(quantile: str, bound: str) -> LatencyQuantile:
    return LatencyQuantile(buckets="b", quantile=quantile, max=bound)


def share_rule(above: str, bound: str) -> LatencyShare:
    return LatencyShare(buckets="b", above=above, max=bound)


@pytest.mark.parametrize(
    ("observed", "bound", "outcome"),
    [
        ([0.05] * 10, "100ms", False),
        ([0.4] * 10, "250ms", True),
        ([0.05] * 10 + [3.0] * 90, "250ms", True),
        # All that is known is "above 1 s": certainly above 1 s, and nobody knows about 2 s.
        ([3.0] * 10, "1s", True),
        ([3.0] * 10, "2s", BAD),
        ([0.05] * 95 + [3.0] * 5, "2s", False),
        ([], "1s", FEW),
    ],
)
def test_a_latency_quantile_against_its_bound(observed, bound, outcome):
    """Breached only above the bound; beyond the largest bucket only what is certain is said."""
    measured = measure(quantile_rule("p90", bound), observed)
    if isinstance(measured, Missing):
        assert measured.reason is outcome
    else:
        assert measured.breached is outcome
        assert measured.samples == len(observed)


@pytest.mark.parametrize(
    ("observed", "above", "outcome"),
    [
        ([0.05] * 95 + [0.4] * 5, "250ms", False),
        ([0.05] * 94 + [0.4] * 6, "250ms", True),
        # Between edges the next larger one is used: it never calls a request slow that was not.
        ([0.05] * 90 + [0.4] * 10, "300ms", False),
        ([0.05] * 90 + [0.6] * 10, "300ms", True),
        ([0.05] * 90 + [3.0] * 10, "1s", True),
        ([3.0] * 10, "2s", BAD),
        ([], "1s", FEW),
    ],
)
def test_a_share_of_slow_requests_against_its_bound(observed, above, outcome):
    """At most 5 % may be slow; a bound above all buckets cannot be judged and says so."""
    measured = measure(share_rule(above, "5%"), observed)
    if isinstance(measured, Missing):
        assert measured.reason is outcome
    else:
        assert measured.breached is outcome
        assert measured.samples == len(observed)


@given(_latencies, st.sampled_from(EDGES))
def test_a_share_at_an_edge_is_exact(observed: list[float], edge: float):
    """Where the bound is an edge, the share is the one that numpy counts."""
    measured = measure(share_rule(f"{edge * 1000:.0f}ms", "5%"), observed)
    assert isinstance(measured, Measurement)
    assert measured.value == (np.asarray(observed) > edge).mean()


def test_latency_rules_say_their_numbers():
    """The sentences hold the value, the number of requests and the bound."""
    fast = measure(quantile_rule("p90", "250ms"), [0.05] * 1200)
    beyond = measure(quantile_rule("p90", "250ms"), [3.0] * 10)
    blind = measure(quantile_rule("p90", "2s"), [3.0] * 10)
    slow = measure(share_rule("250ms", "1%"), [0.05] * 90 + [0.4] * 10)
    unseen = measure(share_rule("2s", "1%"), [0.05] * 10)
    blind_to_2s = (
        "p90 latency is above 1 s, the largest bucket, so it cannot be held against 2 s;"
        " add a bucket for that"
    )
    assert [one.why for one in (fast, beyond, blind, slow, unseen)] == [
        "p90 latency 90 ms over 1,200 requests, allowed 250 ms",
        "p90 latency above 1 s over 10 requests, allowed 250 ms",
        blind_to_2s,
        "10 % of requests slower than 250 ms (10 of 100), allowed 1%",
        "no bucket reaches 2 s: the largest ends at 1 s; choose a smaller bound",
    ]


def test_latency_rules_ask_for_the_buckets_of_the_arm():
    """One question, confined to the arm, over the window."""
    asked = quantile_rule("p90", "250ms").queries({"app": "x"}, 10.0)
    assert asked == {"buckets": 'b{app="x"}[10000ms]'}
