"""Every PromQL expression that people get with Backstop: of dashboards, alerts and pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "charts" / "backstop" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "charts" / "backstop" / "rules").glob("*.yaml"))
ALERTS_PAGE = ROOT / "docs" / "alerts.md"
MONITORING_PAGE = ROOT / "docs" / "monitoring.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))

_BLOCK = re.compile(r"^```promql\n(.*?)^```", re.DOTALL | re.MULTILINE)
_QUERIED = re.compile(r'query "((?:[^"\\]|\\.)*)"')
_LABEL_VALUES = re.compile(r"label_values\((.*), \w+\)")
_VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$namespace": ".*",
    "$monitor": ".*",
}
_COMPARES = {"==", "!=", ">", "<", ">=", "<="}


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, and where it stands."""

    where: str
    text: str

    def __str__(self) -> str:
        return self.where


def dashboard(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that show something."""
    return [one for one in dashboard(path)["panels"] if one["type"] != "row"]


def of_dashboards() -> Iterator[Expression]:
    """Return the expressions of all panels and variables, as Grafana sends them for everything."""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                where = f"{path.stem}: {panel['title']} {target['refId']}"
                yield Expression(where, _filled(target["expr"]))
        for variable in dashboard(path)["templating"]["list"]:
            if variable["type"] == "query":
                found = _LABEL_VALUES.fullmatch(variable["definition"])
                assert found is not None, variable["definition"]
                yield Expression(f"{path.stem}: ${variable['name']}", _filled(found[1]))


def _filled(text: str) -> str:
    for variable, value in _VARIABLES.items():
        text = text.replace(variable, value)
    assert "$" not in text, text
    return text


def alerts() -> list[dict[str, Any]]:
    """Return all alerts."""
    groups = (yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for path in RULES)
    return [rule for found in groups for group in found for rule in group["rules"]]


def of_alerts() -> Iterator[Expression]:
    """Return the expressions of all alerts."""
    for rule in alerts():
        yield Expression(f"alert: {rule['alert']}", rule["expr"])


def of_descriptions() -> Iterator[Expression]:
    """Return the expressions that the words of alerts are filled from."""
    for rule in alerts():
        for said in rule["annotations"].values():
            for found in _QUERIED.findall(said):
                yield Expression(f"words of {rule['alert']}", found.replace('\\"', '"'))


def of_pages() -> Iterator[Expression]:
    """Return the expressions of all blocks of PromQL on pages."""
    for path in PAGES:
        for place, block in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8"))):
            yield Expression(f"{path.stem} {place}", block.strip())


def compared(text: str) -> Iterator[str]:
    """Return what an alert's expression compares, before it does."""
    yield from _compared(promql_parser.parse(text))


def _compared(parsed: promql_parser.Expr) -> Iterator[str]:
    if isinstance(parsed, promql_parser.BinaryExpr):
        if str(parsed.op) in _COMPARES:
            yield from list(_compared(parsed.lhs)) or [str(parsed.lhs)]
        else:
            yield from _compared(parsed.lhs)
            yield from _compared(parsed.rhs)
    elif isinstance(parsed, promql_parser.AggregateExpr | promql_parser.ParenExpr):
        yield from _compared(parsed.expr)


def selectors(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Return the metric of each selector in an expression, and the labels that it asks for."""
    yield from _selectors(promql_parser.parse(text))


def _selectors(parsed: Any) -> Iterator[tuple[str, frozenset[str]]]:
    if isinstance(parsed, promql_parser.VectorSelector):
        labels = frozenset(one.name for one in parsed.matchers.matchers)
        yield str(parsed.name), labels
    for part in ("lhs", "rhs", "expr", "vector_selector"):
        found = getattr(parsed, part, None)
        if found is not None and not isinstance(found, str):
            yield from _selectors(found)
    for argument in getattr(parsed, "args", None) or ():
        yield from _selectors(argument)
