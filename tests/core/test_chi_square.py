"""Significance of drift: it agrees with scipy, and chance alone seldom passes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from backstop.core.statistics.chi_square import (
    LARGEST_DOF,
    critical_value,
    g_test,
    kolmogorov,
    ks_p_value,
    merge_rare,
    pearson,
    psi_floor,
    psi_test,
    psi_threshold,
    required_samples,
    survival,
)
from backstop.core.statistics.divergence import cells, ks_interval, psi

_counts = st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(any).map(np.array)
_pairs = st.tuples(_counts, _counts)


def draw(buckets: int, reference: int, current: int, runs: int):
    """Return samples of both sides from the same uniform distribution, one pair per row."""
    rng = np.random.default_rng(20)
    even = np.full(buckets, 1.0 / buckets)
    return rng.multinomial(reference, even, size=runs), rng.multinomial(current, even, size=runs)


# The distributions


def test_survival_agrees_with_scipy_down_to_tiny_tails():
    """To a relative 1e-9 for 1 to 200 degrees of freedom and x to 1000: tails down to 1e-219."""
    dof = np.arange(1, 201)[:, np.newaxis]
    x = np.concatenate((np.linspace(0.0, 1000.0, 1001), np.geomspace(1e-300, 1.0, 50)))
    np.testing.assert_allclose(survival(x, dof), stats.chi2.sf(x, dof), rtol=1e-9, atol=0.0)


def test_survival_at_the_ends():
    """Nothing is below zero or above infinity; without degrees of freedom all mass is at zero."""
    assert survival([-1.0, 0.0, 5e-324, np.inf], 3).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert survival([0.0, 1e-9], 0).tolist() == [1.0, 0.0]
    assert survival(1e300, [1, 2, 3, LARGEST_DOF]).tolist() == [0.0] * 4


@pytest.mark.parametrize("dof", [-1.0, 2.5, np.nan, np.inf, LARGEST_DOF + 1.0])
def test_no_degrees_of_freedom_no_probability(dof):
    """What is no number of degrees of freedom gives NaN, as does x that is none."""
    assert np.isnan(survival(1.0, dof))
    assert np.isnan(critical_value(0.05, dof))
    assert np.isnan(survival(np.nan, 3))


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001, 1e-12, 1e-100])
def test_critical_values_agree_with_scipy(alpha):
    """To a relative 1e-9 for 1 to 200 degrees of freedom and some more."""
    dof = np.concatenate((np.arange(1, 201), [1_000, LARGEST_DOF]))
    np.testing.assert_allclose(critical_value(alpha, dof), stats.chi2.isf(alpha, dof), rtol=1e-9)


def test_critical_values_keep_the_shape():
    """The answer has the shape of the degrees of freedom; there is none to exceed at zero."""
    found = critical_value(0.05, [[1, 2], [0, 1]])
    assert found.shape == (2, 2)
    assert found[0, 0] == found[1, 1] == pytest.approx(3.841458820694124)
    assert found[1, 0] == 0.0


@pytest.mark.parametrize("alpha", [0.0, 1e-101, 0.51, np.nan])
def test_an_alpha_that_is_none_is_an_error(alpha):
    """Alpha is the operator's choice, not data: a wrong one raises ValueError."""
    with pytest.raises(ValueError, match="alpha"):
        critical_value(alpha, 1)


