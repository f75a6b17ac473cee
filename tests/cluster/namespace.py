"""One namespace of the real cluster, its objects by kind and name, and waiting for their state.

All waiting is polling of the cluster's state with a deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.cluster.manifests import Object

from backstop_lab.kube_api import ApiError, KubeApi

T = TypeVar("T")
_POLL = 0.1
_TRY_AGAIN = {429, 500, 503, 504}
_API = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "CronJob": ("/apis/batch/v1", "cronjobs"),
    "Job": ("/apis/batch/v1", "jobs"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "ModelMonitor": ("/apis/backstop.dev/v1alpha1", "modelmonitors"),
    "Runbook": ("/apis/backstop.dev/v1alpha1", "runbooks"),
    "Incident": ("/apis/backstop.dev/v1alpha1", "incidents"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
}


async def remains(what: str, holds: Callable[[], Awaitable[object]], *, seconds: float) -> None:
    """Check again and again for some seconds that `holds` stays true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert await holds(), what
        await asyncio.sleep(_POLL)


async def until(what: str, probe: Callable[[], Awaitable[T]], *, seconds: float = 90) -> T:
    """Return the first true result of `probe`; fail with `what` if there is none in time.

    An API server that asks to try again is tried again.
    """
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            last = result = await probe()
        except ApiError as error:
            if error.status not in _TRY_AGAIN:
                raise
            last = error
        else:
            if result:
                return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {last!r}")
        await asyncio.sleep(_POLL)


@dataclass(slots=True)
class Namespace:
    """The objects of one namespace."""

    api: KubeApi
    namespace: str

    def path(self, kind: str, name: str = "") -> str:
        """Return the path of an object, or of the collection, in the namespace."""
        prefix, plural = _API[kind]
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    async def get(self, kind: str, name: str) -> Object:
        """Return an object."""
        return await self.api.get(self.path(kind, name))

    async def list(self, kind: str) -> list[Object]:
        """Return all objects of a kind."""
        items: list[Object] = (await self.api.get(self.path(kind)))["items"]
        return items

    async def exists(self, kind: str, name: str) -> bool:
        """Return whether an object exists."""
        try:
            await self.get(kind, name)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    async def apply(self, *objects: Object) -> None:
        """Create or update objects."""
        for one in objects:
            await self.api.apply(self.path(one["kind"], one["metadata"]["name"]), one)

    async def delete(self, kind: str, name: str) -> None:
        """Ask for the deletion of an object."""
        await self.api.request("DELETE", self.path(kind, name))
