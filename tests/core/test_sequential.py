"""The comparison of two arms keeps its error rate, whatever the counts are."""

import base64
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from backstop.core.statistics import sequential
from backstop.core.statistics.sequential import GRID, Counts

RATE = st.floats(0.0, 1.0)
RATIO = st.floats(0.25, 4.0)
ANY_NUMBER = st.floats() | st.sampled_from([1e308, 5e-324, -0.0, 2.0**53, 2.0**54])
A_COUNT = st.floats(0.0, sequential.LARGEST_COUNT)


def distribution(rates: list[float]) -> np.ndarray:
    """Return the probabilities of 0, 1, ... events among independent requests of these rates."""
    found = np.ones(1)
    for rate in rates:
        found = np.convolve(found, [1.0 - rate, rate])
    return found


def mean_likelihood_ratio(test, ratio: float, candidate: np.ndarray, stable: np.ndarray):
    """Return the mean of the likelihood ratios over all outcomes, by grid point."""
    x, y = np.meshgrid(np.arange(candidate.size), np.arange(stable.size), indexing="ij")
    increments = test(Counts(candidate.size - 1, x, stable.size - 1, y), ratio)
    weights = np.outer(candidate, stable)
    return (weights[..., np.newaxis] * np.exp(increments)).sum(axis=(0, 1))


# Validity


@given(
    st.lists(RATE, min_size=1, max_size=8), st.lists(RATE, min_size=1, max_size=8), RATIO, st.data()
)
def test_evidence_does_not_grow_on_average_while_the_candidate_is_within_the_margin(
    candidate: list[float], stable: list[float], margin: float, data: st.DataObject
):
    """With any rate per request, on average within the margin, the mean is at most 1."""
    allowed = margin * np.mean(stable)
    scale = data.draw(RATE) * min(1.0, allowed / max(np.mean(candidate), 1e-300))
    rates = [rate * scale for rate in candidate]
    mean = mean_likelihood_ratio(
        sequential.worse, margin, distribution(rates), distribution(stable)
    )
    assert (mean <= 1.0 + 1e-9).all()


@given(
    st.lists(RATE, min_size=1, max_size=8), st.lists(RATE, min_size=1, max_size=8), RATIO, st.data()
)
def test_evidence_does_not_grow_on_average_while_the_candidate_is_as_bad_as_the_bound(
    candidate: list[float], stable: list[float], bound: float, data: st.DataObject
):
    """With any rate per request, on average at the bound or above, the mean is at most 1."""
    allowed = np.mean(candidate) / bound
    scale = data.draw(RATE) * min(1.0, allowed / max(np.mean(stable), 1e-300))
    rates = [rate * scale for rate in stable]
    mean = mean_likelihood_ratio(
        sequential.not_worse, bound, distribution(candidate), distribution(rates)
    )
    assert (mean <= 1.0 + 1e-9).all()


@pytest.mark.parametrize("test", [sequential.worse, sequential.not_worse])
@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
def test_no_evidence_is_wasted_on_rare_events(test, ratio: float):
    """At the ratio of the null itself, the mean for Poisson counts is exactly 1."""
    x, y = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    factorial = np.array([math.factorial(k) for k in range(40)], dtype=float)
    poisson = [mu ** np.arange(40) * math.exp(-mu) / factorial for mu in (0.5 * ratio, 1.5)]
    increments = test(Counts(100.0, x, 300.0, y), ratio)
    mean = (np.outer(*poisson)[..., np.newaxis] * np.exp(increments)).sum(axis=(0, 1))
    assert mean == pytest.approx(np.ones(24), rel=1e-6)