def test_kolmogorov_agrees_with_scipy():
    """To 1e-9 everywhere, and relative to it in the tail, where verdicts are made."""
    x = np.concatenate(([-np.inf, -1.0, 0.0], np.linspace(1e-9, 10.0, 5_000), [1e200, np.inf]))
    expected = stats.kstwobign.sf(x)
    np.testing.assert_allclose(kolmogorov(x), expected, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(kolmogorov(x[x > 1]), expected[x > 1], rtol=1e-9, atol=0.0)
    assert np.isnan(kolmogorov(np.nan))


def test_the_ks_p_value_is_the_asymptotic_one():
    """The distance is scaled by the root of nm / (n + m); an empty sample has no p-value."""
    expected = stats.kstwobign.sf(0.1 * np.sqrt(1_000 * 300 / 1_300))
    assert ks_p_value(0.1, 1_000, 300) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(ks_p_value([0.1, 0.1, np.nan], [0, 5, 5], [5, -1, 5])).all()


def test_the_ks_test_on_buckets_errs_on_the_side_of_no_drift():
    """With the low end of the interval, 5 % means at most 5 %, on few and on many buckets."""
    for buckets in (5, 100):
        reference, current = draw(buckets, 2_000, 300, runs=5_000)
        low, _ = ks_interval(reference, current)
        assert 0.01 < (ks_p_value(low, 2_000, 300) < 0.05).mean() < 0.05


# The index


@pytest.mark.parametrize("buckets", [10, 20])
@pytest.mark.parametrize("n", [100, 200, 500, 1_000, 5_000])
def test_the_index_exceeds_its_level_as_often_as_it_says(buckets, n):
    """Without drift the test at 5 % fires in 3.5 to 6 % of samples with 10 or more per bucket.

    With 5 per bucket the smoothing makes it cautious: 3 % at least.
    """
    reference, current = draw(buckets, 100_000, n, runs=20_000)
    p = psi_test(psi(reference, current), 100_000, n, cells(reference, current))
    least = 0.035 if n >= 10 * buckets else 0.03
    assert least < (p < 0.05).mean() < 0.06


def test_what_the_test_needs_is_what_the_floor_says():
    """An index at the floor of alpha has the p-value alpha."""
    floor = psi_floor(0.001, [2, 10, 20], 1_000, [50, 100, 200])
    found = psi_test(floor, 1_000, [50, 100, 200], [2, 10, 20])
    assert found == pytest.approx([0.001] * 3, rel=1e-9)


def test_an_index_without_samples_has_no_p_value():
    """Empty samples, unknown indices and no bucket at all give NaN; one bucket proves nothing."""
    found = psi_test([0.1, 0.1, np.nan, 0.1], [0, 9, 9, 9], [9, 0, 9, 9], [3, 3, 3, 0])
    assert np.isnan(found).all()
    assert psi_test(0.0, 100, 100, 1) == 1.0


def test_too_few_samples_are_said_to_be_too_few():
    """A threshold that chance alone exceeds is insufficient, and is raised to the floor."""
    found = psi_threshold([0.1, 0.1, 0.2, np.nan], 0.001, 10, 100_000, [279, 280, 140, 1_000])
    assert found.sufficient.tolist() == [False, True, True, False]
    assert found.threshold[:3] == pytest.approx([0.1002, 0.1, 0.2], abs=1e-4)
    assert found.threshold[0] > 0.1
    assert np.isnan(found.threshold[3])


@given(
    st.floats(0.01, 1.0),
    st.sampled_from([0.05, 0.001, 1e-6]),
    st.integers(2, 30),
    st.integers(100, 10**7),
)
def test_the_required_samples_are_the_smallest_that_suffice(user, alpha, buckets, reference):
    """With them the threshold holds, with two less it does not."""
    n = float(required_samples(user, alpha, buckets, reference))
    if n == np.inf:
        assert not psi_threshold(user, alpha, buckets, reference, 1e15).sufficient
    else:
        assert psi_threshold(user * (1 + 1e-9), alpha, buckets, reference, n).sufficient
    if 2 < n < np.inf:
        assert not psi_threshold(user, alpha, buckets, reference, n - 2).sufficient


def test_required_samples_of_what_cannot_be():
    """Unknown arguments give NaN, an impossible threshold infinity, one bucket needs one sample."""
    assert np.isnan(required_samples([np.nan, 0.1, 0.1], 0.01, [5, np.nan, 5], [9, 9, 0])).all()
    assert required_samples([0.0, -1.0], 0.01, 5, 1_000).tolist() == [np.inf, np.inf]
    assert required_samples(0.1, 0.01, 1, 1_000) == 1.0


# Counts by category


@given(_pairs)
def test_pearson_and_g_agree_with_scipy(pair):
    """Statistic, degrees of freedom and p-value are those of a contingency table."""
    table = np.array(pair)[:, (pair[0] + pair[1]) > 0]
    for test, power in ((pearson, "pearson"), (g_test, "log-likelihood")):
        expected = stats.chi2_contingency(table, correction=False, lambda_=power)
        found = test(*pair)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
        assert found.dof == expected.dof
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-9)


@given(_pairs, st.integers(1, 4))
def test_an_empty_category_changes_nothing(pair, extra):
    """Padding with zeros on both sides leaves the tests and the merging as they were."""
    padded = [np.concatenate((counts, np.zeros(extra))) for counts in pair]
    for test in (pearson, g_test):
        assert np.array(test(*padded)) == pytest.approx(np.array(test(*pair)), rel=1e-9, abs=1e-9)
    for merged, plain in zip(merge_rare(*padded), merge_rare(*pair), strict=True):
        np.testing.assert_array_equal(merged[:5], plain)


