"""How many pods a workload has: read and set through ``/scale``, or through its autoscaler.

Guarantees: a number is written in one request that the API server refuses when what carries it (the
workload, or its HorizontalPodAutoscaler) changed since it was read; nothing else changes. Where an
autoscaler sets the number it alone is asked, since it would overwrite what is written beside it. So
would whoever writes the autoscaler: one that another controller owns is not asked.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads.owned import controller
from backstop.adapters.workloads.registry import KINDS
from backstop.core.facts import AutoscalerFacts, ObjectRef, ReplicaFacts
from backstop.ports import InvalidError, KubeApi, UnsupportedError

_AUTOSCALING: Final = "autoscaling/v2"
_AUTOSCALERS: Final = "horizontalpodautoscalers"
_SCALABLE: Final = ("Deployment", "StatefulSet", "Rollout")
"""The kinds that have a ``/scale``, as far as :data:`KINDS` has them."""


class ScaleReplicas:
    """Implements :class:`backstop.ports.Replicas`."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> ReplicaFacts:
        """Return the desired number, and the HorizontalPodAutoscaler that sets it, if any."""
        scale, workload, autoscalers = await asyncio.gather(
            self._api.get(_path(ref, "scale")),
            self._api.get(_path(ref)),
            self._api.list(namespaced(_AUTOSCALING, ref.namespace, _AUTOSCALERS)),
        )
        return ReplicaFacts(
            ref=ref,
            resource_version=scale["metadata"]["resourceVersion"],
            desired=(scale.get("spec") or {}).get("replicas") or 0,
            ready=(workload.get("status") or {}).get("readyReplicas") or 0,
            autoscaler=autoscaler_of(ref, autoscalers),
        )

    async def write(self, facts: ReplicaFacts, replicas: int) -> ReplicaFacts:
        """Ask for ``replicas`` pods: of the autoscaler as its least number, else directly."""
        if facts.autoscaler is not None:
            return await self._ask(facts, facts.autoscaler, replicas)
        if facts.desired == replicas:
            return facts
        patch = _patch(facts.resource_version, "replicas", replicas)
        scale = await self._api.merge_patch(_path(facts.ref, "scale"), patch)
        version = scale["metadata"]["resourceVersion"]
        return replace(facts, resource_version=version, desired=replicas)

    async def _ask(
        self, facts: ReplicaFacts, autoscaler: AutoscalerFacts, replicas: int
    ) -> ReplicaFacts:
        if replicas > autoscaler.most:
            raise InvalidError(
                f"{autoscaler.ref} allows {autoscaler.most} pods of {facts.ref} at most, not"
                f" {replicas}; raise its spec.maxReplicas"
            )
        if autoscaler.least == replicas:
            return facts
        if autoscaler.owner:
            raise InvalidError(
                f"{autoscaler.ref} belongs to {autoscaler.owner}, which would undo a change of it;"
                " raise the least number of pods there"
            )
        ref = autoscaler.ref
        path = namespaced(_AUTOSCALING, ref.namespace, _AUTOSCALERS, ref.name)
        patch = _patch(autoscaler.resource_version, "minReplicas", replicas)
        written = await self._api.merge_patch(path, patch)
        return replace(facts, autoscaler=_autoscaler(ref.namespace, written))


def autoscaler_of(
    ref: ObjectRef, autoscalers: Sequence[Mapping[str, Any]]
) -> AutoscalerFacts | None:
    """Return the one of ``autoscalers`` that scales ``ref``, the first by name if several do."""
    group = _resource(ref)[0]
    found = [
        one
        for one in autoscalers
        if (target := one["spec"]["scaleTargetRef"])
        and (target["kind"], target["name"]) == (ref.kind, ref.name)
        and target.get("apiVersion", "").rpartition("/")[0] == group
    ]
    found.sort(key=lambda one: str(one["metadata"]["name"]))
    return _autoscaler(ref.namespace, found[0]) if found else None


def _autoscaler(namespace: str, body: Mapping[str, Any]) -> AutoscalerFacts:
    metadata, spec = body["metadata"], body["spec"]
    least, owner = spec.get("minReplicas"), controller(body)
    return AutoscalerFacts(
        ref=ObjectRef("HorizontalPodAutoscaler", namespace, metadata["name"]),
        resource_version=metadata["resourceVersion"],
        least=1 if least is None else least,
        most=spec["maxReplicas"],
        owner=f"{owner.get('kind')}/{owner.get('name')}" if owner else "",
    )


def _patch(version: str, field: str, replicas: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": {field: replicas}}


def _resource(ref: ObjectRef) -> tuple[str, str, str]:
    if ref.kind not in _SCALABLE or ref.kind not in KINDS:
        known = [kind for kind in _SCALABLE if kind in KINDS]
        raise UnsupportedError(
            f"{ref} has no number of replicas that can be set; scale steps are for"
            f" {', '.join(known)}"
        )
    return KINDS[ref.kind].resource


def _path(ref: ObjectRef, subresource: str = "") -> str:
    group, version, plural = _resource(ref)
    return namespaced(f"{group}/{version}", ref.namespace, plural, ref.name, subresource)
