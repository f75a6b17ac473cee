"""Effect sizes of drift: they agree with the definitions, and no input makes them lie."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import integrate, stats
from scipy.spatial import distance

from backstop.core.statistics.divergence import (
    cells,
    jensen_shannon,
    ks_interval,
    l_infinity,
    normalised_wasserstein,
    psi,
    sides,
    unseen_share,
    wasserstein,
)

EDGES = np.array([-1.0, 0.0, 0.5, 2.0, 10.0, np.inf])
BOUNDS = (-3.0, 12.0)

_counts = st.lists(st.integers(0, 1000), min_size=6, max_size=6).filter(any).map(np.array)
_pairs = st.tuples(_counts, _counts)
_any_floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


def everything(reference, current, edges=EDGES) -> dict[str, np.ndarray]:
    """Return every statistic of the module, by name."""
    low, high = ks_interval(reference, current)
    return {
        "cells": cells(reference, current),
        "psi": psi(reference, current),
        "jensen_shannon": jensen_shannon(reference, current),
        "ks_low": low,
        "ks_high": high,
        "l_infinity": l_infinity(reference, current),
        "unseen_share": unseen_share(reference, current),
        "wasserstein": wasserstein(reference, current, edges, BOUNDS),
        "normalised": normalised_wasserstein(reference, current, edges, BOUNDS),
    }


def spread(counts) -> tuple[np.ndarray, np.ndarray]:
    """Return the distribution function, linear within buckets: where and how much."""
    where = np.concatenate(([BOUNDS[0]], EDGES[:-1], [BOUNDS[1]]))
    return where, np.concatenate(([0.0], np.cumsum(counts) / np.sum(counts)))


def raw_ks(before, after) -> float:
    """Return scipy's two-sample statistic of raw data."""
    with np.errstate(divide="ignore"):  # Its p-value divides by zero for tiny samples.
        return float(stats.ks_2samp(before, after, method="asymp").statistic)


# Against an oracle


@given(_pairs)
def test_psi_is_the_divergence_of_shares_with_half_a_count_added(pair):
    """PSI is the sum of both Kullback-Leibler divergences of the smoothed shares."""
    occupied = (pair[0] + pair[1]) > 0
    p, q = (counts[occupied] + 0.5 for counts in pair)
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert psi(*pair) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(_pairs)
def test_jensen_shannon_is_the_distance_in_base_2(pair):
    """The distance agrees with scipy's, which loses half of its digits near zero."""
    expected = distance.jensenshannon(*pair, base=2)
    found = jensen_shannon(*pair)
    assert found**2 == pytest.approx(expected**2, rel=1e-9, abs=1e-12)
    if expected > 1e-3:
        assert found == pytest.approx(expected, abs=1e-9)


def test_jensen_shannon_keeps_its_digits_near_zero():
    """A shift of one in 10^8 between two halves is a distance of about 1e-8 / sqrt(2 ln 2)."""
    found = jensen_shannon([1e8, 1e8], [1e8 + 2.0, 1e8 - 2.0])
    assert found == pytest.approx(1e-8 / np.sqrt(2.0 * np.log(2.0)), rel=1e-6)


@given(_pairs)
def test_ks_is_exact_for_data_on_the_edges(pair):
    """With all data at the upper edges the low end is scipy's two-sample statistic."""
    raw = [np.repeat(np.arange(6), counts) for counts in pair]
    low, _ = ks_interval(*pair)
    assert low == pytest.approx(raw_ks(*raw), abs=1e-9)


_raw = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 15, width=16))


@given(_raw, _raw, st.lists(st.floats(-5, 15, width=16), min_size=1, max_size=8, unique=True))
def test_the_ks_statistic_of_raw_data_lies_in_the_interval(before, after, edges):
    """Whatever the data and the edges, the interval holds the true statistic."""
    cut = np.array(sorted(edges))
    counts = [
        np.bincount(np.searchsorted(cut, raw), minlength=cut.size + 1) for raw in (before, after)
    ]
    low, high = ks_interval(*counts)
    true = raw_ks(before, after)
    assert low - 1e-12 <= true <= high + 1e-12
    assert 0.0 <= low <= high <= 1.0


