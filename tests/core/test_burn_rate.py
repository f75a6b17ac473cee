"""Burn rates: fire when the budget goes, at the known times, and never on one error of a few."""

import math
import re
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.core.build import T0, series

from backstop.api.modelmonitor import Signal
from backstop.core.measurement import Measurement, Missing, Pillar, UnknownReason
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError
from backstop.core.signals.burn_rate import BurnRate
from backstop.core.signals.rule import Asked, OnBreach, Subject
from backstop.core.tally import tally
from backstop.core.units import seconds

GONE, FEW = UnknownReason.NO_DATA, UnknownReason.INSUFFICIENT_DATA
ERRORS = {"errors": {"requests": "all", "errors": "bad"}, "objective": "99.9%"}
MINUTE, HOUR = 60.0, 3600.0


def rule(**changes) -> BurnRate:
    """Return a rule for pages on errors with an objective of 99.9 %, with changes."""
    merged = {**ERRORS, **changes}
    return BurnRate.model_validate({k: v for k, v in merged.items() if v is not None})


def one(value: float, at: float = T0, **labels: str):
    return series([value], start=at, **labels)


def answers(one_rule: BurnRate, bad, total, at: float = T0):
    """Answer each window with what the functions of its seconds give, `None` for no series."""
    found = {}
    for role in one_rule.questions(Subject({}), 300.0):
        name, _, window = role.partition(" over ")
        count = (total if name == one_rule.measure_of.WHOLE_FIELD else bad)(seconds(window))
        found[role] = [] if count is None else [one(count, at)]
    return found


def measure(one_rule: BurnRate, found, since: float = -math.inf, now: float = T0):
    asked = Asked(found, -1, since, now, 300.0, Subject({}))
    return one_rule.measure(asked, tally([], []))


def always(bad: float, rate: float = 100.0):
    """Return the two functions for a constant share of errors at `rate` requests per second."""
    return lambda window: bad * rate * window, lambda window: rate * window


# When it fires


def fires_after(one_rule: BurnRate, share: float) -> int:
    """Return after how many seconds of `share` errors, after days without, the rule breaks."""

    def is_broken(elapsed: int) -> bool:
        found = answers(one_rule, lambda w: 100.0 * share * min(elapsed, w), lambda w: 100.0 * w)
        measured = measure(one_rule, found)
        assert isinstance(measured, Measurement)
        return measured.breached

    return bisect_left(range(int(24 * HOUR)), x=True, key=is_broken)


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, 52.0), (0.10, 8.64 * MINUTE), (0.015, 57.6 * MINUTE)]
)
def test_the_fast_pair_fires_when_two_percent_of_the_budget_are_gone(share, expected):
    """After factor x budget x window / errors: 52 s, 8.6 min and 58 min at 14.4x over an hour."""
    fast = rule(pairs=[{"long": "1h", "short": "5m", "factor": "14.4"}])
    assert fires_after(fast, share) == pytest.approx(expected, abs=1.0)


def test_a_slower_burn_is_found_by_the_second_pair():
    """At 0.7 % errors the hour never burns; of six, 6x are reached after 5.1 h."""
    assert fires_after(rule(), 0.007) == pytest.approx(6 * 0.001 * 6 * HOUR / 0.007, abs=1.0)


def test_it_ends_with_the_short_window():
    """Six minutes after an outage the hour still burns, and the last five minutes do not."""

    def bad(window: float) -> float:
        return 100.0 * max(0.0, window - 6 * MINUTE) if window <= HOUR else 0.0

    found = answers(
        rule(pairs=[{"long": "1h", "short": "5m", "factor": "14.4"}]), bad, always(0)[1]
    )
    measured = measure(rule(pairs=[{"long": "1h", "short": "5m", "factor": "14.4"}]), found)
    assert isinstance(measured, Measurement)
    assert (measured.breached, measured.value) == (False, 0.0)


