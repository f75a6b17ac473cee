"""Gives each test a stage on the real cluster, and shows what the operator said when it fails."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from backstop_lab.kube_api import ApiError, KubeApi
from tests.cluster.stage import Stage

_CRDS = Path(__file__).parents[2] / "crds"
_FAILED = pytest.StashKey[bool]()
_SHOWN_LINES = 80


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "LAB_DIR" not in os.environ:
        skip = pytest.mark.skip(reason="needs `python -m backstop_lab exec -- pytest ...`")
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def definitions() -> None:
    """Install the CRDs as a user would."""
    for arguments in (
        ("apply", "--server-side", "-f", str(_CRDS)),
        ("wait", "--for=condition=Established", "-f", str(_CRDS), "--timeout=20s"),
    ):
        subprocess.run(["kubectl", *arguments], check=True, timeout=60)  # noqa: S603, S607


@pytest.fixture
async def stage(
    definitions: None, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    """Give a namespace of its own; afterwards everything that runs in it is ended."""
    async with (
        KubeApi(Path(os.environ["KUBECONFIG"])) as api,
        AsyncExitStack() as stack,
    ):
        namespace = f"test-{uuid.uuid4().hex[:8]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await api.create("/api/v1/namespaces", body)
        made = Stage(api, namespace, tmp_path, stack)
        yield made
        for operator in made.operators:
            await operator.killed()
        if request.node.stash.get(_FAILED, True):
            await _show(made)
        await _remove(made)


async def _show(stage: Stage) -> None:
    for operator in stage.operators:
        lines = operator.log.read_text().splitlines()[-_SHOWN_LINES:]
        print(f"--- {operator.log.name}", *lines, sep="\n")
        print("writes:", *(one for one in operator.proxy.writes), sep="\n  ")


async def _remove(stage: Stage) -> None:
    for monitor in await stage.list("ModelMonitor"):
        path = stage.path("ModelMonitor", monitor["metadata"]["name"])
        try:
            await stage.api.patch(path, {"metadata": {"finalizers": None}})
        except ApiError as error:
            if error.status != 404:
                raise
    await stage.api.request("DELETE", f"/api/v1/namespaces/{stage.namespace}")
