"""A look counts only with new samples, a breach only when it persists, Unknown never counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import LATENCY, T0, asked, series, signal, verdict
from tests.core.watcher import Watcher, gauge

from backstop.api.modelmonitor import Signal
from backstop.api.words import Arm, Verdict
from backstop.core.judging import MAX_FUTURE, look
from backstop.core.measurement import Pillar
from backstop.core.samples import Reading
from backstop.core.verdicts import History, overall

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
EVER = {Arm.TARGET: 0.0, Arm.CANDIDATE: 0.0}


# Persistence


@pytest.mark.parametrize(
    ("breaches", "looks", "values", "verdicts"),
    [
        # A bound that holds is healthy at once; one that is broken has to be so again.
        (2, 3, [1, 11, 11], [H, H, B]),
        (2, 3, [11, 11], [U, B]),
        (2, 3, [1, 11, 1, 11], [H, H, H, B]),
        (2, 3, [1, 11, 1, 1, 11], [H, H, H, H, H]),
        # First found broken and never broken enough: healthy once all looks were taken.
        (2, 3, [11, 1, 1], [U, U, H]),
        (2, 3, [11, 1, 11], [U, U, B]),
        # It ends only when no look that counts finds the bound broken.
        (2, 3, [11, 11, 1, 1, 1], [U, B, B, B, H]),
        (2, 3, [11, 11, 1, 1, 11, 1, 1, 1], [U, B, B, B, B, B, B, H]),
        (1, 1, [1, 11, 1], [H, B, H]),
        (3, 3, [11, 11, 1, 11, 11, 11], [U, U, H, H, H, B]),
    ],
)
def test_a_breach_persists_in_so_many_of_so_many_looks(breaches, looks, values, verdicts):
    """`breaches` of the last `looks` break a bound; only as many clean looks mend it."""
    watcher = Watcher(gauge(persistence={"breaches": breaches, "looks": looks}))
    assert [watcher.sees(value).verdict for value in values] == verdicts


@given(
    st.lists(st.sampled_from([1.0, 11.0, None]), max_size=30),
    st.integers(1, 4).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
)
def test_a_verdict_follows_from_the_last_looks_that_counted(values, persistence):
    """For every sequence: breached iff enough of the last looks broke, healthy if none did."""
    breaches, looks = persistence
    watcher = Watcher(gauge(persistence={"breaches": breaches, "looks": looks}))
    counted: list[bool] = []
    for value in values:
        found = watcher.sees(*([] if value is None else [value])).verdict
        if value is None:
            assert found is U
            continue
        counted.append(value > 10)
        last = counted[-looks:]
        assert (found is B) or sum(last) < breaches
        assert (found is H) or any(last)


def test_a_first_broken_look_is_not_healthy():
    """After an action or a restart one broken look is no breach yet, and no recovery either."""
    found = Watcher(gauge()).sees(11)
    assert (found.verdict, found.reason) == (U, "WarmingUp")
    assert found.why == "value 11, allowed at most 10; broken in 1 of 1 looks"


# New samples only


def test_the_same_sample_never_counts_twice():
    """However often one looks between scrapes, one sample is one look."""
    watcher = Watcher(gauge(persistence={"breaches": 2, "looks": 3}))
    assert watcher.sees(11).verdict is U
    again = [watcher.sees(11, at=watcher.now) for _ in range(20)]
    assert {found.verdict for found in again} == {U}
    assert watcher.sees(11).verdict is B


def test_an_older_sample_counts_nothing():
    """A source that falls back to an older replica changes no verdict."""
    watcher = Watcher(gauge())
    watcher.sees(1)
    watcher.sees(1)
    behind = [watcher.sees(11, at=watcher.now - 1) for _ in range(3)]
    assert {found.verdict for found in behind} == {H}


def test_samples_from_the_future_are_refused():
    """A clock that is wrong is said to be wrong; a few seconds are tolerated."""
    watcher = Watcher(gauge(persistence={"breaches": 1, "looks": 1}))
    watcher.now = T0
    ahead = watcher.counts(value=[series([11], start=T0 + MAX_FUTURE + 7)])
    assert (ahead.verdict, ahead.reason) == (U, "NoData")
    assert ahead.why == "samples are 12 s ahead of this clock; check time synchronisation"
    near = watcher.counts(value=[series([11], start=T0 + MAX_FUTURE)])
    assert near.verdict is B


# Unknown


UNKNOWN = {
    "down": ({"value": Reading(failure="connection refused")}, "SourceDown", "connection refused"),
    "bad": (
        {"value": Reading(failure="parse error", bad_query=True)},
        "BadQuery",
        "parse error",
    ),
    "empty": ({"value": Reading()}, "NoData", "the expression returned no series"),
    "nan": (
        {"value": Reading((series([math.nan]),))},
        "NoData",
        "the expression returned NaN",
    ),
    "many": (
        {"value": Reading((series([1]), series([2], pod="b"), series([3], pod="c")))},
        "BadQuery",
        "the expression returned 3 series; aggregate them to one, for example with sum() or max()",
    ),
}


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("before", [[], [1], [11], [11, 11]])
def test_an_unknown_look_changes_nothing_that_is_remembered(kind, before):
    """Whatever is missing: no verdict, the reason, and the looks from before stand."""
    watcher = Watcher(gauge())
    for value in before:
        watcher.sees(value)
    remembered = watcher.history
    answer, reason, why = UNKNOWN[kind]
    found = watcher.judges(answer)
    assert (found.verdict, found.reason, found.why) == (U, reason, why)
    assert found.onset is None
    assert watcher.history == remembered


def test_unknown_looks_neither_complete_nor_clear_a_breach():
    """One broken look, an outage, one broken look: a breach. Clean looks are needed to end it."""
    watcher = Watcher(gauge())
    assert [watcher.sees(1).verdict, watcher.sees(11).verdict] == [H, H]
    assert [watcher.sees().verdict for _ in range(5)] == [U] * 5
    assert watcher.sees(11).verdict is B
    assert [watcher.sees().verdict for _ in range(5)] == [U] * 5
    assert watcher.sees(1).verdict is B


def test_a_failure_of_one_role_is_the_failure_of_the_signal():
    """Half an answer is none."""
    watcher = Watcher(signal())
    requests, errors = Reading((series([0, 100]),)), Reading(failure="timed out after 2 s")
    found = watcher.judges({"requests": requests, "errors": errors})
    assert (found.verdict, found.reason) == (U, "SourceDown")
    assert watcher.history == History()


@pytest.mark.parametrize(("requests", "outcome"), [(49, U), (50, B)])
def test_too_few_requests_are_no_evidence(requests: int, outcome: Verdict):
    """Below the minimum even 100 % errors are no verdict, and say how many are needed."""
    watcher = Watcher(signal(minSamples=50, persistence={"breaches": 1, "looks": 1}))
    found = watcher.counts(
        requests=[series([0, requests])], errors=[series([0, requests], code="500")]
    )
    assert found.verdict is outcome
    if outcome is U:
        assert (found.reason, found.why) == (
            "InsufficientData",
            "49 observations in 10s, need 50",
        )


# Evidence after the last action


def test_only_samples_after_the_last_action_are_evidence():
    """What was counted before traffic moved says nothing about what is served now."""
    one = signal(persistence={"breaches": 1, "looks": 1})
    answers = {
        "requests": [series([0, 100, 200, 300])],
        "errors": [series([0, 90, 90, 90], code="500")],
    }
    seen = {
        cut: Watcher(one, evidence_from=T0 + cut).counts(**answers) for cut in (0, 0.5, 1, 3, 3.5)
    }
    assert [found.verdict for found in seen.values()] == [B, H, H, U, U]
    assert seen[0.5].why == "errors 0 % (0 of 200), allowed 5%"
    assert (seen[3].reason, seen[3.5].reason) == ("InsufficientData", "WarmingUp")
    assert seen[3.5].why == "no sample yet since the last action"


def test_a_free_expression_waits_for_its_window():
    """Its lookback cannot be cut, so it is asked again when the window lies after the action."""
    one = gauge(expr="max_over_time(drift[10s])")
    watcher = Watcher(one, evidence_from=T0)
    waiting = watcher.sees(11, at=T0 + 9.9)
    assert (waiting.verdict, waiting.reason) == (U, "WarmingUp")
    assert waiting.why == "the expression looks back over the last action; waiting for its 10 s"
    assert watcher.sees(11, at=T0 + 10).reason == "WarmingUp"
    assert watcher.sees(11, at=T0 + 11).verdict is B


def test_an_answer_that_is_used_again_is_as_old_as_it_is():
    """What was asked before the window lay after the action still looks back over it.

    A level over five minutes is asked for each half a minute only. Were a kept answer taken for one
    of now, an action would be judged by what came before it.
    """
    rule = {"name": "cpu", "resource": {"cpu": {}, "max": "90%"}}
    watcher = Watcher(Signal.model_validate(rule), evidence_from=T0)

    def says(*, asked_at: float, now: float) -> str:
        watcher.now = now
        roles = watcher.inquiry.questions
        return watcher.counts(**{role: [series([1], start=asked_at)] for role in roles}).why

    waits = "the expression looks back over the last action; waiting for its 5 min"
    assert says(asked_at=T0 + 299, now=T0 + 299) == waits
    assert says(asked_at=T0 + 271, now=T0 + 301) == waits
    assert says(asked_at=T0 + 301, now=T0 + 301) != waits


def test_a_selector_need_not_wait_for_its_window():
    """Raw samples can be cut exactly: the first one after the action counts."""
    watcher = Watcher(gauge(persistence={"breaches": 1, "looks": 1}), evidence_from=T0)
    assert watcher.sees(11, at=T0 + 1).verdict is B


def test_a_series_that_ended_before_the_last_action_is_no_second_one():
    """The gauge of a pod that the action replaced does not hide the one of its successor."""
    watcher = Watcher(gauge(persistence={"breaches": 1, "looks": 1}), evidence_from=T0 - 1)
    old, new = series([1, 1, 1], start=T0 - 4), series([11, 11], start=T0 - 1, pod="b")
    assert watcher.counts(value=[old, new]).verdict is B


def test_a_series_that_has_ended_is_no_second_one():
    """After a rollout the gauge of the pod that is gone does not hide the one of its successor.

    The window holds both for a while; one that is still scraped is a second one.
    """
    watcher = Watcher(gauge(persistence={"breaches": 1, "looks": 1}))
    old, new = series([1, 1, 1], start=T0 - 9), series([11, 11], start=T0 - 4, pod="b")
    assert watcher.counts(value=[old, new]).verdict is B
    assert watcher.counts(value=[old, new, series([2], start=T0 - 4, pod="c")]).reason == "BadQuery"
    lately = series([1, 1, 1], start=T0 - 7)
    assert watcher.counts(value=[lately, new]).reason == "BadQuery"


# When a breach began


def test_a_breach_began_between_the_last_clean_and_the_first_broken_sample():
    """Both times are kept while it lasts, so that it can be held against a release."""
    watcher = Watcher(gauge())
    for value in (1, 1, 11, 11, 11):
        found = watcher.sees(value)
    assert (found.onset, found.seen) == (T0 + 2, T0 + 3)


def test_without_a_clean_sample_a_breach_began_within_its_window():
    """Not before the oldest sample, and not before the last action either."""
    watcher = Watcher(gauge())
    watcher.sees(11)
    found = watcher.sees(11)
    assert (found.onset, found.seen) == (T0 + 2 - 10, T0 + 1)
    after_action = Watcher(gauge(), evidence_from=T0 - 3)
    after_action.sees(11)
    assert after_action.sees(11).onset == T0 - 3


def test_a_signal_that_recovers_begins_anew():
    """The second breach has its own beginning."""
    watcher = Watcher(gauge())
    for value in (1, 11, 11, 1, 1, 1, 11, 11):
        found = watcher.sees(value)
    assert (found.onset, found.seen) == (T0 + 6, T0 + 7)


# All signals together


def test_a_look_judges_every_signal_and_tells_when_samples_come():
    """One verdict per signal and arm, histories to go on with, and the rhythm of the scrapes."""
    inquiries = {
        ("errors", Arm.TARGET): asked(signal()),
        ("drift", Arm.CANDIDATE): asked(gauge(), Arm.CANDIDATE),
        ("free", Arm.TARGET): asked(gauge(name="free", expr="max(drift)")),
    }
    answers = {
        'requests_total{code="500"}[10000ms]': Reading(()),
        "requests_total{}[10000ms]": Reading(
            (series([0, 100, 200]), series([0, 5], start=T0 + 0.5, pod="b"))
        ),
        "drift{}[10000ms]": Reading((series([11], start=T0 + 2),)),
        "max(drift{})": Reading((series([0], start=T0 + 2.2),)),
    }
    broken = {("drift", Arm.CANDIDATE): History(outcomes=(False, True), newest=T0, clean_at=T0)}
    seen = look(inquiries, answers, broken, evidence_from=EVER, now=T0 + 2.2)
    assert [(v.name, v.arm, v.pillar, v.verdict) for v in seen.verdicts] == [
        ("errors", Arm.TARGET, Pillar.SYSTEM, H),
        ("drift", Arm.CANDIDATE, Pillar.DATA, B),
        ("free", Arm.TARGET, Pillar.DATA, H),
    ]
    assert seen.histories["errors", Arm.TARGET].newest == T0 + 2
    assert sorted(seen.newest) == [T0 + 1.5, T0 + 2]
    assert seen.scrape_interval == 1


def test_a_look_without_samples_knows_no_rhythm():
    """An outage gives verdicts and no idea of when the next sample comes."""
    one = asked(signal())
    answers = {question.promql: Reading(failure="down") for question in one.questions.values()}
    seen = look({("errors", Arm.TARGET): one}, answers, {}, evidence_from=EVER, now=T0)
    assert [found.reason for found in seen.verdicts] == ["SourceDown"]
    assert (seen.newest, seen.scrape_interval) == ((), None)


@pytest.mark.parametrize(
    ("outcomes", "arm_verdict"),
    [([], U), ([H], H), ([H, U], U), ([H, U, B], B), ([U], U), ([H, H], H)],
)
def test_an_arm_is_as_bad_as_its_worst_signal(outcomes, arm_verdict):
    """Breached before Unknown before Healthy; the other arm does not matter."""
    found = tuple(verdict(f"s{n}", outcome) for n, outcome in enumerate(outcomes))
    other = (verdict("s", B, arm=Arm.CANDIDATE),)
    assert overall((*found, *other), Arm.TARGET) is arm_verdict


def test_a_kind_speaks_of_its_pillar_unless_told_otherwise():
    """The pillar of the spec wins; errors and latency are of the system."""
    assert signal().speaks_of is Pillar.SYSTEM
    assert signal(pillar="business").speaks_of is Pillar.BUSINESS
    assert Signal.model_validate(LATENCY).speaks_of is Pillar.SYSTEM
