"""Gives each test a stage on the real cluster, and shows what the operator said when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.cluster.stage import Stage

from backstop_lab.kube_api import ApiError, KubeApi

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


@pytest.fixture(scope="session", autouse=True)
def definitions() -> None:
    """Install the CRDs as a user would."""
    for arguments in (
        ("apply", "--server-side", "-f", str(_CRDS)),
        ("wait", "--for=condition=Established", "-f", str(_CRDS), "--timeout=20s"),
    ):
        subprocess.run(["kubectl", *arguments], check=True, timeout=60)  # noqa: S603, S607


@pytest.fixture
async def new_stage(
    tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[[], Awaitable[Stage]]]:
    """Return a function that gives a namespace of its own; at the end all that runs is ended."""
    made: list[Stage] = []
    async with (
        KubeApi(Path(os.environ["KUBECONFIG"])) as api,
        AsyncExitStack() as stack,
    ):

        async def make() -> Stage:
            name = f"test-{uuid.uuid4().hex[:8]}"
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await api.create("/api/v1/namespaces", body)
            directory = tmp_path / name
            directory.mkdir()
            made.append(Stage(api, name, directory, stack))
            return made[-1]

        yield make
        for one in made:
            for operator in one.operators:
                await operator.killed()
        for one in made:
            if request.node.stash.get(_FAILED, True):
                _show(one)
            await _remove(one)


@pytest.fixture
async def stage(new_stage: Callable[[], Awaitable[Stage]]) -> Stage:
    """Give a namespace of its own; at the end all that runs is ended."""
    return await new_stage()


def _show(stage: Stage) -> None:
    for operator in stage.operators:
        lines = operator.log.read_text().splitlines()[-_SHOWN_LINES:]
        proxy = operator.proxy
        requests = [str(one) for one in (*proxy.writes, *proxy.reads[-_SHOWN_LINES:])]
        sys.stdout.write("\n".join((f"--- {operator.log.name}", *lines, *requests, "")))


async def _remove(stage: Stage) -> None:
    for monitor in await stage.list("ModelMonitor"):
        path = stage.path("ModelMonitor", monitor["metadata"]["name"])
        try:
            await stage.api.patch(path, {"metadata": {"finalizers": None}})
        except ApiError as error:
            if error.status != 404:
                raise
    await stage.api.request("DELETE", f"/api/v1/namespaces/{stage.namespace}")
