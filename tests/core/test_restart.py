"""A change after long health is found as fast as an early one, and false alarms keep their rate."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from backstop.core.statistics import restart, sequential
from backstop.core.statistics.chernoff import divergence, upper_limit
from backstop.core.statistics.sequential import GRID, Counts

RATE = st.floats(0.0, 1.0)
LOG_RATIOS = stn.arrays(np.float64, (5, 24), elements=st.floats(-3.0, 3.0))
HEALTHY = Counts(30.0, 0.15, 2970.0, 14.85)
FAILING = Counts(30.0, 1.5, 2970.0, 14.85)


def distribution(rates: list[float]) -> np.ndarray:
    """Return the probabilities of 0, 1, ... events among independent requests of these rates."""
    found = np.ones(1)
    for rate in rates:
        found = np.convolve(found, [1.0 - rate, rate])
    return found


# The statistic


@given(LOG_RATIOS)
def test_the_statistic_sums_the_evidence_since_each_possible_start(increments: np.ndarray):
    """M is, per grid point, the sum over starts of the product of the ratios since; then a mean."""
    assume(np.any(increments != 0.0, axis=1).all())
    state = np.zeros(24)
    for row in increments:
        state = restart.advance(state, row)
    sums = sum(np.exp(increments[start:].sum(axis=0)) for start in range(len(increments)))
    assert np.exp(restart.log_restarts(state)) == pytest.approx(np.mean(sums), rel=1e-9)


@given(
    st.lists(st.floats(0.0, 20.0), min_size=24, max_size=24),
    st.integers(1, 8),
    st.integers(1, 20),
    RATE,
)
def test_an_interval_adds_at_most_one_on_average_while_all_is_well(
    state: list[float], candidate: int, stable: int, rate: float
):
    """At equal rates the mean of M after an interval is at most M + 1, from any state."""
    x, y = np.meshgrid(np.arange(candidate + 1), np.arange(stable + 1), indexing="ij")
    increments = sequential.worse(Counts(candidate, x, stable, y), 1.0)
    after = np.exp(restart.log_restarts(restart.advance(np.array(state), increments)))
    weights = np.outer(distribution([rate] * candidate), distribution([rate] * stable))
    before = np.exp(restart.log_restarts(np.array(state)))
    assert (weights * after).sum() <= (before + 1.0) * (1.0 + 1e-9)


def looks_until_alarm(run_length: float, healthy: int) -> tuple[int, int]:
    """Return the looks after the change until the restarting and the cumulative test see it."""
    restarting, cumulative, found = np.zeros(24), np.zeros(24), [0, 0]
    for look in range(1, 1000 + healthy):
        increments = sequential.worse(HEALTHY if look <= healthy else FAILING, 1.0)
        restarting, cumulative = restart.advance(restarting, increments), cumulative + increments
        seen = (restart.log_restarts(restarting), sequential.log_evidence(cumulative))
        bounds = (math.log(run_length), math.log(100.0))
        for index, (value, bound) in enumerate(zip(seen, bounds, strict=True)):
            if value >= bound and not found[index]:
                found[index] = look - healthy
    return found[0], found[1]


def test_long_health_does_not_delay_the_alarm():
    """After 2000 average healthy intervals the alarm comes no later, unlike the cumulative one."""
    early, _ = looks_until_alarm(20_000.0, 0)
    late, cumulative = looks_until_alarm(20_000.0, 2000)
    assert 0 < late <= early
    assert cumulative > 5 * late


# Intervals that say nothing


def test_the_start_is_no_evidence_at_all():
    """M is zero before the first interval, as a finite state that can be packed."""
    start = np.zeros(24)
    assert restart.log_restarts(start) == -math.inf
    assert sequential.unpack(sequential.pack(start), (24,)).tolist() == start.tolist()


def test_silence_never_raises_the_alarm():
    """An interval in which one arm is missing leaves the state exactly as it was."""
    state = restart.advance(np.zeros(24), sequential.worse(FAILING, 1.0))
    silent = sequential.worse(Counts(0.0, 0.0, 2970.0, 30.0), 1.0)
    assert (restart.advance(state, silent) == state).all()


def test_one_silent_monitor_does_not_hold_up_another():
    """In a batch each row advances by its own increments."""
    counts = Counts([30.0, 0.0], [1.5, 0.0], 2970.0, 14.85)
    after = restart.advance(np.zeros((2, 24)), sequential.worse(counts, 1.0))
    assert after[0].any()
    assert not after[1].any()


@given(st.lists(st.tuples(*[st.floats()] * 4), max_size=5))
def test_the_state_stays_finite_whatever_is_counted(intervals: list[tuple[float, ...]]):
    """States are finite and not negative, so that they can be packed."""
    state = np.zeros(24)
    for interval in intervals:
        state = restart.advance(state, sequential.worse(Counts(*interval), 1.25))
    assert np.isfinite(state).all()
    assert (state >= 0.0).all()


# The rate that a baseline allows


@given(st.lists(RATE, min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_the_limit_is_rarely_below_the_true_rate(rates: list[float], risk: float):
    """Over all outcomes of requests with any rates, it is too low with at most the risk stated."""
    total = len(rates)
    limits = upper_limit(np.arange(total + 1), total, risk)
    too_low = limits < np.mean(rates) - 1e-12
    assert distribution(rates)[too_low].sum() <= risk + 1e-9


def test_the_limit_without_events_is_known():
    """Of no event in n requests, the limit is 1 - risk^(1/n)."""
    assert upper_limit(0, 1000, 0.01) == pytest.approx(1.0 - 0.01 ** (1 / 1000), rel=1e-9)


def test_a_larger_baseline_allows_less():
    """The limit comes down to the rate as requests are added."""
    totals = np.array([1e2, 1e4, 1e6, 1e9])
    limits = upper_limit(totals * 0.01, totals, 0.01)
    assert (np.diff(limits) < 0.0).all()
    assert limits[-1] == pytest.approx(0.01, rel=0.01)


@given(st.floats(), st.floats())
def test_a_limit_is_a_rate(events: float, total: float):
    """The limit is in [0, 1], not below the rate seen, and 1 where nothing usable was counted."""
    limit = float(upper_limit(events, total, 0.01))
    assert 0.0 < limit <= 1.0
    if all(0.0 <= number <= sequential.LARGEST_COUNT for number in (events, total)) and total:
        assert limit >= min(events, total) / total
    else:
        assert limit == 1.0


def test_events_never_outnumber_requests():
    """More events than requests, as torn scrapes can show, count as one for each request."""
    assert upper_limit(1200.0, 1000.0, 0.01) == 1.0
    torn = restart.against_baseline(12.0, 10.0, 0.1, 1.0)
    assert (torn == restart.against_baseline(10.0, 10.0, 0.1, 1.0)).all()


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1, math.nan])
def test_a_risk_is_a_probability(risk: float):
    """No limit holds without any risk."""
    with pytest.raises(ValueError, match="risk"):
        upper_limit(1, 10, risk)


def test_the_divergence_is_infinite_where_something_impossible_happened():
    """KL(p || q) is 0 at p = q, also at the ends, and infinite where q excludes what p shows."""
    rates = np.array([0.0, 0.3, 1.0])
    assert divergence(rates, rates).tolist() == [0.0, 0.0, 0.0]
    assert divergence(np.array([0.5, 0.5]), np.array([0.0, 1.0])).tolist() == [math.inf] * 2
    assert divergence(np.array(0.5), np.array(0.25)) == pytest.approx(0.5 * math.log(4 / 3))


# Against a baseline


@given(st.lists(RATE, min_size=1, max_size=10), st.floats(0.01, 1.0), RATE)
def test_evidence_does_not_grow_on_average_at_rates_that_the_baseline_allows(
    rates: list[float], limit: float, share: float
):
    """With any rate per request, on average at most the limit, the mean is at most 1."""
    scale = share * min(1.0, limit / max(np.mean(rates), 1e-300))
    weights = distribution([rate * scale for rate in rates])
    increments = restart.against_baseline(np.arange(weights.size), len(rates), limit, 1.0)
    assert (weights @ np.exp(increments) <= 1.0 + 1e-9).all()


def test_no_evidence_is_wasted_at_the_limit():
    """At the margin times the limit, the mean is exactly 1."""
    weights = distribution([0.3] * 20)
    increments = restart.against_baseline(np.arange(21), 20, 0.2, 1.5)
    assert weights @ np.exp(increments) == pytest.approx(np.ones(24), rel=1e-9)


def test_a_rate_above_the_margin_is_found():
    """Ten average intervals at four times the limit suffice; at the limit none do."""
    failing = 10 * restart.against_baseline(20.0, 500.0, 0.01, 1.25)
    healthy = 10 * restart.against_baseline(5.0, 500.0, 0.01, 1.25)
    assert sequential.log_evidence(failing) > math.log(100.0)
    assert sequential.log_evidence(healthy) < 0.0


def test_no_rate_is_above_certainty():
    """Where the margin lifts the limit to 1, nothing can be evidence."""
    assert (restart.against_baseline(np.arange(11), 10, 0.9, 2.0) <= 1e-9).all()


@given(st.floats(), st.floats(), st.floats(0.0, 1.0, exclude_min=True))
def test_no_count_poisons_the_state(events: float, total: float, limit: float):
    """Increments are finite for any numbers, and zero where one of them is no count."""
    increments = restart.against_baseline(events, total, limit, 1.25)
    assert increments.shape == (GRID.size,)
    assert np.isfinite(increments).all()
    if not all(0.0 <= number <= sequential.LARGEST_COUNT for number in (events, total)):
        assert not increments.any()


@pytest.mark.parametrize(
    ("limit", "margin"), [(0.0, 1.0), (1.1, 1.0), (math.nan, 1.0), (0.1, 0.0), (0.1, math.inf)]
)
def test_limit_and_margin_are_refused_out_of_range(limit: float, margin: float):
    """A limit is in (0, 1] and a margin a ratio."""
    with pytest.raises(ValueError, match="rate"):
        restart.against_baseline(1.0, 10.0, limit, margin)