@given(_pairs)
def test_both_ends_of_the_ks_interval_are_reached(pair):
    """There are data with these counts whose statistic is the upper bound: it is not too wide."""
    _, high = ks_interval(*pair)
    reached = 0.0
    for first, second in ((0.0, 0.5), (0.5, 0.0)):
        raw = [
            np.repeat(np.arange(6) + shift, counts)
            for counts, shift in zip(pair, (first, second), strict=True)
        ]
        reached = max(reached, raw_ks(*raw))
    assert high == pytest.approx(reached, abs=1e-12)


@given(_pairs)
def test_wasserstein_is_the_integral_of_the_difference(pair):
    """It is the integral of |F - G|, both linear within buckets, to the accuracy of quadrature."""
    where, f = spread(pair[0])
    _, g = spread(pair[1])

    def gap(x: float) -> float:
        return abs(np.interp(x, where, f) - np.interp(x, where, g))

    # Where the sign changes, |F - G| has a corner that the quadrature must know of.
    gaps = f - g
    corners = [
        where[k] + (where[k + 1] - where[k]) * gaps[k] / (gaps[k] - gaps[k + 1])
        for k in range(6)
        if gaps[k] * gaps[k + 1] < 0
    ]
    pieces = sorted({*where, *corners})
    expected = sum(
        integrate.fixed_quad(np.vectorize(gap), a, b, n=3)[0] for a, b in itertools.pairwise(pieces)
    )
    assert wasserstein(*pair, EDGES, BOUNDS) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(_counts, st.integers(1, 5))
def test_wasserstein_of_ordered_samples_is_that_of_the_bucket_middles(counts, step):
    """Where F and G do not cross within a bucket it is scipy's, of masses at the middles."""
    moved = np.concatenate((np.zeros(step, dtype=int), counts))[:6]
    moved[-1] += counts[6 - step :].sum()
    where, _ = spread(counts)
    middles = (where[1:] + where[:-1]) / 2.0
    expected = stats.wasserstein_distance(middles, middles, counts, moved)
    assert wasserstein(counts, moved, EDGES, BOUNDS) == pytest.approx(expected, rel=1e-9)


@given(_raw, _raw)
def test_wasserstein_is_off_by_less_than_the_width_of_the_buckets(before, after):
    """Raw data are at most as far from the answer as mass can move within its buckets."""
    edges = np.append(np.linspace(-5.0, 15.0, 9), np.inf)
    counts = [np.bincount(np.searchsorted(edges, raw), minlength=10) for raw in (before, after)]
    true = stats.wasserstein_distance(before, after)
    assert wasserstein(*counts, edges, (-5.0, 15.0)) == pytest.approx(true, abs=2 * 2.5 + 1e-9)


@given(_pairs)
def test_the_deviation_is_that_of_mass_spread_within_the_buckets(pair):
    """W1 is divided by the standard deviation of the mixture of uniform distributions."""
    where, _ = spread(pair[0])
    share = pair[0] / pair[0].sum()
    moments = [
        sum(
            p * (b ** (k + 1) - a ** (k + 1)) / ((k + 1) * (b - a))
            for p, a, b in zip(share, where[:-1], where[1:], strict=True)
        )
        for k in (1, 2)
    ]
    deviation = np.sqrt(moments[1] - moments[0] ** 2)
    ratio = wasserstein(*pair, EDGES, BOUNDS) / deviation
    found = normalised_wasserstein(*pair, EDGES, BOUNDS)
    assert found == pytest.approx(ratio, rel=1e-9, abs=1e-12)


def test_categorical_sizes():
    """L-infinity is the largest change of a share; unseen is what the reference does not have."""
    reference, current = [50, 50, 0, 0], [20, 50, 20, 10]
    assert l_infinity(reference, current) == pytest.approx(0.3)
    assert unseen_share(reference, current) == pytest.approx(0.3)
    assert unseen_share(current, reference) == 0.0


# Open tails


