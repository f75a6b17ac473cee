"""The reference pages are up to date and complete; `tests/docs` tests that their YAML works."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from backstop.api.conditions import ConditionType, Reason
from backstop.api.crd import KINDS, MODEL_MONITOR, RUNBOOK, Kind
from backstop.api.reference import field_table, page_name, with_tables
from backstop.api.runbook import RunbookStep
from backstop.api.words import Finding, Progress, StepKind
from backstop.cli.main import main
from backstop.core.signals.registry import kinds
from backstop.core.signals.threshold import MEASURES, Threshold

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs" / "spec"
SIGNALS = SPEC / "signals"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def text_of(kind: Kind) -> str:
    return (SPEC / page_name(kind)).read_text(encoding="utf-8")


def yaml_blocks(page: str) -> list[Any]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(block) for block in blocks]


def signal_pages() -> dict[str, str]:
    """Return the pages about signal kinds by file name."""
    return {page.name: page.read_text(encoding="utf-8") for page in sorted(SIGNALS.glob("*.md"))}


def objects_in(file: Path) -> dict[str, dict[str, Any]]:
    """Return the objects of an example by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_field_tables_are_up_to_date(kind):
    """The tables say what the models say; `backstop crds --docs docs/spec` renews them."""
    page = text_of(kind)
    assert page == with_tables(page, kind)
    for part in ("spec", "status"):
        assert field_table(kind, part) in page


def test_tables_are_renewed_in_place(tmp_path):
    """Only what stands between the markers changes."""
    for kind in KINDS:
        stale = text_of(kind).replace(field_table(kind, "spec"), "stale\n")
        (tmp_path / page_name(kind)).write_text(stale, encoding="utf-8")
    assert CliRunner().invoke(main, ["crds", "--docs", str(tmp_path)]).exit_code == 0
    for kind in KINDS:
        assert (tmp_path / page_name(kind)).read_text(encoding="utf-8") == text_of(kind)


@pytest.mark.parametrize("kind", kinds())
def test_each_signal_kind_is_explained_with_an_example(kind):
    """Each kind has a page of its own with examples, and a row that leads to it."""
    (file,) = (name for name, page in signal_pages().items() if page.startswith(f"# {kind}\n"))
    assert f"[{kind}](signals/{file})" in text_of(MODEL_MONITOR)
    signals = [signal for block in yaml_blocks(signal_pages()[file]) for signal in block]
    assert any(kind in signal for signal in signals)


def test_each_page_about_signals_is_about_a_kind():
    """A kind that is gone leaves no page behind."""
    assert {page.split("\n")[0] for page in signal_pages().values()} <= {f"# {k}" for k in kinds()}


def test_each_measure_is_explained_with_an_example():
    """The page about thresholds has a section for each measure, and an example in it."""
    sections = signal_pages()["threshold.md"].split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections] == list(MEASURES)
    for measure, section in zip(MEASURES, sections, strict=True):
        for signal in (one for block in yaml_blocks(section) for one in block):
            assert measure in signal["threshold"]
        assert yaml_blocks(section)


def test_defaults_of_a_threshold_are_those_of_the_kind():
    """What the page says about window, samples and persistence is what happens."""
    page = signal_pages()["threshold.md"]
    breaches, looks = Threshold.PERSISTENCE
    assert f"| `window` | `{Threshold.WINDOW}` |" in page
    assert f"| `minSamples` | {Threshold.SAMPLES} |" in page
    assert f"| `persistence` | {breaches} of {looks} looks |" in page
    assert f"| `onBreach` | `{Threshold.ON_BREACH}` |" in page


def test_each_condition_and_reason_is_explained():
    """Whatever a monitor can show, the page names."""
    page = text_of(MODEL_MONITOR)
    assert [word for word in (*ConditionType, *Reason) if f"`{word}`" not in page] == []


def test_examples_pass_the_check():
    """Each file in examples/ holds a monitor or a runbook without a problem."""
    result = CliRunner().invoke(main, ["check", *map(str, EXAMPLES)])
    assert result.exit_code == 0, result.output
    assert result.output.count(": ok\n") == len(EXAMPLES) > 0


def test_each_step_finding_and_state_is_explained():
    """Whatever a runbook can do, ask for or show, its page names."""
    page = text_of(RUNBOOK)
    kinds = RunbookStep.model_validate({"name": "a", "notify": {}}).model_dump(by_alias=True)
    actions = [name for name in kinds if name in set(StepKind)]
    assert len(actions) == 10
    assert [word for word in (*actions, *Finding, *Progress) if f"| `{word}` |" not in page] == []


def test_runbook_of_an_example_is_beside_it():
    """The Runbook that a monitor names is among the examples."""
    found = [objects_in(file) for file in EXAMPLES]
    runbooks = {one["Runbook"]["metadata"]["name"] for one in found if "Runbook" in one}
    named = {
        one["ModelMonitor"]["spec"]["runbook"]["name"]
        for one in found
        if "runbook" in one.get("ModelMonitor", {}).get("spec", {})
    }
    assert runbooks == named != set()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_route_of_an_example_lists_every_service(file):
    """The HTTPRoute beside a monitor has the rule that Backstop looks for."""
    objects = objects_in(file)
    if "traffic" not in objects.get("ModelMonitor", {"spec": {}})["spec"]:
        return
    monitor = objects["ModelMonitor"]
    spec = monitor["spec"]
    fallback = spec["fallback"].get("service", f"{monitor['metadata']['name']}-default-prediction")
    wanted = {spec["target"]["service"], fallback}
    wanted |= {spec["candidate"]["service"]} if "candidate" in spec else set()
    route = objects["HTTPRoute"]
    assert route["metadata"]["name"] == spec["traffic"]["httpRoute"]
    (rule,) = route["spec"]["rules"]
    assert {backend["name"] for backend in rule["backendRefs"]} == wanted