@given(
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.sampled_from(["99%", "99.5%", "99.9%", "99.99%"]),
)
def test_both_windows_have_to_burn(long, short, objective):
    """The verdict is that of the slower window, whatever the other one holds."""
    pairs = [{"long": "1h", "short": "5m", "factor": "10"}]
    one_rule = rule(objective=objective, pairs=pairs)
    found = answers(one_rule, lambda w: 1e6 * (long if w == HOUR else short), lambda _: 1e6)
    measured = measure(one_rule, found)
    assert isinstance(measured, Measurement)
    slower = min(long, short) / one_rule.budget
    assert measured.value == pytest.approx(slower)
    if abs(slower - 10.0) > 1e-6:
        assert measured.breached is (slower > 10.0)


def test_a_burn_of_exactly_the_factor_breaks():
    """144 of 10,000 are 14.4 times 0.1 %, although floats disagree in the last digit."""
    measured = measure(rule(), answers(rule(), lambda _: 144.0, lambda _: 10_000.0))
    assert isinstance(measured, Measurement)
    assert measured.breached


# Few events


def test_one_error_at_36_requests_an_hour_calls_nobody():
    """2.8 % of an hour's requests are far above 1.44 %, and yet only one error among three."""
    bad, total = (lambda _: 1.0), (lambda window: 36.0 * window / HOUR)
    measured = measure(rule(), answers(rule(), bad, total))
    assert isinstance(measured, Measurement)
    assert not measured.breached
    assert measured.samples == 18
    fast = rule(pairs=[{"long": "1h", "short": "5m", "factor": "14.4"}])
    unknown = measure(fast, answers(fast, bad, total))
    assert unknown == Missing(FEW, "3 events in 5m, need 10")
    eager = rule(pairs=[{"long": "1h", "short": "5m", "factor": "14.4"}], minEvents=3)
    paged = measure(eager, answers(eager, bad, total))
    assert isinstance(paged, Measurement)
    assert paged.breached


# What the spec means


def test_the_pairs_of_page_and_ticket():
    """Two of each, the fastest first, with the factors of thirty days."""
    found = {
        windows: [(w.long, w.short, round(w.factor, 9)) for w in rule(windows=windows).watched]
        for windows in ("Page", "Ticket")
    }
    assert found == {
        "Page": [("1h", "5m", 14.4), ("6h", "30m", 6.0)],
        "Ticket": [("1d", "2h", 3.0), ("3d", "6h", 1.0)],
    }


@pytest.mark.parametrize("period", ["7d", "28d", "30d", "60d"])
def test_the_factors_keep_the_share_of_the_budget(period):
    """Whatever the period: 2 % in 1h, 5 % in 6h, 10 % in 1d and 10 % in 3d."""
    shares = [
        round(w.factor * seconds(w.long) / seconds(period), 9)
        for windows in ("Page", "Ticket")
        for w in rule(windows=windows, period=period).watched
    ]
    assert shares == [0.02, 0.05, 0.10, 0.10]


def test_a_page_leads_to_action_and_a_ticket_is_reported():
    """Unless the signal itself says what a breach leads to."""

    def leads_to(**changes):
        burn = {**ERRORS, "windows": changes.pop("windows")}
        return Signal.model_validate({"name": "slo", "burnRate": burn, **changes}).leads_to

    assert leads_to(windows="Page") is OnBreach.ACT
    assert leads_to(windows="Ticket") is OnBreach.REPORT
    assert leads_to(windows="Ticket", onBreach="Act") is OnBreach.ACT


