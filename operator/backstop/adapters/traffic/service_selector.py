"""Traffic by the selector of a Service that stands in front of all others: all or nothing.

The front Service sends its traffic to the pods that its selector names; switching takes over the
selector of the Service that is to answer. Guarantees: a write replaces the selector of the front
Service and no other byte; it is one request, which the API server refuses when that Service changed
since it was read.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights
from backstop.core.gitops import last_manager, owner
from backstop.core.weights import Services
from backstop.ports import InvalidError, KubeApi

_SWITCH: Final = 1


class ServiceSelectorTraffic:
    """Implements :class:`backstop.ports.Traffic` for a Service that is switched."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return which of ``services`` has the traffic; no rule where it is none of them.

        Raises:
            InvalidError: the front Service is one of ``services``, or two of them select the same
                pods, or one selects none by itself.

        """
        if ref.name in services.named:
            raise InvalidError(
                f"{ref} is named as target, candidate or fallback as well: traffic.service must be"
                " a Service of its own in front of them"
            )
        front, *found = await asyncio.gather(
            self._service(ref.namespace, ref.name),
            *(self._service(ref.namespace, name) for name in sorted(services.named)),
        )
        selectors = _selectors(found)
        if len({tuple(sorted(one.items())) for one in selectors.values()}) < len(selectors):
            names = ", ".join(sorted(selectors))
            raise InvalidError(f"two of the Services {names} select the same pods")
        return _facts(front, selectors)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Switch to the one Service that has a weight; nothing is sent when it is so already.

        Raises:
            InvalidError: none or several Services are to have traffic.

        """
        if not weights:
            return facts
        if not facts.rules:
            raise InvalidError(f"{facts.ref} cannot be switched: {facts.message}")
        (rule,) = facts.rules
        chosen = [name for name, weight in weights.get(rule.index, {}).items() if weight]
        if len(chosen) != 1 or chosen[0] not in rule.weights:
            raise InvalidError(f"{facts.ref} can only switch: exactly one Service gets the traffic")
        if rule.weights[chosen[0]]:
            return facts
        named = await asyncio.gather(
            *(self._service(facts.ref.namespace, name) for name in sorted(rule.weights))
        )
        selectors = _selectors(named)
        changed = await self._api.json_patch(
            _path(facts.ref.namespace, facts.ref.name),
            [
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": facts.resource_version,
                },
                {"op": "replace", "path": "/spec/selector", "value": selectors[chosen[0]]},
            ],
        )
        return _facts(changed, selectors)

    async def _service(self, namespace: str, name: str) -> dict[str, Any]:
        return await self._api.get(_path(namespace, name))


def _facts(front: Mapping[str, Any], selectors: Mapping[str, Mapping[str, str]]) -> RouteFacts:
    metadata = front["metadata"]
    ref = ObjectRef("Service", metadata.get("namespace", ""), metadata["name"])
    live = _selector(front)
    weights = {name: int(selector == live) for name, selector in selectors.items()}
    known = any(weights.values())
    return RouteFacts(
        ref=ref,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=1,
        accepted_generation=1,
        rules=(RuleWeights(0, MappingProxyType(weights)),) if known else (),
        message="" if known else f"its selector is that of none of {', '.join(sorted(selectors))}",
        grain=_SWITCH,
        parts=tuple(ObjectRef("Service", ref.namespace, name) for name in sorted(selectors)),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def _selectors(services: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    found = {one["metadata"]["name"]: _selector(one) for one in services}
    for name, selector in found.items():
        # Without a selector the cluster would leave the front Service's endpoints as they are.
        if not selector:
            raise InvalidError(f"Service {name} has no selector that could be taken over: add one")
    return found


def _selector(service: Mapping[str, Any]) -> dict[str, str]:
    return dict((service.get("spec") or {}).get("selector") or {})


def _path(namespace: str, name: str) -> str:
    return namespaced("v1", namespace, "services", name)
