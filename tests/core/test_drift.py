"""Drift: large, sure and unusual at once; what is missing or no number is Unknown, never drift."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.core.build import T0, series, spec
from tests.core.distributions import (
    EDGES,
    EVEN,
    TILTED,
    ask,
    categories,
    histogram,
    histograms,
    native,
    reference,
    trained,
)

from backstop.api.words import Arm, Verdict
from backstop.core.inquiry import inquiries
from backstop.core.judging import look_all
from backstop.core.measurement import Measurement, Missing, Pillar, Question, UnknownReason, Usual
from backstop.core.measures.effects import LIMITS, By
from backstop.core.measures.past import MOST_WINDOWS
from backstop.core.presets.preset import PresetError
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError
from backstop.core.samples import Reading
from backstop.core.signals.drift import Drift
from backstop.core.signals.rule import OnBreach, Scope, Subject
from backstop.core.verdicts import Sight, SignalVerdict

GONE, FEW, BAD, WARMING = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
    UnknownReason.BAD_QUERY,
    UnknownReason.WARMING_UP,
)
TRAINING = {"configMap": "training"}
MANY = reference(features={"amount": trained([count * 50 for count in EVEN])})


def drift(**fields: Any) -> Drift:
    """Return a rule on features against training data, unless other fields are given."""
    watched = {"features", "scores", "predictions", "categories"} & fields.keys()
    base = {} if watched else {"features": {"buckets": "values_bucket"}}
    return Drift.model_validate({"reference": TRAINING, **base, **fields})


def features(counts: dict[str, Any]) -> dict[str, Any]:
    return {name: trained(one) for name, one in counts.items()}


# What is asked


def test_a_spec_may_be_short():
    """A preset knows the selectors, and without a reference the past of whole weeks is one."""
    rule = Drift.model_validate({"features": {}}).resolved(presets()["backstop"])
    asked = rule.questions(Subject({"app": "x"}), 3600.0)
    said = 'sum by (feature, le)(increase(model_feature_value_bucket{app="x"}[3600000ms]%s))'
    assert asked == {
        "current": Question(said % "", 360.0),
        **{f"{n}d": Question(said % f" offset {n}d", 3600.0) for n in (7, 14, 21, 28)},
    }
    assert (rule.pillar, rule.on_breach, rule.scope) == (
        Pillar.DATA,
        OnBreach.REPORT,
        Scope.EACH_ARM,
    )
    assert rule.settles(3600.0) == 3600.0


@pytest.mark.parametrize(
    ("watched", "promql", "pillar"),
    [
        ({"features": {"native": "v", "label": "f"}}, "sum by (f)(increase(v{}[60000ms]))", "data"),
        ({"scores": {"buckets": "s"}}, "sum by (le)(increase(s{}[60000ms]))", "model"),
        ({"scores": {"native": "s"}}, "sum(increase(s{}[60000ms]))", "model"),
        ({"predictions": {"counter": "p"}}, "sum by (class)(increase(p{}[60000ms]))", "model"),
        (
            {"categories": {"counter": "c"}},
            "sum by (feature, category)(increase(c{}[60000ms]))",
            "data",
        ),
    ],
)
def test_each_distribution_asks_what_it_needs(watched, promql, pillar):
    """One question for a reference that is no past; what is written needs no preset."""
    rule = drift(**watched)
    assert rule.resolved(None) == rule
    assert rule.questions(Subject({}), 60.0) == {"current": Question(promql, 6.0)}
    assert rule.pillar == pillar
    assert rule.config_map == "training"


@pytest.mark.parametrize(
    ("watched", "promql"),
    [
        ("scores", "sum by (le)(increase(model_prediction_score_bucket{}[60000ms]))"),
        ("predictions", "sum by (class)(increase(model_prediction_total{}[60000ms]))"),
    ],
)
def test_a_preset_knows_scores_and_predictions(watched, promql):
    """Also here the spec may be empty; without a preset that is an error which says what to do."""
    rule = drift(**{watched: {}})
    found = rule.resolved(presets()["backstop"])
    assert found.questions(Subject({}), 60.0)["current"].promql == promql
    with pytest.raises(PresetError, match="write the selectors"):
        rule.resolved(None)


def test_stable_is_asked_in_the_same_window():
    """Only of the candidate: the target has nothing beside it."""
    rule = drift(reference={"stable": True})
    assert rule.scope is Scope.CANDIDATE
    asked = rule.questions(Subject({"app": "new"}, {"app": "old"}), 60.0)
    assert {role: 'app="old"' in one.promql for role, one in asked.items()} == {
        "current": False,
        "stable": True,
    }
    assert list(rule.questions(Subject({"app": "new"}), 60.0)) == ["current"]


def test_a_selector_that_is_none_is_refused():
    """An expression cannot be summed by Backstop."""
    with pytest.raises(PromqlError, match="must be a plain metric selector"):
        drift(features={"buckets": "rate(x[5m])"}).questions(Subject({}), 60.0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scores": {}, "features": {}}, "drift needs exactly one of features, scores"),
        ({"features": None}, "drift needs exactly one of features, scores"),
        ({"max": "0"}, "max must be above 0"),
        ({"alpha": "0.0%"}, "alpha must be above 0% and below 50%"),
        ({"alpha": "50%"}, "alpha must be above 0% and below 50%"),
        ({"falseDiscoveries": "100%"}, "falseDiscoveries must be above 0% and below 100%"),
        ({"by": "ks", "predictions": {}}, "ks and wasserstein need numbers"),
        ({"range": {"min": "0", "max": "1"}}, "range is for by: wasserstein only"),
        (
            {"by": "wasserstein", "range": {"min": "1", "max": "1"}},
            "min of a range must be below its max",
        ),
        ({"reference": {}}, "exactly one of configMap, past, stable"),
        ({"reference": {"past": ["1d"], "stable": True}}, "exactly one of configMap, past, stable"),
        ({"reference": {"stable": False}}, "stable is true, or left out"),
        ({"features": {"buckets": "a", "native": "b"}}, "not both"),
        ({"scores": {"buckets": "a", "native": "b"}}, "not both"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(fields, said):
    """The message says what to write."""
    with pytest.raises(ValidationError, match=said):
        drift(**fields)


# When a feature has drifted


@pytest.mark.parametrize("by", By)
def test_every_statistic_tells_drift_from_none(by):
    """A tilted histogram is drift, a sample of the same one is none; the sentence has the size."""
    bounds = {"min": "0", "max": "10000"}
    rule = drift(by=by, **({"range": bounds} if by is By.WASSERSTEIN else {}))
    same = ask(rule, {"current": histogram([203, 198, 195, 202, 202])}, MANY)
    other = ask(rule, {"current": histogram(TILTED)}, MANY)
    assert isinstance(same, Measurement)
    assert isinstance(other, Measurement)
    assert (same.breached, other.breached) == (False, True)
    assert same.value < LIMITS[by] < other.value
    assert f" {other.value:.3g} against the training data, allowed {LIMITS[by]:.3g}" in other.why


def test_the_sentence_holds_the_numbers():
    """The worst feature, its limit, both sample sizes, and how many of how many drifted."""
    known = reference(features=features({"amount": [c * 50 for c in EVEN], "age": EVEN, "x": EVEN}))
    found = ask(drift(), {"current": histograms({"amount": TILTED, "age": EVEN})}, known)
    assert isinstance(found, Measurement)
    assert found.why == (
        "feature amount: PSI 0.424 against the training data, allowed 0.2"
        " (1,000 samples against 50,000, not calibrated); 1 of 2 features drifted"
    )
    assert found.samples == 1000


def test_what_is_left_out_is_counted():
    """Few samples, bad numbers, other buckets, unknown to the reference: each is said."""
    known = reference(
        features={
            **features({"amount": EVEN, "few": EVEN, "nan": EVEN}),
            "cut": trained(EVEN, [2.0, 20.0, 200.0, 2000.0]),
        }
    )
    current = histograms(
        {"amount": EVEN, "few": [1] * 5, "nan": [math.nan] * 5, "cut": EVEN, "new": EVEN}
    )
    found = ask(drift(), {"current": current}, known, least=100)
    assert isinstance(found, Measurement)
    assert found.why.endswith(
        "; 0 of 1 features drifted, 1 with too few samples, 1 without usable numbers,"
        " 1 with other buckets than the reference, 1 not in the reference"
    )


@pytest.mark.parametrize(("affected", "breached"), [(1, True), (2, True), (3, False)])
def test_as_many_features_must_drift_as_the_spec_says(affected, breached):
    """`affected` is a least number."""
    known = reference(features=features(dict.fromkeys("abc", EVEN)))
    current = histograms({"a": TILTED, "b": TILTED, "c": EVEN})
    found = ask(drift(affected=affected), {"current": current}, known)
    assert isinstance(found, Measurement)
    assert found.breached is breached
    assert "2 of 3 features drifted" in found.why


def test_only_the_named_features_count():
    """Others are not even counted in the sentence."""
    known = reference(features=features(dict.fromkeys("ab", EVEN)))
    rule = drift(features={"buckets": "b", "only": ["b"]})
    found = ask(rule, {"current": histograms({"a": TILTED, "b": EVEN})}, known)
    assert isinstance(found, Measurement)
    assert not found.breached
    assert found.why.endswith("0 of 1 features drifted")


def test_chance_is_not_called_drift():
    """Of 200 features without drift, seen through 500 samples each, none is called drifted."""
    random = np.random.default_rng(7)
    names = [f"f{n}" for n in range(200)]
    known = reference(features=features({key: [c * 50 for c in EVEN] for key in names}))
    for by in (By.PSI, By.KS, By.JENSEN_SHANNON, By.L_INFINITY, By.CHI_SQUARE):
        current = histograms({name: random.multinomial(500, [0.2] * 5) for name in names})
        found = ask(drift(by=by), {"current": current}, known)
        assert isinstance(found, Measurement)
        assert found.why.endswith("; 0 of 200 features drifted")


def test_a_limit_below_chance_needs_more_samples():
    """How many is said, and with as many there is a verdict."""
    few = ask(drift(max="0.1"), {"current": histogram([20] * 5)}, MANY)
    assert few == Missing(
        FEW, "feature amount: 100 samples in the window, need 186 for a limit of PSI 0.1"
    )
    enough = ask(drift(max="0.1"), {"current": histogram([38, 37, 37, 37, 37])}, MANY)
    assert isinstance(enough, Measurement)
    assert not enough.breached


def test_a_large_change_shows_also_in_few_samples():
    """Above what chance does, it counts although a small change would not."""
    found = ask(drift(max="0.1"), {"current": histogram([0, 0, 0, 0, 100])}, MANY)
    assert isinstance(found, Measurement)
    assert found.breached
    assert "allowed 0.185" in found.why


@pytest.mark.parametrize(
    ("counts", "trained_on", "least", "said"),
    [
        ([1] * 5, EVEN, 100, "5 samples in the window, need 100, 1 others no better"),
        ([0] * 5, EVEN, 0, "0 samples in the window, need 1, 1 others no better"),
        (EVEN, [1] * 5, 1, "5 samples in the reference are too few for a limit of PSI 0.2"),
        (EVEN, [0] * 5, 1, "the reference holds no values, 1 others no better"),
    ],
)
def test_what_is_too_little_is_said(counts, trained_on, least, said):
    """In the window or in the reference, of the feature that has the most."""
    known = reference(features=features(dict.fromkeys("ab", trained_on)))
    found = ask(drift(), {"current": histograms(dict.fromkeys("ab", counts))}, known, least=least)
    assert isinstance(found, Missing)
    assert found.reason is FEW
    assert said in found.why


def test_rare_categories_alone_tell_nothing():
    """Where all would be merged into one there is nothing to test."""
    rule = drift(predictions={"counter": "p"})
    known = reference(predictions={"counts": {"a": 3, "b": 3}})
    found = ask(rule, {"current": categories({"a": 2, "b": 2})}, known)
    assert isinstance(found, Missing)
    assert found == Missing(FEW, "predictions: 4 samples against 6 are too few for so many buckets")


def test_an_open_tail_is_no_distance():
    """Nobody knows how far out values lie, so Wasserstein asks for a range."""
    found = ask(drift(by="wasserstein"), {"current": histogram(TILTED)}, MANY)
    assert isinstance(found, Missing)
    assert found.reason is BAD
    assert "write a range from the min to the max" in found.why


def test_closed_tails_need_no_range():
    """With less than 1 % beyond the outermost edges there is a distance without one."""
    known = reference(features={"amount": trained([0, 3e3, 4e3, 3e3, 0])})
    found = ask(drift(by="wasserstein"), {"current": histogram([0, 100, 300, 600, 0])}, known)
    assert isinstance(found, Measurement)
    assert found.breached


def test_scores_and_predictions_are_one_distribution():
    """There is no count of features in the sentence, and categories are the default's."""
    known = reference(
        scores=trained(EVEN, [0.2, 0.4, 0.6, 0.8]), predictions={"counts": {"yes": 100, "no": 900}}
    )
    scores = histogram(TILTED, "", edges=(0.2, 0.4, 0.6, 0.8))
    found = ask(drift(scores={"buckets": "s"}), {"current": scores}, known)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith("scores: PSI 0.4")
    assert found.why.endswith("not calibrated)")
    answered = categories({"yes": 90, "no": 810, "maybe": 100})
    found = ask(drift(predictions={"counter": "p"}), {"current": answered}, known)
    assert isinstance(found, Measurement)
    assert found.why.startswith("predictions: Jensen-Shannon distance 0.2")
    assert found.why.endswith("10 % in categories not seen before")


