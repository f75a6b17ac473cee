"""Latency from histogram buckets: exact counts, the usual quantile, and never an invention."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import measure, series
from tests.core.latencies import EDGES, buckets, quantile_rule, share_rule

from backstop.core.measurement import Missing, UnknownReason
from backstop.core.measures.histogram import Histogram, histogram_of
from backstop.core.samples import Series
from backstop.core.tally import tally

GONE, FEW = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
)


def read(found: Sequence[Series]) -> Histogram | Missing:
    """Return the histogram that is counted from these buckets."""
    t = tally([{"buckets": found}], [-math.inf])
    return histogram_of(found, t.of(0).tolist(), "latency", t.samples_of(0).tolist())


def histogram(observed, **how) -> Histogram:
    """Return the histogram that is counted from these observations."""
    counted = read(buckets(observed, **how))
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
    together = read(found)
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
    counted = read(torn)
    assert isinstance(counted, Histogram)
    assert counted.cumulative.tolist() == [7.0, 7.0, 9.0]
    assert counted.above(0.25) == 2.0


def test_edges_are_numbers_however_they_are_written():
    """`1` and `1.0` are one edge, and `5e-1` stands before both."""
    found = [
        series([0, 1], le="1"),
        series([0, 2], le="1.0", pod="b"),
        series([0, 1], le="5e-1"),
        series([0, 1], le="0.5", pod="b"),
        series([0, 4], le="+Inf"),
        series([0, 2], le="inf", pod="b"),
    ]
    counted = read(found)
    assert isinstance(counted, Histogram)
    assert counted.edges.tolist() == [0.5, 1.0, math.inf]
    assert counted.cumulative.tolist() == [2.0, 3.0, 6.0]


_INF = series([0, 4], le="+Inf")
_ONE = series([0, 4], le="1")


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        ([], GONE, "no buckets of latency"),
        ([series([], le="1"), series([], le="+Inf")], GONE, "no buckets of latency"),
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
    counted = read(found)
    assert isinstance(counted, Missing)
    assert counted.reason is reason
    assert re.search(said, counted.why)
    for rule in (quantile_rule("p90", "250ms"), share_rule("250ms", "5%")):
        assert measure(rule, buckets=found) == counted
