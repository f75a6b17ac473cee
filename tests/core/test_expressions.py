"""A free expression against its bounds: raw where that is possible, else as the source has it."""

import math

import pytest
from tests.core.watcher import Watcher, gauge

from backstop.api.status import Verdict

B = Verdict.BREACHED


@pytest.mark.parametrize(
    ("bounds", "value", "broken", "said"),
    [
        ({"max": "10"}, 10, False, "value 10, allowed at most 10"),
        ({"max": "10"}, 10.1, True, "value 10.1, allowed at most 10"),
        ({"min": "0.8"}, 0.8, False, "value 0.8, allowed at least 0.8"),
        ({"min": "0.8"}, 0.79, True, "value 0.79, allowed at least 0.8"),
        ({"min": "-1", "max": "1e-3"}, 0.001, False, "value 0.001, allowed -1 to 1e-3"),
        ({"min": "-1", "max": "1e-3"}, 0.002, True, "value 0.002, allowed -1 to 1e-3"),
        ({"min": "-1", "max": "1e-3"}, -2, True, "value -2, allowed -1 to 1e-3"),
        ({"max": "10"}, math.inf, True, "value inf, allowed at most 10"),
    ],
)
def test_an_expression_is_held_against_its_bounds(bounds, value, broken, said):
    """A value at a bound is healthy; the sentence holds the value and both bounds."""
    one = gauge(promql={"expr": "drift", **bounds}, persistence={"breaches": 1, "looks": 1})
    found = Watcher(one).sees(value)
    assert (found.verdict is B, found.why) == (broken, said)


def test_an_expression_needs_a_bound():
    """Without one nothing could be broken; the error says what to write."""
    with pytest.raises(ValueError, match="promql needs min, max or both"):
        gauge(promql={"expr": "drift"})


def test_a_selector_is_asked_raw_and_an_expression_as_it_is():
    """A plain selector's scrape times are wanted; an expression is evaluated by the source."""
    assert gauge().rule.queries({"app": "x"}, 10) == {"value": 'drift{app="x"}[10000ms]'}
    free = gauge(promql={"expr": "max(drift)", "max": "1"}).rule
    assert free.queries({"app": "x"}, 10) == {"value": 'max(drift{app="x"})'}
    assert (free.reads_raw_samples, gauge().rule.reads_raw_samples) == (False, True)
