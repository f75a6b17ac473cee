"""The chart carries the same definitions that `crds/` has."""

from tests.chart.helm import CHART


def test_the_chart_has_the_generated_definitions():
    """Byte for byte; `make generate` writes both."""
    ours = {one.name: one.read_bytes() for one in (CHART.parents[1] / "crds").glob("*.yaml")}
    assert ours
    copies = {one.name: one.read_bytes() for one in (CHART / "files" / "crds").glob("*.yaml")}
    assert copies == ours
