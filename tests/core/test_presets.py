"""A preset names series that its server exports, and says what to do where there are none."""

import math
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tests.core.expositions import EXPOSITIONS, Exposition

from backstop.api import API_VERSION
from backstop.api.problems import Problem, find_problems
from backstop.core.presets.preset import (
    Buckets,
    Categories,
    EventCounters,
    Features,
    Lacks,
    Preset,
    PresetError,
    Queue,
    Sums,
    demand,
)
from backstop.core.presets.registry import presets
from backstop.core.promql import is_selector
from backstop.core.units import TimeUnit

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
EVERY = pytest.mark.parametrize("preset", presets().values(), ids=list(presets()))


def selectors(number: object) -> list[str]:
    """Return the selectors of a number of a preset, none where the server lacks it."""
    match number:
        case EventCounters(whole, part) | Sums(whole, part):
            return [whole, part]
        case Buckets(selector) | Queue(selector) | Categories(selector):
            return [selector]
        case Features(buckets, missing, invalid):
            return [buckets, missing, invalid]
        case _:
            return []


def selected(selector: str, text: str) -> list[Sample]:
    """Return the samples of an exposition that `selector` selects, as Prometheus would."""
    node = promql_parser.parse(selector)
    assert isinstance(node, promql_parser.VectorSelector)
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return [one for one in samples if matches(node, {**one.labels, "__name__": one.name})]


def matches(node: promql_parser.VectorSelector, labels: dict[str, str]) -> bool:
    """Return whether a series with `labels` is selected; an absent label is an empty one."""
    if node.name is not None and labels["__name__"] != node.name:
        return False
    holds = {
        "MatchOp.Equal": lambda text, wanted: text == wanted,
        "MatchOp.NotEqual": lambda text, wanted: text != wanted,
        "MatchOp.Re": lambda text, wanted: re.fullmatch(wanted, text) is not None,
        "MatchOp.NotRe": lambda text, wanted: re.fullmatch(wanted, text) is None,
    }
    return all(
        holds[str(one.op)](labels.get(one.name, ""), one.value) for one in node.matchers.matchers
    )


def total(selector: str, text: str) -> float:
    """Return the sum of all samples that `selector` selects; there must be one."""
    found = selected(selector, text)
    assert found, f"{selector} selects nothing"
    return sum(one.value for one in found)


def read(preset: Preset, text: str) -> Exposition:
    """Return what `preset` reads from a scrape."""
    requests = errors = observed = slow = mean = queue = None
    edge = 0.0
    if not isinstance(preset.errors, Lacks):
        requests, errors = total(preset.errors.whole, text), total(preset.errors.part, text)
    if not isinstance(preset.latency, Lacks):
        found = selected(preset.latency.selector, text)
        finite = [one for one in found if one.labels["le"] != "+Inf"]
        edge = float(finite[0].labels["le"]) * preset.latency.unit.seconds
        observed = sum(one.value for one in found if one not in finite)
        slow = observed - sum(one.value for one in finite)
    if not isinstance(preset.latency_sums, Lacks):
        sums = preset.latency_sums
        mean = total(sums.total, text) * sums.unit.seconds / total(sums.count, text)
    if not isinstance(preset.queue, Lacks):
        queue = total(preset.queue.gauge, text)
    return Exposition(text, requests, errors, observed, edge, slow, mean, queue)


class TestSelectors:
    @EVERY
    def test_each_is_a_plain_selector(self, preset: Preset):
        """Raw samples can be asked for with each of them, and a spec could hold it."""
        every = [s for one in fields(preset) for s in selectors(getattr(preset, one.name))]
        assert [s for s in every if not is_selector(s) or len(s) > 512] == []

    @pytest.mark.parametrize("name", EXPOSITIONS)
    def test_they_select_the_right_series_of_a_scrape(self, name: str):
        """The sums are those of the requests, errors and times, in seconds, and of nothing else."""
        given = EXPOSITIONS[name]
        numbers = read(presets()[name], given.text)._asdict()
        expected = {field: value for field, value in given._asdict().items() if field != "text"}
        del numbers["text"]
        assert numbers == pytest.approx(expected)

    @pytest.mark.parametrize("name", EXPOSITIONS)
    def test_what_one_selects_differs_in_more_than_its_name(self, name: str):
        """Prometheus refuses `increase` over series that become equal once it drops their names."""
        preset, text = presets()[name], EXPOSITIONS[name].text
        every = [s for one in fields(preset) for s in selectors(getattr(preset, one.name))]
        for selector in every:
            nameless = [tuple(sorted(one.labels.items())) for one in selected(selector, text)]
            assert len(nameless) == len(set(nameless)), selector

    def test_each_server_has_a_scrape(self):
        """No preset goes untested."""
        assert set(EXPOSITIONS) == set(presets())


