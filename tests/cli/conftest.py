"""A cluster for commands: a fake API in a thread of its own, and a kubeconfig that leads to it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.fakeapi.server import FakeApi

from backstop.cli import kube
from backstop.cli.main import main

MONITORS = "/apis/backstop.dev/v1alpha1/namespaces/demo/modelmonitors"
SPEC: dict[str, Any] = {
    "mode": "Act",
    "target": {"name": "fraud", "service": "fraud", "metricLabels": {"app": "fraud"}},
    "candidate": {
        "name": "fraud-next",
        "service": "fraud-next",
        "metricLabels": {"app": "next"},
        "progression": {"steps": [1, 5, 25]},
    },
    "traffic": {"httpRoute": "fraud"},
    "fallback": {"service": "simple"},
    "signals": [
        {
            "name": "errors",
            "threshold": {"errors": {"requests": "r", "errors": 'r{code="500"}'}, "max": "5%"},
        }
    ],
}


class Cluster(FakeApi):
    """A fake API whose ``operator``, where there is one, answers each write to a monitor.

    ``bodies`` are what was written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operator: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
        self.kubeconfig = Path()
        self.bodies: list[Any] = []

    def _write(self, verb: str, place: Any, content_type: str, body: Any) -> dict[str, Any]:
        self.bodies.append(body)
        written = super()._write(verb, place, content_type, body)
        if self.operator is not None and place.collection.endswith("modelmonitors"):
            status = self.operator(deepcopy(written))
            if status is not None:
                self.store.objects[place.collection, place.namespace, place.name]["status"] = status
        return written

    def monitor(self, name: str = "fraud", namespace: str = "demo", **fields: Any) -> None:
        """Store a monitor; ``fields`` are those beside name and spec."""
        body = {
            "apiVersion": "backstop.dev/v1alpha1",
            "kind": "ModelMonitor",
            "metadata": {"name": name},
            "spec": deepcopy(SPEC),
            **fields,
        }
        self.add(MONITORS.replace("/demo/", f"/{namespace}/"), body)

    def annotations(self, name: str = "fraud") -> dict[str, str]:
        """Return the annotations of a monitor."""
        collection = "/apis/backstop.dev/v1alpha1/modelmonitors".strip("/")
        metadata = self.store.objects[collection, "demo", name]["metadata"]
        found: dict[str, str] = metadata.get("annotations", {})
        return found

    def run(self, *arguments: str, typed: str = "") -> Result:
        """Run ``backstop`` with these arguments against this cluster."""
        place = ("--kubeconfig", str(self.kubeconfig))
        return CliRunner().invoke(main, [*arguments, *place], input=typed)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Serve a fake API; commands wait for the operator but a moment."""
    monkeypatch.setattr(kube, "WAIT", 0.5)
    monkeypatch.setattr(kube, "_POLL", 0.05)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    served = Cluster()
    asyncio.run_coroutine_threadsafe(served.__aenter__(), loop).result(10)
    served.kubeconfig = tmp_path / "kubeconfig"
    served.kubeconfig.write_text(yaml.safe_dump(kubeconfig(served.url)), encoding="utf-8")
    yield served
    asyncio.run_coroutine_threadsafe(served.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def kubeconfig(url: str) -> dict[str, Any]:
    """Return a kubeconfig with two contexts, the first of them active."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [
            {"name": "demo", "context": {"cluster": "fake", "user": "fake", "namespace": "demo"}},
            {"name": "bare", "context": {"cluster": "fake", "user": "fake"}},
        ],
        "current-context": "demo",
    }
