"""Traffic through ingress-nginx: the weight of a canary Ingress.

The canary Ingress leads to the candidate or to the fallback; what it does not take goes where the
main Ingress leads, to the target. Guarantees: a write changes one annotation and no other byte; it
is one request, which the API server refuses when the Ingress changed since it was read. Facts are
what ingress-nginx makes of the annotations: it takes a total below 100 for 100, and a weight above
the total for all of the traffic.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights
from backstop.core.gitops import last_manager, owner
from backstop.core.weights import Services
from backstop.ports import InvalidError, KubeApi

_GROUP_VERSION: Final = "networking.k8s.io/v1"
_PREFIX: Final = "nginx.ingress.kubernetes.io/"
_CANARY: Final = f"{_PREFIX}canary"
_WEIGHT: Final = f"{_PREFIX}canary-weight"
_TOTAL: Final = f"{_PREFIX}canary-weight-total"
_WHOLE: Final = 100
_OTHERWISE: Final = (f"{_PREFIX}canary-by-header", f"{_PREFIX}canary-by-cookie")
_ONE_ONLY: Final = "ingress-nginx allows one canary Ingress: name a candidate or a fallback"


class IngressTraffic:
    """Implements :class:`backstop.ports.Traffic` for canary Ingresses of ingress-nginx."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the split between the target and the Service of the canary Ingress."""
        return route_facts(await self._api.get(_path(ref)), services)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set the weight of the canary; nothing is sent when it is so already.

        Raises:
            InvalidError: ``weights`` speaks of what ``facts`` does not, or is out of range.

        """
        if not weights:
            return facts
        if not facts.rules:
            raise InvalidError(f"{facts.ref} has no weight to set: {facts.message}")
        (rule,) = facts.rules
        asked = dict(weights.get(rule.index, {}))
        if set(weights) - {rule.index} or set(asked) - set(rule.weights):
            raise InvalidError(f"{facts.ref} splits between {' and '.join(rule.weights)} only")
        (canary,) = rule.places
        if asked.get(canary, rule.weights[canary]) == rule.weights[canary]:
            return facts
        if not 0 <= asked[canary] <= facts.grain:
            raise InvalidError(
                f"weight {asked[canary]} for Service {canary} is not between 0 and {facts.grain}"
            )
        pointer = f"/metadata/annotations/{_WEIGHT.replace('/', '~1')}"
        changed = await self._api.json_patch(
            _path(facts.ref),
            [
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": facts.resource_version,
                },
                {"op": "add", "path": pointer, "value": str(asked[canary])},
            ],
        )
        (target,) = set(rule.weights) - {canary}
        return _facts(changed, target, canary)


def route_facts(ingress: Mapping[str, Any], services: Services) -> RouteFacts:
    """Return what a canary Ingress (read or watched) says.

    Raises:
        InvalidError: it is no canary by weight, or leads to none of ``services``.

    """
    metadata = ingress["metadata"]
    ref = _ref(metadata)
    others = services.named - {services.target}
    if len(others) > 1:
        return _facts(ingress, "", "", message=f"{_ONE_ONLY}, not both")
    annotations = metadata.get("annotations") or {}
    if annotations.get(_CANARY) != "true":
        raise InvalidError(f'{ref} is no canary: set its annotation {_CANARY} to "true"')
    if any(name in annotations for name in _OTHERWISE):
        raise InvalidError(f"{ref} picks its requests by header or cookie: remove that annotation")
    behind = set(_backends(ingress))
    if len(behind) != 1 or not behind <= others:
        raise InvalidError(
            f"{ref} leads to {', '.join(sorted(behind)) or 'no Service'}: it must lead to"
            f" {' or '.join(sorted(others)) or 'a candidate or a fallback'} alone"
        )
    return _facts(ingress, services.target, behind.pop())


def _facts(ingress: Mapping[str, Any], target: str, canary: str, message: str = "") -> RouteFacts:
    metadata = ingress["metadata"]
    annotations = metadata.get("annotations") or {}
    generation = metadata.get("generation", 0)
    total = max(_WHOLE, _number(annotations, _TOTAL))
    weight = min(total, _number(annotations, _WEIGHT))
    split = {target: total - weight, canary: weight}
    return RouteFacts(
        ref=_ref(metadata),
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=generation,
        accepted_generation=generation,
        rules=() if message else (RuleWeights(0, split, {canary: 0}),),
        message=message,
        grain=total,
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def _ref(metadata: Mapping[str, Any]) -> ObjectRef:
    return ObjectRef("Ingress", metadata.get("namespace", ""), metadata["name"])


def _number(annotations: Mapping[str, str], name: str) -> int:
    text = annotations.get(name, "")
    return int(text) if text.isdecimal() else 0


def _backends(ingress: Mapping[str, Any]) -> Iterator[str]:
    spec = ingress.get("spec") or {}
    paths = [
        path
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    for backend in (spec.get("defaultBackend"), *(path.get("backend") for path in paths)):
        name = ((backend or {}).get("service") or {}).get("name")
        if name:
            yield name


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "ingresses", ref.name)
