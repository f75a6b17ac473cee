"""A real node with the images of this tree on it; without one, the tests say why they are left out.

`make node-test` brings it up.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstop_lab.binaries import cache_directory
from backstop_lab.image import build
from backstop_lab.image.archive import Packed
from backstop_lab.kube_api import KubeApi
from backstop_lab.real_node.runtime import Runtime

_HERE = Path(__file__).parent
BACKSTOP, MODEL = "localhost/backstop:lab", "localhost/model:lab"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "LAB_CONTAINERD" not in os.environ:
        skip = pytest.mark.skip(reason="needs a real node, as root: `make node-test`")
        for item in items:
            if item.path.is_relative_to(_HERE):
                item.add_marker(skip)


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