def test_the_pillar_is_that_of_the_measure():
    """Errors and latency are of the system, success of the business."""
    success = {"attempts": "visits", "successes": "orders"}
    found = [rule(), rule(errors=None, success=success)]
    assert [one.pillar for one in found] == [Pillar.SYSTEM, Pillar.BUSINESS]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"errors": None}, "needs exactly one of errors, latency, success"),
        ({"latency": {"above": "1s", "buckets": "b"}}, "needs exactly one of"),
        ({"objective": "100%"}, "objective must be above 0% and below 100%"),
        ({"objective": "0.0%"}, "objective must be above 0% and below 100%"),
        ({"pairs": [{"long": "1h", "short": "5m", "factor": "0.9"}]}, "factor must be at least 1"),
        ({"pairs": []}, "at least 1 item"),
        ({"pairs": [{"long": "1h", "short": "5m", "factor": "2"}] * 5}, "at most 4 items"),
        ({"minEvents": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, said):
    """With a sentence that says what to write."""
    with pytest.raises(ValidationError, match=said):
        rule(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"objective": "90%"},
            "14.4x over 1h can never burn: '90%' leaves 10 %, and that many times it is more",
        ),
        (
            {"pairs": [{"long": "5m", "short": "1h", "factor": "2"}]},
            "the short window '1h' must be shorter than the long one, '5m'",
        ),
        ({"errors": {"requests": "sum(a)", "errors": "b"}}, "must be a plain metric selector"),
    ],
)
def test_what_could_never_fire_is_told_at_once(changes, said):
    """An objective that no rate of errors can break in time would be silence for ever."""
    with pytest.raises(PromqlError, match=re.escape(said)):
        rule(**changes).questions(Subject({}), 300.0)


def test_a_preset_fills_in_the_counters():
    """A burn rate on errors needs no selectors with a preset, and asks for those of the preset."""
    resolved = rule(errors={}).resolved(presets()["backstop"])
    asked = resolved.questions(Subject({}), 300.0)
    assert asked["requests over 5m"].promql == "sum(increase(model_requests_total{}[5m]))"


# What is asked


def test_each_window_is_asked_once_and_long_ones_rarely():
    """The source computes the increase; an answer is good for a sixtieth of its window."""
    asked = rule().questions(Subject({"app": "x"}), 300.0)
    assert {role: (q.promql, q.keep) for role, q in asked.items() if role.endswith(" 6h")} == {
        "errors over 6h": ('sum(increase(bad{app="x"}[6h]))', 360.0),
        "requests over 6h": ('sum(increase(all{app="x"}[6h]))', 360.0),
    }
    assert len(asked) == 8
    assert not any(question.raw for question in asked.values())


def test_an_action_is_looked_back_over_by_the_short_windows():
    """After five minutes the fast pair can speak again, the slow one after thirty."""
    outage = answers(rule(), lambda w: 0.0 if w == 5 * MINUTE else 50.0 * w, always(0)[1])
    assert rule().settles(300.0) == 300.0
    early = measure(rule(), outage, since=T0 - 6 * MINUTE)
    late = measure(rule(), outage, since=T0 - 31 * MINUTE)
    assert isinstance(early, Measurement)
    assert isinstance(late, Measurement)
    assert (early.breached, late.breached) == (False, True)
    sooner = measure(rule(), outage, since=T0 - 4 * MINUTE)
    said = "the last 5m still hold what was before the last action"
    assert sooner == Missing(UnknownReason.WARMING_UP, said)


def test_a_kept_answer_is_as_old_as_it_is():
    """What was answered a minute ago looks back from a minute ago."""
    stale = answers(rule(), *always(0.0), at=T0 - MINUTE)
    assert isinstance(measure(rule(), stale, since=T0 - 5.5 * MINUTE), Missing)
    assert isinstance(measure(rule(), stale, since=T0 - 6 * MINUTE), Measurement)


