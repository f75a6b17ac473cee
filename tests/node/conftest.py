"""A real node with the images of this tree on it; without one, the tests say why they are left out.

`make node-test` brings it up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstop_lab.binaries import cache_directory
from backstop_lab.image import build
from backstop_lab.image.archive import Packed
from backstop_lab.kube_api import KubeApi
from backstop_lab.real_node.runtime import Runtime

_HERE = Path(__file__).parent
_LOGS = "--all-containers --prefix --tail=40 -n ops -l app.kubernetes.io/name=backstop"
BACKSTOP, MODEL = "localhost/backstop:lab", "localhost/model:lab"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "LAB_CONTAINERD" not in os.environ:
        skip = pytest.mark.skip(reason="needs a real node, as root: `make node-test`")
        for item in items:
            if item.path.is_relative_to(_HERE):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    if report.failed and "LAB_CONTAINERD" in os.environ:
        for question in ("get pods -A -o wide", "get mm,incidents -A -o yaml", f"logs {_LOGS}"):
            command = ["kubectl", *question.split()]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            sys.stdout.write(f"--- {question}\n{done.stdout[-8000:]}{done.stderr[-1000:]}\n")
    return report


@dataclass(frozen=True, slots=True)
class Node:
    """The node, and the image of Backstop that was loaded into it."""

    api: KubeApi
    image: Packed


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Make the images, load them, and give a connection to the cluster."""
    programs = {"ctr": Path(os.environ["LAB_DIR"]) / "bin" / "ctr"}
    runtime = Runtime(programs, Path(os.environ["LAB_CONTAINERD"]).parent)
    assert cache_directory().is_dir()
    image = build.backstop(tmp_path / "backstop.tar", BACKSTOP)
    for one in (image, build.model(tmp_path / "model.tar", MODEL)):
        await runtime.load(one.file)
        one.file.unlink()
    async with KubeApi(Path(os.environ["KUBECONFIG"])) as api:
        yield Node(api, image)
