"""The kinds of signals and the presets: found by being there, each named once."""

import pytest
from tests.core.build import ERRORS, asked, route, signal, spec

from backstop.api.modelmonitor import Signal
from backstop.api.words import Arm
from backstop.core.facts import ObjectRef
from backstop.core.inquiry import inquire, inquiries
from backstop.core.measurement import Pillar
from backstop.core.presets.preset import Buckets, EventCounters, Lacks, Preset, PresetError, Sums
from backstop.core.presets.registry import presets
from backstop.core.signals.registry import kinds
from backstop.core.signals.rule import OnBreach, Rule, Subject
from backstop.core.signals.threshold import MEASURES, Threshold
from backstop.core.units import TimeUnit

SERVER = Preset(
    name="server",
    errors=EventCounters(whole="requests", part="failures"),
    latency=Buckets("milliseconds_bucket", TimeUnit.MILLISECONDS),
    latency_sums=Sums("microseconds_sum", "microseconds_count", TimeUnit.MICROSECONDS),
    queue=Lacks("it has no queue"),
)
POOR = Preset(
    name="poor",
    errors=Lacks("it counts no errors"),
    latency=Lacks("it has no histogram: use latencyMean"),
    latency_sums=Lacks("it sums no times: use promql"),
    queue=Lacks("it has no queue"),
)


def test_every_kind_is_found_by_its_name():
    """Sorted by name; a kind that is a module of the package is there without being listed."""
    assert "threshold" in kinds()
    assert list(kinds()) == sorted(kinds())
    assert all(issubclass(rule, Rule) and kind == rule.KIND for kind, rule in kinds().items())


def test_every_preset_is_found_by_its_name():
    """Sorted by name, as the custom resource lists them."""
    assert "backstop" in presets()
    assert list(presets()) == sorted(presets())
    assert all(isinstance(one, Preset) and name == one.name for name, one in presets().items())


# What a spec leaves open


WRITTEN = {
    "errors": ({"requests": "r", "errors": "e"}, "5%"),
    "latency": ({"above": "1s", "buckets": "b"}, "5%"),
    "success": ({"attempts": "a", "successes": "s"}, "95%"),
    "ratio": ({"part": "p", "whole": "w"}, "5%"),
    "latencyQuantile": ({"quantile": "p99", "buckets": "b"}, "1s"),
    "latencyMean": ({"total": "t", "count": "c"}, "1s"),
    "mean": ({"total": "t", "count": "c"}, "1"),
    "rate": ({"counter": "c"}, "1"),
    "promql": ({"expr": "up"}, "1"),
}
"""Each measure with all its selectors, and a limit in its unit."""


def threshold(measure: str, fields: dict[str, str], limit: str) -> Threshold:
    return Threshold.model_validate({measure: fields, "max": limit})


def test_each_measure_knows_its_pillar_or_leaves_it_to_the_spec():
    """Errors and latency are of the system, success is of the business, the rest may be of any."""
    assert list(WRITTEN) == list(MEASURES)
    system, business = Pillar.SYSTEM, Pillar.BUSINESS
    assert {name: threshold(name, *written).pillar for name, written in WRITTEN.items()} == {
        "errors": system,
        "latency": system,
        "success": business,
        "ratio": None,
        "latencyQuantile": system,
        "latencyMean": system,
        "mean": None,
        "rate": None,
        "promql": None,
    }


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_written_needs_no_preset(measure: str):
    """Selectors of the spec win, and ask what they say, confined to the arm."""
    rule = threshold(measure, *WRITTEN[measure])
    for preset in (None, SERVER, POOR):
        assert rule.resolved(preset) == rule
    questions = rule.questions(Subject({"app": "x"}), 10)
    assert all('app="x"' in question.promql for question in questions.values())


ABOVE = {"above": "250ms"}
P99 = {"quantile": "p99"}


@pytest.mark.parametrize(
    ("measure", "fields", "limit", "selectors"),
    [
        ("errors", {}, "5%", {"errors": "failures", "requests": "requests"}),
        ("latency", ABOVE, "5%", {"buckets": "milliseconds_bucket"}),
        ("latencyQuantile", P99, "1s", {"buckets": "milliseconds_bucket"}),
        ("latencyMean", {}, "1s", {"total": "microseconds_sum", "count": "microseconds_count"}),
    ],
)
def test_a_preset_fills_in_what_is_not_written(measure, fields, limit, selectors):
    """The questions are those of the preset's selectors, in the order of the roles."""
    rule = threshold(measure, fields, limit).resolved(SERVER)
    questions = {role: one.promql for role, one in rule.questions(Subject({}), 10).items()}
    assert list(questions.items()) == [
        (role, f"{selector}{{}}[10000ms]") for role, selector in selectors.items()
    ]


