"""Counts are exact differences of raw counters, the same for one answer and for many at once."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, series

from backstop.core.samples import Series, newest
from backstop.core.tally import Answers, Tally, tally

NAN, INF = math.nan, math.inf


def counts(answers: Answers, since: float = -INF) -> dict[str, float]:
    """By how much the counters of each role grew in sum."""
    found = tally([answers], [since])
    return {
        role: float(found.sums(number, np.array([0]))[0]) for number, role in enumerate(answers)
    }


def counted(*found: Series, since: float = -INF) -> float:
    """By how much the counters grew in sum."""
    return counts({"counter": found}, since)["counter"]


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
    assert counts({"requests": [requests], "errors": [errors]}) == {"requests": 20, "errors": 3}


def test_a_series_as_old_as_its_scrape_target_does_not_count_its_first_value():
    """Only an earlier scrape of the target, of whichever series and role, shows it to be new."""
    errors = series([4], start=T0 + 1, code="500")
    assert counted(errors) == 0
    assert counted(errors, series([9], start=T0 + 1)) == 0
    assert counted(errors, series([9, 9])) == 4


def test_a_series_of_a_new_scrape_target_does_not_count_its_first_value():
    """What a pod counted before it was first scraped is not of this window."""
    old = series([100, 110, 120])
    new = series([5000, 5001], start=T0 + 1, pod="b")
    assert counted(old, new) == 21


def test_copies_of_a_second_server_are_not_new():
    """Two servers that scrape the same pods at different times keep each its own copy.

    The copy begins later in the window than the first one: that does not make it count from zero,
    or what a counter did in all its life would hide what it does now. A new one of either counts.
    """
    answers = {
        role: [
            series(values, every=10, replica="a"),
            series(values, start=T0 + 3, every=10, replica="b"),
        ]
        for role, values in {"requests": [9000, 9100, 9200], "errors": [5, 55, 105]}.items()
    }
    assert counts(answers) == {"requests": 400, "errors": 200}
    for role, first in {"requests": 7.0, "errors": 2.0}.items():
        answers[role] = [*answers[role], series([first], start=T0 + 23, code="x", replica="b")]
    assert counts(answers) == {"requests": 407, "errors": 202}


@pytest.mark.parametrize("label", ["job", "instance", "namespace", "pod"])
def test_scrape_targets_are_told_apart_by_each_of_their_labels(label: str):
    """Two targets that differ in one label are two targets, others do not matter."""
    old = series([1, 2], **{label: "x"})
    new = series([7], start=T0 + 1, **{label: "y"})
    same = series([7], start=T0 + 1, **{label: "x"}, code="500")
    assert counted(old, new) == 1
    assert counted(old, same) == 8


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ([0, NAN], False),
        ([NAN, 5], False),
        ([0, INF, 3], False),
        ([INF, INF], False),
        ([0, -5], False),
        ([-9, -5], False),
        ([-INF, 5], False),
        ([-9, 0, 5], False),
        ([1e308, 1e308], True),
    ],
)
def test_what_is_no_count_is_no_increase(values: list[float], *, known: bool):
    """NaN, infinite and negative values make the increase no number, however they come about."""
    assert math.isfinite(counted(series(values))) is known


def test_a_sum_that_is_too_large_is_infinite():
    """Many huge counters add up to no number, without a warning."""
    huge = [series([0, 1e308], pod=f"p{n}") for n in range(10)]
    assert counted(*huge) == INF
    assert counted(series([0, 1e308, 0, 1e308])) == INF


# The window


def test_a_cut_keeps_what_was_scraped_at_or_after_it():
    """The sample at the very moment of the cut still counts, and differences begin with it."""
    one, ended = series([1, 2, 4]), series([9], pod="b")
    found = tally([{"counter": [one, ended]}], [T0 + 1])
    assert found.increase.tolist() == [2, 0]
    assert found.samples_of(0).tolist() == [2, 0]
    assert (found.oldest[0], found.newest[0]) == (T0 + 1, T0 + 2)


def test_a_series_that_is_cut_is_not_new():
    """It may begin later than others of its target only because a scrape of it was missed."""
    missed = Series({"pod": "a", "code": "500"}, np.array([T0, T0 + 2]), np.array([50.0, 60.0]))
    assert counted(series([1, 2, 3]), missed, since=T0 + 1) == 1


def test_nothing_that_counts_is_told_from_nothing_that_was_seen():
    """Samples that are all too old were seen; of an answer without any nothing was."""
    answers = [{"counter": found} for found in ([series([1, 2])], [series([])], [])]
    found = tally(answers, [T0 + 9, T0, T0])
    assert found.seen.tolist() == [True, False, False]
    assert found.newest.tolist() == [-INF] * 3
    assert found.oldest.tolist() == [INF] * 3
    assert found.twice.tolist() == [False] * 3
    assert [found.scrapes(place).tolist() for place in range(3)] == [[T0 + 1], [-INF], []]


def test_nothing_at_all_is_an_empty_tally():
    """A pass in which no raw samples are due counts nothing."""
    found = tally([], [])
    assert (found.increase.size, found.newest.size, found.summed.size) == (0, 0, 0)


@pytest.mark.parametrize(("seconds", "twice"), [(0, True), (1, True), (2, False)])
def test_a_difference_needs_two_scrapes_of_one_target(seconds: int, *, twice: bool):
    """Two pods that were scraped once each are not one that was scraped twice."""
    other = series([7], start=T0 + 1, pod="b")
    found = tally([{"counter": [series([1, 2, 3]), other]}], [T0 + seconds])
    assert found.twice[0] == twice


def test_the_newest_sample_is_of_all_series():
    """Series without samples say nothing; without any there is no newest sample."""
    assert newest([series([1, 2]), series([1, 2, 3], pod="b"), series([])]) == T0 + 2
    assert newest([series([])]) is None
    assert newest([]) is None


@pytest.mark.parametrize(
    ("found", "interval"),
    [
        ([series([1, 2, 3, 4], every=5)], 5),
        ([series([1, 2, 3, 4], every=5), series([1, 2, 3], every=2, pod="b")], 2),
        # One scrape was missed: the mean, or the last distance, is still near to it.
        ([Series({}, T0 + np.array([0.0, 5, 10, 20]), np.zeros(4))], 20 / 3),
        ([Series({}, T0 + np.array([0.0, 10, 15, 20]), np.zeros(4))], 5),
        ([series([1]), series([1], pod="b")], INF),
        ([], INF),
    ],
)
def test_the_scrape_interval_is_the_shortest_distance(found: list[Series], interval: float):
    """Of the target that is scraped most often; unknown without two scrapes of one series."""
    assert tally([{"counter": found}], [-INF]).interval[0] == pytest.approx(interval)


# Scrapes seen by only some of the answers


def test_a_scrape_that_only_one_answer_holds_is_left_for_the_next_look():
    """Errors of the newest scrape are not held against requests of the one before."""
    found = counts({"requests": [series([0, 100, 200])], "errors": [series([0, 10, 20, 30])]})
    assert found == {"requests": 200, "errors": 20}


def test_a_series_that_vanished_does_not_hold_back_the_others():
    """A counter that ended two scrapes ago has vanished; it is not late."""
    found = counts({"requests": [series([0, 100, 200, 300])], "errors": [series([0, 10])]})
    assert found == {"requests": 300, "errors": 10}


def test_one_torn_target_does_not_hold_back_another():
    """Each scrape target is cut for itself."""
    answers = {
        "requests": [series([0, 100, 200]), series([0, 50, 100], pod="b")],
        "errors": [series([0, 10, 20, 30]), series([0, 5, 10], pod="b")],
    }
    assert tally([answers], [-INF]).samples_of(0).tolist() == [3, 3, 3, 3]


def test_the_first_errors_of_a_target_count_from_zero():
    """An error series that begins with the newest scrape is new, not torn."""
    answers = {"requests": [series([0, 100, 200])], "errors": [series([7], start=T0 + 2)]}
    assert counts(answers) == {"requests": 200, "errors": 7}


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(0, 1))
def test_a_torn_scrape_never_makes_an_error_ratio_worse(errors: list[int], missing: int):
    """Of requests that all fail at a steady rate never more fail than were made."""
    total = [sum(errors[: n + 1]) for n in range(len(errors))]
    answers = {"requests": [series(total[: len(total) - missing])], "errors": [series(total)]}
    found = counts(answers)
    assert found["errors"] <= found["requests"]


# Against a plain reference, and alone as in a batch


class Plain(NamedTuple):
    """What `tally` finds in one answer, found sample by sample."""

    increases: list[float]
    samples: list[int]
    oldest: float
    newest: float
    twice: bool


def plainly(answers: Answers, since: float) -> Plain:
    """Count as the module's docstring says, one sample after the other."""
    cut = {
        role: [_cut(one, _torn_at(answers, one.target), since) for one in found]
        for role, found in answers.items()
    }
    scraped: dict[object, list[float]] = {}
    for one, kept in _pairs(answers, cut):
        scraped.setdefault(one.target, []).extend(time for time, _ in kept)
    # What is scraped together has its last scrape in common.
    together: dict[object, float] = {}
    for one, kept in _pairs(answers, cut):
        if kept:
            key = (one.target, kept[-1][0])
            together[key] = min(kept[0][0], together.get(key, INF))
    increases = [
        _grown(one, kept, together[one.target, kept[-1][0]] if kept else INF)
        for one, kept in _pairs(answers, cut)
    ]
    every = [time for times in scraped.values() for time in times]
    return Plain(
        increases,
        [len(kept) for _, kept in _pairs(answers, cut)],
        min(every, default=INF),
        max(every, default=-INF),
        any(len(set(times)) > 1 for times in scraped.values()),
    )


