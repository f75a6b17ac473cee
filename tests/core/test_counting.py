"""Counts are exact differences of raw counters, and a number that is missing is never a verdict."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, series

from backstop.core.samples import (
    Series,
    increase,
    newest,
    scrape_interval,
    scrape_times,
    since,
    total_increase,
)
from backstop.core.signals.error_ratio import ErrorRatio
from backstop.core.signals.missing_ratio import MissingRatio
from backstop.core.signals.ratio import Share, count_share
from backstop.core.signals.rule import Measurement, Missing, UnknownReason

NAN = math.nan
INF = math.inf


def counted(*found: Series) -> float:
    """How much the counters grew in sum."""
    return total_increase(found, scrape_times(found))


# Increases


@given(st.lists(st.lists(st.integers(0, 1000), max_size=6), min_size=1, max_size=5))
def test_every_event_counts_once_across_restarts(lives: list[list[int]]):
    """Of a counter that is scraped at the start of each life, no event is lost or counted twice."""
    values = [float(total) for life in lives for total in np.cumsum([0, *life])]
    assert counted(series(values)) == sum(map(sum, lives))


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ([5], 0),
        ([5, 5], 0),
        ([5, 8], 3),
        ([5, 2], 2),
        ([5, 0], 0),
        ([5, 9, 1, 4], 8),
        ([], 0),
    ],
)
def test_resets_count_from_zero(values: list[float], grown: float):
    """After a reset the counter's own value is what it counted since."""
    assert counted(series(values)) == grown


def test_a_new_series_of_a_known_scrape_target_counts_from_zero():
    """The first error makes its series appear at 1: that error counts."""
    requests = series([100, 110, 120])
    errors = series([1, 3], start=T0 + 1, code="500")
    assert increase(errors, scrape_times([requests, errors])[errors.target]) == 3


def test_a_new_series_is_recognised_by_any_earlier_scrape_of_its_target():
    """It need not be the same window or role: one earlier scrape of the target suffices."""
    errors = series([4], start=T0 + 1)
    assert increase(errors, np.array([T0])) == 4
    assert increase(errors, np.array([T0 + 1])) == 0
    assert increase(errors, np.array([])) == 0


def test_a_series_of_a_new_scrape_target_does_not_count_its_first_value():
    """What a pod counted before it was first scraped is not of this window."""
    old = series([100, 110, 120])
    new = series([5000, 5001], start=T0 + 1, pod="b")
    assert counted(old, new) == 21


@pytest.mark.parametrize("label", ["job", "instance", "namespace", "pod"])
def test_scrape_targets_are_told_apart_by_each_of_their_labels(label: str):
    """Two targets that differ in one label are two targets, others do not matter."""
    old = series([1, 2], **{label: "x"})
    new = series([7], start=T0 + 1, **{label: "y"})
    same = series([7], start=T0 + 1, **{label: "x"}, code="500")
    assert counted(old, new) == 1
    assert counted(old, same) == 8


# The window


def test_a_cut_keeps_what_was_scraped_at_or_after_it():
    """The sample at the very moment of the cut is still evidence; empty series go."""
    one, other = series([1, 2, 3]), series([9], pod="b")
    cut = since([one, other], T0 + 1)
    assert [part.values.tolist() for part in cut] == [[2, 3]]
    assert since([one], T0 - 1) == (one,)


def test_the_newest_sample_is_of_all_series():
    """Series without samples say nothing; without any there is no newest sample."""
    assert newest([series([1, 2]), series([1, 2, 3], pod="b"), series([])]) == T0 + 2
    assert newest([series([])]) is None
    assert newest([]) is None


def test_the_scrape_interval_is_the_median_distance():
    """Scrapes of one target merge over its series; one missed scrape does not change the answer."""
    a = series([1, 2, 3, 4], every=5)
    b = series([1, 2], start=T0 + 5, every=10, code="500")
    late = Series({"pod": "b"}, np.array([T0, T0 + 15.0]), np.array([1.0, 2.0]))
    assert scrape_interval([a, b, late]) == 5
    assert scrape_interval([series([1]), series([1], pod="b")]) is None
    assert scrape_interval([]) is None


# Shares: each way in which a numerator and a denominator can be there or not

