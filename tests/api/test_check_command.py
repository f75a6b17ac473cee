"""`backstop check` finds a newcomer's mistakes and says what to change."""

import json
from datetime import UTC, datetime
from typing import get_args

import pytest
import yaml
from click.testing import CliRunner, Result
from pydantic import BaseModel
from tests.api.mistakes import BAD, Bad
from tests.api.specs import FULL, GOOD, GOOD_RUNBOOKS, MINIMAL, changed, monitor, runbook

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.runbook import RunbookSpec
from backstop.cli.main import main
from backstop.core.cel import cel_rules
from backstop.core.measures.shares import Errors
from backstop.core.signals.threshold import Threshold


def check(*manifests: object) -> Result:
    text = "\n---\n".join(map(json.dumps, manifests))
    return CliRunner().invoke(main, ["check", "-"], input=text)


def models_in(annotation: object) -> set[type[BaseModel]]:
    """Return the models that a field of this type, or a model, is made of."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {model for part in get_args(annotation) for model in models_in(part)}
    fields = annotation.model_fields.values()
    return {annotation}.union(*(models_in(field.annotation) for field in fields))


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_good_monitor_passes(spec):
    """A spec that the API server accepts has no problem."""
    result = check(monitor(spec))
    assert (result.output, result.exit_code) == ("stdin: ModelMonitor fraud: ok\n", 0)


@pytest.mark.parametrize("spec", GOOD_RUNBOOKS.values(), ids=GOOD_RUNBOOKS)
def test_good_runbook_passes(spec):
    """Runbooks are checked beside monitors."""
    result = check(runbook(spec), monitor(MINIMAL))
    assert result.output == "stdin: Runbook fraud: ok\nstdin: ModelMonitor fraud: ok\n"
    assert result.exit_code == 0


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.mistake)
def test_mistake_is_explained(bad: Bad):
    """Each mistake gives exactly one line, which names the field and says what to change."""
    result = check(bad.manifest)
    assert result.output == f"stdin: {bad.kind} {bad.name}: {bad.check}\n"
    assert result.exit_code == 1


def test_every_rule_has_a_mistake():
    """No CEL rule is without a bad spec, so that expression and predicate cannot differ."""
    models = models_in(ModelMonitorSpec) | models_in(RunbookSpec)
    assert {ModelMonitorSpec, Threshold, Errors} <= models
    sentences = {rule.message for model in models for rule in cel_rules(model)}
    assert {s for s in sentences if not any(s in bad.check for bad in BAD)} == set()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"signals.0.threshold.errors.requests": "rate(model_requests_total[5m])"},
            (
                "spec.signals[0].threshold.errors.requests: 'rate(model_requests_total[5m])' must"
                ' be a plain metric selector such as requests_total{code=~"5.."}: Backstop reads'
                " its raw samples and does rate and sum itself; use "
            ),
        ),
        (
            {"signals.0.threshold.errors.errors": 'model_requests_total{code=~"5.."'},
            (
                "spec.signals[0].threshold.errors.errors: 'model_requests_total{code=~\"5..\"'"
                " is not valid PromQL: "
            ),
        ),
        (
            {"signals.1.threshold.promql.expr": "avg(model_score_mean"},
            "spec.signals[1].threshold.promql.expr: 'avg(model_score_mean' is not valid PromQL: ",
        ),
    ],
)
def test_promql_is_parsed(changes, line):
    """An expression that Prometheus would refuse is found before it is asked."""
    result = check(monitor(changed(FULL, changes)))
    assert result.output.startswith(f"stdin: ModelMonitor fraud: {line}")
    assert result.output.count("stdin") == 1
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "errors: write the selectors, or give the monitor a preset"),
        (
            {"signals.0.threshold.errors.requests": "r"},
            "errors needs both requests and errors, or neither with a preset",
        ),
        (
            {"signals.0.threshold": {"latencyMean": {"total": "t"}, "max": "1s"}},
            "latencyMean needs both total and count, or neither with a preset",
        ),
        (
            {"signals.0.threshold": {"latency": {"above": "1s"}, "max": "5%"}},
            "latency: write the selectors, or give the monitor a preset",
        ),
    ],
)
def test_selectors_that_nobody_wrote_are_told(changes, line):
    """Without a preset a signal needs them, and a half-written pair is told with one as well."""
    manifest = monitor(changed(MINIMAL, {"signals.0.threshold.errors": {}, **changes}))
    said = f"stdin: ModelMonitor fraud: spec.signals[0].threshold: {line}\n"
    assert check(manifest).output == said
    if "both" in line:
        manifest["spec"]["preset"] = "backstop"
        assert check(manifest).output == said


@pytest.mark.parametrize("written", ["no", "1.10", "1234e56"])
def test_text_that_yaml_takes_for_something_else_is_not_guessed(written):
    """`"1.1"` for 1.10 would be a label that no series has: the advice names no such text."""
    text = yaml.safe_dump(monitor(changed(FULL, {"target.metricLabels": {"version": "WRITTEN"}})))
    result = CliRunner().invoke(main, ["check", "-"], input=text.replace("WRITTEN", written))
    assert result.output.endswith(" is not text; put it in quotes, exactly as it is written\n")
    assert result.output.count("\n") == 1


def test_all_problems_are_found_at_once():
    """One round is enough: a wrong type hides neither another one nor bad PromQL."""
    changes = {"mode": "act", "interval": "x", "signals.1.threshold.promql.expr": "sum("}
    lines = check(monitor(changed(FULL, changes))).output.splitlines()
    assert [line.split(": ")[2] for line in lines] == [
        "spec.mode",
        "spec.interval",
        "spec.signals[1].threshold.promql.expr",
    ]


@pytest.mark.parametrize("path", ["fallback", "target", "target.name"])
def test_field_left_empty_is_told(path):
    """A field without a value, which the API server would drop in silence, is told once."""
    result = check(monitor(changed(FULL, {path: None})))
    line = f"spec.{path}: is empty: give it a value, or remove the field"
    assert result.output == f"stdin: ModelMonitor fraud: {line}\n"
    assert result.exit_code == 1


def test_object_around_the_spec_is_checked():
    """Version, name and spec are asked for, and unknown top-level fields are told."""
    manifest = {"apiVersion": "backstop.dev/v1", "kind": "ModelMonitor", "specs": {}}
    output = check(manifest).output.splitlines()
    lines = [line.removeprefix("stdin: ModelMonitor ?: ") for line in output]
    assert lines == [
        'apiVersion: write backstop.dev/v1alpha1, not "backstop.dev/v1"',
        "specs: there is no field specs; did you mean spec?",
        "metadata.name: is missing: give the monitor a name, in quotes if a number",
        "spec: is missing: it says what to watch, and needs target and signals",
    ]


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        (
            {"name": "Fraud_Model"},
            (
                'name: "Fraud_Model" is not a name; use a-z, 0-9, - and ., a letter or digit'
                " at both ends, 253 at most"
            ),
        ),
        (
            {"namespace": "ml.prod"},
            (
                'namespace: "ml.prod" is not a namespace; use a-z, 0-9 and -, a letter or digit'
                " at both ends, 63 at most"
            ),
        ),
        ({"namspace": "ml"}, "namspace: there is no field namspace; did you mean namespace?"),
        ({"labels": {"tier": 1}}, "labels.tier: 1 is not text; put it in quotes"),
        ({"annotations": ["a"]}, "annotations: must be a map from names to texts"),
    ],
)
def test_mistake_in_the_metadata_is_told(metadata, line):
    """What the API server refuses of any object is found without it, too."""
    manifest = monitor(changed(FULL, {}))
    manifest["metadata"] |= metadata
    result = check(manifest)
    name = manifest["metadata"]["name"]
    assert result.output == f"stdin: ModelMonitor {name}: metadata.{line}\n"
    assert result.exit_code == 1


def test_metadata_as_the_cluster_gives_it_is_good():
    """What `kubectl get -o yaml` shows can be checked as it is."""
    manifest = monitor(changed(FULL, {}))
    given = {"managedFields": [{}], "uid": "a", "resourceVersion": "1", "labels": {"empty": None}}
    manifest["metadata"] |= {**given, "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert check(manifest).exit_code == 0


def test_runbook_without_spec_is_told_what_it_is_for():
    """A Runbook is asked for what a Runbook needs."""
    output = check({"apiVersion": "backstop.dev/v1alpha1", "kind": "Runbook"}).output.splitlines()
    assert [line.removeprefix("stdin: Runbook ?: ") for line in output] == [
        "metadata.name: is missing: give the runbook a name, in quotes if a number",
        "spec: is missing: it says what to do, by cause: data, model, infrastructure, release",
    ]


def test_time_zone_that_nobody_knows_is_told():
    """The API server takes any word for a time zone; the check looks it up."""
    window = {"opens": "22:00", "closes": "23:00", "timezone": "Europe/Bern"}
    assert check(monitor(changed(FULL, {"maintenance": [window]}))).output == (
        "stdin: ModelMonitor fraud: spec.maintenance[0].timezone: 'Europe/Bern' is not a time zone"
        " that is known here; write for example Europe/Berlin\n"
    )


@pytest.mark.parametrize(
    ("step", "place", "said"),
    [
        (
            {"when": {"signals": ["errors", "eror"]}},
            "when.signals[1]",
            "there is no signal eror; did you mean errors?",
        ),
        (
            {"verify": {"signals": ["p99"]}},
            "verify.signals[0]",
            "there is no signal p99; remove it, or use one of errors, fraud-share",
        ),
    ],
)
def test_step_names_a_signal_of_its_monitor(step, place, said):
    """A step that waits for a signal which nobody measures would wait in vain."""
    steps = [{"name": "a", "rollback": {}, **step}]
    output = check(monitor(changed(FULL, {"runbook": {"data": steps}}))).output
    assert output == f"stdin: ModelMonitor fraud: spec.runbook.data[0].{place}: {said}\n"
    assert check(runbook({"data": steps})).exit_code == 0


def test_time_is_read_as_yaml_gives_it():
    """A time needs no quotes: YAML reads it by itself."""
    once = {"begins": datetime(2026, 12, 24, 12, tzinfo=UTC), "ends": "2026-12-27T06:00:00+01:00"}
    text = yaml.safe_dump(monitor(changed(FULL, {"maintenance": [once]})))
    assert "begins: 2026-12-24" in text
    assert CliRunner().invoke(main, ["check", "-"], input=text).exit_code == 0


def test_unknown_kind_of_the_group_is_told():
    """A misspelt kind is not passed over as if it were somebody else's object."""
    manifest = {**monitor(MINIMAL), "kind": "Modelmonitor"}
    assert check(manifest).output == (
        'stdin: Modelmonitor fraud: kind: "Modelmonitor" is not known;'
        " write ModelMonitor or Incident or Runbook\n"
    )