Samples = list[tuple[float, float]]


def _pairs(answers: Answers, cut: Mapping[str, Sequence[Samples]]):
    for role, found in answers.items():
        yield from zip(found, cut[role], strict=True)


def _cut(one: Series, torn_at: float, since: float) -> Samples:
    both = zip(one.times.tolist(), one.values.tolist(), strict=True)
    return [(time, value) for time, value in both if time >= since and time != torn_at]


def _torn_at(answers: Answers, target: object) -> float:
    """Return the time of the newest scrape of `target` if some answer ends one scrape before it."""
    held = [
        {time for one in found if one.target == target for time in one.times.tolist()}
        for found in answers.values()
    ]
    times = sorted(set().union(*held))
    is_torn = len(times) > 1 and any(one and max(one) == times[-2] for one in held)
    return times[-1] if is_torn else NAN


def _grown(one: Series, kept: Samples, first_scrape: float) -> float:
    if not kept:
        return 0.0
    values = [value if value >= 0 else NAN for _, value in kept]
    grown = 0.0
    for before, after in pairwise(values):
        grown += after if after < before else after - before
    begins_here = kept[0][0] == one.times[0]
    return grown + (values[0] if begins_here and first_scrape < kept[0][0] else 0.0)


_values = st.integers(0, 50).map(float) | st.sampled_from([NAN, INF, -1.0, 1e308])