PART = {
    "present": [series([10, 20], code="500")],
    "absent": [],
    "nan": [series([10, NAN], code="500")],
    "infinite": [series([10, INF], code="500")],
    "zero": [series([10, 10], code="500")],
    "reset": [series([15, 10], code="500")],
    "stale": [series([10], code="500")],
}
WHOLE = {
    "present": [series([100, 200])],
    "absent": [],
    "nan": [series([100, NAN])],
    "infinite": [series([100, INF])],
    "zero": [series([100, 100])],
    "reset": [series([150, 100])],
    "stale": [series([100])],
}
GONE, FEW = UnknownReason.NO_DATA, UnknownReason.INSUFFICIENT_DATA
# By numerator, in the order present, absent, nan, infinite, zero, reset, stale.
OUTCOMES = {
    "present": (0.1, 0.0, GONE, GONE, 0.0, 0.1, 0.0),
    "absent": (GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "nan": (GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "infinite": (GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "zero": (FEW, FEW, GONE, GONE, FEW, FEW, FEW),
    "reset": (0.1, 0.0, GONE, GONE, 0.0, 0.1, 0.0),
    "stale": (FEW, FEW, GONE, GONE, FEW, FEW, FEW),
}
CELLS = [
    (part, whole, outcome)
    for whole, row in OUTCOMES.items()
    for part, outcome in zip(PART, row, strict=True)
]


@pytest.mark.parametrize(("part", "whole", "outcome"), CELLS)
def test_a_share_is_told_only_when_it_can_be(part: str, whole: str, outcome: object):
    """An absent numerator is a zero; without a growing, finite denominator there is no share."""
    share = count_share(PART[part], WHOLE[whole], "requests")
    if isinstance(share, Missing):
        assert share.reason is outcome
        assert "requests" in share.why
    else:
        assert share.value == outcome


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        ("present", "absent", "no series of requests"),
        ("present", "nan", "the counters of requests are not numbers"),
        ("absent", "zero", "no requests in the window"),
        ("absent", "stale", "requests were scraped once; a difference needs two scrapes"),
    ],
)
def test_a_missing_share_says_what_is_missing(part: str, whole: str, said: str):
    """The sentence tells a person which counter to look at."""
    share = count_share(PART[part], WHOLE[whole], "requests")
    assert isinstance(share, Missing)
    assert said in share.why


def test_a_share_is_never_above_one():
    """Torn scrapes can show more errors than requests; that is all of them, not more."""
    assert count_share([series([0, 12], code="500")], [series([0, 10])], "requests") == Share(
        10.0, 10.0
    )


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 1_000_000))
def test_a_share_is_breached_exactly_above_its_bound(part: int, whole: int, parts: int):
    """For all counts and bounds the comparison is the one of exact arithmetic."""
    part = min(part, whole)
    percent = f"{parts // 10_000}.{parts % 10_000:04d}%" if parts < 1_000_000 else "100%"
    rule = ErrorRatio(requests="r", errors="e", max=percent)
    measured = rule.measure(
        {"errors": [series([0, part], code="500")], "requests": [series([0, whole])]}
    )
    assert isinstance(measured, Measurement)
    assert measured.breached == (Fraction(part, whole) > Fraction(parts, 1_000_000))
    assert measured.samples == whole


def test_both_kinds_of_ratio_say_their_numbers():
    """The sentence holds the share, both counts and the bound, in the words of the kind."""
    errors = ErrorRatio(requests="r", errors="e", max="5%").measure(
        {"errors": [series([0, 312], code="500")], "requests": [series([0, 1200])]}
    )
    missing = MissingRatio(values="v", missing="m", max="1%").measure(
        {"missing": [], "values": [series([0, 2000])]}
    )
    assert isinstance(errors, Measurement)
    assert isinstance(missing, Measurement)
    assert (errors.breached, missing.breached) == (True, False)
    assert errors.why == "errors 26 % (312 of 1,200), allowed 5%"
    assert missing.why == "missing values 0 % (0 of 2,000), allowed 1%"


def test_a_ratio_without_data_is_missing():
    """The rule hands on why there is no share."""
    rule = ErrorRatio(requests="r", errors="e", max="5%")
    measured = rule.measure({"errors": [], "requests": []})
    assert measured == Missing(UnknownReason.NO_DATA, "no series of requests")


def test_a_ratio_asks_for_both_counters_of_the_arm():
    """Two questions by role, confined to the arm, over the window."""
    rule = ErrorRatio(requests="r", errors='r{code="500"}', max="5%")
    assert rule.queries({"app": "x"}, 10.0) == {
        "errors": 'r{code="500",app="x"}[10000ms]',
        "requests": 'r{app="x"}[10000ms]',
    }