@given(st.integers(1, 6), st.floats(0.01, 0.99))
def test_at_equal_rates_the_test_holds_for_each_number_of_events(requests: int, share: float):
    """Given how many events there were in all, the mean is at most 1 (hypergeometric counts)."""
    stable = max(1, round(requests / share) - requests)
    for events in range(requests + stable + 1):
        x = np.arange(max(0, events - stable), min(requests, events) + 1)
        ways = [math.comb(requests, k) * math.comb(stable, events - k) for k in x]
        weights = np.array(ways) / math.comb(requests + stable, events)
        increments = sequential.worse(Counts(requests, x, stable, events - x), 1.0)
        assert (weights @ np.exp(increments) <= 1.0 + 1e-9).all()


# Power


def looks_until(test, ratio: float, rates: tuple[float, float], alpha: float = 0.01) -> int:
    """How many looks the evidence of average intervals takes; 2000 if it never suffices."""
    average = Counts(100.0, 100.0 * rates[0], 900.0, 900.0 * rates[1])
    state = np.zeros(GRID.size)
    for look in range(1, 2000):
        state = state + test(average, ratio)
        if sequential.log_evidence(state) >= -math.log(alpha):
            return look
    return 2000


def test_a_worse_candidate_is_found_sooner_the_worse_it_is():
    """Four times the errors take longer to prove than ten times; equal rates never prove it."""
    ten, four = (looks_until(sequential.worse, 1.25, (r * 0.01, 0.01)) for r in (10.0, 4.0))
    assert ten < four < 100
    assert looks_until(sequential.worse, 1.25, (0.0125, 0.01)) == 2000


def test_an_equal_candidate_is_proved_not_to_be_twice_as_bad():
    """The mirrored test accepts equal rates, and the sooner the better the candidate is."""
    equal, better = (looks_until(sequential.not_worse, 2.0, (r, 0.01)) for r in (0.01, 0.005))
    assert better < equal < 100
    assert looks_until(sequential.not_worse, 2.0, (0.02, 0.01)) == 2000


# Intervals that say nothing


@given(A_COUNT, A_COUNT, RATIO)
def test_one_arm_alone_says_nothing(total: float, events: float, ratio: float):
    """An interval in which one arm answered nothing adds exactly zero."""
    for counts in (Counts(total, events, 0.0, events), Counts(0.0, events, total, events)):
        assert not sequential.worse(counts, ratio).any()
        assert not sequential.not_worse(counts, ratio).any()


@given(A_COUNT, A_COUNT, RATIO)
def test_an_interval_without_events_says_nothing(candidate: float, stable: float, ratio: float):
    """Without an event there is nothing to compare."""
    assert not sequential.worse(Counts(candidate, 0.0, stable, 0.0), ratio).any()


@given(
    st.tuples(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER, ANY_NUMBER), st.floats(0.0, 1e6, exclude_min=True)
)
def test_no_count_poisons_the_state(numbers: tuple[float, float, float, float], ratio: float):
    """Increments are finite for any numbers, and zero where one of them is no count."""
    for test in (sequential.worse, sequential.not_worse):
        increments = test(Counts(*numbers), ratio)
        assert np.isfinite(increments).all()
        if not all(0.0 <= number <= sequential.LARGEST_COUNT for number in numbers):
            assert not increments.any()


def test_events_never_outnumber_requests():
    """More events than requests, as torn scrapes can show, count as one for each request."""
    torn = sequential.worse(Counts(10.0, 12.0, 90.0, 95.0), 1.25)
    assert (torn == sequential.worse(Counts(10.0, 10.0, 90.0, 90.0), 1.25)).all()


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf, 2e6, [1.0, 0.0]])
def test_a_ratio_is_a_positive_number(ratio):
    """A margin or bound that is no ratio is refused."""
    with pytest.raises(ValueError, match="rate ratio"):
        sequential.worse(Counts(1.0, 1.0, 1.0, 1.0), ratio)
    with pytest.raises(ValueError, match="rate ratio"):
        sequential.not_worse(Counts(1.0, 1.0, 1.0, 1.0), ratio)


# Batches


