"""Workloads for the tests on a real API server, and how to wait for them."""

import copy
import os
from collections.abc import Awaitable, Callable

import pytest
from tests.adapters.real import Json, eventually, undisturbed

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.registry import KINDS, Workloads
from backstop.core.facts import ObjectRef, WorkloadFacts

ON_CLUSTER = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs `python -m backstop_lab exec`"),
]
RUNS = ["sleep", "3600"]


def template(version: int, *, ready: bool = True, **labels: str) -> Json:
    """Return a pod template of two containers; the first carries the version, and gets ready."""
    image = f"example.com/model:{version}"
    main: Json = {
        "name": "main",
        "image": image,
        "command": RUNS,
        "env": [{"name": "VERSION", "value": str(version)}],
        "resources": {"requests": {"cpu": "1m"}},
    }
    if not ready:
        main["readinessProbe"] = {"httpGet": {"path": "/", "port": 9}, "periodSeconds": 1}
    side = {"name": "side", "image": "example.com/side:1", "command": RUNS}
    return {
        "metadata": {"labels": labels, "annotations": {"note": str(version)}},
        "spec": {"containers": [main, side], "terminationGracePeriodSeconds": 0},
    }


def workload(kind: str, name: str = "model", replicas: int = 2, **spec: object) -> Json:
    """Return a workload at version 1."""
    labels = {"app": name}
    named = {"serviceName": name} if kind == "StatefulSet" else {}
    return {
        "metadata": {
            "name": name,
            "labels": {"team": "ml"},
            "annotations": {"team.example.com/owner": "ranking"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template(1, **labels, tier="a"),
            **named,
            **spec,
        },
    }


class Model:
    """A real workload."""

    def __init__(self, api: KubernetesApi, kind: str, namespace: str, name: str = "model") -> None:
        self.api = api
        self.workloads = Workloads(api)
        self.ref = ObjectRef(kind, namespace, name)
        group, version, plural = KINDS[kind].resource
        self.collection = f"/apis/{group}/{version}/namespaces/{namespace}/{plural}"
        self.path = f"{self.collection}/{name}"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"

    async def create(self, **more: object) -> WorkloadFacts:
        body = workload(self.ref.kind, self.ref.name, **more)  # type: ignore[arg-type]
        await self.api.create(self.collection, body)
        return await self.rolled_out()

    async def release(self, version: int, *, ready: bool = True) -> WorkloadFacts:
        """Write another version, as a person would."""
        body = template(version, ready=ready, app=self.ref.name, tier="a")
        await self.api.merge_patch(self.path, {"spec": {"template": body}})
        return await self.read()

    async def read(self) -> WorkloadFacts:
        return await self.workloads.read(self.ref)

    async def rolled_out(self, version: int = 0) -> WorkloadFacts:
        async def probe() -> WorkloadFacts | None:
            facts = await self.read()
            image = facts.images["main"]
            return facts if facts.rolled_out and image.endswith(str(version or "")) else None

        facts = await eventually(probe)
        assert facts is not None
        return facts

    async def change(
        self, change: Callable[[WorkloadFacts], Awaitable[WorkloadFacts]]
    ) -> WorkloadFacts:
        """Return what ``change`` of fresh facts returns, read again after each conflict."""

        async def made() -> WorkloadFacts:
            return await change(await self.read())

        return await undisturbed(made)

    async def pod_uids(self) -> set[str]:
        pods = await self.api.list(self.pods, labelSelector=f"app={self.ref.name}")
        return {
            one["metadata"]["uid"] for one in pods if "deletionTimestamp" not in one["metadata"]
        }

    async def body(self) -> Json:
        return written(await self.api.get(self.path))


def written(body: Json) -> Json:
    """Return what people and Backstop wrote, without what servers and controllers keep."""
    body = copy.deepcopy(body)
    body.pop("status", None)
    for name in ("resourceVersion", "generation", "managedFields"):
        body["metadata"].pop(name, None)
    body["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    return body