def test_a_reference_may_lack_scores_and_predictions():
    """That is the reference's fault, and said."""
    for watched in ({"scores": {"buckets": "s"}}, {"predictions": {"counter": "p"}}):
        current = histogram(EVEN, "")
        found = ask(drift(**watched), {"current": current}, MANY)
        (noun,) = watched
        assert found == Missing(
            BAD, f"the reference has none of the 1 {noun}; is it of this model?"
        )


def test_categories_of_features_are_compared_by_feature():
    """A feature whose categories moved is told from one whose did not."""
    rule = drift(categories={"counter": "c", "label": "class"})
    known = reference(
        categories={name: {"counts": {"x": 500, "y": 500}} for name in ("land", "device")}
    )
    current = [
        *categories({"x": 700, "y": 300}, feature="land"),
        *categories({"x": 490, "y": 510}, feature="device"),
    ]
    found = ask(rule, {"current": current}, known)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith("feature land: Jensen-Shannon distance")
    assert found.why.endswith("; 1 of 2 features drifted")


# The reference


def test_a_config_map_that_is_not_known_is_told():
    """What the runtime says of it is the reason; before it says anything one waits."""
    gone = Missing(GONE, "ConfigMap training does not exist in namespace demo")
    current = {"current": histogram(EVEN)}
    assert ask(drift(), current, gone) == gone
    assert ask(drift(), current) == Missing(WARMING, "ConfigMap training is not known")


