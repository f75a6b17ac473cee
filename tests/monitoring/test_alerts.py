"""Each alert fires when it should, is silent otherwise, and has a page that says what to do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.monitoring.expressions import ALERTS_PAGE, RULES, alerts

from backstop_lab import binaries

CASES = Path(__file__).with_name("alerts.test.yaml")
PROMTOOL = next(one for one in binaries.BINARIES if one.name == "promtool")
NAMES = [one["alert"] for one in alerts()]


@pytest.fixture
def promtool() -> Path:
    """Return the program; it is built with the lab's cluster."""
    found = binaries.find(PROMTOOL)
    if found is None and "LAB_DIR" in os.environ:
        pytest.fail("the lab runs, but its promtool is not found")
    if found is None:
        pytest.skip("NOT TESTED: promtool is missing; `make lab` once builds it")
    return found


def _run(promtool: Path, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - the lab's own program
        [promtool, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_pass_the_check_of_prometheus(promtool: Path) -> None:
    """With every lint that it has."""
    _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))


def test_each_alert_fires_and_stays_silent_as_the_cases_say(promtool: Path, tmp_path: Path) -> None:
    """And fails where they are wrong: a case with another severity must not pass."""
    _run(promtool, "test", "rules", str(CASES))
    whole = CASES.read_text(encoding="utf-8")
    wrong = whole.replace("../../charts/backstop/rules/backstop.yaml", str(RULES[0]))
    spoilt = tmp_path / "wrong.yaml"
    spoilt.write_text(wrong.replace("severity: critical", "severity: info"), encoding="utf-8")
    with pytest.raises(AssertionError, match="FAILED"):
        _run(promtool, "test", "rules", str(spoilt))


def _cases() -> list[dict[str, Any]]:
    tests = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    return [case for one in tests for case in one.get("alert_rule_test", ())]


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_cases_of_both_kinds(name: str) -> None:
    """One in which it fires, one in which it does not."""
    expected = [bool(case["exp_alerts"]) for case in _cases() if case["alertname"] == name]
    assert set(expected) == {True, False}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_is_the_matter(rule: dict[str, Any]) -> None:
    """Its severity, a sentence, the numbers, and where to read on."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    said = rule["annotations"]
    assert set(said) == {"summary", "description", "runbook"}
    assert said["summary"].endswith(".")
    assert said["description"].endswith(".")
    if rule["alert"] != "BackstopNoLeader":  # nothing is the number
        assert "$value" in said["description"]
    assert said["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_each_alert_has_its_section_and_each_section_its_alert() -> None:
    """With what it means, what comes of it, what to do, and what to look at."""
    page = ALERTS_PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(sections) == NAMES
    for name, text in sections.items():
        for wanted in ("**Meaning.**", "**Impact.**", "**What to do.**", "```promql"):
            assert wanted in text, f"{name}: {wanted}"
