"""Histograms and categories of features from answers, and how they come side by side."""

import math

import numpy as np
import pytest
from tests.core.build import series
from tests.core.distributions import EDGES, EVEN, categories, histogram, native

from backstop.core.measures.features import (
    MOST_BUCKETS,
    MOST_CATEGORIES,
    Categories,
    Classic,
    Cube,
    Side,
    only,
    read_categories,
    read_counts,
    read_histograms,
    side_by_side,
)
from backstop.core.samples import Reading, Series


def classic(edges: list[float], counts: list[float]) -> Classic:
    return Classic(np.array([*edges, math.inf]), np.array(counts, dtype=np.float64))


def read(answer: list[Series]) -> Side:
    (side,) = read_histograms(answer, "feature", "").sides.values()
    return side


# Reading


def test_buckets_become_counts():
    """Differences of the cumulative ones, by edge, whatever order they come in."""
    side = read(histogram([1, 2, 3, 4, 5])[::-1])
    assert isinstance(side, Classic)
    assert (side.edges.tolist(), side.counts.tolist()) == ([*EDGES, math.inf], [1, 2, 3, 4, 5])


def test_torn_buckets_are_monotone():
    """A bucket that was scraped before the one below it holds at least as much."""
    torn = [series([v], feature="a", le=e) for e, v in (("1", 5), ("2", 3), ("+Inf", 9))]
    side = read(torn)
    assert isinstance(side, Classic)
    assert side.counts.tolist() == [5, 0, 4]


def test_series_of_equal_edges_are_added():
    """`1` and `1.0` are one edge, as two exporters may write it."""
    rows = (("1", 5), ("1.0", 3), ("+Inf", 9))
    side = read([series([v], feature="a", le=e) for e, v in rows])
    assert isinstance(side, Classic)
    assert side.counts.tolist() == [8, 1]


def test_an_answer_that_is_kept_is_read_once():
    """However often one looks; read by another label it is another thing."""
    kept = Reading(tuple(histogram(EVEN))).series
    found = read_histograms(kept, "feature", "")
    assert read_histograms(kept, "feature", "") is found
    assert list(read_histograms(kept, "", "all").sides) == ["all"]
    assert read_histograms(kept, "feature", "") is found


def test_one_distribution_needs_no_label():
    """It is named by what it is of; with a label, series without it are left out."""
    assert list(read_histograms(histogram(EVEN, ""), "", "scores").sides) == ["scores"]
    assert read_histograms(histogram(EVEN, ""), "feature", "scores").sides == {}
    assert read_categories(categories({"x": 1}), "feature", "class", "p").sides == {}
    assert read_counts([series([1])], "feature") == {}


def test_series_without_samples_are_none():
    """They have no value to read."""
    empty = [series([], feature="a", le="1")]
    assert read_histograms(empty, "feature", "") == ({}, {})
    assert read_categories(empty, "feature", "class", "") == ({}, {})
    assert read_counts(empty, "feature") == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([series([1], feature="a", le="1")], "it is not a histogram with a +Inf bucket and others"),
        ([series([1], feature="a", le="+Inf")], "it is not a histogram with a +Inf bucket and"),
        ([series([1], feature="a", le="x")], "it has a series without a numeric le label"),
        (histogram([1, math.nan, 1, 1, 1], "a"), "its buckets are not numbers"),
        (
            histogram([1] * (MOST_BUCKETS + 1), "a", edges=range(MOST_BUCKETS)),
            f"it has more than {MOST_BUCKETS} buckets",
        ),
        (native([(0, 1, 2, math.nan)], "a"), "its buckets are not numbers"),
        (native([(0, 1, 2, -1)], "a"), "its buckets are not numbers"),
        (native([(0, math.nan, 2, 1)], "a"), "its buckets are not numbers"),
        (native([(0, 1, 2, 2**52), (0, 2, 4, 2**52)], "a"), "its buckets are not numbers"),
        (native([(0, 1, 4, 1), (0, 2, 4, 1)], "a"), "its buckets overlap"),
    ],
)
def test_a_broken_feature_says_why(answer, said):
    """And leaves the others alone."""
    found = read_histograms([*answer, *histogram(EVEN, "good")], "feature", "")
    assert list(found.sides) == ["good"]
    assert found.broken["a"].startswith(said)


def test_native_buckets_win():
    """A feature that is exported both ways is read as the finer one."""
    side = read([*histogram(EVEN), *native([(0, 1.0, 2.0, 7)])])
    assert not isinstance(side, Classic | Categories)
    assert side.count.tolist() == [7]


