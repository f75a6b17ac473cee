"""Wrong routing is noticed before it spoils a comparison; one bad pod is told from a release."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.statistics import split

WEIGHTS = st.lists(st.integers(1, 100), min_size=2, max_size=5)


def evidence(counts: list[int], weights: list[int]) -> Fraction:
    """E by its definition: the product, request by request, of predicted over configured share."""
    found, seen, total = Fraction(1), [0] * len(counts), 0
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    for arm, count in enumerate(counts):
        for _ in range(count):
            found *= (100 * shares[arm] + seen[arm]) / (100 + total) / shares[arm]
            seen[arm] += 1
            total += 1
    return found


# The split


@given(WEIGHTS, st.data())
def test_evidence_is_predicted_over_configured_share(weights: list[int], data: st.DataObject):
    """The closed form is the product over single requests, in exact arithmetic."""
    size = len(weights)
    counts = data.draw(st.lists(st.integers(0, 30), min_size=size, max_size=size))
    expected = math.log(evidence(counts, weights))
    assert split.log_mismatch(counts, weights) == pytest.approx(expected, abs=1e-8)


@given(WEIGHTS, st.data())
def test_evidence_stays_level_under_correct_routing(weights: list[int], data: st.DataObject):
    """Whatever was seen, its mean after one more request is what it was before."""
    size = len(weights)
    counts = data.draw(st.lists(st.integers(0, 10_000), min_size=size, max_size=size))
    following = split.log_mismatch(np.array(counts) + np.eye(size), weights)
    growth = np.exp(following - split.log_mismatch(counts, weights))
    assert np.average(growth, weights=weights) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "weights", "expected"),
    [
        ([0, 0], [1, 99], False),
        ([100, 9900], [1, 99], False),
        ([130, 9870], [1, 99], False),
        ([300, 9700], [1, 99], True),
        ([0, 5000], [1, 99], True),
        ([5100, 4900], [1, 1], False),
        ([5400, 4600], [1, 1], True),
        ([100, 200, 9700], [1, 2, 97], False),
        ([200, 100, 9700], [1, 2, 97], True),
    ],
)
def test_a_wrong_split_is_suspicious(counts: list[int], weights: list[int], *, expected: bool):
    """Gross mismatches are found in ten thousand requests, deviations by chance are not."""
    assert split.suspicious(counts, weights, 0.001) == expected


def test_weights_have_no_unit():
    """Only their ratio counts, also where sums would overflow or vanish."""
    reference = split.log_mismatch([30, 970], [1, 99])
    for unit in (0.01, 100.0, 1.8e306, 1e-305):
        found = split.log_mismatch([30, 970], [unit, 99 * unit])
        assert found == pytest.approx(reference, abs=1e-9)


def test_an_arm_without_weight_is_left_out():
    """What an arm of weight zero still answers neither counts nor adds to the sum."""
    reference = split.log_mismatch([30, 970], [1, 99])
    assert split.log_mismatch([30, 77, 970], [1, 0, 99]) == pytest.approx(reference)


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_what_is_no_count_is_no_evidence(counts: list[float]):
    """The evidence is a number for any input, and 1 where one of them is no count."""
    found = split.log_mismatch(counts, [1, 9, 90])
    assert np.isfinite(found)
    if not all(0.0 <= count <= 1e12 for count in counts):
        assert found == 0.0


def test_long_counting_stays_exact_enough():
    """A perfect split of 1e12 requests is no evidence in spite of the size of its terms."""
    assert split.log_mismatch([1e10, 9.9e11], [1, 99]) < 0.0
    assert split.suspicious([1e10 + 2e6, 9.9e11 - 2e6], [1, 99], 0.001)


def test_splits_are_judged_in_batches():
    """Rows are judged each by its own weights."""
    found = split.suspicious([[300, 9700], [300, 9700]], [[1, 99], [3, 97]], 0.001)
    assert found.tolist() == [True, False]


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [math.nan, 1], [math.inf, 1]])
def test_weights_that_say_nothing_are_refused(weights: list[float]):
    """A weight is finite and not negative, and one is positive."""
    with pytest.raises(ValueError, match="weights"):
        split.log_mismatch([1, 1], weights)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_a_level_is_a_probability(alpha: float):
    """Certainty is no level."""
    with pytest.raises(ValueError, match="alpha"):
        split.suspicious([1, 1], [1, 1], alpha)


# One pod


@pytest.mark.parametrize(
    ("events", "totals", "pod"),
    [
        ([1, 40, 1], [100, 100, 100], 1),
        ([40, 2], [300, 200], 0),
        ([2, 3, 2, 2, 30, 1], [300, 310, 290, 280, 320, 300], 4),
        ([4, 30, 3], [200, 200, 200], 1),
    ],
)
def test_a_pod_without_which_all_is_well_is_named(events: list[int], totals: list[int], pod: int):
    """One pod has the errors, the others are within what is tolerated, or above it by chance."""
    assert split.leave_one_out(events, totals, 0.015) == pod


@pytest.mark.parametrize(
    ("events", "totals"),
    [
        ([], []),
        ([40], [100]),
        ([40, 40], [100, 100]),
        ([40, 38, 1], [100, 100, 100]),
        ([60, 10, 12], [100, 100, 100]),
        ([1, 1, 1], [100, 100, 100]),
        ([2, 0, 0], [100, 100, 100]),
        ([2] + [0] * 9, [10] * 10),
        ([40, 0], [2, 200]),
        ([0, 0, 0], [0, 0, 0]),
        ([5, 4, 4], [250, 250, 280]),
    ],
    ids=[
        "no pod",
        "only one pod",
        "both fail",
        "two of three fail",
        "all fail, one more so",
        "none fails",
        "two errors are chance",
        "two errors are chance on one of ten",
        "more errors than requests count as one each",
        "no traffic",
        "a little too many, without any of several",
    ],
)
def test_the_arm_is_to_blame_unless_one_pod_clearly_is(events: list[int], totals: list[int]):
    """No pod is named where others fail too, or chance would do."""
    assert split.leave_one_out(events, totals, 0.015) is None


def test_a_pod_that_says_nothing_is_left_out():
    """Pods without traffic or without a number neither hide the culprit nor are named."""
    events = [math.nan, 1.0, 40.0, 0.0, 5.0, 1.0]
    totals = [100.0, 100.0, 100.0, 0.0, -1.0, math.inf]
    assert split.leave_one_out(events, totals, 0.015) == 2


def test_a_tolerated_rate_above_certainty_tolerates_all():
    """Where every answer may be an event, no pod is bad."""
    assert split.leave_one_out([100, 0], [100, 100], 1e308) is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 300)), min_size=1, max_size=6),
    st.floats(0.0, 0.5),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_pods_does_not_matter(pods, tolerated: float, random):
    """The same pod is named in any order, and it is always worse than what is tolerated."""
    shuffled = list(range(len(pods)))
    random.shuffle(shuffled)
    events, totals = np.array(pods, dtype=float).T
    named = split.leave_one_out(events, totals, tolerated)
    again = split.leave_one_out(events[shuffled], totals[shuffled], tolerated)
    assert named == (None if again is None else shuffled[again])
    if named is not None:
        assert min(events[named], totals[named]) > tolerated * totals[named]


@pytest.mark.parametrize("pods", [2, 3, 5])
def test_equal_pods_are_rarely_told_apart(pods: int):
    """Over all ways in which 12 events can fall on equal pods, one is named within the risk."""
    named = 0.0
    for events in itertools.product(range(13), repeat=pods):
        if sum(events) == 12:
            ways = math.factorial(12) / math.prod(math.factorial(count) for count in events)
            found = split.leave_one_out(events, [1000] * pods, 0.001)
            named += ways / pods**12 * (found is not None)
    assert named <= 0.05


@pytest.mark.parametrize(
    ("tolerated", "risk"), [(-0.1, 0.01), (math.nan, 0.01), (math.inf, 0.01), (0.1, 0.0), (0.1, 1)]
)
def test_what_is_tolerated_is_a_rate(tolerated: float, risk: float):
    """A rate and a risk out of range are refused."""
    with pytest.raises(ValueError, match="tolerated"):
        split.leave_one_out([1, 1], [10, 10], tolerated, risk)