def test_a_tail_nobody_knows_the_end_of_is_refused():
    """More than 1 % in an open tail of either side gives NaN, 1 % gives a lower bound."""
    heavy, light, middle = [2, 49, 49, 0, 0, 0], [1, 49, 50, 0, 0, 0], [0, 50, 50, 0, 0, 0]
    for tail in (heavy, heavy[::-1]):
        assert np.isnan(wasserstein(tail, middle, EDGES))
        assert np.isnan(wasserstein(middle, tail, EDGES))
        assert np.isnan(normalised_wasserstein(tail, middle, EDGES))
    bounded = wasserstein(light, middle, EDGES, BOUNDS)
    assert 0.0 < wasserstein(light, middle, EDGES) < bounded


def test_a_range_ends_the_tails():
    """A range makes the tails buckets like any other, each feature with its own."""
    one_end = [[10, 0], [10, 0]]
    other_end = [[0, 10], [0, 10]]
    edges = [0.0, np.inf]
    found = wasserstein(one_end, other_end, edges, ([-1.0, -4.0], [1.0, 4.0]))
    assert found == pytest.approx([1.0, 4.0])


@pytest.mark.parametrize(
    "bounds",
    [(-0.5, 12.0), (-3.0, 9.0), (np.nan, 12.0), (-3.0, np.inf), (-np.inf, 12.0)],
    ids=["above the first edge", "below the last edge", "nan", "inf", "-inf"],
)
def test_a_range_that_does_not_hold_the_edges_is_refused(bounds):
    """A range that cuts an edge off, or is no range, gives NaN."""
    assert np.isnan(wasserstein([1, 2, 3, 4, 5, 0], [5, 4, 3, 2, 1, 0], EDGES, bounds))


@pytest.mark.parametrize(
    "edges",
    [
        [1.0, 0.0, 2.0],
        [np.nan, 1.0, 2.0],
        [-np.inf, 1.0, 2.0],
        [0.0, np.inf, 2.0],
        [np.inf, np.inf, np.inf],
    ],
    ids=["falling", "nan", "-inf", "after the end", "no finite edge"],
)
def test_edges_that_are_none_are_refused(edges):
    """Edges that do not ascend, or none at all, give NaN."""
    assert np.isnan(wasserstein([0, 5, 5], [0, 4, 6], edges))
    assert np.isnan(normalised_wasserstein([0, 5, 5], [0, 4, 6], edges))


def test_closed_edges_beyond_the_range_are_refused():
    """The range must hold the last edge also where no bucket is open."""
    assert np.isnan(wasserstein([5, 5, 0], [4, 6, 0], [0.0, 1.0, 2.0], (-1.0, 1.5)))
    assert wasserstein([5, 5, 0], [4, 6, 0], [0.0, 1.0, 2.0], (-1.0, 2.0)) == pytest.approx(0.1)


def test_a_reference_without_spread_has_no_unit():
    """Where all of the reference is at one place there is no deviation to divide by."""
    assert np.isnan(normalised_wasserstein([0, 5, 0], [0, 4, 1], [1.0, 1.0, 2.0]))
    assert wasserstein([0, 5, 0], [0, 4, 1], [1.0, 1.0, 2.0]) == pytest.approx(0.1)


# What holds for all


@given(_pairs, st.integers(1, 4))
def test_a_bucket_that_is_zero_on_both_sides_changes_nothing(pair, extra):
    """Padding at the end, and empty buckets inside, leave every statistic as it was."""
    padded = [np.concatenate((counts, np.zeros(extra))) for counts in pair]
    padded_edges = np.concatenate((EDGES, np.full(extra, np.inf)))
    split = [np.insert(counts, 3, 0) for counts in pair]
    split_edges = np.insert(EDGES, 3, 0.5)
    plain = everything(*pair)
    for name, value in {
        **everything(*padded, padded_edges),
        **everything(*split, split_edges),
    }.items():
        assert value == pytest.approx(plain[name], rel=1e-9, abs=1e-12), name