MEASURES = {
    "errors": ({"errors": {}, "max": "5%"}, "errors", lambda one: one.errors),
    "latency": ({"latency": {"above": "1s"}, "max": "5%"}, "latency", lambda one: one.latency),
    "latencyQuantile": (
        {"latencyQuantile": {"quantile": "p99"}, "max": "1s"},
        "latency",
        lambda one: one.latency,
    ),
    "latencyMean": ({"latencyMean": {}, "max": "1s"}, "mean latency", lambda one: one.latency_sums),
}


def monitor(preset: Preset, threshold: dict[str, Any]) -> dict[str, Any]:
    """Return a monitor that leaves the selectors of one signal to `preset`."""
    spec = {
        "preset": preset.name,
        "target": {"name": "fraud", "metricLabels": {"app": "fraud"}},
        "signals": [{"name": "one", "threshold": threshold}],
    }
    name = {"name": "fraud"}
    return {"apiVersion": API_VERSION, "kind": "ModelMonitor", "metadata": name, "spec": spec}


class TestLacks:
    @EVERY
    @pytest.mark.parametrize("measure", MEASURES)
    def test_a_monitor_that_asks_for_what_is_missing_is_told_what_to_do(
        self, preset: Preset, measure: str
    ):
        """`backstop check` gives the preset's own sentence, and nothing where it has the number."""
        threshold, what, find = MEASURES[measure]
        number = find(preset)
        expected = ()
        if isinstance(number, Lacks):
            sentence = f"preset {preset.name} has no {what}: {number.why}"
            expected = (Problem("spec.signals[0].threshold", sentence),)
        assert find_problems(monitor(preset, threshold)) == expected

    @EVERY
    def test_each_sentence_names_a_way_out(self, preset: Preset):
        """What is missing is followed by what to use, to write, to give or to hold instead."""
        numbers = [getattr(preset, one.name) for one in fields(preset)]
        sentences = [one.why for one in numbers if isinstance(one, Lacks)]
        ways = re.compile(r"\b(use|write|give|hold|export|count)\b")
        assert [one for one in sentences if not ways.search(one.partition(":")[2])] == []

    def test_without_a_preset_one_is_asked_for(self):
        """A signal without selectors in a monitor without a preset says both ways out."""
        sentence = "latency: write the selectors, or give the monitor a preset"
        with pytest.raises(PresetError, match=sentence):
            demand(None, "latency", lambda one: one.latency)


class TestExamples:
    @EVERY
    def test_each_preset_has_a_good_example(self, preset: Preset):
        """examples/presets has a monitor of each server, without a problem."""
        path = ROOT / "examples" / "presets" / f"{preset.name}.yaml"
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert manifest["spec"]["preset"] == preset.name
        assert find_problems(manifest) == ()