def test_edges_that_changed_are_aligned():
    """On the edges that both have; with fewer than two the reference must be built anew."""
    known = reference(features={"amount": trained([400, 200, 200, 200], [10.0, 100.0, 1000.0])})
    found = ask(drift(), {"current": histogram(TILTED)}, known)
    assert isinstance(found, Measurement)
    assert found.breached
    other = reference(features={"amount": trained([1000, 200, 200, 200], [5.0, 50.0, 1000.0])})
    assert ask(drift(), {"current": histogram(TILTED)}, other) == Missing(
        BAD,
        "the buckets of amount and those of its reference have fewer than two edges in common;"
        " build the reference with the edges of the exporter",
    )


def test_native_histograms_are_compared():
    """With another native one on stable, and with classic edges where they meet."""
    even = native([(0, 1.0, 2.0, 300), (0, 2.0, 4.0, 300), (0, 4.0, 8.0, 300)])
    moved = native([(0, 1.0, 2.0, 100), (0, 2.0, 4.0, 200), (0, 4.0, 8.0, 600)])
    rule = drift(features={"native": "v"}, reference={"stable": True})
    found = ask(rule, {"current": moved, "stable": even})
    assert isinstance(found, Measurement)
    assert found.breached
    assert "against stable" in found.why
    known = reference(features={"amount": trained([0, 300, 300, 300, 0], [1.0, 2.0, 4.0, 8.0])})
    found = ask(drift(features={"native": "v"}), {"current": moved}, known)
    assert isinstance(found, Measurement)
    assert found.breached


