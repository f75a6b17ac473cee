"""Limits on latency, from buckets: breached only beyond what is certain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, measure, series
from tests.core.latencies import EDGES, buckets, quantile_rule, share_rule

from backstop.core.measurement import Measurement, Missing, Question, UnknownReason
from backstop.core.signals.rule import Subject
from backstop.core.signals.threshold import Threshold

GONE, FEW, BAD = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
    UnknownReason.BAD_QUERY,
)


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
    measured = measure(quantile_rule("p90", bound), buckets=buckets(observed))
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
    measured = measure(share_rule(above, "5%"), buckets=buckets(observed))
    if isinstance(measured, Missing):
        assert measured.reason is outcome
    else:
        assert measured.breached is outcome
        assert measured.samples == len(observed)


@given(st.lists(st.floats(0.0005, 0.999), min_size=1, max_size=200), st.sampled_from(EDGES))
def test_a_share_at_an_edge_is_exact(observed: list[float], edge: float):
    """Where the bound is an edge, the share is the one that numpy counts."""
    rule = share_rule(f"{edge * 1000:.0f}ms", "5%")
    measured = measure(rule, buckets=buckets(observed))
    assert isinstance(measured, Measurement)
    assert measured.value == (np.asarray(observed) > edge).mean()


def test_latency_rules_say_their_numbers():
    """The sentences hold the value, the number of requests and the bound."""
    fast = measure(quantile_rule("p90", "250ms"), buckets=buckets([0.05] * 1200))
    beyond = measure(quantile_rule("p90", "250ms"), buckets=buckets([3.0] * 10))
    blind = measure(quantile_rule("p90", "2s"), buckets=buckets([3.0] * 10))
    slow = measure(share_rule("250ms", "1%"), buckets=buckets([0.05] * 90 + [0.4] * 10))
    unseen = measure(share_rule("2s", "1%"), buckets=buckets([0.05] * 10))
    blind_to_2s = (
        "p90 latency above 1 s over 10 requests, the largest bucket, so it cannot be held"
        " against 2 s; add a bucket for that"
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
    for rule in (quantile_rule("p90", "250ms"), share_rule("250ms", "1%")):
        asked = rule.questions(Subject({"app": "x"}), 10.0)
        assert asked == {"buckets": Question('b{app="x"}[10000ms]', raw=True)}


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_edges_may_be_in_other_units(unit: str, factor: int):
    """A bound at an edge is exact in each unit, and what is said is in seconds."""
    edges = [edge * factor for edge in EDGES]
    observed = [value * factor for value in [0.05] * 90 + [0.4] * 10]
    found = buckets(observed, edges=edges)
    slow = measure(share_rule("250ms", "1%", unit=unit), buckets=found)
    high = measure(quantile_rule("p95", "1s", unit=unit), buckets=found)
    assert isinstance(slow, Measurement)
    assert isinstance(high, Measurement)
    assert slow.value == 0.1
    assert high.value == pytest.approx(0.375)
    assert "slower than 250 ms" in slow.why
    assert "p95 latency 375 ms" in high.why


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ({"min": "500ms"}, False),
        ({"min": "1s"}, False),
        ({"min": "2s"}, BAD),
        ({"min": "500ms", "max": "1s"}, True),
        ({"min": "500ms", "max": "2s"}, BAD),
        ({"min": "2s", "max": "3s"}, BAD),
    ],
)
def test_a_lower_bound_proves_no_more_than_it_says(limits, outcome):
    """Of a quantile above the largest edge only that is known, against either limit."""
    rule = Threshold.model_validate(
        {"latencyQuantile": {"quantile": "p90", "buckets": "b"}, **limits}
    )
    measured = measure(rule, buckets=buckets([3.0] * 10))
    known = measured.reason if isinstance(measured, Missing) else measured.breached
    assert known is outcome


# Buckets that are not everywhere


DIFFERENT = {
    "other edges on another pod": [
        *buckets([0.05] * 100),
        *buckets([0.05] * 100, edges=(0.2, 2.0), pod="b"),
    ],
    "one edge more on another pod": [
        *buckets([0.05] * 100),
        *buckets([0.05] * 100, edges=(*EDGES, 2.0), pod="b"),
    ],
    "other edges after a restart": [
        series([0, 100], le="0.1"),
        series([0, 100], le="0.5"),
        series([50, 90], start=T0 + 2, le="0.25"),
        series([50, 90], start=T0 + 2, le="1"),
        series([0, 100, 50, 90], le="+Inf"),
    ],
    "a bucket of the newest scrape not stored yet": [
        series([0, 10, 20], le="0.25"),
        series([0, 10, 20, 30], le="0.5"),
        series([0, 10, 20, 30], le="+Inf"),
    ],
}


@pytest.mark.parametrize("found", DIFFERENT.values(), ids=DIFFERENT)
def test_buckets_that_differ_are_not_added_up(found):
    """Fast requests of a pod without the edge would count as slow: nothing is said instead."""
    why = "the buckets of latency differ between pods or scrapes, so they cannot be added up"
    for rule in (quantile_rule("p50", "250ms"), share_rule("250ms", "5%")):
        assert measure(rule, buckets=found) == Missing(GONE, why)


@pytest.mark.parametrize("quantile", ["p50", "p99"])
def test_edges_that_ended_before_the_evidence_are_gone(quantile: str):
    """After a rollback the buckets of the version before are no edges of this one."""
    old = [series([0, 9, 9], start=T0 - 9, pod="old", le=le) for le in ("0.25", "+Inf")]
    found = [*old, *buckets([0.05] * 70 + [0.3] * 30, edges=(0.1, 0.5))]
    share = measure(share_rule("250ms", "5%"), T0, buckets=found)
    assert isinstance(share, Measurement)
    assert (share.value, share.samples, share.breached) == (0.0, 100, False)
    quantiles = [
        measure(quantile_rule(quantile, "1s"), T0, buckets=some) for some in (found, found[2:])
    ]
    assert quantiles[0] == quantiles[1]


def test_edges_that_are_no_times_are_told():
    """Between two absurd edges no latency can be read, and none is invented."""
    found = [series([0, n], le=le) for le, n in {"-1e308": 0, "1e308": 9, "+Inf": 9}.items()]
    measured = measure(quantile_rule("p50", "1s"), buckets=found)
    assert measured == Missing(GONE, "the edges of the buckets of latency are no times")
