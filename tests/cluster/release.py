"""A Helm release of the chart, whose pods run Backstop under the chart's own ServiceAccount."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.chart.helm import CHART, Helm
from tests.cluster.manifests import Object
from tests.cluster.namespace import Namespace, until

from backstop_lab.kube_api import KubeApi

NAME = "backstop"
DEPLOYMENT = "backstop"

# What another test or a person installed before is taken over.
_INSTALL = ("--take-ownership", "--force-conflicts", "--wait", "--timeout", "120s")


@dataclass(slots=True)
class Release(Namespace):
    """The release in a namespace that enforces the restricted level; watches ``watched``."""

    helm: Helm
    watched: Sequence[str]

    def values(self, **more: Any) -> Object:
        """Return values for the lab."""
        return {
            "sources": {"default": {"url": os.environ["LAB_PROMETHEUS_URL"]}},
            "scope": "namespaces",
            "namespaces": list(self.watched),
            # Another release of the same session has them, too.
            "rbac": {"aggregate": False},
            **more,
        }

    async def install(self, chart: Path = CHART, **more: Any) -> None:
        """Install, and wait until all pods are ready."""
        await self._helm("install", chart, self.values(**more))

    async def upgrade(self, chart: Path = CHART, **more: Any) -> None:
        """Upgrade, and wait until all pods are ready."""
        await self._helm("upgrade", chart, self.values(**more))

    async def _helm(self, verb: str, chart: Path, values: Object) -> None:
        words = (verb, NAME, str(chart), "--namespace", self.namespace, *_INSTALL)
        await self.helm.running(*words, values=values)

    async def test(self) -> str:
        """Run `helm test`, and return what its pod said."""
        await self.helm.running("test", NAME, "--namespace", self.namespace, "--timeout", "90s")
        return self.log("doctor")

    async def uninstall(self) -> None:
        """Uninstall, and wait until all is gone."""
        words = ("uninstall", NAME, "--namespace", self.namespace, "--wait", "--timeout", "240s")
        await self.helm.running(*words)

    def log(self, container: str = NAME) -> str:
        """Return what all containers of a name have said."""
        files = Path(os.environ["LAB_DIR"], "pods").glob(f"{self.namespace}.*.{container}.log")
        return "\n".join(file.read_text() for file in sorted(files))

    async def pods(self) -> list[Object]:
        """Return the operator's pods."""
        labels = {"app.kubernetes.io/name": "backstop"}
        return [
            pod
            for pod in await self.list("Pod")
            if labels.items() <= pod["metadata"]["labels"].items()
        ]


async def new_release(api: KubeApi, namespace: str, helm: Helm, watched: Sequence[str]) -> Release:
    """Return a release that is not installed yet, in a namespace of its own."""
    labels = {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
    }
    metadata = {"name": namespace, "labels": labels}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    await api.create("/api/v1/namespaces", body)

    async def has_account() -> Object:
        found: list[Object] = (await api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts"))[
            "items"
        ]
        return found[0] if found else {}

    await until("the namespace is usable", has_account)
    return Release(api, namespace, helm, watched)


def older_chart(directory: Path) -> Path:
    """Return a chart of an earlier version, whose monitors have no runbooks."""
    chart = directory / "older"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.0.9"}))
    file = chart / "files" / "crds" / "backstop.dev_modelmonitors.yaml"
    definition = yaml.safe_load(file.read_text())
    (version,) = definition["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["runbook"]
    file.write_text(yaml.safe_dump(definition))
    return chart
