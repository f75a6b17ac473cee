"""A share is counted exactly, and a number that is missing is never a verdict."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import measure, series

from backstop.core.measurement import Measurement, Missing, Question, UnknownReason
from backstop.core.signals.rule import Rule, Subject
from backstop.core.signals.threshold import Threshold

NAN = math.nan
INF = math.inf


def errors(limit: str = "5%", low: str | None = None) -> Threshold:
    fields = {"requests": "r", "errors": "e"}
    return Threshold.model_validate({"errors": fields, "min": low, "max": limit})


def ratio(limit: str = "5%") -> Threshold:
    return Threshold.model_validate({"ratio": {"part": "p", "whole": "w"}, "max": limit})


def success(low: str = "95%") -> Threshold:
    return Threshold.model_validate({"success": {"attempts": "a", "successes": "s"}, "min": low})


KINDS = {
    "requests": (errors(), "errors", "requests"),
    "attempts": (success(), "successes", "attempts"),
    "events": (ratio(), "part", "whole"),
}
"""The measures that are a share of two counters, by what the whole is called."""


# Each way in which a numerator and a denominator can be there or not

PART = {
    "present": [series([10, 15, 20], code="500")],
    "absent": [],
    "nan": [series([10, NAN, 20], code="500")],
    "infinite": [series([10, INF, 20], code="500")],
    "negative": [series([-20, -15, -10], code="500")],
    "zero": [series([10, 10, 10], code="500")],
    "reset": [series([15, 4, 10], code="500")],
    "stale": [series([10], code="500")],
}
WHOLE = {
    "present": [series([100, 150, 200])],
    "absent": [],
    "nan": [series([100, NAN, 200])],
    "infinite": [series([100, INF, 200])],
    "negative": [series([-200, -150, -100])],
    "zero": [series([100, 100, 100])],
    "reset": [series([150, 40, 100])],
    "stale": [series([100])],
}
GONE, FEW = UnknownReason.NO_DATA, UnknownReason.INSUFFICIENT_DATA
# By numerator, in the order present, absent, nan, infinite, negative, zero, reset, stale.
OUTCOMES = {
    "present": (0.1, 0.0, GONE, GONE, GONE, 0.0, 0.1, 0.0),
    "absent": (GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "nan": (GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "infinite": (GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "negative": (GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE),
    "zero": (FEW, FEW, GONE, GONE, GONE, FEW, FEW, FEW),
    "reset": (0.1, 0.0, GONE, GONE, GONE, 0.0, 0.1, 0.0),
    "stale": (FEW, FEW, GONE, GONE, GONE, FEW, FEW, FEW),
}
CELLS = [
    (part, whole, outcome)
    for whole, row in OUTCOMES.items()
    for part, outcome in zip(PART, row, strict=True)
]


def share(rule: Rule, part: object, whole: object, roles: tuple[str, str]) -> Measurement | Missing:
    return measure(rule, **dict(zip(roles, (part, whole), strict=True)))


@pytest.mark.parametrize("noun", KINDS)
@pytest.mark.parametrize(("part", "whole", "outcome"), CELLS)
def test_a_share_is_told_only_when_it_can_be(noun: str, part: str, whole: str, outcome: object):
    """An absent numerator is a zero; without a growing, finite denominator there is no share."""
    rule, *roles = KINDS[noun]
    found = share(rule, PART[part], WHOLE[whole], roles)
    if isinstance(found, Missing):
        assert found.reason is outcome
        assert noun in found.why
    else:
        assert (found.value, found.samples) == (outcome, 100)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        ("present", "absent", "no series of requests"),
        ("present", "nan", "the counters of requests are not numbers"),
        ("absent", "zero", "no requests in the window"),
        ("absent", "stale", "requests were scraped once; a difference needs two scrapes"),
    ],
)
def test_a_missing_share_says_what_is_missing(part: str, whole: str, said: str):
    """The sentence tells a person which counter to look at."""
    found = measure(errors(), errors=PART[part], requests=WHOLE[whole])
    assert isinstance(found, Missing)
    assert said in found.why


def test_a_share_is_never_above_one():
    """Torn scrapes can show more errors than requests; that is all of them, not more."""
    found = measure(errors(), errors=[series([0, 12], code="500")], requests=[series([0, 10])])
    assert isinstance(found, Measurement)
    assert (found.value, found.samples) == (1.0, 10.0)


# Against the limits


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 1_000_000))
def test_a_share_is_breached_exactly_beyond_its_limit(part: int, whole: int, parts: int):
    """For all counts and limits the comparison is the one of exact arithmetic."""
    part = min(part, whole)
    percent = f"{parts // 10_000}.{parts % 10_000:04d}%" if parts < 1_000_000 else "100%"
    answers = {"part": [series([0, part], code="500")], "whole": [series([0, whole])]}
    high, low = ratio(percent), ratio().model_copy(update={"min": percent, "max": None})
    exact, limit = Fraction(part, whole), Fraction(parts, 1_000_000)
    above, below = measure(high, **answers), measure(low, **answers)
    assert isinstance(above, Measurement)
    assert isinstance(below, Measurement)
    assert (above.breached, below.breached) == (exact > limit, exact < limit)
    assert above.samples == whole


@pytest.mark.parametrize(
    ("rule", "roles", "said"),
    [
        (errors(), ("errors", "requests"), "errors 26 % (312 of 1,200), allowed 5%"),
        (
            errors(low="1%"),
            ("errors", "requests"),
            "errors 26 % (312 of 1,200), allowed 1% to 5%",
        ),
        (success(), ("successes", "attempts"), "successes 26 % (312 of 1,200), allowed at least"),
        (ratio(), ("part", "whole"), "share 26 % (312 of 1,200), allowed 5%"),
    ],
)
def test_each_share_says_its_numbers(rule, roles, said):
    """The sentence holds the share, both counts and the limits, in the words of the measure."""
    found = share(rule, [series([0, 312], code="500")], [series([0, 1200])], roles)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith(said)


def test_a_share_asks_for_both_counters_of_the_arm():
    """Two questions by role, confined to the arm, over the window."""
    fields = {"requests": "r", "errors": 'r{code="500"}'}
    rule = Threshold.model_validate({"errors": fields, "max": "5%"})
    assert rule.questions(Subject({"app": "x"}), 10.0) == {
        "errors": Question('r{code="500",app="x"}[10000ms]', raw=True),
        "requests": Question('r{app="x"}[10000ms]', raw=True),
    }


# As the source counts it, over windows too long for raw samples


def point(value: float, **labels: str):
    return series([value], **labels)


@pytest.mark.parametrize(
    ("part", "whole", "outcome"),
    [
        ([point(5)], [point(100)], (5.0, 100.0)),
        ([], [point(100)], (0.0, 100.0)),
        ([point(101)], [point(100)], (100.0, 100.0)),
        ([point(5)], [], GONE),
        ([], [], GONE),
        ([], [point(0)], FEW),
        ([point(NAN)], [point(100)], GONE),
        ([point(5)], [point(NAN)], GONE),
        ([point(INF)], [point(100)], GONE),
        ([point(5)], [point(INF)], GONE),
        ([point(-1)], [point(100)], GONE),
        ([point(1)], [point(-100)], GONE),
        ([point(1), point(1, pod="b")], [point(100)], GONE),
        ([point(1)], [point(100), point(1, pod="b")], GONE),
    ],
)
def test_an_aggregated_share_follows_the_same_rules(part, whole, outcome):
    """An absent numerator is a zero; anything else that is missing is no share."""
    found = errors().measure_of.count_aggregated({"errors": part, "requests": whole})
    known = found.reason if isinstance(found, Missing) else tuple(found)
    assert known == outcome


def test_an_aggregated_share_is_summed_by_the_source():
    """Confined to the arm, over the window, with a modifier where one is asked for."""
    measure_of = errors().measure_of
    assert measure_of.aggregated({"app": "x"}, "1h") == {
        "errors": 'sum(increase(e{app="x"}[1h]))',
        "requests": 'sum(increase(r{app="x"}[1h]))',
    }
    asked = measure_of.aggregated({}, "6h", "offset 7d")
    assert asked["requests"] == "sum(increase(r{}[6h] offset 7d))"


# Pod by pod


@pytest.mark.parametrize(("noun", "bad"), [("requests", True), ("attempts", False)])
def test_components_are_the_counters_themselves(noun: str, *, bad: bool):
    """What is bad of errors is good of successes; without a denominator there are none."""
    rule, part_role, whole_role = KINDS[noun]
    part, whole = PART["present"], WHOLE["present"]
    found = rule.measure_of.components({part_role: part, whole_role: whole})
    assert not isinstance(found, Missing)
    assert found.whole == whole
    assert (found.bad, found.good) == ((part, None) if bad else ((), part))
    assert rule.measure_of.bad_noun == ("errors" if bad else "attempts without success")
    gone = rule.measure_of.components({part_role: part, whole_role: []})
    assert gone == Missing(GONE, f"no series of {noun}")