def past(**windows: Any) -> dict[str, Any]:
    return {"current": histogram(EVEN)} | {
        role: histogram(counts, at=T0 - 9) for role, counts in windows.items()
    }


PAST = {"past": ["1d", "2d", "3d", "4d"]}


def test_the_past_is_the_median_of_its_windows():
    """Windows without data are left out, and how many were used is said."""
    found = ask(drift(reference=PAST), past(**{"1d": EVEN, "3d": EVEN}))
    assert isinstance(found, Measurement)
    assert not found.breached
    assert "against the median of 2 of 4 past windows" in found.why


def test_a_bad_window_of_the_past_is_left_out():
    """A past incident is not a reference: neither when it is over, nor for the next one."""
    windows = {"1d": EVEN, "2d": (0, 0, 0, 0, 1000), "3d": EVEN, "4d": EVEN}
    calm = ask(drift(reference=PAST), past(**windows))
    assert isinstance(calm, Measurement)
    assert not calm.breached
    assert "against the median of 3 of 4 past windows" in calm.why
    again = ask(drift(reference=PAST), {**past(**windows), "current": histogram([0, 0, 0, 0, 900])})
    assert isinstance(again, Measurement)
    assert again.breached


def test_windows_that_all_differ_are_all_used():
    """Where half of the past is far from the rest nobody knows which half was bad."""
    windows = {"1d": EVEN, "2d": TILTED, "3d": EVEN, "4d": TILTED}
    found = ask(drift(reference=PAST), past(**windows))
    assert "against the median of 4 of 4 past windows" in found.why