_any = arrays.arrays(np.float64, (2, 3, 4), elements=st.floats(width=64))


@given(_any)
def test_no_floats_raise_or_warn(pair):
    """Any counts at all give a probability and a statistic of at least zero, or NaN."""
    for test in (pearson, g_test):
        for counts in (pair, merge_rare(*pair)):
            found = test(*counts)
            assert not (found.statistic < 0.0).any()
            assert not ((found.p_value < 0.0) | (found.p_value > 1.0)).any()


def test_counts_at_both_ends_of_the_floats():
    """The smallest float beside the largest count is unknown or right, never a wrong verdict."""
    tiny, huge = 5e-324, 2.0**53
    for test in (pearson, g_test):
        found = test([[tiny, 0.0], [huge, huge]], [[huge, huge], [huge, huge]]).p_value
        assert np.isnan(found[0]) or found[0] == 1.0
        assert found[1] == 1.0


def test_unusable_counts_are_unknown():
    """A bad feature is NaN in all that is told of it, and its neighbour is not."""
    counts = np.array([[1e308, 10.0], [30.0, 10.0], [0.0, 0.0]])
    for found in (pearson(counts, [[20.0, 20.0]]), g_test(counts, [[20.0, 20.0]])):
        assert [np.isnan(part).tolist() for part in found] == [[True, False, True]] * 3
    merged, _ = merge_rare(counts, [[20.0, 20.0]])
    assert np.isnan(merged).tolist() == [[True] * 2, [False] * 2, [True] * 2]


# Rare categories


@pytest.mark.parametrize(
    ("reference", "current", "merged"),
    [
        ([50, 40, 5, 5], [50, 40, 5, 5], ([50, 40, 5, 5], [50, 40, 5, 5])),
        ([50, 40, 4, 4, 2], [40, 50, 3, 3, 4], ([50, 40, 10, 0, 0], [40, 50, 10, 0, 0])),
        ([50, 40, 1, 0], [50, 30, 2, 1], ([50, 41, 0, 0], [50, 33, 0, 0])),
        ([1, 40, 50], [2, 30, 50], ([0, 41, 50], [0, 32, 50])),
        ([4] * 5, [4] * 5, ([20, 0, 0, 0, 0], [20, 0, 0, 0, 0])),
        ([3, 0], [2, 0], ([3, 0], [2, 0])),
    ],
    ids=["none", "together", "too few even together", "first", "all", "a single one"],
)
def test_what_becomes_of_rare_categories(reference, current, merged):
    """Rare ones become one; if that is rare too, it joins the smallest that is not."""
    found = merge_rare(reference, current)
    if np.count_nonzero(merged[0]) > 1 or len(reference) == 2:
        assert np.array(found).tolist() == [list(side) for side in merged]
    else:
        assert np.isnan(found).all()


def test_one_common_category_beside_rare_ones_is_too_little():
    """Where merging leaves a single category there is no p-value: not a p-value of 1."""
    assert np.isnan(pearson(*merge_rare([90, 2, 1], [90, 1, 2])).p_value)


@given(_pairs)
def test_merging_keeps_every_count_and_leaves_nothing_rare(pair):
    """Sums stay, and each category left is expected at least 5 times on the smaller side."""
    merged = merge_rare(*pair)
    if np.isnan(merged[0]).any():
        return
    for side, before in zip(merged, pair, strict=True):
        assert side.sum() == before.sum()
    pooled = merged[0] + merged[1]
    occupied = pooled > 0
    expected = pooled * min(pair[0].sum(), pair[1].sum()) / pooled.sum()
    if occupied.sum() > 1:
        assert (expected[occupied] >= 5.0 - 1e-9).all()


def test_merging_keeps_the_false_alarm_rate():
    """With many rare categories and no drift, 5 % means at most 6.5 %."""
    rng = np.random.default_rng(4)
    shares = 0.6 ** np.arange(20)
    shares /= shares.sum()
    reference = rng.multinomial(5_000, shares, size=10_000)
    current = rng.multinomial(60, shares, size=10_000)
    p = pearson(*merge_rare(reference, current)).p_value
    assert 0.035 < (p < 0.05).mean() < 0.065
