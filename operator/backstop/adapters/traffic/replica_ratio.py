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
        if services.fallback is not None or services.candidate is None:
            raise InvalidError(
                "a ratio of replicas splits between target and candidate only: a circuit needs a"
                " router, for example an HTTPRoute"
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
        (rule,) = facts.rules
        asked = dict(weights.get(rule.index, {}))
        if set(asked) - set(rule.weights):
            raise InvalidError(f"{facts.ref} splits between {' and '.join(rule.weights)} only")
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
    ready = sum((body.get("status") or {}).get("readyReplicas") or 0 for body in bodies)
    wanted = sum(weights.values())
    settled = all(
        ((body.get("status") or {}).get("readyReplicas") or 0) == _replicas(body)
        and ((body.get("status") or {}).get("replicas") or 0) == _replicas(body)
        for body in bodies
    )
    newest = max(bodies, key=lambda body: int(body["metadata"]["resourceVersion"]))
    return RouteFacts(
        ref=ref,
        uid=bodies[0]["metadata"].get("uid", ""),
        resource_version=_version(bodies),
        generation=1,
        accepted_generation=1 if settled else None,
        rules=(RuleWeights(0, weights),) if wanted else (),
        message="" if settled else f"{ready} of {wanted} pods are ready",
        grain=wanted,
        piecemeal=True,
        parts=tuple(ObjectRef("Deployment", ref.namespace, name) for name in weights),
        manager=last_manager(newest["metadata"]),
        gitops=next(filter(None, (owner(body["metadata"]) for body in bodies)), ""),
    )


def _version(bodies: list[dict[str, Any]]) -> str:
    return "/".join(body["metadata"]["resourceVersion"] for body in bodies)


def _replicas(body: Mapping[str, Any]) -> int:
    replicas = body["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _path(namespace: str, name: str, subresource: str = "") -> str:
    return namespaced(_GROUP_VERSION, namespace, "deployments", name, subresource)