HELPER = re.search(
    r"```python\n(.+?)```",
    (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


class Helper:
    """A model that exports its metrics with the helper of docs/metrics.md."""

    def __init__(self) -> None:
        """Make a model with one feature."""
        assert HELPER is not None
        module: dict[str, Any] = {}
        exec(compile(HELPER[1], "docs/metrics.md", "exec"), module)  # noqa: S102 - our own text
        self.registry = CollectorRegistry()
        feature = module["Feature"]((1, 10, 100), low=0)
        self.model = module["ModelMetrics"]({"amount": feature}, ("fraud",), registry=self.registry)

    def scraped(self, name: str, **labels: str) -> float:
        """Return the value of a series, which must be there."""
        text = generate_latest(self.registry).decode()
        found = [one for one in selected(name, text) if labels.items() <= one.labels.items()]
        assert len(found) == 1
        return found[0].value


class TestConvention:
    def test_every_selector_of_the_preset_finds_series_of_the_helper_from_the_start(self):
        """Before the first request all counters are there, with 0, so that no error is missed."""
        helper = Helper()
        text = generate_latest(helper.registry).decode()
        known = [getattr(presets()["backstop"], one.name) for one in fields(Preset)]
        every = [selector for number in known for selector in selectors(number)]
        assert {selector: total(selector, text) for selector in every} == dict.fromkeys(every, 0.0)

    def test_a_request_is_counted_and_timed_and_an_exception_is_a_500(self):
        """One good and one failing request are two, one of them an error."""
        helper = Helper()
        with helper.model.request():
            pass
        with pytest.raises(ZeroDivisionError), helper.model.request():
            _ = 1 / 0
        counts = [helper.scraped("model_requests_total", code=code) for code in ("200", "500")]
        assert [*counts, helper.scraped("model_request_duration_seconds_count")] == [1, 1, 2]

    @pytest.mark.parametrize(
        ("value", "counts"),
        [
            (10, (1, 0, 0)),
            (np.float32(10), (1, 0, 0)),
            (np.float32("nan"), (0, 1, 0)),
            (None, (0, 1, 0)),
            (math.nan, (0, 1, 0)),
            ("ten", (0, 0, 1)),
            (-1, (0, 0, 1)),
            (math.inf, (0, 0, 1)),
        ],
    )
    def test_a_value_is_counted_exactly_once(self, value: object, counts: tuple[int, int, int]):
        """As a value, as missing or as invalid, so that the three sum up to all values."""
        helper = Helper()
        helper.model.saw({"amount": value})
        names = ("value_count", "missing_total", "invalid_total")
        found = [helper.scraped(f"model_feature_{name}", feature="amount") for name in names]
        assert tuple(found) == counts

    def test_a_value_falls_into_the_buckets_whose_edge_it_does_not_exceed(self):
        """The buckets are cumulative and include their edge, as Prometheus defines them."""
        helper = Helper()
        for amount in (0, 10, 10.5, 1000):
            helper.model.saw({"amount": amount})
        edges = ("1", "10", "100", "+Inf")
        found = [helper.scraped("model_feature_value_bucket", le=edge) for edge in edges]
        assert (found, helper.scraped("model_feature_value_sum")) == ([1, 2, 3, 4], 1020.5)

    def test_predictions_and_truths_are_counted(self):
        """A score, its class, a correct and an incorrect answer, and a squared error."""
        helper = Helper()
        helper.model.answered(0.9, "fraud")
        helper.model.answered(0.1)
        helper.model.learned("correct")
        helper.model.learned("incorrect")
        helper.model.measured(3.0, 5.0)
        assert [
            helper.scraped("model_prediction_score_sum"),
            helper.scraped("model_prediction_total", **{"class": "fraud"}),
            helper.scraped("model_feedback_total", outcome="correct"),
            helper.scraped("model_feedback_total", outcome="incorrect"),
            helper.scraped("model_feedback_squared_error_sum"),
            helper.scraped("model_feedback_squared_error_count"),
        ] == [1.0, 1, 1, 1, 4.0, 1]


UNITS = {
    TimeUnit.SECONDS: "",
    TimeUnit.MILLISECONDS: ", in milliseconds",
    TimeUnit.MICROSECONDS: ", in microseconds",
}


def rows(preset: Preset) -> Iterator[str]:
    """Yield the rows of the table that docs/presets.md has for `preset`."""
    named = {
        "errors": preset.errors,
        "latency": preset.latency,
        "mean latency": preset.latency_sums,
        "queue": preset.queue,
    }
    for name, number in named.items():
        yield f"| {name} | {said(number).replace('|', chr(92) + '|')} |"


def said(number: EventCounters | Buckets | Sums | Queue | Lacks) -> str:
    """Return a number as the tables in docs/presets.md say it."""
    match number:
        case EventCounters(whole, part):
            return f"`{part}` of `{whole}`"
        case Buckets(selector, unit):
            return f"`{selector}`{UNITS[unit]}"
        case Sums(whole, count, unit):
            return f"`{whole}` per `{count}`{UNITS[unit]}"
        case Queue(gauge, waiting):
            return f"`{gauge}`{'' if waiting else ', with those being served'}"
        case Lacks(why):
            return f"none: {why}"


class TestDocumentation:
    @EVERY
    def test_each_number_of_each_preset_is_documented(self, preset: Preset):
        """docs/presets.md has its section, with the selectors and the sentences of the code."""
        section = DOCS.partition(f"\n## {preset.name}\n")[2].partition("\n## ")[0]
        assert [row for row in rows(preset) if row not in section.splitlines()] == []

    def test_the_overview_lists_every_preset_and_what_it_has(self):
        """The first table has a row for each preset, with a yes for what the server exports."""
        expected = {
            one.name: [
                "no" if isinstance(number, Lacks) else "yes"
                for number in (one.errors, one.latency, one.latency_sums, one.queue)
            ]
            for one in presets().values()
        }
        overview = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (.+) \|$", DOCS, re.MULTILINE)
        assert {name: cells.split(" | ")[1:5] for name, cells in overview} == expected
