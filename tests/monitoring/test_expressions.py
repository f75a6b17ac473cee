"""No expression that people get asks for something that is not there."""

from __future__ import annotations

import promql_parser
import pytest
from tests.monitoring import expressions
from tests.monitoring.expressions import Expression, selectors
from tests.monitoring.told import told

EVERY = [
    *expressions.of_dashboards(),
    *expressions.of_alerts(),
    *expressions.of_descriptions(),
    *expressions.of_pages(),
]
TOLD = told()
SERIES = {name: one for one in TOLD.values() for name in one.series}
OF_THE_SCRAPE = frozenset({"job", "instance", "le"})
"""Labels that Prometheus adds, or that buckets have."""


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_each_expression_parses(one: Expression) -> None:
    """With everything selected that can be."""
    assert promql_parser.parse(one.text)


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_each_metric_and_label_is_exported(one: Expression) -> None:
    """A name that was mistyped, or that has changed, shows nothing and says nothing."""
    asked = list(selectors(one.text))
    assert asked
    for name, labels in asked:
        assert name in SERIES, f"{name} is not exported"
        unknown = labels - set(SERIES[name].labels) - OF_THE_SCRAPE
        assert not unknown, f"{name} has no labels {unknown}"


@pytest.mark.parametrize(
    "where", ["engineers", "product", "alert:", "words of", "monitoring", "alerts"]
)
def test_expressions_are_found_everywhere(where: str) -> None:
    """So that no kind of place is left out without notice."""
    assert any(one.where.startswith(where) for one in EVERY)


def test_each_metric_is_described() -> None:
    """The table says what is exported; where they differ, this shows what to write."""
    page = expressions.MONITORING_PAGE.read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `backstop_")]
    assert table == [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{name}`' for name in one.labels)} |"
        f" {one.meaning} |"
        for one in TOLD.values()
    ]


def test_each_metric_is_shown_or_watched() -> None:
    """A metric that neither a dashboard nor an alert uses is one that nobody would miss."""
    used = {name for one in EVERY for name, _ in selectors(one.text)}
    assert [one.name for one in TOLD.values() if not used & one.series] == []
