"""Data quality: shares of unusable values by feature; what is missing or no number is Unknown."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.core.build import T0, series
from tests.core.distributions import EVEN, ask, histogram, histograms, native, reference, trained

from backstop.core.measurement import Measurement, Missing, Pillar, Question, UnknownReason
from backstop.core.presets.preset import PresetError
from backstop.core.presets.registry import presets
from backstop.core.samples import Series
from backstop.core.signals.data_quality import DataQuality
from backstop.core.signals.rule import OnBreach, Subject

GONE, FEW, BAD = (
    UnknownReason.NO_DATA,
    UnknownReason.INSUFFICIENT_DATA,
    UnknownReason.BAD_QUERY,
)
WRITTEN = {"buckets": "v_bucket", "missing": "m", "invalid": "i"}
TRAINING = {"configMap": "training"}


def quality(**fields: Any) -> DataQuality:
    return DataQuality.model_validate({"features": WRITTEN, **fields})


def counts(values: dict[str, float], at: float = T0) -> list[Series]:
    return [series([count], start=at, feature=name) for name, count in values.items()]


def asked(rule: DataQuality, window: float = 300.0) -> dict[str, str]:
    questions = rule.questions(Subject({"app": "x"}), window)
    return {role: one.promql for role, one in questions.items()}


# What is asked


def test_a_preset_knows_all_counters():
    """Without a check of buckets only the infinite one is asked for."""
    rule = DataQuality.model_validate({"missing": "5%"}).resolved(presets()["backstop"])
    assert rule.questions(Subject({"app": "x"}), 300.0) == {
        "values": Question(
            'sum by (feature)(increase(model_feature_value_bucket{app="x",le="+Inf"}[300000ms]))',
            30.0,
        ),
        "missing": Question(
            'sum by (feature)(increase(model_feature_missing_total{app="x"}[300000ms]))', 30.0
        ),
        "invalid": Question(
            'sum by (feature)(increase(model_feature_invalid_total{app="x"}[300000ms]))', 30.0
        ),
    }
    assert (rule.pillar, rule.on_breach) == (Pillar.DATA, OnBreach.ACT)
    assert rule.config_map is None


def test_checks_of_values_ask_for_buckets():
    """Also of the past, where a sentinel is held against it."""
    found = asked(quality(outOfRange={"max": "10"}, features={"buckets": "v"}))
    assert found == {"values": 'sum by (feature, le)(increase(v{app="x"}[300000ms]))'}
    rule = quality(sentinel={"value": "-1"}, reference={"past": "7d"})
    assert asked(rule)["past values"] == (
        'sum by (feature, le)(increase(v_bucket{app="x"}[300000ms] offset 7d))'
    )
    assert rule.questions(Subject({}), 300.0)["past values"].keep == 300.0
    rule = quality(missing="5%", reference={"past": "7d"})
    assert "past missing" in asked(rule)
    assert 'le="+Inf"' in asked(rule)["past values"]


def test_native_histograms_are_asked_for_their_count():
    """Or as a whole, where buckets are needed."""
    native_values = {**WRITTEN, "buckets": None, "native": "v"}
    assert asked(quality(features=native_values, missing="5%"))["values"] == (
        'histogram_count(sum by (feature)(increase(v{app="x"}[300000ms])))'
    )
    assert asked(quality(features=native_values, outOfRange={"min": "0"}))["values"] == (
        'sum by (feature)(increase(v{app="x"}[300000ms]))'
    )


def test_stale_asks_over_its_own_time():
    """And for requests, which a preset knows."""
    rule = quality(stale="10m").resolved(presets()["backstop"])
    found = {role: text for role, text in asked(rule).items() if role.startswith("stale")}
    assert list(found) == ["stale values", "stale missing", "stale invalid", "stale requests"]
    assert all("[10m]" in text for text in found.values())
    assert rule.requests == "model_requests_total"
    written = quality(stale="10m", requests="r")
    assert written.resolved(None) == written
    assert rule.questions(Subject({}), 300.0)["stale values"].keep == 60.0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"features": {"buckets": "v"}, "missing": "5%"}, "missing needs the selector features.mi"),
        ({"features": {"buckets": "v"}, "invalid": "5%"}, "invalid needs the selector features.in"),
        ({"features": {"missing": "m"}, "missing": "5%"}, "features needs buckets or native"),
        ({"features": {}, "missing": "5%"}, "features: write the selectors"),
        ({"stale": "5m"}, "requests: write the selectors"),
    ],
)
def test_a_selector_that_nobody_knows_is_told(fields, said):
    """A counter of the spec is not mixed with those of a preset."""
    with pytest.raises(PresetError, match=said):
        quality(**fields).resolved(None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "dataQuality needs at least one of missing, invalid, outOfRange, sentinel, schema"),
        ({"schema": True}, "sentinel and schema need a reference"),
        ({"sentinel": {"value": "-1"}}, "sentinel and schema need a reference"),
        ({"schema": False, "reference": TRAINING}, "schema is true, or left out"),
        ({"outOfRange": {}}, "outOfRange needs min, max or both"),
        ({"outOfRange": {"min": "2", "max": "1"}}, "min of outOfRange must be below its max"),
        ({"missing": "1%", "reference": {}}, "exactly one of configMap, past"),
        ({"features": {"buckets": "a", "native": "b"}, "missing": "1%"}, "not both"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(fields, said):
    """The message says what to write."""
    with pytest.raises(ValidationError, match=said):
        quality(**fields)


# Missing and invalid


@pytest.mark.parametrize(("missing", "breached"), [(50, False), (51, True)])
def test_a_share_above_its_limit_is_a_breach(missing, breached):
    """Of all values, valid, missing and invalid ones; at the limit all is well."""
    answers = {
        "values": counts({"age": 900 - (missing - 50)}),
        "missing": counts({"age": missing}),
        "invalid": counts({"age": 50}),
    }
    found = ask(quality(missing="5%"), answers)
    assert isinstance(found, Measurement)
    assert (found.breached, found.samples) == (breached, 1000)
    assert found.why == (
        f"feature age: {missing / 10:.3g} % missing ({missing} of 1,000), allowed 5 %;"
        f" {int(breached)} features break a check, 1 have enough values"
    )


def test_a_counter_that_is_absent_is_zero_beside_another():
    """A feature that is only missing has values all the same: missing ones."""
    found = ask(quality(missing="5%"), {"missing": counts({"age": 100})})
    assert isinstance(found, Measurement)
    assert found.breached
    assert "100 % missing (100 of 100)" in found.why
    found = ask(quality(invalid="5%"), {"values": counts({"age": 100})})
    assert isinstance(found, Measurement)
    assert not found.breached


@pytest.mark.parametrize("how", ["training", "past"])
def test_what_was_always_missing_is_allowed(how):
    """With a reference the limit is on top of its share."""
    answers = {"values": counts({"age": 750}), "missing": counts({"age": 250})}
    known = reference(features={"age": trained(EVEN, missing=250)})
    if how == "past":
        answers |= {"past values": counts({"age": 800}), "past missing": counts({"age": 200})}
    against = TRAINING if how == "training" else {"past": "7d"}
    found = ask(quality(missing="5.5%", reference=against), answers, known)
    assert isinstance(found, Measurement)
    assert not found.breached
    assert "allowed 25.5 %" in found.why
    found = ask(quality(missing="4%", reference=against), answers, known)
    assert isinstance(found, Measurement)
    assert found.breached


def test_the_worst_of_many_features_and_checks_is_told():
    """Others are counted, and so are those left out."""
    answers = {
        "values": counts({"a": 900, "b": 500, "c": 999, "d": 3, "e": math.nan}),
        "missing": counts({"a": 100, "b": 0, "d": 3}),
        "invalid": counts({"b": 500}),
    }
    found = ask(quality(missing="5%", invalid="5%"), answers, least=50)
    assert isinstance(found, Measurement)
    assert found.why == (
        "feature b: 50 % invalid (500 of 1,000), allowed 5 %; 2 features break a check,"
        " 3 have enough values, 1 left out with too few, 1 without usable numbers"
    )


def test_only_the_named_features_count():
    """Others may be as bad as they like."""
    rule = quality(features={**WRITTEN, "only": ["good"]}, missing="5%")
    answers = {"values": counts({"good": 100}), "missing": counts({"bad": 100})}
    found = ask(rule, answers)
    assert isinstance(found, Measurement)
    assert not found.breached


# Out of range


@pytest.mark.parametrize(
    ("bounds", "breached", "said"),
    [
        ({"max": "1000"}, True, "above 1000 (200 of 1,000), allowed 0 %"),
        ({"max": "500"}, True, "above 500, as told by the edge at 1000 (200 of 1,000)"),
        ({"max": "100", "share": "50%"}, False, "above 100 (400 of 1,000), allowed 50 %"),
        ({"min": "10"}, True, "below 10, as told by the edge at 1 (200 of 1,000)"),
        ({"min": "5"}, True, "below 5, as told by the edge at 1 (200 of 1,000)"),
        ({"min": "11", "max": "1000"}, True, "below 11, as told by the edge at 10 (400 of 1,000)"),
    ],
)
def test_only_what_is_surely_out_of_range_counts(bounds, breached, said):
    """A bucket that a bound cuts may hold what is within, so the next edge tells, and is said."""
    found = ask(quality(outOfRange=bounds), {"values": histogram(EVEN)})
    assert isinstance(found, Measurement)
    assert found.breached is breached
    assert said in found.why


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"max": "1001"}, "no bucket tells values above 1001: add a bucket with an edge there"),
        ({"min": "1"}, "no bucket tells values below 1: add a bucket with an edge there"),
    ],
)
def test_a_bound_beyond_all_edges_tells_nothing(bounds, said):
    """That is Unknown: nobody knows, so it is not healthy either."""
    answers = {"values": histogram(EVEN)}
    assert ask(quality(outOfRange=bounds), answers) == Missing(BAD, said)


def test_native_buckets_tell_any_bound():
    """They exist only where values are, so what is not there is not out of range."""
    rule = quality(features={"native": "v"}, outOfRange={"min": "0", "max": "100"})
    within = native([(3, 0.0, 0.0, 10), (0, 8.0, 16.0, 90)])
    found = ask(rule, {"values": within})
    assert isinstance(found, Measurement)
    assert not found.breached
    beyond = native([(1, -16.0, -8.0, 10), (0, 8.0, 16.0, 90)])
    found = ask(rule, {"values": beyond})
    assert isinstance(found, Measurement)
    assert found.breached
    assert "10 % below 0, as told by the edge at -8 (10 of 100)" in found.why
    found = ask(rule, {"values": native([(0, 128.0, 256.0, 50), (0, 8.0, 16.0, 50)])})
    assert isinstance(found, Measurement)
    assert "50 % above 100, as told by the edge at 128" in found.why


# Sentinels


SPIKE = (200.0, 200.0, 200.0, 200.0, 400.0)


def test_a_sentinel_that_becomes_frequent_is_a_breach():
    """By its bucket, against that of the reference and the exact share that was there."""
    rule = quality(sentinel={"value": "9999", "share": "5%"}, reference=TRAINING)
    known = reference(features={"amount": trained(EVEN)})
    found = ask(rule, {"values": histogram(SPIKE)}, known)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith(
        "feature amount: 33.3 % in the bucket of 9999 (from 1000 to inf) (400 of 1,200),"
        " allowed 25 %"
    )
    calm = ask(rule, {"values": histogram(EVEN)}, known)
    assert isinstance(calm, Measurement)
    assert not calm.breached
    known = reference(features={"amount": trained(EVEN, sentinels={"9999": 300})})
    usual = ask(rule, {"values": histogram(SPIKE)}, known)
    assert isinstance(usual, Measurement)
    assert not usual.breached


def test_a_sentinel_is_held_against_the_past():
    """Whatever edges the past had: buckets that reach in count as a whole."""
    rule = quality(sentinel={"value": "9999", "share": "5%"}, reference={"past": "1d"})
    old = histogram([200, 200, 200, 400], edges=[1.0, 10.0, 500.0])
    found = ask(rule, {"values": histogram([100, 100, 100, 100, 600]), "past values": old})
    assert isinstance(found, Measurement)
    assert found.breached
    assert "allowed 45 %" in found.why


def test_a_sentinel_may_be_zero_or_negative():
    """The zero bucket of a native histogram holds zero; other buckets hold what lies in them."""
    rule = quality(features={"native": "v"}, sentinel={"value": "0"}, reference={"past": "1d"})
    for buckets, past in (
        ([(3, 0.0, 0.0, 50), (0, 1.0, 2.0, 50)], [(3, 0.0, 0.0, 5), (0, 1.0, 2.0, 95)]),
        ([(3, -0.5, 0.5, 50), (0, 1.0, 2.0, 50)], [(0, 1.0, 2.0, 100)]),
    ):
        found = ask(rule, {"values": native(buckets), "past values": native(past)})
        assert isinstance(found, Measurement)
        assert found.breached


def test_a_sentinel_without_reference_of_the_feature_tells_nothing():
    """No histogram to hold it against, or no values there: neither is a verdict by itself."""
    rule = quality(sentinel={"value": "9"}, reference=TRAINING)
    other = reference(features={"other": trained(EVEN)})
    assert ask(rule, {"values": histogram(EVEN)}, other) == Missing(
        BAD, "the reference has no histogram of a feature that could hold 9"
    )
    empty = reference(features={"amount": trained([0] * 5)})
    found = ask(rule, {"values": histogram(EVEN)}, empty)
    assert isinstance(found, Measurement)
    assert found.breached


# Schema


def test_features_that_vanish_or_appear_are_told():
    """By name, a few of them; categories of the reference are known too."""
    known = reference(
        features=dict.fromkeys("abcdefg", trained(EVEN)), categories={"land": {"counts": {"x": 1}}}
    )
    rule = quality(schema=True, reference=TRAINING)
    answers = {"values": counts({"a": 100, "b": 100}), "missing": counts({"land": 5})}
    found = ask(rule, answers, known)
    assert isinstance(found, Measurement)
    assert found.breached
    assert (found.value, found.why) == (
        5,
        "vanished: c, d, e and 2 more; 5 features break a check, 3 have enough values",
    )
    answers = {"values": counts(dict.fromkeys("abcdefg", 100) | {"new": 100, "unused": 0})}
    found = ask(rule, answers, known)
    assert isinstance(found, Measurement)
    assert found.why.startswith("not in the reference: new; 1 features break a check")
    answers = {"values": counts(dict.fromkeys("abcdefg", 100))}
    found = ask(rule, answers, known)
    assert isinstance(found, Measurement)
    assert not found.breached
    assert found.why == "0 features break a check, 7 have enough values"


def test_the_past_is_a_schema():
    """What had values then must have them now; a past without values tells nothing."""
    rule = quality(schema=True, reference={"past": "1d"})
    answers = {"values": counts({"a": 100}), "past values": counts({"a": 9, "b": 9, "c": 0})}
    found = ask(rule, answers)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith("vanished: b;")
    assert ask(rule, {"values": counts({"a": 100})}) == Missing(
        FEW, "nothing is known of features 1d ago"
    )


def test_a_reference_that_is_not_known_is_told():
    """What the runtime says of it is the reason."""
    rule, answers = quality(missing="5%", reference=TRAINING), {"values": counts({"a": 100})}
    gone = Missing(GONE, "ConfigMap training does not exist in namespace demo")
    assert rule.config_map == "training"
    assert ask(rule, answers, gone) == gone
    found = ask(rule, answers)
    assert isinstance(found, Missing)
    assert found.why == "ConfigMap training is not known"


# Stale


STALE = {"stale": "10m", "requests": "r"}


def lately(values: dict[str, float], requests: float | None) -> dict[str, Any]:
    return {
        "values": counts({"a": 500, "b": 500}),
        "stale values": counts(values),
        "stale requests": [] if requests is None else [series([requests])],
    }


@pytest.mark.parametrize(
    ("values", "requests", "breached"),
    [
        ({"a": 9, "b": 9}, 100, False),
        ({"a": 9, "b": 0}, 100, True),
        ({"a": 9, "b": 0}, 99, False),
    ],
)
def test_a_feature_without_values_is_stale_while_there_are_requests(values, requests, breached):
    """With too few requests nobody knows whether it should have had any."""
    found = ask(quality(**STALE), lately(values, requests), least=100)
    assert isinstance(found, Measurement)
    assert found.breached is breached
    assert ("no values in 10m: b; " in found.why) is breached


def test_all_features_may_be_stale():
    """A source that stopped altogether is a breach, not too few samples."""
    answers = lately({"a": 0, "b": 0}, 500) | {"values": counts({"a": 0, "b": 0})}
    found = ask(quality(**STALE, missing="5%"), answers, least=100)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith("no values in 10m: a, b; 2 features break a check, 0 have enough")


def test_stale_waits_for_its_time_after_an_action():
    """Its window must not reach back over the action; the other checks do not wait for it."""
    answers = lately({"a": 9, "b": 0}, 500)
    for since, breached in ((T0 - 599, False), (T0 - 600, True)):
        found = ask(quality(**STALE), answers, since=since)
        assert isinstance(found, Measurement)
        assert found.breached is breached


@pytest.mark.parametrize("requests", [None, math.nan, math.inf, -1])
def test_requests_that_are_no_number_are_told(requests):
    """Unless another check is broken, which needs no requests."""
    answers = lately({"a": 9, "b": 0}, requests)
    assert ask(quality(**STALE), answers) == Missing(
        GONE, "no usable series of requests, for stale"
    )
    bad = answers | {"missing": counts({"a": 500})}
    found = ask(quality(**STALE, missing="5%"), bad)
    assert isinstance(found, Measurement)
    assert found.breached


# What is no number


@pytest.mark.parametrize("role", ["values", "missing", "invalid"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e308, 2.0**53])
def test_what_is_no_count_is_no_verdict(role, value):
    """In any counter of a feature: it is left out, and Unknown where it was the only one."""
    rule = quality(missing="5%", invalid="5%")
    found = ask(rule, {"values": counts({"a": 100}), role: counts({"a": value})})
    assert found == Missing(GONE, "the counters of features are not numbers")


@pytest.mark.parametrize(
    ("answers", "reason", "said"),
    [
        ({}, GONE, "no series of features"),
        ({"values": counts({"a": 0})}, FEW, "feature a: 0 values, need 1"),
        ({"values": [series([9])]}, GONE, "no series of features"),
    ],
)
def test_nothing_is_no_verdict(answers, reason, said):
    """Neither series, nor values, nor the label that names features."""
    assert ask(quality(missing="5%"), answers) == Missing(reason, said)


def test_too_few_values_are_too_few():
    """Of the feature that has the most, how many there are and must be."""
    answers = {"values": counts({"a": 7, "b": 9, "c": math.nan})}
    assert ask(quality(missing="5%"), answers, least=50) == Missing(
        FEW, "feature b: 9 values, need 50, 2 others no better"
    )


@pytest.mark.parametrize("counts_of", [[math.nan] * 5, [math.inf] * 5, [1e308] * 5, [-1.0] * 5])
def test_buckets_that_are_no_counts_are_no_verdict(counts_of):
    """The feature is left out; nothing is said of it."""
    answers = {"values": histogram(counts_of)}
    found = ask(quality(outOfRange={"max": "10"}), answers)
    assert found == Missing(GONE, "the counters of features are not numbers")


_VALUES = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, 2.0**53]),
    st.floats(0.0, 1e6),
)
_COUNTS = st.lists(st.tuples(st.sampled_from(["a", "b", ""]), _VALUES), max_size=6)
_BUCKETS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", "5", "+Inf", "x"]), _VALUES),
    max_size=8,
)


@given(_BUCKETS, _BUCKETS, _COUNTS, _COUNTS, _VALUES, st.integers(0, 100))
def test_any_answer_has_an_outcome(values, past, missing, stale, requests, least):
    """Whatever a source answers: a measurement of finite numbers, or why there is none."""
    rule = quality(
        missing="5%",
        invalid="5%",
        outOfRange={"min": "2", "max": "5"},
        sentinel={"value": "3"},
        schema=True,
        reference={"past": "1d"},
        **STALE,
    )
    answers = {
        **{
            role: [series([count], feature=name, le=edge) for name, edge, count in rows]
            for role, rows in (("values", values), ("past values", past))
        },
        **{
            role: [series([count], feature=name) for name, count in rows]
            for role, rows in (("missing", missing), ("stale values", stale))
        },
        "stale requests": [series([requests])],
    }
    found = ask(rule, answers, least=least)
    assert found.why
    if isinstance(found, Measurement):
        assert math.isfinite(found.value)


def test_thousands_of_features_are_one_pass():
    """The few that are bad are found among them."""
    names = [f"f{n:04}" for n in range(3000)]
    answers = {
        "values": histograms(dict.fromkeys(names, EVEN)),
        "missing": counts(dict.fromkeys(names[:7], 500)),
    }
    found = ask(quality(missing="5%", outOfRange={"max": "1000", "share": "20%"}), answers)
    assert isinstance(found, Measurement)
    assert found.breached
    assert found.why.startswith("feature f0000: 33.3 % missing (500 of 1,500), allowed 5 %;")
    assert "7 features break a check, 3000 have enough values" in found.why
