"""Traffic without a router: the pods of two Deployments behind one Service are the split.

Guarantees: a write sets the replicas of the two Deployments and no other byte, what grows before
what shrinks, each in one request that the API server refuses when that Deployment changed since it
was read. A crash between the two is made good by the same write once more.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights
from backstop.core.gitops import last_manager, owner
from backstop.core.weights import Services
from backstop.ports import ConflictError, InvalidError, KubeApi

_GROUP_VERSION: Final = "apps/v1"
KIND: Final = "ReplicaRatio"


class ReplicaRatioTraffic:
    """Implements :class:`backstop.ports.Traffic` by the replicas of Deployments.

    The names in ``Services`` are those of Deployments here.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the split between target and candidate.

        Raises:
            InvalidError: there is a fallback, or no candidate, or an autoscaler sets the replicas.

        """
        if services.fallback is not None:
            raise InvalidError(
                "a ratio of replicas splits between target and candidate only: a circuit needs a"
                " router, for example an HTTPRoute"
            )
        if services.candidate is None:
            raise InvalidError(
                "a ratio of replicas splits between target and candidate: name a candidate, or"
                " leave traffic out"
            )
        names = (services.target, services.candidate)
        bodies, autoscalers = await asyncio.gather(
            self._read(ref.namespace, names),
            self._api.list(namespaced("autoscaling/v2", ref.namespace, "horizontalpodautoscalers")),
        )
        for one in autoscalers:
            scaled = one["spec"]["scaleTargetRef"]
            if scaled["kind"] == "Deployment" and scaled["name"] in names:
                raise InvalidError(
                    f"HorizontalPodAutoscaler/{one['metadata']['name']} sets the replicas of"
                    f" {scaled['name']}: a ratio of replicas needs Deployments without one"
                )
        return _facts(ref, bodies)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set the replicas; nothing is sent for a Deployment that has them already.

        Raises:
            InvalidError: ``weights`` speaks of what ``facts`` does not.

        """
        if not weights:
            return facts
        if not facts.rules:
            raise InvalidError(f"{facts.ref} cannot be divided: {facts.message}")
        (rule,) = facts.rules
        asked = dict(weights.get(rule.index, {}))
        if set(asked) - set(rule.weights):
            raise InvalidError(f"{facts.ref} splits between {' and '.join(rule.weights)} only")
        if any(replicas < 0 for replicas in asked.values()):
            raise InvalidError(f"{facts.ref} cannot have fewer than 0 pods")
        bodies = await self._read(facts.ref.namespace, tuple(rule.weights))
        if _version(bodies) != facts.resource_version:
            raise ConflictError(f"{facts.ref} changed since it was read")
        known = {body["metadata"]["name"]: body for body in bodies}
        growth = sorted(asked, key=lambda name: _replicas(known[name]) - asked[name])
        for name in growth:
            if _replicas(known[name]) != asked[name]:
                await self._scale(facts.ref.namespace, known[name], asked[name])
        return _facts(facts.ref, await self._read(facts.ref.namespace, tuple(rule.weights)))

    async def _read(self, namespace: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(self._api.get(_path(namespace, n)) for n in names)))

    async def _scale(self, namespace: str, body: Mapping[str, Any], replicas: int) -> None:
        metadata = body["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"replicas": replicas},
        }
        await self._api.merge_patch(_path(namespace, metadata["name"], "scale"), patch)


def _facts(ref: ObjectRef, bodies: list[dict[str, Any]]) -> RouteFacts:
    weights = {body["metadata"]["name"]: _replicas(body) for body in bodies}
    waiting, undivided = _waiting(bodies), _undivided(weights)
    newest = max(bodies, key=lambda body: int(body["metadata"]["resourceVersion"]))
    return RouteFacts(
        ref=ref,
        uid=bodies[0]["metadata"].get("uid", ""),
        resource_version=_version(bodies),
        generation=1,
        accepted_generation=None if waiting else 1,
        rules=() if undivided else (RuleWeights(0, weights),),
        message=undivided or waiting,
        grain=sum(weights.values()),
        piecemeal=True,
        parts=tuple(ObjectRef("Deployment", ref.namespace, name) for name in weights),
        manager=last_manager(newest["metadata"]),
        gitops=next(filter(None, (owner(body["metadata"]) for body in bodies)), ""),
    )


def _waiting(bodies: list[dict[str, Any]]) -> str:
    """Return which pods are still to become ready or to end; empty when all are as wanted."""
    wanted = missing = surplus = 0
    for body in bodies:
        status, replicas = body.get("status") or {}, _replicas(body)
        wanted += replicas
        missing += max(0, replicas - (status.get("readyReplicas") or 0))
        surplus += max(0, (status.get("replicas") or 0) - replicas)
    if missing:
        return f"waiting for {missing} of {wanted} pods to become ready"
    return f"waiting for {surplus} pods to end" if surplus else ""


def _undivided(weights: Mapping[str, int]) -> str:
    """Return why there is nothing to divide; a single pod would be moved as a whole."""
    target, candidate = weights
    if sum(weights.values()) > 1 or weights[candidate]:
        return ""
    return f"Deployment {target} needs at least 2 pods, so that {candidate} can get a part of them"


def _version(bodies: list[dict[str, Any]]) -> str:
    return "/".join(body["metadata"]["resourceVersion"] for body in bodies)


def _replicas(body: Mapping[str, Any]) -> int:
    replicas = body["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _path(namespace: str, name: str, subresource: str = "") -> str:
    return namespaced(_GROUP_VERSION, namespace, "deployments", name, subresource)
