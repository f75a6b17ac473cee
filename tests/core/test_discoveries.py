"""Many features: few false discoveries, and thresholds from each one's own past."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backstop.core.statistics.discoveries import (
    LEAST_WINDOWS,
    benjamini_hochberg,
    own_history_threshold,
)

_p_values = st.lists(st.floats(0.0, 1.0) | st.floats(0.0, 0.01), min_size=1, max_size=50)


# Benjamini and Hochberg


@given(_p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_discoveries_agree_with_scipy(p_values, rate):
    """A test is a discovery where scipy's adjusted p-value is at most the rate."""
    expected = stats.false_discovery_control(p_values) <= rate
    assert benjamini_hochberg(p_values, rate).tolist() == expected.tolist()


@given(_p_values, st.lists(st.sampled_from([np.nan, -0.1, 1.1, np.inf]), max_size=5))
def test_what_is_no_p_value_does_not_count(p_values, none):
    """It is never a discovery, and the others are what they are without it."""
    found = benjamini_hochberg(p_values + none)
    assert found.tolist() == [*benjamini_hochberg(p_values), *[False] * len(none)]


def test_each_row_is_a_family_of_its_own():
    """A family full of discoveries does not help another one; nothing at all is no discovery."""
    found = benjamini_hochberg([[0.001, 0.001, 0.04], [0.9, 0.9, 0.04], [np.nan] * 3])
    assert found.tolist() == [[True, True, True], [False, False, False], [False] * 3]
    assert benjamini_hochberg([]).tolist() == []
    assert benjamini_hochberg(0.01)


@pytest.mark.parametrize("rate", [0.0, 1.0, np.nan])
def test_a_rate_that_is_none_is_an_error(rate):
    """The rate is configuration, not data: a wrong one raises ValueError."""
    with pytest.raises(ValueError, match="rate"):
        benjamini_hochberg([0.1], rate)


def test_the_share_of_false_discoveries_is_bounded():
    """With 90 of 100 features unchanged, on average at most 5 % of the discoveries are false."""
    rng = np.random.default_rng(7)
    changed = np.arange(100) < 10
    p = stats.norm.sf(rng.normal(size=(2_000, 100)) + 3.0 * changed)
    found = benjamini_hochberg(p)
    false = (found & ~changed).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    assert false.mean() < 0.05
    assert found[:, :10].mean() > 0.5


# A feature's own past


@given(st.lists(st.floats(0.0, 10.0), min_size=LEAST_WINDOWS, max_size=40), st.integers(0, 5))
def test_the_threshold_is_mean_and_deviations(past, sds):
    """Mean plus so many standard deviations of a sample."""
    expected = np.mean(past) + sds * np.std(past, ddof=1)
    assert own_history_threshold([past], sds) == pytest.approx([expected], rel=1e-9)


def test_windows_that_say_nothing_are_skipped():
    """NaN and infinite windows do not count; with too few left there is no threshold."""
    rows = np.random.default_rng(3).uniform(size=(3, LEAST_WINDOWS + 2))
    rows[0, :2] = [np.nan, np.inf]
    rows[1, :3] = np.nan
    found = own_history_threshold(rows)
    assert found[0] == pytest.approx(own_history_threshold(rows[:1, 2:])[0])
    assert np.isnan(found).tolist() == [False, True, False]
    assert np.isnan(own_history_threshold(np.empty((2, 0)))).all()


def test_a_past_too_large_to_sum_is_not_calibrated():
    """An overflow is no threshold that nothing could exceed."""
    assert np.isnan(own_history_threshold(np.full((1, LEAST_WINDOWS), 1e308)))


def test_the_stated_chance_of_a_false_alarm():
    """After the fewest windows a normal effect size is above the threshold in 0.94 % of cases."""
    sizes = np.random.default_rng(5).normal(size=(200_000, LEAST_WINDOWS + 1))
    alarms = sizes[:, -1] > own_history_threshold(sizes[:, :-1])
    assert alarms.mean() == pytest.approx(0.0094, abs=0.001)
