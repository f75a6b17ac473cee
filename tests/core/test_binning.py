"""Common buckets: nothing is lost, nothing is split, and the reference alone draws the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backstop.core.statistics.binning import (
    CUSTOM_SCHEMA,
    Aligned,
    align,
    meet,
    merge_buckets,
    native_histogram,
    stack,
)
from backstop.core.statistics.divergence import ks_interval, psi, wasserstein

POSITIVE, NEGATIVE, ZERO = 0, 1, 3

# Bins from fine buckets


def test_even_buckets_become_deciles():
    """A hundred equal buckets become ten equal bins of the reference; current follows its edges."""
    current = np.arange(100.0)
    found = merge_buckets(np.ones(100), current)
    assert found.reference.tolist() == [10.0] * 10
    assert found.current.tolist() == current.reshape(10, 10).sum(axis=1).tolist()
    assert found.place.tolist() == np.repeat(np.arange(10), 10).tolist()


def test_few_buckets_stay_but_for_the_rare_ones():
    """With no more buckets than bins only shares below 1 % are merged, into their neighbour."""
    found = merge_buckets([400, 4, 0, 480, 11, 100, 5], [1, 2, 3, 4, 5, 6, 7])
    assert found.reference.tolist() == [400, 484, 11, 105] + [0] * 6
    assert found.current.tolist() == [1, 9, 5, 13] + [0] * 6


def test_a_remainder_of_its_own_weight_stays():
    """What is left at the end is a bin if it holds enough, and joins the last one if not."""
    ones = np.ones(4)
    assert merge_buckets([40, 40, 10, 10], ones, bins=3).place.tolist() == [0, 1, 2, 2]
    assert merge_buckets([40, 40, 10, 10], ones, bins=3, least=0.3).place.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("where", [0, 2, 4])
def test_a_feature_that_hardly_varies_keeps_its_surroundings(where):
    """Where one bucket holds all of the reference, a move to either side still shows."""
    reference, below, above = np.zeros((3, 5))
    reference[where] = 1_000.0
    below[max(where - 1, 0)] = above[min(where + 1, 4)] = 1_000.0
    for current in (below, above):
        found = merge_buckets(reference, current)
        assert (psi(found.reference, found.current) > 1.0) == (current[where] == 0.0)


_fine = arrays.arrays(np.float64, (2, 3, 40), elements=st.integers(0, 100).map(float))


@given(_fine, st.integers(3, 20))
def test_merging_keeps_the_counts_and_the_order(pair, bins):
    """Each bin is a run of buckets, holds their counts, and enough of the reference."""
    found = merge_buckets(*pair, bins=bins)
    assert found.reference.shape == (3, bins)
    for row in range(3):
        if not pair[0, row].any() or not pair[1, row].any():
            assert np.isnan([found.reference[row], found.current[row]]).all()
            continue
        place = found.place[row]
        assert place[0] == 0
        assert set(np.diff(place)) <= {0, 1}
        for counts, merged in zip(pair, (found.reference, found.current), strict=True):
            assert merged[row] == pytest.approx(np.bincount(place, counts[row], bins))
        shares = found.reference[row] / found.reference[row].sum()
        if (shares > 0.0).sum() > 1:
            assert (shares[: place[-1] + 1] >= 0.01 - 1e-9).all() or place[-1] == 2


@given(_fine)
def test_the_current_side_does_not_move_the_bins(pair):
    """The place of each bucket depends on the reference alone."""
    filled = pair + 1.0
    assert (merge_buckets(*filled).place == merge_buckets(filled[0], filled[0]).place).all()


@given(_fine)
def test_bins_are_coarser_than_buckets(pair):
    """At the edges of bins the distribution functions are the same: KS can only be lower."""
    found = merge_buckets(*pair)
    coarse, fine = ks_interval(found.reference, found.current)[0], ks_interval(*pair)[0]
    assert not (coarse > fine + 1e-12).any()


@pytest.mark.parametrize(("bins", "least"), [(2, 0.01), (10, 0.0), (10, 0.2), (10, np.nan)])
def test_bins_that_cannot_be_are_an_error(bins, least):
    """Too few bins or an impossible least share raise ValueError."""
    with pytest.raises(ValueError, match="three bins"):
        merge_buckets([1, 2], [1, 2], bins=bins, least=least)


# Classic histograms


def test_classic_histograms_meet_at_the_edges_of_both():
    """Counts between common edges are added up."""
    found = align([1, 2, 4, np.inf], [1, 2, 3, 4], [1, 3, 4, np.inf], [10, 20, 30, 40])
    assert found is not None
    assert found.edges.tolist() == [1, 4, np.inf]
    assert found.reference.tolist() == [1, 5, 4]
    assert found.current.tolist() == [10, 50, 40]


def test_classic_histograms_without_enough_edges_do_not_meet():
    """One finite edge in common is not enough."""
    assert align([1, 2, np.inf], [1, 1, 1], [1, 3, np.inf], [1, 1, 1]) is None
    assert align([1, np.inf], [1, 1], [2, np.inf], [1, 1]) is None


_edges = st.lists(st.integers(0, 12), min_size=1, unique=True).map(
    lambda edges: [*map(float, sorted(edges)), np.inf]
)
_data = st.lists(st.floats(-1, 14), max_size=30)


@given(_edges, _edges, _data, _data)
def test_aligned_counts_are_those_of_the_raw_data(edges_a, edges_b, before, after):
    """They are what counting the raw data at the common edges gives."""

    def count(edges, data):
        return np.bincount(np.searchsorted(edges, data), minlength=len(edges))

    common = sorted(set(edges_a) & set(edges_b))
    found = align(edges_a, count(edges_a, before), edges_b, count(edges_b, after))
    if len(common) < 3:
        assert found is None
    else:
        assert found.edges.tolist() == common
        assert found.reference.tolist() == count(common, before).tolist()
        assert found.current.tolist() == count(common, after).tolist()


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        ([1, 2, 3], [1, 1, 1]),
        ([2, 1, np.inf], [1, 1, 1]),
        ([1, 1, np.inf], [1, 1, 1]),
        ([1, np.nan, np.inf], [1, 1, 1]),
        ([-np.inf, 1, np.inf], [1, 1, 1]),
        ([1, np.inf], [1, 1, 1]),
        ([], []),
        ([[1, np.inf]], [[1, 1]]),
    ],
    ids=["no +Inf", "falling", "twice", "nan", "-Inf", "lengths", "empty", "two axes"],
)
def test_what_is_no_classic_histogram_is_an_error(edges, counts):
    """Malformed edges raise ValueError instead of giving counts of nothing."""
    good = ([1, 2, np.inf], [1, 1, 1])
    for arguments in ((edges, counts, *good), (*good, edges, counts)):
        with pytest.raises(ValueError, match="edge"):
            align(*arguments)


def test_stacked_features_have_the_values_they_have_alone():
    """Features with different buckets are padded so that no statistic changes."""
    rng = np.random.default_rng(2)
    features = [
        Aligned(
            np.append(np.sort(rng.normal(size=size - 1)), np.inf),
            np.append(0.0, np.append(rng.uniform(size=size - 2), 0.0)),
            np.append(0.0, np.append(rng.uniform(size=size - 2), 0.0)),
        )
        for size in (4, 9, 6)
    ]
    edges, reference, current = stack(features)
    assert edges.shape == (3, 9)
    for row, one in enumerate(features):
        for test in (psi, lambda a, b: np.array(ks_interval(a, b))):
            together = test(reference, current)[..., row]
            assert together == pytest.approx(test(one.reference, one.current))
        alone = wasserstein(one.reference, one.current, one.edges)
        assert wasserstein(reference, current, edges)[row] == pytest.approx(alone)


def test_no_features_cannot_be_stacked():
    """There is no shape to give."""
    with pytest.raises(ValueError, match="empty"):
        stack([])


# Native histograms


def grown(schema: int, data, zero: float = 0.0) -> list[tuple[int, float, float, float]]:
    """Return the buckets that a native histogram of this schema holds of ``data``."""
    buckets: dict[tuple[int, float, float], float] = {}
    for value in data:
        if abs(value) <= zero:
            key = (ZERO, -zero, zero)
        else:
            index = np.ceil(np.ldexp(np.log2(abs(value)), schema))
            near, far = np.exp2(np.ldexp(np.array([index - 1, index]), -schema))
            key = (POSITIVE, near, far) if value > 0 else (NEGATIVE, -far, -near)
        buckets[key] = buckets.get(key, 0.0) + 1.0
    return [(*key, count) for key, count in buckets.items()]


@pytest.mark.parametrize("schema", range(-4, 9))
def test_the_schema_is_told_by_the_boundaries(schema):
    """Growth from one boundary to the next tells the schema, on both sides of zero."""
    data = [1e-9, 0.3, 1.7, 300.0, 1e9]
    for values in (data, [-x for x in data], [*data, -5.0, 0.0]):
        assert native_histogram(grown(schema, values)).schema == schema


def test_without_a_bucket_that_tells_the_schema_is_the_finest():
    """The zero bucket alone, or nothing, fits any other histogram."""
    assert native_histogram([]).schema == 8
    assert native_histogram([(ZERO, -0.001, 0.001, 4.0)]).schema == 8
    assert native_histogram([(ZERO, 0.0, 0.0, 4.0)]).schema == 8


@pytest.mark.parametrize(
    "buckets",
    [
        [(POSITIVE, 0.0, 1.0, 2.0), (POSITIVE, 1.0, 2.0, 2.0)],
        [(POSITIVE, -1.0, 2.0, 2.0)],
        [(POSITIVE, 1.0, 1.5, 2.0), (POSITIVE, 1.5, 2.0, 2.0)],
        [(POSITIVE, 1.0, 2.0, 2.0), (POSITIVE, 2.0, 5.0, 2.0)],
        [(POSITIVE, 1.0, 2.0, 2.0), (POSITIVE, 3.0, 6.0, 2.0)],
        [(POSITIVE, 1.0, 2.0, 2.0), (POSITIVE, 2.0, 8.0, 2.0)],
        [(POSITIVE, 1.0, 2.0**32, 2.0)],
        [(POSITIVE, 5.0, np.inf, 2.0)],
        [(POSITIVE, -np.inf, 5.0, 2.0)],
    ],
    ids=[
        "zero",
        "through zero",
        "off grid",
        "off late",
        "shifted",
        "ratio",
        "too coarse",
        "+Inf",
        "-Inf",
    ],
)
def test_custom_buckets_are_known_as_such(buckets):
    """Boundaries that no exponential schema has are kept as they are."""
    found = native_histogram(buckets)
    assert found.schema == CUSTOM_SCHEMA
    assert found.lower.tolist() == [lower for _, lower, _, _ in buckets]
    assert found.upper.tolist() == [upper for _, _, upper, _ in buckets]


@pytest.mark.parametrize(
    "buckets",
    [
        [(POSITIVE, 1.0, 2.0, 1.0), (POSITIVE, 1.5, 3.0, 1.0)],
        [(POSITIVE, 2.0, 1.0, 1.0)],
        [(POSITIVE, 1.0, 1.0, 1.0)],
        [(POSITIVE, np.nan, 1.0, 1.0)],
        [(POSITIVE, 0.5, 1.0, 1.0), (ZERO, -2.0, 2.0, 1.0)],
        [(ZERO, -1.0, 1.0, 1.0), (ZERO, -2.0, 2.0, 1.0)],
    ],
    ids=["overlap", "falling", "no width", "nan", "within zero", "two zeros"],
)
def test_buckets_that_cannot_be_are_an_error(buckets):
    """A malformed histogram raises ValueError."""
    with pytest.raises(ValueError, match="native histogram"):
        native_histogram(buckets)


def test_the_last_bucket_below_infinity():
    """From the largest float on is one open bucket, whether its end is told as that or as +Inf."""
    largest = np.finfo(np.float64).max
    found = native_histogram(
        [(POSITIVE, 2.0**1023, largest, 1.0), (POSITIVE, largest, np.inf, 2.0)]
    )
    assert found.schema == 0
    assert found.upper.tolist() == [np.inf, np.inf]
    other = native_histogram([(POSITIVE, 2.0**1022, 2.0**1023, 1.0)])
    met = meet(found, other)
    assert met is not None
    assert met.reference.tolist() == [0.0, 0.0, 3.0]
    assert met.current.tolist() == [0.0, 1.0, 0.0]


def test_schemas_meet_at_the_coarser_one():
    """The finer buckets are added up between the boundaries of the coarser ones."""
    fine = native_histogram(grown(3, [1.1, 1.6, 2.2, 3.1]))
    coarse = native_histogram(grown(0, [1.5, 3.0, 3.5, 10.0]))
    met = meet(fine, coarse)
    assert met is not None
    assert met.edges[[0, 1, 2]].tolist() == [1.0, 2.0, 4.0]
    assert met.reference.sum() == met.current.sum() == 4.0
    assert met.reference[1:3].tolist() == [2.0, 2.0]
    assert met.current[1:3].tolist() == [1.0, 2.0]
    assert met.edges[-2:].tolist() == [16.0, np.inf]


def test_zero_buckets_meet_at_the_wider_one():
    """The wider zero bucket takes in what the other has below its end, up to a bucket's end."""
    narrow = native_histogram(grown(0, [-0.4, 0.05, 0.3, 0.7, 3.0], zero=0.1))
    wide = native_histogram(grown(0, [0.2, -0.3, 3.0, -3.0], zero=0.35))
    met = meet(narrow, wide)
    assert met is not None
    assert met.edges.tolist() == [-4.0, -2.0, -0.5, 0.5, 1.0, 2.0, 4.0, np.inf]
    assert met.reference.tolist() == [0, 0, 0, 3, 1, 0, 1, 0]
    assert met.current.tolist() == [0, 1, 0, 2, 0, 0, 1, 0]


