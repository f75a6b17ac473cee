"""Delayed truth: only mature predictions of what serves count, and chance is not a breach."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import parse
from pydantic import ValidationError
from scipy.stats import binom
from tests.core.build import T0, series

from backstop.core.measurement import Measurement, Missing, Pillar, UnknownReason
from backstop.core.presets.preset import PresetError
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError
from backstop.core.signals.performance import Performance
from backstop.core.signals.registry import kinds
from backstop.core.signals.rule import Asked, Subject
from backstop.core.statistics.wilson import upper_share
from backstop.core.tally import tally

GONE, FEW = UnknownReason.NO_DATA, UnknownReason.INSUFFICIENT_DATA
BAD, WARM = UnknownReason.BAD_QUERY, UnknownReason.WARMING_UP
HEALTHY, BREACHED = False, True
HOUR, DAY = 3600.0, 86_400.0
ACCURACY = {"accuracy": {"feedback": "f"}, "min": "90%", "matureAfter": "6h"}
PROXY = {"part": "clicks", "whole": "shown", "min": "5%"}


def rule(**changes) -> Performance:
    """Return a rule for an accuracy of at least 90 %, known after 6 h, with changes."""
    merged = {**ACCURACY, **changes}
    return Performance.model_validate({k: v for k, v in merged.items() if v is not None})


def of(field: str, **changes) -> Performance:
    """Return a rule for another measure."""
    if field == "rmse":
        return rule(**{"accuracy": None, "rmse": {}, "min": None, "max": "10", **changes})
    return rule(**{"accuracy": None, field: {"feedback": "f"}, **changes})


def one(value: float, at: float = T0, **labels: str):
    return series([value], start=at, **labels)


def outcomes(at: float = T0, *, cohort: str | None = None, **counts: float):
    """Return an answer with these counts by outcome."""
    more = {} if cohort is None else {"cohort": cohort}
    return [one(count, at, outcome=name, **more) for name, count in counts.items()]


def measure(one_rule, *, since=-math.inf, changed=None, now=T0, **answers):
    subject = Subject({}, changed=changed)
    asked = Asked(answers, -1, since, now, DAY, subject)
    return one_rule.measure(asked, tally([], []))


def verdict(measured):
    return measured.breached if isinstance(measured, Measurement) else measured.reason


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat()


# The bound


@pytest.mark.parametrize("whole", [200, 300, 500, 1000, 5000, 20_000])
def test_chance_breaks_the_limit_as_rarely_as_promised(whole):
    """At 95 % a model that is just good enough is below the bound in at most 5.3 % of samples."""
    found = np.arange(whole + 1)
    upper = np.array([upper_share(k, whole, 0.95) for k in found.tolist()])
    for true in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999):
        below = found[upper < true].max(initial=-1)
        assert binom.cdf(below, whole, true) <= 0.053


@given(
    st.floats(0.0, 1.0),
    st.floats(1.0, 1e12),
    st.floats(0.5, 0.999),
)
def test_the_bound_is_between_the_share_and_one(share, whole, confidence):
    """It is never below what was seen, and comes nearer with more events."""
    upper = upper_share(share * whole, whole, confidence)
    assert share * (1.0 - 1e-9) <= upper <= 1.0
    assert upper_share(share * whole * 10.0, whole * 10.0, confidence) <= upper + 1e-9


def test_the_bound_of_next_to_nothing_is_all():
    """Less than one event says nothing, however little it is."""
    assert upper_share(0.0, 1e-300, 0.99) == pytest.approx(1.0, abs=0.15)
    assert upper_share(1e-300, 1e-300, 0.99) <= 1.0


@pytest.mark.parametrize(
    ("correct", "broken"), [(1000, False), (900, False), (885, False), (880, True), (0, True)]
)
def test_only_what_chance_hardly_explains_is_a_breach(correct, broken):
    """88.5 % of 1,000 is below 90 % and yet no proof; 88 % is."""
    measured = measure(rule(), outcomes=outcomes(correct=correct, incorrect=1000 - correct))
    assert isinstance(measured, Measurement)
    assert (measured.breached, measured.samples) == (broken, 1000)


def test_a_higher_confidence_takes_more_proof():
    """87.5 % of 1,000 convinces at 95 %, and not at 99.9 %."""
    found = outcomes(correct=875, incorrect=125)
    assert verdict(measure(rule(), outcomes=found)) is BREACHED
    assert verdict(measure(rule(confidence="99.9%"), outcomes=found)) is HEALTHY


@pytest.mark.parametrize(
    "draw", [lambda g, n: g.normal(0.0, 1.0, n), lambda g, n: g.laplace(0.0, math.sqrt(0.5), n)]
)
def test_a_regression_just_good_enough_rarely_breaks(draw):
    """With normal or Laplace errors of unit variance, in at most 6 % of samples of 500."""
    generator, one_rule, breached = np.random.default_rng(7), of("rmse", max="1"), 0
    for _ in range(1000):
        total = float((draw(generator, 500) ** 2).sum())
        breached += verdict(measure(one_rule, total=[one(total)], count=[one(500.0)]))
    assert breached <= 60


def test_a_regression_that_is_worse_breaks():
    """A fifth above the limit over 500 predictions is a breach, a twentieth is not."""
    found = [
        verdict(measure(of("rmse"), total=[one(500 * rmse**2)], count=[one(500.0)]))
        for rmse in (9.0, 10.5, 12.0)
    ]
    assert found == [HEALTHY, HEALTHY, BREACHED]


# What is counted


@pytest.mark.parametrize(
    ("field", "counts", "expected"),
    [
        ("accuracy", {"correct": 900, "incorrect": 100}, (0.9, 1000)),
        ("accuracy", {"tp": 50, "tn": 850, "fp": 60, "fn": 40}, (0.9, 1000)),
        ("accuracy", {"correct": 9, "incorrect": 1, "tp": 5, "fn": 5}, (0.9, 10)),
        ("accuracy", {"correct": 10}, (1.0, 10)),
        ("accuracy", {"incorrect": 10}, (0.0, 10)),
        ("accuracy", {"correct": 9, "incorrect": 1, "unclear": 90}, (0.9, 10)),
        ("precision", {"tp": 30, "fp": 10, "fn": 99, "tn": 5}, (0.75, 40)),
        ("precision", {"tp": 30}, (1.0, 30)),
        ("recall", {"tp": 30, "fn": 20, "fp": 99, "tn": 5}, (0.6, 50)),
        ("recall", {"fn": 20, "correct": 5}, (0.0, 20)),
    ],
)
def test_measures_from_outcomes(field, counts, expected):
    """Correct and incorrect for accuracy; the four cells of the confusion matrix for all three."""
    measured = measure(of(field, min="50%"), outcomes=outcomes(**counts))
    assert isinstance(measured, Measurement)
    assert (measured.value, measured.samples) == expected


@pytest.mark.parametrize(
    ("field", "counts", "reason", "said"),
    [
        ("accuracy", {}, GONE, "no series of feedback"),
        ("accuracy", {"yes": 5}, BAD, "is one of correct, incorrect, tp, fp, fn, tn"),
        ("accuracy", {"correct": 0.0}, FEW, "no truth in the window"),
        ("precision", {"correct": 5}, BAD, "precision needs the outcomes tp, fp and fn"),
        ("precision", {"tn": 5, "fn": 5}, FEW, "no positive predictions with known truth"),
        ("recall", {"tn": 5, "fp": 5}, FEW, "no truly positive cases"),
        ("accuracy", {"correct": math.nan, "incorrect": 5}, GONE, "are not numbers"),
        ("accuracy", {"correct": math.inf}, GONE, "are not numbers"),
        ("accuracy", {"correct": -1.0, "incorrect": 5}, GONE, "are not numbers"),
        ("accuracy", {"correct": 1e308, "incorrect": 1e308}, GONE, "are not numbers"),
        ("recall", {"tp": 2.0**53 - 1, "fn": 2.0**53 - 1}, GONE, "are not numbers"),
    ],
)
def test_without_truth_there_is_no_verdict(field, counts, reason, said):
    """Absent, unknown, empty or no numbers: each is said as what it is."""
    measured = measure(of(field), outcomes=outcomes(**counts))
    assert isinstance(measured, Missing)
    assert measured.reason is reason
    assert said in measured.why


def test_pods_are_summed():
    """Two series of one outcome are one count."""
    found = [*outcomes(correct=90, incorrect=10), one(100, outcome="incorrect", pod="b")]
    measured = measure(rule(), outcomes=found)
    assert isinstance(measured, Measurement)
    assert (measured.value, measured.samples) == (0.45, 200)


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        ([4000.0], [100.0], HEALTHY),
        ([40_000.0], [100.0], BREACHED),
        ([1e308], [1.0], BREACHED),
        ([0.0], [100.0], HEALTHY),
        ([1.0, 2.0], [50.0, 50.0], HEALTHY),
        ([], [], GONE),
        ([5.0], [], FEW),
        ([], [5.0], FEW),
        ([0.0], [0.0], FEW),
        ([5.0], [1e-300], FEW),
        ([math.nan], [5.0], GONE),
        ([5.0], [math.nan], GONE),
        ([math.inf], [5.0], GONE),
        ([5.0], [math.inf], GONE),
        ([-1.0], [5.0], GONE),
        ([5.0], [-1.0], GONE),
        ([1e308, 1e308], [5.0, 5.0], GONE),
        ([5.0], [1e308], GONE),
    ],
)
def test_squared_errors(total, count, expected):
    """A mean needs both counters, as numbers, and at least one truth."""
    pods = {
        role: [one(v, pod=str(n)) for n, v in enumerate(values)]
        for role, values in (("total", total), ("count", count))
    }
    assert verdict(measure(of("rmse"), **pods)) == expected


# Maturity without cohorts


def test_feedback_counts_once_the_window_speaks_of_the_revision():
    """A revision older than window and delay together; before, it is said when that will be."""
    found = outcomes(correct=1000)
    early = measure(rule(), outcomes=found, changed=T0 - 29 * HOUR)
    assert early == Missing(
        WARM,
        "the window holds feedback about what served before; there can be a verdict from"
        " 2023-11-14 23:13 UTC on",
    )
    assert verdict(measure(rule(), outcomes=found, changed=T0 - 30 * HOUR)) is HEALTHY
    assert verdict(measure(rule(), outcomes=found, since=T0 - 29 * HOUR)) is WARM
    assert verdict(measure(rule(), outcomes=found, since=T0 - 30 * HOUR)) is HEALTHY


def test_a_kept_answer_is_as_old_as_it_is():
    """What was answered before the revision was mature stays immature."""
    found = outcomes(T0 - HOUR, correct=1000)
    assert verdict(measure(rule(), outcomes=found, changed=T0 - 30.5 * HOUR)) is WARM


@pytest.mark.parametrize("since", [math.inf, 1e14])
def test_what_has_no_date_is_not_dated(since):
    """Evidence that never begins is waited for without a time."""
    measured = measure(rule(), since=since, outcomes=outcomes(correct=1000))
    assert measured == Missing(WARM, "the window holds feedback about what served before")


# Maturity with cohorts


def cohorts(*ages: float, wrong_before: float = math.inf, write=rfc3339):
    """Return 100 outcomes by cohort of that age in hours; wrong ones from a certain age on."""
    found = []
    for age in ages:
        name = "incorrect" if age >= wrong_before else "correct"
        found += outcomes(cohort=write(T0 - age * HOUR), **{name: 100.0})
    return found


@pytest.mark.parametrize(
    "write",
    [
        rfc3339,
        lambda at: rfc3339(at).replace("+00:00", "Z"),
        lambda at: rfc3339(at).removesuffix("+00:00"),
        lambda at: f"{at:.0f}",
    ],
)
def test_exactly_the_mature_cohorts_of_the_window_count(write):
    """At least 6 h old and at most 30 h: neither newer ones nor older ones, however written."""
    mature = rule(cohortLabel="cohort")
    found = cohorts(5.9, 6.0, 12.0, 30.0, 30.1, write=write)
    measured = measure(mature, outcomes=found)
    assert isinstance(measured, Measurement)
    assert measured.samples == 300


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=20, unique=True))
def test_a_cohort_counts_by_its_age_alone(ages):
    """Whatever the cohorts, those whose age is within delay and window count."""
    found = [s for a in ages for s in outcomes(cohort=f"{T0 - a:.0f}", correct=1.0)]
    measured = measure(rule(cohortLabel="cohort"), outcomes=found)
    expected = sum(6 * HOUR <= age <= 30 * HOUR for age in ages)
    samples = measured.samples if isinstance(measured, Measurement) else 0
    assert samples == expected


def test_cohorts_before_the_revision_do_not_count():
    """A new revision is not judged by what the one before predicted, nor is a repaired one."""
    mature, found = rule(cohortLabel="cohort"), cohorts(7.0, 9.0, 20.0, wrong_before=9.0)
    assert verdict(measure(mature, outcomes=found)) is BREACHED
    for when in ({"changed": T0 - 8 * HOUR}, {"since": T0 - 8 * HOUR}):
        measured = measure(mature, outcomes=found, **when)
        assert isinstance(measured, Measurement)
        assert (measured.breached, measured.samples) == (False, 100)
    assert measure(mature, outcomes=found, changed=T0 - 5 * HOUR) == Missing(
        WARM,
        "no cohort of what serves is old enough for its truth; there can be a verdict from"
        " 2023-11-14 23:13 UTC on",
    )


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        ([], GONE, "no series of feedback"),
        (cohorts(1.0, 2.0), FEW, "no cohort of the window is 6h old"),
        (cohorts(100.0), FEW, "no cohort of the window is 6h old"),
        (outcomes(correct=5), BAD, "is a time in RFC 3339 or Unix seconds, such as ''"),
        (outcomes(cohort="monday", correct=5), BAD, "such as 'monday'"),
        (outcomes(cohort="nan", correct=5), BAD, "such as 'nan'"),
        (outcomes(cohort="inf", correct=5), FEW, "no cohort of the window"),
        (outcomes(cohort="0001-01-01T00:00:00+14:00", correct=5), FEW, "no cohort of the window"),
    ],
)
def test_cohorts_that_cannot_count(found, reason, said):
    """Too new, too old, and without a time are told apart."""
    measured = measure(rule(cohortLabel="cohort"), outcomes=found)
    assert isinstance(measured, Missing)
    assert measured.reason is reason
    assert said in measured.why


def test_a_cohort_without_a_time_hides_no_other():
    """Series without the label are left out."""
    found = [*cohorts(7.0), *outcomes(correct=900.0)]
    measured = measure(rule(cohortLabel="cohort"), outcomes=found)
    assert isinstance(measured, Measurement)
    assert measured.samples == 100


def test_squared_errors_have_cohorts_too():
    """Sums and counts of the mature ones."""
    old, new = (rfc3339(T0 - age * HOUR) for age in (7, 1))
    measured = measure(
        of("rmse", cohortLabel="cohort"),
        total=[one(400.0, cohort=old), one(1e9, cohort=new)],
        count=[one(100.0, cohort=old), one(100.0, cohort=new)],
    )
    assert isinstance(measured, Measurement)
    assert (measured.value, measured.samples) == (2.0, 100)


# Coverage


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([2000.0], HEALTHY),
        ([2001.0], FEW),
        ([500.0], HEALTHY),
        ([0.0], FEW),
        ([], GONE),
        ([math.nan], GONE),
        ([math.inf], GONE),
        ([-1.0], GONE),
        ([1e308], GONE),
        ([1.0, 2.0], GONE),
    ],
)
def test_too_little_known_truth_is_no_evidence(predictions, expected):
    """Half of the predictions must be known; of how many must be known too."""
    measured = measure(
        rule(coverage="50%", predictions="p"),
        outcomes=outcomes(correct=950, incorrect=50),
        predictions=[one(v, pod=str(n)) for n, v in enumerate(predictions)],
    )
    assert verdict(measured) == expected


def test_coverage_counts_all_truths():
    """A recall over few positives is covered by the truths of all predictions."""
    measured = measure(
        of("recall", coverage="50%", predictions="p"),
        outcomes=outcomes(tp=95, fn=5, tn=900),
        predictions=[one(2000.0)],
    )
    assert isinstance(measured, Measurement)
    assert measured.samples == 100


def test_coverage_says_its_numbers():
    """The share, both counts and what is needed; or that nobody knows."""
    covered = rule(coverage="50%", predictions="p")
    known = outcomes(correct=60)
    low = measure(covered, outcomes=known, predictions=[one(500.0)])
    unknown = measure(covered, outcomes=known, predictions=[])
    absent = measure(covered, outcomes=[], predictions=[one(500.0)])
    assert low == Missing(FEW, "truth is known of 12 % of predictions (60 of 500), need 50%")
    assert unknown == Missing(
        GONE, "nobody knows how much truth is missing: no series of predictions"
    )
    assert absent == Missing(GONE, "no series of feedback")


# Proxy


def test_the_proxy_is_judged_while_there_is_no_mature_truth():
    """And the sentence says so, with the reason; mature truth is preferred once it is there."""
    guarded = rule(proxy=PROXY)
    shown = {"part": [one(30.0)], "whole": [one(1000.0)]}
    young = measure(guarded, outcomes=outcomes(correct=1000), changed=T0 - HOUR, **shown)
    assert isinstance(young, Measurement)
    assert (young.breached, young.value, young.samples) == (True, 0.03, 1000)
    assert young.why == (
        "proxy 3 % (30 of 1,000; at most 4.08 % with 95% confidence), allowed at least 5%; judged"
        " by the proxy, as there is no mature truth: the window holds feedback about what served"
        " before; there can be a verdict from 2023-11-16 03:13 UTC on"
    )
    old = measure(guarded, outcomes=outcomes(correct=1000), changed=T0 - 2 * DAY, **shown)
    assert isinstance(old, Measurement)
    assert (old.breached, old.value) == (False, 1.0)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        ([60.0], [1000.0], HEALTHY),
        ([10.0], [1000.0], BREACHED),
        ([], [1000.0], BREACHED),
        ([math.nan], [1000.0], BREACHED),
        ([60.0], [], GONE),
        ([60.0], [math.nan], GONE),
        ([60.0], [0.0], FEW),
        ([-1.0], [5.0], GONE),
        ([5.0], [-1.0], GONE),
        ([math.inf], [5.0], GONE),
        ([5.0], [math.inf], GONE),
        ([1e308], [1e308], GONE),
        ([60.0], [500.0, 500.0], GONE),
    ],
)
def test_a_proxy_without_numbers_is_no_verdict(part, whole, expected):
    """An absent part beside a whole is a zero; without a whole nothing is known."""
    pods = {
        role: [one(v, pod=str(n)) for n, v in enumerate(values)]
        for role, values in (("part", part), ("whole", whole))
    }
    measured = measure(rule(proxy=PROXY), outcomes=[], **pods)
    assert verdict(measured) == expected
    assert "no series of feedback" in measured.why


def test_a_proxy_waits_for_its_window_after_an_action():
    """Then neither truth nor proxy is known, and both are said."""
    shown = {"part": [one(30.0)], "whole": [one(1000.0)]}
    measured = measure(rule(proxy=PROXY), outcomes=[], since=T0 - HOUR, **shown)
    assert isinstance(measured, Missing)
    assert measured.reason is WARM
    assert "what served before" in measured.why
    assert "the proxy still looks back over the last action" in measured.why


def test_a_wrong_label_is_told_and_not_covered_up():
    """A mistake in the spec is worth more than a verdict of the proxy."""
    shown = {"part": [one(300.0)], "whole": [one(1000.0)]}
    measured = measure(rule(proxy=PROXY), outcomes=outcomes(yes=5), **shown)
    assert verdict(measured) is BAD


# What is said and asked


def test_the_sentences_hold_all_numbers():
    """Value, counts, what chance allows, the limit, and how late the truth is."""
    accuracy = measure(rule(), outcomes=outcomes(correct=1824, incorrect=276))
    rmse = measure(of("rmse"), total=[one(72_000.0)], count=[one(500.0)])
    assert accuracy.why == (
        "accuracy 86.9 % (1,824 of 2,100; at most 88 % with 95% confidence), allowed at least 90%,"
        " truth after 6h"
    )
    assert rmse.why == (
        "rmse 12 (over 500; at least 11.12 with 95% confidence), allowed at most 10, truth after 6h"
    )


def test_what_is_asked_without_cohorts():
    """Increases by outcome over the window, of predictions as much earlier as truth is late."""
    asked = rule(coverage="50%", predictions="p", proxy=PROXY).questions(Subject({"a": "x"}), DAY)
    assert {role: question.promql for role, question in asked.items()} == {
        "outcomes": 'sum by (outcome)(increase(f{a="x"}[86400000ms]))',
        "predictions": 'sum(increase(p{a="x"}[86400000ms] offset 6h))',
        "part": 'sum(increase(clicks{a="x"}[86400000ms]))',
        "whole": 'sum(increase(shown{a="x"}[86400000ms]))',
    }
    assert {question.keep for question in asked.values()} == {1440.0}
    assert set(of("rmse").questions(Subject({}), DAY)) == {"total", "count"}


@pytest.mark.parametrize("field", ["accuracy", "rmse"])
def test_what_is_asked_with_cohorts(field):
    """By cohort, back to the oldest that counts; a counter born with its events is not missed."""
    asked = of(
        field,
        cohortLabel="cohort",
        **({"accuracy": {"feedback": "f"}} if field == "accuracy" else {}),
    )
    found = [question.promql for question in asked.questions(Subject({"a": "x"}), DAY).values()]
    by = "outcome, cohort" if field == "accuracy" else "cohort"
    assert all(text.startswith(f"sum by ({by}) (increase(") for text in found)
    assert all("[108000000ms]) > max_over_time(" in text for text in found)
    assert all(parse(text) for text in found)


def test_only_plain_selectors_are_asked():
    """An expression in place of a selector is refused, with and without cohorts."""
    for label in (None, "cohort"):
        wrong = rule(accuracy={"feedback": "sum(f)"}, cohortLabel=label)
        with pytest.raises(PromqlError, match="plain metric selector"):
            wrong.questions(Subject({}), DAY)


def test_the_preset_knows_the_convention():
    """Feedback and predictions come from it; a server that does not know the truth says so."""
    left = rule(accuracy={}, coverage="50%")
    resolved = left.resolved(presets()["backstop"])
    assert resolved.accuracy is not None
    assert resolved.accuracy.feedback == "model_feedback_total"
    assert resolved.predictions == "model_prediction_total"
    asked = resolved.questions(Subject({}), DAY)
    assert asked["outcomes"].promql.startswith("sum by (outcome)(increase(model_feedback_total{")
    written = rule(coverage="50%", predictions="p").resolved(None)
    assert (written.accuracy, written.predictions) == (rule().accuracy, "p")
    assert of("rmse").resolved(None).rmse == of("rmse").rmse
    with pytest.raises(PresetError, match="no model server knows the truth"):
        left.resolved(presets()["vllm"])


# The kind


def test_the_kind_and_its_defaults():
    """Speaks of the model, needs 200 truths, and waits for nothing but what it says itself."""
    assert kinds()["performance"] is Performance
    assert (rule().pillar, rule().SAMPLES, rule().settles(DAY)) == (Pillar.MODEL, 200, 0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": None}, "performance needs exactly one of accuracy, precision, recall, rmse"),
        ({"recall": {}}, "performance needs exactly one of"),
        ({"min": None}, "accuracy, precision and recall need min"),
        ({"max": "5"}, "rmse needs max"),
        ({"accuracy": None, "rmse": {}}, "rmse needs max"),
        ({"accuracy": None, "rmse": {}, "max": "5"}, "rmse has none"),
        ({"confidence": "49%"}, "confidence must be at least 50% and below 100%"),
        ({"confidence": "100%"}, "confidence must be at least 50% and below 100%"),
        ({"confidence": "5%"}, "confidence must be at least 50% and below 100%"),
        ({"matureAfter": None}, "matureAfter"),
        ({"min": "0.9"}, "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, said):
    """With a sentence that says what to write."""
    with pytest.raises(ValidationError, match=said):
        rule(**changes)