def test_nothing_known_of_the_past_is_no_verdict():
    """Nor of stable."""
    current = {"current": histogram(EVEN)}
    assert ask(drift(reference={"past": ["7d", "14d"]}), current) == Missing(
        FEW, "nothing is known of features 7d, 14d ago, so there is nothing to compare"
    )
    assert ask(drift(reference={"stable": True}), current) == Missing(
        FEW, "nothing is known of features on stable, so there is nothing to compare"
    )


# What is usual


def looks(rule: Drift, counts: list[Any], every: float = 3600.0, usual: Usual | None = None):
    """Return the last measurement of looks at these histograms, and what it remembers."""
    found = None
    for number, one in enumerate(counts):
        at = T0 - (len(counts) - 1 - number) * every
        found = ask(rule, {"current": histogram(one, at=at)}, MANY, usual=usual)
        assert isinstance(found, Measurement)
        usual = found.usual or usual
    return found, usual


def test_what_is_usual_for_a_feature_is_no_drift():
    """A noisy feature gets a wider limit from its own past, one that was calm does not."""
    calm, noisy = [200, 200, 200, 200, 200], [120, 160, 200, 240, 280]
    edge, rule = [100, 130, 210, 260, 300], drift(max="0.1")
    alone, _ = looks(rule, [edge])
    assert alone.breached
    found, _ = looks(rule, [*[calm, noisy] * 6, edge])
    assert not found.breached
    assert "usual up to 0." in found.why
    found, _ = looks(rule, [*[calm] * 12, edge])
    assert found.breached
    assert "not calibrated" not in found.why