@given(_pairs)
def test_equal_shares_are_at_distance_zero(pair):
    """A sample is at distance zero from itself, and from itself taken twice (but for PSI)."""
    counts = pair[0]
    for name, value in everything(counts, counts).items():
        if name not in {"cells", "ks_high"}:
            assert value == 0.0, name
    assert jensen_shannon(counts, 2 * counts) == pytest.approx(0.0, abs=1e-12)


def test_features_do_not_affect_each_other():
    """Each row has the value that it has alone, and an unusable one is NaN."""
    rows = np.random.default_rng(1).integers(0, 50, size=(2, 40, 6)).astype(float)
    rows[:, 0] = 1.0
    together = everything(rows[0], rows[1])
    for row in range(40):
        for name, value in everything(rows[0, row], rows[1, row]).items():
            assert value == pytest.approx(together[name][row], rel=1e-12), name


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0, 1e308, "empty"])
@pytest.mark.parametrize("side", [0, 1])
def test_unusable_counts_are_unknown(bad, side):
    """A bad count or an empty side makes its feature NaN, and only that one."""
    pair = np.ones((2, 3, 6))
    if bad == "empty":
        pair[side, 1] = 0.0
    else:
        pair[side, 1, 2] = bad
    for name, value in everything(*pair).items():
        assert np.isnan(value).tolist() == [False, True, False], name


@given(
    arrays.arrays(np.float64, (2, 3, 4), elements=_any_floats),
    arrays.arrays(np.float64, (3, 4), elements=_any_floats),
    st.booleans(),
)
def test_no_floats_raise_or_warn(pair, edges, ascending):
    """Any counts and edges at all give values within their range, or NaN."""
    found = everything(*pair, np.sort(edges) if ascending else edges)
    for name, value in found.items():
        assert not ((value < 0.0) | np.isinf(value)).any(), name
        if name not in {"cells", "psi", "wasserstein", "normalised"}:
            assert not (value > 1.0 + 1e-9).any(), name


@given(_pairs, st.sampled_from([1e-300, 1e-9, 1e9, 1e300]))
def test_the_normalised_distance_does_not_depend_on_the_unit(pair, unit):
    """A feature in any unit has the same distance in deviations: nothing over- or underflows."""
    scaled_bounds = (BOUNDS[0] * unit, BOUNDS[1] * unit)
    found = normalised_wasserstein(*pair, EDGES * unit, scaled_bounds)
    assert found == pytest.approx(normalised_wasserstein(*pair, EDGES, BOUNDS), rel=1e-9)


def test_the_widest_edges_do_not_overflow():
    """Edges at both ends of the floats give the right distance, in units and in deviations."""
    edges = [-1.7e308, 0.0, 1.7e308, np.inf]
    reference, current = [0, 10, 0, 0], [0, 0, 10, 0]
    assert wasserstein(reference, current, edges) == pytest.approx(1.7e308)
    assert normalised_wasserstein(reference, current, edges) == pytest.approx(np.sqrt(12.0))
    ends = [-1.7e308, -1.7e308, 1.7e308, 1.7e308]
    assert np.isnan(wasserstein([0, 10, 0, 0], [0, 0, 0, 10], ends))


def test_far_edges_do_not_hide_a_shift_near_zero():
    """Empty buckets that reach very far do not blur the deviation of what is near."""
    edges = [0.0, 1.0, 2.0, 1e300]
    found = normalised_wasserstein([0, 10, 0, 0], [0, 0, 10, 0], edges)
    assert found == pytest.approx(np.sqrt(12.0))


@given(_pairs, st.integers(1, 10**9))
def test_scaling_both_samples_keeps_the_shares(pair, factor):
    """All but PSI depend on shares only."""
    assume(factor > 1)
    plain = everything(*pair)
    for name, value in everything(pair[0] * factor, pair[1] * factor).items():
        if name != "psi":
            assert value == pytest.approx(plain[name], rel=1e-9, abs=1e-12), name


def test_a_row_without_buckets_is_an_error():
    """Shapes are the caller's business: they raise ValueError."""
    for empty in (np.ones((2, 0)), np.float64(1.0)):
        with pytest.raises(ValueError, match="at least one bucket"):
            sides(empty, empty)
