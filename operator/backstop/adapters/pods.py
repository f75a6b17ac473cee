"""Single pods of a workload: found by name, deleted by uid.

Guarantees: a pod is of a workload only if its chain of controllers ends there (labels and names
prove nothing); the API server deletes the very pod that was found, never another of its name.
"""

from collections.abc import Mapping
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads.owned import controller
from backstop.core.facts import PodFacts, WorkloadFacts
from backstop.ports import ConflictError, KubeApi, NotFoundError

_BETWEEN: Final = {
    "ReplicaSet": "replicasets",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
}
"""Plurals of the kinds of ``apps/v1`` that may stand between a pod and its workload."""


class WorkloadPods:
    """Implements :class:`backstop.ports.Pods`."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def find(self, workload: WorkloadFacts, name: str) -> PodFacts:
        """Return pod ``name``; NotFoundError where it is not a pod of ``workload``."""
        namespace = workload.ref.namespace
        stranger = NotFoundError(f"Pod/{name} is not a pod of {workload.ref}")
        if not name:
            raise stranger
        pod = await self._api.get(_path(namespace, name))
        owned, known = pod, dict(_BETWEEN)
        while (owner := controller(owned)) and owner.get("uid") != workload.uid:
            # Each kind stands at most once in a chain, so that the walk ends.
            plural = known.pop(owner.get("kind", ""), None)
            if plural is None or owner.get("apiVersion") != "apps/v1":
                raise stranger
            owned = await self._owner(namespace, plural, owner, stranger)
        if not owner:
            raise stranger
        return PodFacts(namespace, name, pod["metadata"]["uid"])

    async def _owner(
        self, namespace: str, plural: str, owner: Mapping[str, Any], stranger: NotFoundError
    ) -> dict[str, Any]:
        try:
            found = await self._api.metadata(
                namespaced("apps/v1", namespace, plural, owner["name"])
            )
        except NotFoundError:
            raise stranger from None
        if found["uid"] != owner["uid"]:
            raise stranger
        return {"metadata": found}

    async def delete(self, pod: PodFacts) -> None:
        """Delete this very pod; one that is gone, or replaced by another of its name, is fine."""
        path = _path(pod.namespace, pod.name)
        try:
            await self._api.delete(path, pod.uid)
        except ConflictError:
            if await self._is_there(path, pod.uid):
                raise

    async def _is_there(self, path: str, uid: str) -> bool:
        try:
            return bool((await self._api.metadata(path))["uid"] == uid)
        except NotFoundError:
            return False


def _path(namespace: str, name: str) -> str:
    return namespaced("v1", namespace, "pods", name)
