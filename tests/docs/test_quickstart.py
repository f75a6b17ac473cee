"""Whoever types what docs/quickstart.md says, in that order, sees what it says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.lab.cluster import kubectl

from backstop_lab import binaries

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs `python -m backstop_lab exec`"),
]


CRDS = str(ROOT / "crds")


@pytest.fixture
def new_cluster() -> Iterator[None]:
    """Take away the definitions that other tests left, and hand them on afterwards."""
    kubectl("delete", "--ignore-not-found", "--timeout=50s", "-f", CRDS)
    yield
    kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)


@pytest.mark.usefixtures("new_cluster")
def test_the_quickstart_works_as_written(tmp_path: Path) -> None:
    """A bad release is only reported in Observe, and is undone with traffic put back in Act."""
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(commands) == 10
    helm = binaries.find(binaries.HELM)
    assert helm is not None, "build it first: python -m backstop_lab build helm"
    paths = (str(helm.parent), str(Path(sys.executable).parent), os.environ["PATH"])
    homes = {f"HELM_{one}_HOME": str(tmp_path) for one in ("CACHE", "CONFIG", "DATA")}
    there = {
        "PATH": ":".join(paths),
        "PROMETHEUS": os.environ["LAB_PROMETHEUS_URL"],
        "GATEWAY": os.environ["LAB_GATEWAY_URL"],
    }
    done = subprocess.run(  # noqa: S603 - our own page
        ["bash", "-euxo", "pipefail", "-c", "\n".join(commands)],  # noqa: S607
        cwd=ROOT,
        env={**os.environ, **homes, **there},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    said = done.stdout
    assert done.returncode == 0, said
    opened, closed = re.findall(r"^(\d+ \d+)$", said, re.MULTILINE)
    assert (opened, closed) == ("0 100", "100 0")
    assert re.search(r"^POD_IP$", said, re.MULTILINE), "the pod template from before the release"
    assert len(set(re.findall(r"^(fraud-\d+\S*) .*Resolved", said, re.MULTILINE))) == 2