def test_a_drifted_window_is_not_usual():
    """However long drift lasts, it does not become what it is held against."""
    found, usual = looks(drift(), [TILTED] * 15)
    assert found.breached
    assert "not calibrated" in found.why
    assert np.isnan(usual.sizes).all()


def test_windows_that_overlap_are_remembered_once():
    """A look a minute is no window an hour; the memory is bounded."""
    _, usual = looks(drift(), [EVEN] * 5, every=60.0)
    assert usual.sizes.shape == (1, 1)
    _, usual = looks(drift(), [EVEN] * (MOST_WINDOWS + 5))
    assert usual.sizes.shape == (1, MOST_WINDOWS)


def test_what_was_measured_otherwise_is_not_usual():
    """Another spec or another reference begins anew; a feature that is new has no past."""
    _, usual = looks(drift(), [EVEN] * 12)
    found, _ = looks(drift(max="0.3"), [EVEN], usual=usual)
    assert "not calibrated" in found.why
    known = reference(features=features({"amount": [c * 50 for c in EVEN], "new": EVEN}))
    current = {"current": histograms({"amount": EVEN, "new": EVEN}, at=T0)}
    usual = Usual(ask(drift(), current, known).usual.about, T0 - 9e3, usual.names, usual.sizes)
    found = ask(drift(), current, known, usual=usual)
    assert found.usual.names == ("amount", "new")
    assert np.isfinite(found.usual.sizes).sum(axis=1).tolist() == [13, 1]


# As the loop looks


DRIFT = {
    "name": "inputs",
    "window": "10s",
    "drift": {"features": {"buckets": "b"}, "reference": {"configMap": "training"}},
}


class Looks:
    """Looks at one monitor with a signal on drift, a window apart."""

    def __init__(self, **changes: Any) -> None:
        self.asked = inquiries(spec(signals=[{**DRIFT, **changes}]), "demo")
        (self.query,) = (one.promql for one in self.asked["inputs", Arm.TARGET].questions.values())
        self.histories: Any = {}
        self.now = T0

    def sees(self, counts: Any, known: Any = MANY) -> SignalVerdict:
        self.now += 10.0
        sight = Sight(
            self.asked,
            self.histories,
            {Arm.TARGET: 0.0},
            references={} if known is None else {"training": known},
        )
        readings = {self.query: Reading(tuple(histogram(counts, at=self.now)))}
        (seen,) = look_all([sight], readings, now=self.now)
        self.histories = seen.histories
        (found,) = seen.verdicts
        return found


def test_a_signal_on_drift_is_judged_against_its_config_map():
    """Two of three looks make a breach, which is only reported."""
    watch = Looks()
    assert watch.sees(EVEN).verdict is Verdict.HEALTHY
    assert watch.sees(TILTED).verdict is Verdict.HEALTHY
    found = watch.sees(TILTED)
    assert (found.verdict, found.reports, found.pillar) == (Verdict.BREACHED, True, Pillar.DATA)
    assert found.why.startswith("feature amount: PSI 0.424 against the training data")


def test_a_config_map_that_is_not_read_yet_is_waited_for():
    """And what is wrong with it is the reason of the verdict."""
    watch = Looks()
    found = watch.sees(TILTED, None)
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "WarmingUp")
    assert found.why == "ConfigMap training is read before the next look"
    found = watch.sees(TILTED, Missing(GONE, "ConfigMap training does not exist"))
    assert (found.reason, found.why) == ("NoData", "ConfigMap training does not exist")


def test_what_is_usual_is_remembered_from_look_to_look():
    """Each window once, also over looks that tell nothing; a minimum of samples is for each."""
    watch = Looks(minSamples=50)
    for _ in range(10):
        assert "not calibrated" in watch.sees(EVEN).why
        assert watch.sees([1] * 5).why == "feature amount: 5 samples in the window, need 50"
    assert "not calibrated" not in watch.sees(EVEN).why
    assert watch.histories["inputs", Arm.TARGET].usual.sizes.shape == (1, 11)


