"""Evidence counts once, only from its own version, and only from scrapes that are seen whole."""

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, series

from backstop.api.status import Arm, CandidateStatus, ModelMonitorStatus
from backstop.core.evidence import evidence_from, without_answered
from backstop.core.samples import scrape_times, total_increase, without_torn
from backstop.core.verdicts import History
from backstop.core.view import Memory


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(T0 + seconds, tz=UTC)


def grown(answers, role: str) -> float:
    whole = scrape_times(one for answer in answers.values() for one in answer)
    return total_increase(answers[role], whole)


# Which samples count


def test_nothing_is_known_of_a_candidate_before_its_rollout_is_complete():
    """Until then pods of the template before it answer as well."""
    begins = evidence_from(ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a")))
    assert begins == {Arm.TARGET: 0.0, Arm.CANDIDATE: math.inf}


def test_a_candidate_is_judged_on_its_own_samples_only():
    """Its evidence begins with the later of its rollout and the last action."""
    trial = CandidateStatus(fingerprint="a", since=at(10))
    early = ModelMonitorStatus(candidate=trial, evidence_from=at(5))
    late = ModelMonitorStatus(candidate=trial, evidence_from=at(20))
    assert evidence_from(early) == {Arm.TARGET: T0 + 5, Arm.CANDIDATE: T0 + 10}
    assert evidence_from(late) == {Arm.TARGET: T0 + 20, Arm.CANDIDATE: T0 + 20}


def test_a_new_trial_forgets_the_candidate_and_not_the_target():
    """What was seen of the target stays, with how long it has been healthy."""
    seen = {("errors", arm): History(outcomes=(True,)) for arm in Arm}
    before = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a", since=at(0)))
    after = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="b", since=at(9)))
    memory = Memory(histories=seen, healthy_since=T0, evidence_from=evidence_from(before))
    kept = without_answered(memory, after)
    assert list(kept.histories) == [("errors", Arm.TARGET)]
    assert kept.healthy_since == T0
    assert without_answered(kept, after) is kept


def test_an_action_forgets_all_that_was_seen():
    """No look from before an action is counted again after it."""
    seen = {("errors", arm): History(outcomes=(True,)) for arm in Arm}
    before = ModelMonitorStatus(candidate=CandidateStatus(fingerprint="a", since=at(0)))
    memory = Memory(histories=seen, healthy_since=T0, evidence_from=evidence_from(before))
    kept = without_answered(memory, before.model_copy(update={"evidence_from": at(3)}))
    assert (dict(kept.histories), kept.healthy_since) == ({}, None)


# Scrapes seen by only some of the answers


def test_a_scrape_that_only_one_answer_holds_is_left_for_the_next_look():
    """Errors of the newest scrape are not held against requests of the one before."""
    answers = {
        "requests": (series([0, 100, 200]),),
        "errors": (series([0, 10, 20, 30]),),
    }
    whole = without_torn(answers)
    assert (grown(whole, "requests"), grown(whole, "errors")) == (200, 20)


def test_a_series_that_vanished_does_not_hold_back_the_others():
    """A counter that ended two scrapes ago has vanished; it is not late."""
    answers = {
        "requests": (series([0, 100, 200, 300]),),
        "errors": (series([0, 10]),),
    }
    whole = without_torn(answers)
    assert (grown(whole, "requests"), grown(whole, "errors")) == (300, 10)


def test_one_torn_target_does_not_hold_back_another():
    """Each scrape target is cut for itself."""
    answers = {
        "requests": (series([0, 100, 200]), series([0, 50, 100], pod="b")),
        "errors": (series([0, 10, 20, 30]), series([0, 5, 10], pod="b")),
    }
    whole = without_torn(answers)
    assert [one.values.size for one in whole["requests"]] == [3, 3]
    assert [one.values.size for one in whole["errors"]] == [3, 3]


def test_the_first_errors_of_a_target_count_from_zero():
    """An error series that begins with the newest scrape is new, not torn."""
    answers = {
        "requests": (series([0, 100, 200]),),
        "errors": (series([7], start=T0 + 2),),
    }
    whole = without_torn(answers)
    assert (grown(whole, "requests"), grown(whole, "errors")) == (200, 7)


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=8),
    st.integers(0, 1),
)
def test_a_torn_scrape_never_makes_an_error_ratio_worse(errors, missing):
    """Of requests that all fail at a steady rate never more fail than were made."""
    total = [sum(errors[: n + 1]) for n in range(len(errors))]
    answers = {
        "requests": (series(total[: len(total) - missing]),),
        "errors": (series(total),),
    }
    whole = without_torn(answers)
    assert grown(whole, "errors") <= grown(whole, "requests")