# What is said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "burning 16.2x: errors 1.62 % over 1h and 2.1 % over 5m, allowed 14.4x of 0.1 %",
        ),
        (
            {"errors": None, "success": {"attempts": "all", "successes": "good"}},
            (
                "burning 16.2x: attempts without success 1.62 % over 1h and 2.1 % over 5m,"
                " allowed 14.4x of 0.1 %"
            ),
        ),
    ],
)
def test_the_sentence_holds_all_numbers(changes, said):
    """Both shares with their windows, the burn rate, and what is allowed of which budget."""
    one_rule = rule(**changes)
    share = {HOUR: 0.0162, 5 * MINUTE: 0.021}
    good = one_rule.success is not None

    def part(window: float) -> float:
        bad = share.get(window, 0.0)
        return 1e6 * (1.0 - bad if good else bad)

    measured = measure(one_rule, answers(one_rule, part, lambda _: 1e6))
    assert isinstance(measured, Measurement)
    assert measured.breached
    assert measured.why == said


def test_slow_requests_burn_too():
    """The share above the edge of a bucket, over both windows."""
    slow = rule(errors=None, latency={"above": "250ms", "buckets": "b"})
    found = {
        role: [one(80.0, le="0.25"), one(100.0, le="+Inf")]
        for role in slow.questions(Subject({}), 300.0)
    }
    measured = measure(slow, found)
    assert isinstance(measured, Measurement)
    assert measured.why == (
        "burning 200x: slower than 250 ms 20 % over 1h and 20 % over 5m, allowed 14.4x of 0.1 %"
    )


# No data


HEALTHY, BREACHED = False, True


def outcome(measured):
    return measured.breached if isinstance(measured, Measurement) else measured.reason


@pytest.mark.parametrize(
    ("bad", "total", "expected"),
    [
        (0.0, 1000.0, HEALTHY),
        (1000.0, 1000.0, BREACHED),
        # More errors than requests, as increases are extrapolated: all of them failed.
        (1010.0, 1000.0, BREACHED),
        (None, 1000.0, HEALTHY),
        (0.0, None, GONE),
        (None, None, GONE),
        (math.nan, 1000.0, GONE),
        (0.0, math.nan, GONE),
        (math.inf, 1000.0, GONE),
        (0.0, math.inf, GONE),
        (-1.0, 1000.0, GONE),
        (0.0, -1.0, GONE),
        (0.0, 0.0, FEW),
        (None, 0.0, FEW),
        (5.0, 0.0, FEW),
        (1e308, 1e308, GONE),
        (0.0, 1e308, GONE),
        (1e308, 1000.0, GONE),
        (1e-308, 1000.0, HEALTHY),
    ],
)
def test_without_numbers_there_is_no_verdict(bad, total, expected):
    """Absent errors beside requests are none; without requests nothing is known."""
    assert outcome(measure(rule(), answers(rule(), lambda _: bad, lambda _: total))) == expected


def test_several_series_where_one_is_expected_are_no_number():
    """The answer to a sum is one series; anything else is not understood."""
    found = answers(rule(), *always(0.0))
    for role, reason in (("errors over 5m", GONE), ("requests over 5m", GONE)):
        twice = {**found, role: [one(1.0), one(2.0, pod="b")]}
        assert outcome(measure(rule(), twice)) is reason


@pytest.mark.parametrize("role", ["requests over 1h", "requests over 5m"])
def test_a_pair_that_cannot_be_read_hides_no_breach_of_the_other(role):
    """A breach is certain whatever else is missing; health is not."""
    burning, calm = (answers(rule(), *always(share)) for share in (0.5, 0.0))
    assert outcome(measure(rule(), {**burning, role: []})) is BREACHED
    measured = measure(rule(), {**calm, role: []})
    window = role.rpartition(" ")[2]
    assert measured == Missing(GONE, f"over {window}: no series of requests")


def test_a_pair_with_too_little_leaves_the_word_to_the_other():
    """Few events in five minutes, enough in thirty: the slow pair judges."""
    found = answers(rule(), lambda _: 0.0, lambda w: 5.0 if w == 5 * MINUTE else 1e4)
    assert outcome(measure(rule(), found)) is HEALTHY
    nothing = answers(rule(), lambda _: 0.0, lambda w: None if w >= HOUR else 5.0)
    assert outcome(measure(rule(), nothing)) is GONE
