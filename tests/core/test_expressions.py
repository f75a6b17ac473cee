"""A free expression against its limits: raw where that is possible, else as the source has it."""

import math

import numpy as np
import pytest
from tests.core.build import T0, measure, series
from tests.core.watcher import Watcher, gauge

from backstop.api.words import Verdict
from backstop.core.measurement import Missing, Question, UnknownReason
from backstop.core.samples import Series
from backstop.core.signals.rule import Subject

B = Verdict.BREACHED
ARM = Subject({"app": "x"})


@pytest.mark.parametrize(
    ("limits", "value", "broken", "said"),
    [
        ({"max": "10"}, 10, False, "value 10, allowed at most 10"),
        ({"max": "10"}, 10.1, True, "value 10.1, allowed at most 10"),
        ({"min": "0.8"}, 0.8, False, "value 0.8, allowed at least 0.8"),
        ({"min": "0.8"}, 0.79, True, "value 0.79, allowed at least 0.8"),
        ({"min": "-1", "max": "1e-3"}, 0.001, False, "value 0.001, allowed -1 to 1e-3"),
        ({"min": "-1", "max": "1e-3"}, 0.002, True, "value 0.002, allowed -1 to 1e-3"),
        ({"min": "-1", "max": "1e-3"}, -2, True, "value -2, allowed -1 to 1e-3"),
    ],
)
def test_an_expression_is_held_against_its_limits(limits, value, broken, said):
    """A value at a limit is healthy; the sentence holds the value and both limits."""
    one = gauge(limits=limits, persistence={"breaches": 1, "looks": 1})
    found = Watcher(one).sees(value)
    assert (found.verdict is B, found.why) == (broken, said)


@pytest.mark.parametrize("expr", ["drift", "max(drift)"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "the expression returned NaN"),
        (math.inf, "the expression returned an infinite value, as a division by zero does"),
        (-math.inf, "the expression returned an infinite value, as a division by zero does"),
    ],
)
def test_what_is_no_number_breaks_no_limit(expr, value, said):
    """NaN and infinity are what a division by nothing gives: no value, so no verdict."""
    rule = gauge(expr=expr, limits={"min": "0", "max": "1"}).rule
    assert measure(rule, value=[series([value])]) == Missing(UnknownReason.NO_DATA, said)


def test_thousands_of_series_are_not_a_number():
    """What to do is said in one sentence, however many there are."""
    found = measure(gauge().rule, value=[series([n], pod=f"p{n}") for n in range(5000)])
    assert isinstance(found, Missing)
    assert found.reason is UnknownReason.BAD_QUERY
    assert found.why.startswith("the expression returned 5000 series; aggregate them to one")


@pytest.mark.parametrize("expr", ["latency", "sum(latency)"])
def test_a_native_histogram_is_not_a_number(expr):
    """It has no single value; the sentence names the functions that make one of it."""
    native = Series({}, np.array([T0]), np.array([math.nan]), ((0, 0.1, 0.2, 9.0),))
    found = measure(gauge(expr=expr).rule, value=[native])
    assert isinstance(found, Missing)
    assert found.reason is UnknownReason.BAD_QUERY
    assert "native histogram: use histogram_quantile" in found.why


def test_only_series_with_samples_that_count_are_values():
    """A series that ended before the evidence begins is none, and an empty one neither."""
    old, empty, one = series([5, 5]), series([], pod="b"), series([3], start=T0 + 9, pod="c")
    found = measure(gauge().rule, T0 + 5, value=[old, empty, one])
    assert not isinstance(found, Missing)
    assert found.value == 3
    gone = measure(gauge().rule, T0 + 5, value=[old, empty])
    assert gone == Missing(UnknownReason.NO_DATA, "the expression returned no series")


def test_a_selector_is_asked_raw_and_an_expression_as_it_is():
    """A plain selector's scrape times are wanted; an expression is evaluated by the source."""
    raw, free = gauge().rule, gauge(expr="max(drift)").rule
    assert raw.questions(ARM, 10) == {"value": Question('drift{app="x"}[10000ms]', raw=True)}
    assert free.questions(ARM, 10) == {"value": Question('max(drift{app="x"})')}