def test_object_without_kind_is_told():
    """Also where the field is there under another name."""
    manifest = monitor(MINIMAL)
    manifest["Kind"] = manifest.pop("kind")
    assert check(manifest).output == (
        "stdin: object fraud: kind: is missing; write ModelMonitor or Incident or Runbook\n"
    )


def test_other_objects_are_passed_over():
    """A file may hold the Deployment beside the monitor, and lists."""
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fraud"}}
    items = {"apiVersion": "v1", "kind": "List", "items": [deployment, monitor(MINIMAL)]}
    result = check(deployment, None, items)
    assert (result.output, result.exit_code) == ("stdin: ModelMonitor fraud: ok\n", 0)


def test_nothing_to_check_is_a_failure():
    """A check that looked at nothing does not pass."""
    result = check({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    assert (result.output, result.exit_code) == (
        "no ModelMonitor and no Runbook found: is this the right file?\n",
        1,
    )


def test_broken_yaml_is_told_by_line(tmp_path):
    """A file that is not YAML is one problem, and the other files are still checked."""
    broken, good = tmp_path / "broken.yaml", tmp_path / "good.yaml"
    broken.write_text("kind: ModelMonitor\nspec: [1\n")
    good.write_text(yaml.safe_dump(monitor(changed(MINIMAL, {}))))
    result = CliRunner().invoke(main, ["check", str(broken), str(good)])
    first, second = result.output.splitlines()
    assert first.startswith(f"{broken}: line 3 is not valid YAML: ")
    assert second == f"{good}: ModelMonitor fraud: ok"
    assert result.exit_code == 1


def test_key_that_is_written_twice_is_told():
    """The last one would win in silence: a monitor meant to observe would act, or one be lost."""
    text = yaml.safe_dump(monitor(changed(FULL, {})))
    for twice, key in ((text + text, "apiVersion"), ("mode: Act\nmode: Observe\n", "mode")):
        result = CliRunner().invoke(main, ["check", "-"], input=twice)
        assert f" is not valid YAML: {key} is written twice; if a new object begins, put --- " in (
            result.output
        )
        assert result.exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec:\n\tmode: Act\n", "line 2 is not valid YAML: it is indented with a tab; use spaces"),
        (
            "a: 1\nname: {{ .Values.name }}\n",
            (
                "line 2 is not valid YAML: {{ begins a template; render it first, for example with"
                " helm template"
            ),
        ),
        ("begins: 2026-13-45\n", "is not valid YAML: month must be in 1..12"),
        ("a: &a {b: *a}\n", "line 1 is not valid YAML: found unconstructable recursive node"),
        ("[" * 5000 + "]" * 5000, "is not valid YAML: it is nested too deeply"),
        ("a: \x01\n", None),
        ("kind: List\nitems: 5\n", "no ModelMonitor and no Runbook found: is this the right file?"),
    ],
)
def test_text_that_is_no_manifest_is_one_sentence(text, said):
    """No form of a wrong file gives a traceback or more than one line."""
    result = CliRunner().invoke(main, ["check", "-"], input=text)
    line = result.output.removeprefix("stdin: ").removesuffix("\n")
    assert line == said if said else "\n" not in line
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