@given(stn.arrays(np.float64, (4, 3), elements=st.floats(0.0, 1e6)))
def test_a_batch_is_judged_as_each_of_it_alone(batch: np.ndarray):
    """Arrays give what their elements give, each with its own margin; scalars broadcast."""
    margins = np.array([1.0, 1.25, 2.0])
    together = sequential.worse(Counts(*batch), margins)
    assert together.shape == (3, 24)
    for index, margin in enumerate(margins):
        assert (together[index] == sequential.worse(Counts(*batch[:, index]), margin)).all()
    assert sequential.worse(Counts(1.0, 1.0, batch, 1.0), 1.0).shape == (4, 3, 24)


# Reading the state


@given(stn.arrays(np.float64, (2, 24), elements=st.floats(-50.0, 50.0)))
def test_evidence_is_the_mean_of_the_likelihood_ratios(state: np.ndarray):
    """Each grid point counts the same; the logarithm is that of their mean."""
    for row, evidence in zip(state, sequential.log_evidence(state), strict=True):
        mean = math.fsum(math.exp(value) for value in row) / 24
        assert evidence == pytest.approx(math.log(mean), abs=1e-9)


def test_evidence_starts_at_one_and_has_no_largest_value():
    """The zero state is E = 1; states far beyond what exp can hold are read without overflow."""
    assert sequential.log_evidence(np.zeros((2, 24))).tolist() == [0.0, 0.0]
    assert sequential.log_evidence(np.full(24, 1e6)) == 1e6
    assert sequential.log_evidence(np.full(24, -1e6)) == -1e6


def test_edges_are_averaged_not_multiplied():
    """The evidence of several edges is the mean of theirs: two that agree do not count double."""
    edges = np.log([[3.0, 3.0, 3.0], [1.0, 2.0, 6.0]])
    assert np.exp(sequential.mean_evidence(edges)) == pytest.approx([3.0, 3.0])


# Keeping the state


@given(
    stn.arrays(
        np.float64,
        stn.array_shapes(max_dims=2, max_side=3).map(lambda shape: (*shape, 24)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_a_state_survives_its_text_bit_for_bit(state: np.ndarray):
    """What is read back has the very bits, and 24 numbers take 256 characters."""
    text = sequential.pack(state)
    assert len(text) == 256 * state.size // 24
    assert sequential.unpack(text, state.shape).tobytes() == state.tobytes()


def test_an_unpacked_state_can_be_added_to():
    """The state that comes back is an array of its own, in the machine's order."""
    state = sequential.unpack(sequential.pack(np.zeros(24)), (24,))
    state += 1.0
    assert (state == 1.0).all()


def text_of(values: list[float]) -> str:
    """Write as one would without checks."""
    return base64.b64encode(np.array(values, dtype="<f8").tobytes()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        text_of([0.0] * 23),
        text_of([0.0] * 25),
        text_of([0.0] * 24)[:-1],
        text_of([0.0] * 24)[:-4],
        text_of([0.0] * 24) + "\n",
        " " + text_of([0.0] * 24),
        text_of([0.0] * 24) + "====",
        "-" * 256,
        "\u00e9" * 256,
        text_of([math.nan] * 24),
        text_of([0.0] * 23 + [math.inf]),
    ],
)
def test_a_text_that_is_no_state_is_refused(text: str):
    """Whatever was not packed from finite numbers of this shape raises ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - base64, numpy and pack each say it their way
        sequential.unpack(text, (24,))


def test_bits_beyond_the_last_number_are_refused():
    """A text is canonical: padding bits that decoders ignore are no second name for a state."""
    text = text_of([1.0])
    altered = text[:-2] + chr(ord(text[-2]) + 1) + text[-1]
    assert base64.b64decode(altered, validate=True) == base64.b64decode(text)
    with pytest.raises(ValueError, match="canonical"):
        sequential.unpack(altered, (1,))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_state_that_is_not_finite_is_never_written(number: float):
    """What unpack would refuse, pack refuses first."""
    with pytest.raises(ValueError, match="finite"):
        sequential.pack(np.array([0.0, number]))
