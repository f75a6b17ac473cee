"""Dashboards can be imported as they are, and each panel says what it shows."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.expressions import DASHBOARDS, dashboard, panels

WIDTH = 24
TECHNICAL = re.compile(
    r"\b(pod|container|promql|query|latency|quantile|histogram|reconcile|CRD|kubectl|prometheus|"
    r"operator|circuit|rollback|replica|P99|breached|verdict|canary|error)s?\b",
    re.IGNORECASE,
)


def of(name: str) -> Path:
    return next(path for path in DASHBOARDS if path.stem == name)


def test_there_are_two() -> None:
    """One for engineers, one for product people; they link to each other by a common tag."""
    assert [path.stem for path in DASHBOARDS] == ["engineers", "product"]
    uids = [dashboard(path)["uid"] for path in DASHBOARDS]
    assert uids == ["backstop-engineers", "backstop-product"]
    for path in DASHBOARDS:
        found = dashboard(path)
        assert found["links"][0]["tags"] == found["tags"] == ["backstop"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_belongs_to_no_installation(path: Path) -> None:
    """No id, no data source but the one that is chosen, and nothing left to be asked at import."""
    found = dashboard(path)
    assert "id" not in found
    assert "__inputs" not in found
    assert found["schemaVersion"] >= 39
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = {one["name"]: one for one in found["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "monitor"]
    assert variables["datasource"]["type"] == "datasource"
    for name in ("namespace", "monitor"):
        assert variables[name]["datasource"] == chosen
        assert variables[name]["includeAll"]
    for panel in panels(path):
        assert panel["datasource"] == chosen
        assert all(one["datasource"] == chosen for one in panel["targets"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_lie_beside_each_other(path: Path) -> None:
    """Within the width of the page, and none on top of another."""
    boxes = [(one["title"], one["gridPos"]) for one in dashboard(path)["panels"]]
    for title, box in boxes:
        assert box["x"] >= 0, title
        assert box["x"] + box["w"] <= WIDTH, title
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not _overlap(a, b), f"{one} and {other}"


def _overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    return (
        a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    )


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_says_what_it_shows(path: Path) -> None:
    """A title of its own, a sentence, a unit, and a name for each line."""
    titles = [one["title"] for one in panels(path)]
    assert len(titles) == len(set(titles))
    for panel in panels(path):
        assert panel["description"].endswith((".", "`")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        refs = [one["refId"] for one in panel["targets"]]
        assert refs
        assert len(refs) == len(set(refs)), panel["title"]
        if panel["type"] not in {"stat", "table"}:
            assert all(one["legendFormat"] for one in panel["targets"]), panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_states_have_words(path: Path) -> None:
    """Numbers that stand for states are shown as words, each with a colour."""
    for panel in panels(path):
        if panel["type"] == "state-timeline":
            options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
            assert set(options) in ({"1", "0", "-1"}, {"0", "1", "2"}, {"0", "1"}), panel["title"]
            assert all(one["text"] and one["color"] for one in options.values())


def test_product_people_need_no_words_of_ours() -> None:
    """Titles, sentences, legends and states are in plain words."""
    for panel in panels(of("product")):
        for said in _words(panel):
            found = TECHNICAL.search(said)
            assert found is None, f"{panel['title']}: {found and found[0]}"


def _words(panel: dict[str, Any]) -> list[str]:
    defaults = panel["fieldConfig"]["defaults"]
    states = [
        state["text"] for one in defaults["mappings"] for state in one.get("options", {}).values()
    ]
    legends = [re.sub(r"\{\{.*?\}\}", "", one["legendFormat"]) for one in panel["targets"]]
    return [panel["title"], panel["description"], *states, *legends]


def test_business_signals_and_recovery_are_shown_to_product_people() -> None:
    """What they come for: business numbers, incidents, and how soon they were over."""
    asked = " ".join(t["expr"] for one in panels(of("product")) for t in one["targets"])
    for wanted in ('pillar="business"', "backstop_incidents_total", "incident_recovery_seconds"):
        assert wanted in asked