def test_a_bucket_begins_where_the_zero_bucket_ends():
    """A threshold inside a bucket leaves it what is beyond: smaller values were counted as zero."""
    found = native_histogram(grown(0, [-0.8, 0.1, 0.8, 3.0], zero=0.7))
    assert found.schema == 0
    assert found.lower.tolist() == [-1.0, -0.7, 0.7, 2.0]
    assert found.upper.tolist() == [-0.7, 0.7, 1.0, 4.0]
    half = native_histogram([(ZERO, 0.0, 0.7, 1.0), (POSITIVE, 0.5, 1.0, 1.0)])
    assert half.lower.tolist() == [0.0, 0.7]


def test_an_empty_bucket_stands_in_no_ones_way():
    """A bucket that is listed but holds nothing may be cut, an occupied one may not."""
    fine = native_histogram(grown(1, [1.2, 1.7]))
    for count, edges in ((0.0, 4), (1.0, 3)):
        met = meet(fine, native_histogram([(POSITIVE, 1.0, 2.0, count)]))
        assert met is not None
        assert met.edges.size == edges


def test_histograms_without_two_edges_do_not_meet():
    """Nothing, a point, or one bucket through the whole of the other leave nothing to compare."""
    nothing = native_histogram([])
    point = native_histogram([(ZERO, 0.0, 0.0, 4.0)])
    whole = native_histogram([(POSITIVE, -np.inf, 100.0, 1.0)])
    some = native_histogram(grown(2, [1.0, 2.0, 3.0]))
    assert meet(nothing, nothing) is None
    assert meet(point, point) is None
    assert meet(whole, some) is None