@pytest.mark.parametrize(
    ("measure", "fields", "limit", "what", "why"),
    [
        ("errors", {}, "5%", "errors", "it counts no errors"),
        ("latency", ABOVE, "5%", "latency", "it has no histogram: use latencyMean"),
        ("latencyQuantile", P99, "1s", "latency", "it has no histogram: use latencyMean"),
        ("latencyMean", {}, "1s", "mean latency", "it sums no times: use promql"),
    ],
)
def test_what_nobody_knows_is_told_with_a_way_out(measure, fields, limit, what, why):
    """Without a preset, or with one that has no such number, the error says what to write."""
    rule = threshold(measure, fields, limit)
    with pytest.raises(PresetError) as refusal:
        rule.resolved(None)
    assert str(refusal.value) == f"{what}: write the selectors, or give the monitor a preset"
    with pytest.raises(PresetError) as refusal:
        rule.resolved(POOR)
    assert str(refusal.value) == f"preset poor has no {what}: {why}"


@pytest.mark.parametrize(
    ("measure", "half", "limit", "said"),
    [
        ("errors", {"requests": "r"}, "5%", "errors needs both requests and errors, or neither"),
        ("errors", {"errors": "r"}, "5%", "errors needs both requests and errors, or neither"),
        ("latencyMean", {"total": "t"}, "1s", "latencyMean needs both total and count, or neither"),
        ("latencyMean", {"count": "c"}, "1s", "latencyMean needs both total and count, or neither"),
    ],
)
def test_half_a_pair_of_selectors_is_refused(measure, half, limit, said):
    """A counter of the spec is never divided by one of the preset."""
    with pytest.raises(PresetError, match=said):
        threshold(measure, half, limit).resolved(SERVER)


# A signal as it is put to an arm


def test_a_kind_says_what_a_spec_leaves_out():
    """Window, minimum of samples, persistence and what a breach leads to have one default each."""
    found = asked(Signal.model_validate({**ERRORS, "window": None}))
    assert (found.window, found.said, found.min_samples) == (30, "30s", 50)
    assert (found.breaches, found.looks, found.reports) == (2, 3, False)
    assert (found.raw, found.attributes) == (True, False)


def test_a_spec_overrides_what_a_kind_says():
    """Each of the shared fields counts as written, zero included."""
    changes = {"minSamples": 0, "persistence": {"breaches": 3, "looks": 5}, "onBreach": "Report"}
    found = asked(signal(window="2m", pillar="business", **changes))
    assert (found.window, found.said, found.settles) == (120, "2m", 120)
    assert (found.min_samples, found.breaches, found.looks) == (0, 3, 5)
    assert (found.reports, found.pillar) == (True, Pillar.BUSINESS)
    assert signal(**changes).leads_to is OnBreach.REPORT


def test_a_preset_that_lacks_a_number_is_told_with_the_signal():
    """The error names the signal, as a spec may have many."""
    one = signal(threshold={"errors": {}, "max": "5%"})
    with pytest.raises(PresetError, match=r"^signal errors: preset poor has no errors: it counts"):
        inquire(one, Arm.TARGET, Subject({}), POOR)


def test_a_monitor_asks_each_signal_of_each_arm():
    """Target and candidate are asked the same, each with its own labels, by the preset's names."""
    short = [{"name": "errors", "threshold": {"errors": {}, "max": "5%"}}]
    alone = inquiries(spec(signals=short, preset="backstop"), "demo")
    assert list(alone) == [("errors", Arm.TARGET)]
    candidate = {"name": "next", "service": "next", "metricLabels": {"app": "next"}}
    both = inquiries(spec(signals=short, preset="backstop", candidate=candidate), "demo", 1.0)
    assert {arm: one.questions["requests"].promql for (_, arm), one in both.items()} == {
        Arm.TARGET: 'model_requests_total{app="fraud"}[30000ms]',
        Arm.CANDIDATE: 'model_requests_total{app="next"}[30000ms]',
    }


def test_a_monitor_without_preset_asks_what_is_written():
    """The preset is for what a spec leaves out."""
    (one,) = inquiries(spec(), "demo").values()
    assert one.questions["requests"].promql == 'requests_total{app="fraud"}[10000ms]'


# Facts as plain values


def test_an_object_is_said_by_kind_and_name():
    """As `kubectl` takes it."""
    assert str(ObjectRef("HTTPRoute", "demo", "fraud")) == "HTTPRoute/fraud"


def test_a_route_is_in_effect_when_all_gateways_took_the_newest_generation():
    """A gateway that rejected it, said nothing, or lags behind, does not have it."""
    assert route(accepted=3, generation=3).in_effect
    assert not route(accepted=2, generation=3).in_effect
    assert not route(accepted=None, generation=3).in_effect


def test_a_rule_that_leaves_nothing_to_a_preset_stays_as_it_is():
    """A kind with all its selectors written needs no preset."""
    rule = signal().rule
    assert Rule.resolved(rule, None) is rule
