"""A replay decides as the operator does in mode Observe, and claims no more than is recorded."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backtest.build import (
    CANDIDATE,
    ERRORS,
    GAUGE,
    LATENCY,
    RATE,
    T0,
    Record,
    bad_between,
    run,
    spec,
    watched,
)

from backstop.api.modelmonitor import Mode, Signal
from backstop.api.words import Arm, Cause, Severity, StepKind
from backstop.core.backtest import State, advance, with_gaps
from backstop.core.backtest_report import Assessment, Finding, Gap, KnownFault, Span
from backstop.core.backtest_tracks import BINS
from backstop.core.backtest_values import Tapped
from backstop.core.signals.rule import Rule, Subject
from backstop.core.units import Unit
from backstop.core.verdicts import History

QUIET = Record(120)


def test_quiet_record_has_no_incident():
    """Where nothing breaks a limit nothing would be done, and nothing is counted."""
    report = run(watched(signals=[ERRORS, LATENCY, GAUGE]), QUIET)
    assert report.incidents == ()
    assert (report.saved, report.outcomes, report.first_sample) == (None, None, T0)
    assert {sum(one.breached) for one in report.tracks} == {0}


def test_fault_is_an_incident_with_its_evidence():
    """The incident has the time, the cause, the first step and the sentence of the operator."""
    report = run(watched(), Record(200, errors=bad_between((60, 90))))
    (one,) = report.incidents
    assert (one.cause, one.severity, one.arm) == (Cause.INFRASTRUCTURE, Severity.P1, Arm.TARGET)
    assert one.step is StepKind.OPEN_CIRCUIT
    assert T0 + 59 <= one.onset <= T0 + 61
    assert T0 + 61 <= one.detected <= T0 + 64
    assert one.decided == one.detected
    assert one.ended is not None
    assert T0 + 98 <= one.ended <= T0 + 102
    assert one.why.startswith("target fails: errors ")
    assert one.evidence[0].startswith("errors on target: errors ")
    assert one.signals == ("errors",)


def test_saved_requests_are_those_after_the_reaction():
    """From two seconds after the decision to the end of the fault each bad request counts once."""
    report = run(watched(), Record(200, errors=bad_between((60, 90))))
    (one,) = report.incidents
    assert one.decided is not None
    assert one.saved == pytest.approx(0.5 * RATE * (T0 + 90 - one.decided - 2.0))
    assert report.saved == one.saved


def test_saved_requests_of_slow_answers():
    """Slow requests are counted from the buckets."""
    report = run(watched(signals=[LATENCY]), Record(200, slow=bad_between((60, 90))))
    (one,) = report.incidents
    assert one.decided is not None
    assert one.saved == pytest.approx(0.5 * RATE * (T0 + 90 - one.decided - 2.0))


def test_request_that_two_signals_call_bad_counts_once():
    """Two breached signals do not add up, as they may mean the same requests."""
    both = Record(200, errors=bad_between((60, 90)), slow=bad_between((60, 90), share=0.25))
    (one,) = run(watched(signals=[ERRORS, LATENCY]), both).incidents
    (alone,) = run(watched(), both).incidents
    assert set(one.signals) == {"errors", "slow"}
    assert one.saved == alone.saved


@settings(max_examples=15, deadline=None)
@given(lasts=st.integers(60, 700), step=st.sampled_from([1.0, 5.0, 15.0]))
def test_saved_requests_do_not_depend_on_how_often_it_is_looked(lasts: int, step: float):
    """However long a fault lasts and however rarely it is looked, each bad request counts once."""
    fault = bad_between((60, 60 + lasts))
    (one,) = run(watched(), Record(lasts + 120, errors=fault), step=step).incidents
    assert one.decided is not None
    expected = 0.5 * RATE * max(0.0, T0 + 60 + lasts - one.decided - 2.0)
    assert one.saved == pytest.approx(expected, abs=0.5 * RATE)


def test_breach_that_counts_no_requests_is_not_countable():
    """A gauge says nothing about requests."""
    acting = {**GAUGE, "onBreach": "Act"}
    report = run(watched(signals=[acting]), Record(200, drift=bad_between((60, 90), share=20.0)))
    (one,) = report.incidents
    assert (one.acts, one.saved, report.saved) == (True, None, None)
    assert one.cause is Cause.DATA


def test_signal_that_only_reports_changes_nothing():
    """A P2 incident has no step, saves nothing and is never doubtful."""
    report = run(watched(signals=[GAUGE]), Record(200, drift=bad_between((60, 70), share=20.0)))
    (one,) = report.incidents
    assert (one.severity, one.step, one.decided, one.saved) == (Severity.P2, None, None, None)
    assert one.assessment is Assessment.NOT_JUDGED
    assert report.acting == ()


def test_without_a_fallback_there_is_no_first_step():
    """What the spec gives no means to do is not claimed."""
    report = run(watched(fallback=None), Record(200, errors=bad_between((60, 90))))
    (one,) = report.incidents
    assert (one.severity, one.step) == (Severity.P1, None)


def test_incident_that_supersedes_a_report_ends_it():
    """An incident in which users suffer takes the place of a report that is still open."""
    record = Record(200, drift=bad_between((40, 150), share=20.0), errors=bad_between((80, 100)))
    report = run(watched(signals=[ERRORS, GAUGE]), record)
    first, second, third = report.incidents
    assert [one.severity for one in report.incidents] == [Severity.P2, Severity.P1, Severity.P2]
    assert first.ended == second.detected
    assert second.signals == ("errors", "drift")
    assert third.ended is not None


def test_incident_may_outlast_the_record():
    """What is not over at the end has no end, and what was counted until then is kept."""
    (one,) = run(watched(), Record(100, errors=bad_between((60, 200)))).incidents
    assert one.ended is None
    assert one.decided is not None
    assert one.saved == pytest.approx(0.5 * RATE * (T0 + 100 - one.decided - 2.0))


def test_missing_numbers_are_unknown_and_never_an_incident():
    """Neither a time without samples nor one without answers is an incident or ends one."""
    for hole in ({"gone": (60.0, 120.0)}, {"failing": (60.0, 120.0)}):
        report = run(watched(), Record(200, **hole))
        (track,) = report.tracks
        assert report.incidents == ()
        assert sum(track.unknown) >= 45
        assert set(track.reasons) <= {"NoData", "SourceDown", "InsufficientData"}
        (one,) = run(watched(), Record(200, errors=bad_between((40, 90)), **hole)).incidents
        assert one.ended is not None
        assert one.ended >= T0 + 120


def test_hole_in_the_record_saves_nothing():
    """Bad requests in a time without answers are not guessed."""
    fault = bad_between((40, 200))
    whole = run(watched(), Record(260, errors=fault)).saved
    holed = run(watched(), Record(260, errors=fault, failing=(45.0, 259.0))).saved
    assert whole is not None
    assert holed is not None
    assert 0.0 < holed <= whole


def test_counters_without_a_histogram_are_not_countable():
    """A bound that no bucket reaches leaves nothing to count."""
    far = {"above": "2s", "buckets": "seconds_bucket"}
    signals = [
        {**LATENCY, "threshold": {"latency": far, "max": "5%"}},
        {**GAUGE, "onBreach": "Act"},
    ]
    record = Record(200, drift=bad_between((60, 90), share=20.0))
    (one,) = run(watched(signals=signals), record).incidents
    assert (one.acts, one.saved) == (True, None)


def test_revision_is_never_blamed():
    """A record knows no revisions, so nothing is blamed on the release and nothing rolled back."""
    report = run(watched(), Record(200, errors=bad_between((60, 90))))
    assert {one.cause for one in report.incidents} == {Cause.INFRASTRUCTURE}


def test_spec_is_replayed_in_mode_observe():
    """Whatever the spec says, nothing is taken for done; a suspended monitor is replayed too."""
    one = watched(mode="Act", suspend=True)
    assert (one.spec.mode, one.spec.suspend) == (Mode.OBSERVE, False)
    state = State()
    record = Record(100, errors=bad_between((60, 90)))
    for now, readings in record.looks(one):
        state, _, _ = advance(one, state, readings, now)
    assert state.status.incident is not None
    assert {action.state for action in state.status.incident.actions} == {"Observed"}


def test_same_question_is_asked_once():
    """Signals that share counters share questions; the shortest time to keep an answer holds."""
    again = {**ERRORS, "name": "again"}
    assert watched(signals=[ERRORS, again]).questions == watched().questions


class TestCandidate:
    """The candidate is on trial for as long as the record shows it."""

    def test_candidate_without_series_is_never_judged(self):
        """A candidate that was not there has no verdict and no incident."""
        report = run(watched(candidate=CANDIDATE), QUIET)
        (track,) = (one for one in report.tracks if one.arm is Arm.CANDIDATE)
        assert sum(track.healthy) + sum(track.breached) == 0

    def test_failing_candidate_loses_its_traffic(self):
        """The version is to blame where the target is healthy, and the step takes its traffic."""
        record = Record(200, present=((30, 200),), candidate_errors=bad_between((80, 110)))
        (one,) = run(watched(candidate=CANDIDATE), record).incidents
        assert (one.cause, one.arm, one.step) == (
            Cause.RELEASE,
            Arm.CANDIDATE,
            StepKind.SHIFT_TRAFFIC,
        )
        assert one.saved is not None
        assert one.saved > 0.0

    def test_incident_ends_with_the_candidate(self):
        """A candidate that is taken away while it fails leaves no incident behind."""
        record = Record(200, present=((30, 100),), candidate_errors=bad_between((80, 200)))
        (one,) = run(watched(candidate=CANDIDATE), record).incidents
        assert one.ended is not None
        assert T0 + 100 <= one.ended <= T0 + 112

    def test_next_candidate_is_judged_anew(self):
        """Series that come back are another trial."""
        record = Record(
            300,
            present=((30, 100), (150, 290)),
            candidate_errors=bad_between((80, 100), (200, 220)),
        )
        first, second = run(watched(candidate=CANDIDATE), record).incidents
        assert first.ended is not None
        assert first.ended < second.detected

    def test_hole_in_the_record_does_not_end_the_trial(self):
        """Where nothing is known of the target either, the candidate may still be there."""
        record = Record(
            200,
            gone=(85.0, 120.0),
            present=((30, 200),),
            candidate_errors=bad_between((70, 140)),
        )
        (one,) = run(watched(candidate=CANDIDATE), record).incidents
        assert one.ended is not None
        assert one.ended > T0 + 120

    def test_sequential_test_goes_on_from_look_to_look(self):
        """A comparison gathers evidence over many looks, in the number that is shown too."""
        compared = {
            "name": "worse",
            "comparison": {"errors": ERRORS["threshold"]["errors"], "warmupSeconds": 0},
        }
        record = Record(
            300, present=((30, 300),), candidate_errors=bad_between((100, 300), share=0.03)
        )
        report = run(watched(signals=[compared], candidate=CANDIDATE), record)
        (one,) = report.incidents
        (track,) = report.tracks
        assert (one.cause, one.step) == (Cause.RELEASE, StepKind.SHIFT_TRAFFIC)
        assert T0 + 100 < one.detected < T0 + 200
        assert (track.unit, track.allowed) == (Unit.PLAIN, None)
        evidence = [value for value in track.high if value is not None]
        assert evidence == sorted(evidence)
        assert evidence[-1] > 100.0

    def test_expression_shows_the_candidate_without_labels(self):
        """The answer to an expression need not carry the labels that it was confined to."""
        summed = {**GAUGE, "threshold": {"promql": {"expr": "sum(drift)"}, "max": "10"}}
        one = watched(signals=[summed], candidate=CANDIDATE)
        state, _, _ = advance(one, State(), _constant(one), T0)
        assert state.on_trial


def _constant(one):
    reading = QUIET.at(T0, ['drift{app="fraud"}[10000ms]'])['drift{app="fraud"}[10000ms]']
    return dict.fromkeys(one.questions, reading)


class TestTruth:
    """Only named faults can make an incident wrong."""

    FAULT = Record(200, errors=bad_between((60, 90)))

    def test_brief_breach_is_doubtful(self):
        """Without known faults a breach that soon ends by itself is doubtful, a long one is not."""
        (brief,) = run(watched(), self.FAULT).incidents
        (long,) = run(watched(), Record(300, errors=bad_between((60, 190)))).incidents
        (open_,) = run(watched(), Record(80, errors=bad_between((60, 190)))).incidents
        assert brief.assessment is Assessment.DOUBTFUL
        assert long.assessment is open_.assessment is Assessment.NOT_JUDGED

    def test_incident_in_a_known_fault_is_confirmed(self):
        """An overlap is enough, and names the fault."""
        report = run(watched(), self.FAULT, KnownFault("disk", T0 + 60, T0 + 90))
        (one,) = report.incidents
        assert (one.assessment, one.faults) == (Assessment.CONFIRMED, ("disk",))
        assert report.found(Finding.ACTED) == 1
        assert report.assessed(Assessment.WRONG) == 0

    def test_incident_outside_of_all_known_faults_is_wrong(self):
        """Acting where nothing was broken is wrong, and the fault that was there is missed."""
        report = run(watched(), self.FAULT, KnownFault("disk", T0 + 150, T0 + 160))
        (one,) = report.incidents
        assert one.assessment is Assessment.WRONG
        assert report.found(Finding.MISSED) == 1

    def test_nothing_is_known_to_have_failed(self):
        """An empty list of faults is knowledge: every action is wrong."""
        report = run(watched(), self.FAULT, blind=False)
        assert (report.assessed(Assessment.WRONG), report.outcomes) == (1, ())

    def test_report_outside_of_all_known_faults_is_not_wrong(self):
        """Only what would have changed something can be wrong."""
        record = Record(200, drift=bad_between((60, 70), share=20.0))
        report = run(watched(signals=[GAUGE]), record, blind=False)
        assert [one.assessment for one in report.incidents] == [Assessment.NOT_JUDGED]

    def test_fault_that_is_only_reported_is_noticed(self):
        """A fault in which nothing would have been changed is not called acted on."""
        record = Record(200, drift=bad_between((60, 70), share=20.0))
        fault = KnownFault("drift", T0 + 60, T0 + 70)
        report = run(watched(signals=[GAUGE]), record, fault)
        assert [one.finding for one in report.outcomes or ()] == [Finding.NOTICED]

    def test_fault_outside_of_the_record_is_left_out(self):
        """What the record does not reach is not missed."""
        outside = KnownFault("old", T0 - 90, T0 - 80)
        assert run(watched(), QUIET, outside).outcomes == ()

    def test_open_incident_overlaps_what_comes_later(self):
        """An incident without an end lasts."""
        record = Record(100, errors=bad_between((60, 200)))
        report = run(watched(), record, KnownFault("late", T0 + 99, T0 + 120))
        assert report.found(Finding.ACTED) == 1


class TestTracks:
    """What a signal showed, in a bounded number of bins."""

    def test_bins_are_bounded_and_complete(self):
        """However long the record is, each look is in one bin, and there are at most so many."""
        record = Record(2500, errors=bad_between((60, 90)))
        (track,) = run(watched(), record).tracks
        assert len(track.healthy) == len(track.low) == BINS
        looks = sum(track.healthy) + sum(track.breached) + sum(track.unknown)
        assert looks == 2501
        assert max(one for one in track.high if one is not None) == pytest.approx(0.5)
        assert (track.unit, track.allowed) == (Unit.SHARE, (-math.inf, 0.05))

    def test_short_record_has_a_bin_for_each_look(self):
        """A bin without a look would be empty."""
        (track,) = run(watched(), Record(30)).tracks
        assert len(track.healthy) == 31
        assert track.low[0] is not None

    def test_number_that_was_not_measured_is_missing(self):
        """A look without an answer leaves no number behind, not even that of the look before."""
        (track,) = run(watched(), Record(60, failing=(20.0, 40.0))).tracks
        assert track.low[25:39] == (None,) * 14
        assert track.reasons["SourceDown"] == 20

    def test_record_that_begins_late_says_when(self):
        """The first sample tells how far back the record reaches."""
        assert run(watched(), Record(100, gone=(-61.0, 50.0))).first_sample == T0 + 50


def test_tapped_rule_is_the_rule_it_taps():
    """To keep the number changes nothing about what is asked and of what it speaks."""
    signal = Signal.model_validate(ERRORS)
    subject = Subject({"app": "fraud"})
    tapped = Tapped(inner=signal.rule)
    assert tapped.questions(subject, 10.0) == signal.rule.questions(subject, 10.0)
    assert tapped.settles(10.0) == signal.rule.settles(10.0)
    properties = [name for name, one in vars(Rule).items() if isinstance(one, property)]
    for name in properties:
        assert name in vars(Tapped)
        assert getattr(tapped, name) == getattr(signal.rule, name)
    assert "config_map" in properties


def test_gaps_are_kept():
    """What the reader could not read belongs to the report."""
    gap = Gap("x", T0, T0 + 1, "boom")
    assert with_gaps(run(watched(), QUIET), [gap]).gaps == (gap,)


@pytest.mark.parametrize(("begin", "end", "step"), [(1.0, 0.0, 1.0), (0.0, 1.0, 0.0)])
def test_span_without_a_look_is_refused(begin: float, end: float, step: float):
    """A backtest that looks at nothing would find nothing."""
    with pytest.raises(ValueError, match="positive step"):
        Span(begin, end, step)


def test_memory_is_carried_from_look_to_look():
    """Persistence sees the looks before: one broken look is no breach."""
    one, state = watched(), State()
    record = Record(100, errors=bad_between((60, 90)))
    outcomes = []
    for now, readings in record.looks(one):
        state, _, step = advance(one, state, readings, now)
        outcomes.append(step is not None and step.kind is StepKind.OPEN_CIRCUIT)
    assert sum(outcomes) == 1
    assert isinstance(state.memory.histories["errors", Arm.TARGET], History)
    assert spec()["mode"] == "Act"
