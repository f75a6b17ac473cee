"""Helm, and the definitions of the Prometheus operator, on the lab's cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.chart.helm import Helm

from backstop_lab import crds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "LAB_DIR" not in os.environ:
        skip = pytest.mark.skip(reason="needs `python -m backstop_lab exec -- pytest ...`")
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker(
                "cluster"
            ):
                item.add_marker(skip)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Return helm with an empty home."""
    return Helm(tmp_path)


@pytest.fixture(scope="session")
def monitoring() -> None:
    """Install the definitions of ServiceMonitor and PrometheusRule."""
    documents = [
        one for one in crds.read(crds.foreign()) if one["spec"]["group"] == "monitoring.coreos.com"
    ]
    assert len(documents) == 2
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    apply = ["kubectl", "apply", "--server-side", "-f", "-"]
    subprocess.run(apply, input=listed, text=True, check=True, timeout=60)  # noqa: S603
    wait = ["kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]
    subprocess.run(wait, check=True, timeout=60)  # noqa: S603