# What is no number


@pytest.mark.parametrize("role", ["current", "reference"])
@pytest.mark.parametrize(
    "state", ["absent", "nan", "zero", "negative", "infinite", "huge", "no edges", "odd edges"]
)
@pytest.mark.parametrize("by", By)
def test_what_is_no_number_is_no_drift(by, state, role):
    """Of either side, for every statistic: Unknown with a reason, no exception, no warning."""
    answers = {
        "absent": [],
        "nan": histogram([math.nan] * 5),
        "zero": histogram([0] * 5),
        "negative": histogram([-5] * 5),
        "infinite": histogram([math.inf] * 5),
        "huge": histogram([1e308] * 5),
        "no edges": [series([5], feature="amount")],
        "odd edges": [series([5], feature="amount", le="x")],
    }[state]
    bounds = {"range": {"min": "0", "max": "1e4"}} if by is By.WASSERSTEIN else {}
    rule = drift(by=by, reference={"past": ["1d"]}, **bounds)
    other = "1d" if role == "current" else "current"
    mine = "current" if role == "current" else "1d"
    found = ask(rule, {other: histogram(EVEN), mine: answers})
    assert isinstance(found, Missing)
    assert found.reason in {GONE, FEW}
    assert found.why


def test_edges_near_the_largest_float_are_survived():
    """They are unusual, but no error of the numbers."""
    edges = [-1e308, 0.0, 1e307, 1e308]
    known = reference(features={"amount": trained([100, 200, 300, 200, 100], edges)})
    for by in By:
        bounds = {"range": {"min": "-2e99", "max": "2e99"}} if by is By.WASSERSTEIN else {}
        current = histogram([100, 200, 300, 200, 100], edges=edges)
        found = ask(drift(by=by, **bounds), {"current": current}, known)
        assert isinstance(found, Missing) is (by is By.WASSERSTEIN)


_VALUES = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, 2.0**53]),
    st.floats(0.0, 1e6),
)
_ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", ""]),
        st.sampled_from(["1", "2", "5", "+Inf", "x", "nan"]),
        _VALUES,
    ),
    max_size=12,
)


@given(st.sampled_from(list(By)), _ANSWERS, _ANSWERS, _ANSWERS, st.integers(0, 100))
def test_any_answer_has_an_outcome(by, current, one, two, least):
    """Whatever a source answers: a measurement of finite numbers, or why there is none."""
    rule = drift(by=by, reference={"past": ["1d", "2d", "3d"]})
    answers = {
        role: [series([value], feature=name, le=edge) for name, edge, value in rows]
        for role, rows in (("current", current), ("1d", one), ("2d", two), ("3d", one))
    }
    found = ask(rule, answers, least=least)
    assert found.why
    if isinstance(found, Measurement):
        assert math.isfinite(found.value)
        assert found.samples >= least


def test_thousands_of_features_are_one_pass():
    """Each is judged, and the few that drifted are found among them."""
    random = np.random.default_rng(3)
    names = [f"f{n}" for n in range(3000)]
    known = reference(features=features({key: [c * 50 for c in EVEN] for key in names}))
    counts = {name: random.multinomial(2000, [0.2] * 5) for name in names}
    counts |= dict.fromkeys(names[:7], TILTED)
    found = ask(drift(), {"current": histograms(counts)}, known)
    assert isinstance(found, Measurement)
    assert found.why.endswith("; 7 of 3000 features drifted")


def test_edges_and_counts_of_the_table_are_as_said():
    """The helper of these tests answers as a source does: cumulative, with an infinite edge."""
    assert [(one.labels["le"], one.values[0]) for one in histogram([1, 2, 3, 4, 5])] == [
        ("1", 1),
        ("10", 3),
        ("100", 6),
        ("1000", 10),
        ("+Inf", 15),
    ]
    assert len(EDGES) == 4