_values = st.lists(st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-6), min_size=1, max_size=40)
_schemas = st.integers(-2, 8)


@given(_values, _values, _schemas, _schemas, st.sampled_from([0.0, 1e-3, 0.7]))
def test_native_histograms_lose_no_count_and_split_no_bucket(before, after, fine, coarse, zero):
    """Both sides keep their sum, and the KS interval of what they share holds the true one."""
    met = meet(
        native_histogram(grown(fine, before)), native_histogram(grown(coarse, after, zero=zero))
    )
    if met is None:
        return
    assert (np.diff(met.edges) > 0.0).all()
    assert met.reference.sum() == len(before)
    assert met.current.sum() == len(after)
    low, high = ks_interval(met.reference, met.current)
    every = np.sort(np.concatenate((before, after)))
    f, g = (np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (before, after))
    assert low - 1e-12 <= np.abs(f - g).max() <= high + 1e-12


@given(_values, _values, st.integers(-2, 8))
def test_of_the_same_schema_nothing_is_merged(before, after, schema):
    """Histograms of one schema keep all their buckets."""
    sides = [native_histogram(grown(schema, data)) for data in (before, after)]
    met = meet(*sides)
    assert met is not None
    for side, counts in zip(sides, (met.reference, met.current), strict=True):
        assert sorted(counts[counts > 0]) == sorted(side.count)