@st.composite
def _series(draw: st.DrawFn) -> Series:
    times = draw(st.lists(st.integers(0, 6), unique=True, max_size=7).map(sorted))
    values = draw(st.lists(_values, min_size=len(times), max_size=len(times)))
    labels = {"pod": draw(st.sampled_from("ab")), "code": draw(st.sampled_from(["200", "500"]))}
    return Series(labels, np.array(times, dtype=np.float64), np.array(values, dtype=np.float64))


_answers = st.fixed_dictionaries(
    {}, optional={role: st.lists(_series(), max_size=4) for role in ("part", "whole")}
)
_batches = st.lists(st.tuples(_answers, st.integers(-1, 7).map(float)), max_size=6)


@given(_batches)
def test_many_answers_are_counted_as_each_is_by_itself(batch: list[tuple[Answers, float]]):
    """No answer changes what another one amounts to, and empty ones shift nothing."""
    together = tally([answers for answers, _ in batch], [since for _, since in batch])
    for place, (answers, since) in enumerate(batch):
        alone = tally([answers], [since])
        assert _found(together, place, len(answers)) == _found(alone, 0, len(answers))


def _found(t: Tally, place: int, roles: int) -> tuple[object, ...]:
    by_answer = (t.seen, t.oldest, t.newest, t.twice, t.interval)
    return (
        *(_text(column[place : place + 1]) for column in by_answer),
        *(_text(t.sums(role, np.array([place]))) for role in range(roles)),
        _text(t.of(place)),
        _text(t.samples_of(place)),
        _text(t.scrapes(place)),
    )


def _text(values) -> str:
    return str(values.tolist())  # nan is equal to itself as text


@given(_batches)
def test_counting_follows_its_rules(batch: list[tuple[Answers, float]]):
    """For any samples: what the arrays give is what one finds sample by sample."""
    found = tally([answers for answers, _ in batch], [since for _, since in batch])
    for place, (answers, since) in enumerate(batch):
        plain = plainly(answers, since)
        np.testing.assert_array_equal(found.of(place), plain.increases)
        assert found.samples_of(place).tolist() == plain.samples
        assert (found.oldest[place], found.newest[place]) == (plain.oldest, plain.newest)
        assert found.twice[place] == plain.twice
