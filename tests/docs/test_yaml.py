"""Whatever YAML a page or an example shows works as it stands."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chart.helm import CHART, Helm
from tests.docs.pages import EXAMPLES, OURS, Block, Part, blocks, examples
from tests.lab.cluster import kubectl

from backstop.api.incident import IncidentSpec, IncidentStatus
from backstop.api.problems import find_problems
from backstop.cli.backtest_input import known_faults
from backstop.runtime.config import load

BLOCKS = list(blocks())
SHOWN = [*BLOCKS, *examples()]


def of(part: Part) -> pytest.MarkDecorator:
    """Parametrize by the blocks that are such a part."""
    return pytest.mark.parametrize("block", [b for b in BLOCKS if b.part is part], ids=str)


WITH_OBJECTS = pytest.mark.parametrize("block", [b for b in SHOWN if b.objects], ids=str)


@WITH_OBJECTS
def test_shown_object_has_no_problem(block: Block) -> None:
    """What a reader copies passes `backstop check`."""
    for one in block.objects:
        if one["kind"] == "Incident":
            IncidentSpec.model_validate(one["spec"])
            assert IncidentStatus.model_validate(one["status"]).phase == "Resolved"
        elif one["apiVersion"].startswith(OURS):
            assert find_problems(one) == ()


def test_each_directory_of_examples_has_something_of_ours() -> None:
    """What stands in examples/ belongs to a monitor or a runbook."""
    ours = {
        block.file.parent
        for block in examples()
        if any(one["apiVersion"].startswith(OURS) for one in block.objects)
    }
    assert ours == {file.parent for file in EXAMPLES}


@of(Part.CONFIGURATION)
def test_shown_configuration_is_loaded(block: Block, tmp_path: Path) -> None:
    """The operator starts with it, once the files with keys are there."""
    key, file = tmp_path / "key", tmp_path / "config.yaml"
    key.write_text("0123456789abcdef", encoding="utf-8")
    text = re.sub(r"(?m)File: .*$", f"File: {key}", block.text)
    if "sources" not in block.documents[0]:
        text += "sources: {default: {url: http://prometheus:9090}}\n"
    file.write_text(text, encoding="utf-8")
    load(file, None)


@of(Part.FAULTS)
def test_shown_faults_are_read(block: Block, tmp_path: Path) -> None:
    """`backstop backtest --known` takes the file."""
    file = tmp_path / "faults.yaml"
    file.write_text(block.text, encoding="utf-8")
    assert known_faults(file)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_yaml(block: Block) -> None:
    """Settings of other tools included."""
    assert block.documents


@pytest.mark.cluster
@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="needs an API server: KUBECONFIG")
class TestOnCluster:
    """The same, as the API server and helm see it."""

    @WITH_OBJECTS
    def test_shown_object_is_accepted(self, block: Block, namespace: str) -> None:
        """It can be applied as it stands, with what stands beside it."""
        dry = ("--dry-run=server", "--validate=strict", "-f", "-")
        as_shown = [block.text] if block.part is None else map(json.dumps, block.objects)
        for text in as_shown:
            kubectl("create", "-n", namespace, *dry, stdin=text)

    @of(Part.VALUES)
    def test_shown_values_are_accepted(self, block: Block, tmp_path: Path) -> None:
        """The chart's schema knows each of them."""
        (values,) = block.documents
        assert Helm(tmp_path).render(values, "--api-versions", "monitoring.coreos.com/v1")

    def test_the_defaults_of_the_chart_are_accepted(self, tmp_path: Path) -> None:
        """Whoever starts from values.yaml starts from something that works."""
        text = (CHART / "values.yaml").read_text(encoding="utf-8")
        assert Helm(tmp_path).render(Block(CHART, 1, text).documents[0])


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Create a namespace of our own where all definitions are, and remove it at the end."""
    crds = str(CHART.parents[1] / "crds")
    # A release of the chart may have made them in the same cluster.
    kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
    for condition in ("Established", "NamesAccepted"):
        kubectl("wait", f"--for=condition={condition}", "--timeout=20s", "-f", crds)
    name = f"docs-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