def test_categories_are_counted_by_name():
    """Equal ones are added; a counter that is no number breaks the feature."""
    answer = [*categories({"x": 1, "y": 2}), *categories({"x": 3}, pod="b")]
    (side,) = read_categories(answer, "", "class", "p").sides.values()
    assert isinstance(side, Categories)
    assert side.counts == {"x": 4, "y": 2}
    broken = read_categories(categories({"x": math.nan, "y": 2}), "", "class", "p")
    assert broken == ({}, {"p": "its counters are not numbers"})


def test_only_some_features_are_kept():
    """Of those that can be read and of those that cannot."""
    found = read_histograms([*histogram(EVEN, "a"), *histogram([-1] * 5, "b")], "feature", "")
    assert only(found, None) is found
    assert (list(only(found, ["a"]).sides), only(found, ["a"]).broken) == (["a"], {})
    assert list(only(found, ["b"]).broken) == ["b"]


# Side by side


def test_equal_edges_stay():
    """Each side keeps its counts; features with fewer buckets are padded with zeros."""
    current = {"a": classic([1, 2], [1, 2, 3]), "b": classic([5], [4, 5])}
    cube = side_by_side(current, [{"a": classic([1, 2], [6, 7, 8])}, {"b": classic([5], [9, 9])}])
    assert cube.names == ("a", "b")
    assert cube.edges.tolist() == [[1, 2, math.inf], [5, math.inf, math.inf]]
    assert cube.counts.tolist() == [
        [[1, 2, 3], [4, 5, 0]],
        [[6, 7, 8], [0, 0, 0]],
        [[0, 0, 0], [9, 9, 0]],
    ]


def test_other_edges_are_merged_over_all_windows():
    """To those that all have; a window that has too few is left out for that feature."""
    current = {"a": classic([1, 2, 3, 4], [1, 1, 1, 1, 1])}
    windows = [
        {"a": classic([2, 3, 4], [2, 3, 4, 5])},
        {"a": classic([1, 2, 4], [1, 1, 2, 3])},
        {"a": classic([7, 8], [1, 1, 1])},
    ]
    cube = side_by_side(current, windows)
    assert cube.edges.tolist() == [[2, 4, math.inf]]
    assert cube.counts[:, 0].tolist() == [[2, 2, 1], [2, 7, 5], [2, 2, 3], [0, 0, 0]]


@pytest.mark.parametrize(
    ("windows", "unknown", "apart"),
    [
        ([{}, {}], ("a",), ()),
        ([{"a": classic([7, 8], [1, 1, 1])}], (), ("a",)),
        ([{"a": Categories({"x": 1})}], (), ("a",)),
        (
            [{"a": classic([1, 2], [1, 1, 1])}, {"a": classic([3, 4], [1, 1, 1])}],
            (),
            ("a",),
        ),
    ],
)
def test_what_cannot_be_compared_is_named(windows, unknown, apart):
    """In no window, of another kind, or with too few edges that all have."""
    cube = side_by_side({"a": classic([1, 2, 3, 4], [1] * 5)}, windows)
    assert (cube.names, cube.unknown, cube.apart) == ((), unknown, apart)
    assert cube.counts.shape[1] == 0


def test_native_and_classic_meet_where_no_bucket_is_cut():
    """A reference with powers of two fits an exponential histogram."""
    fine = read(native([(0, 1.0, 2.0, 5), (0, 2.0, 4.0, 6), (0, 4.0, 8.0, 7)]))
    cube = side_by_side({"a": fine}, [{"a": classic([2, 4], [1, 2, 3])}])
    assert cube.edges.tolist() == [[2, 4, math.inf]]
    assert cube.counts[:, 0].tolist() == [[5, 6, 7], [1, 2, 3]]


def compared(current: dict[str, float], *windows: dict[str, float] | None) -> Cube:
    held = [{} if one is None else {"a": Categories(one)} for one in windows]
    return side_by_side({"a": Categories(current)}, held)


def test_categories_of_all_sides_are_joined():
    """The most frequent first; what a side does not have is zero there."""
    cube = compared({"x": 1, "new": 2}, {"x": 9, "old": 3}, None)
    assert cube.counts[:, 0].tolist() == [[1, 0, 2], [9, 3, 0], [0, 0, 0]]


def test_rare_categories_are_counted_as_one():
    """However many there are, the array stays small and no count is lost."""
    many = {f"c{n:04}": float(1000 - n) for n in range(1000)}
    cube = compared(many, many)
    assert cube.counts.shape == (2, 1, MOST_CATEGORIES + 1)
    assert cube.counts.sum(axis=2).tolist() == [[sum(many.values())]] * 2
    assert cube.counts[0, 0, -1] == sum(list(many.values())[MOST_CATEGORIES:])


def test_categories_do_not_compare_with_numbers():
    """A feature that was a number and is a category now cannot be compared."""
    cube = side_by_side({"a": Categories({"x": 1})}, [{"a": classic([1, 2], [1, 1, 1])}])
    assert cube.apart == ("a",)
