"""Traffic through the Gateway API: the weights of an HTTPRoute or a GRPCRoute.

Guarantees: a write changes the weights it was asked for and no other byte of the route; it is one
request, which the API server refuses when the route changed since it was read. Rules that do not
list all of the given Services are not even looked at.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.text import one_line
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights
from backstop.core.gitops import last_manager, owner
from backstop.core.weights import Services
from backstop.ports import InvalidError, KubeApi

_GROUP: Final = "gateway.networking.k8s.io"
_GROUP_VERSION: Final = f"{_GROUP}/v1"
_MESSAGE_LIMIT: Final = 300
_PLURALS: Final = {"HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes"}
MAX_WEIGHT: Final = 1_000_000
"""The largest weight that the Gateway API allows; the smallest is 0."""


class GatewayApiTraffic:
    """Implements :class:`backstop.ports.Traffic` for HTTPRoutes and GRPCRoutes.

    The namespace of the reference is the only one that is touched; Services of other namespaces
    are never steered.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the rules that list all of ``services``."""
        return route_facts(await self._api.get(_path(ref)), services)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set weights by rule index and Service name; nothing is sent when they are so already.

        Raises:
            InvalidError: ``weights`` speaks of what ``facts`` does not, or is out of range.

        """
        changes = list(_changes(facts, weights))
        if not changes:
            return facts
        precondition = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": facts.resource_version,
        }
        route = await self._api.json_patch(_path(facts.ref), [precondition, *changes])
        return _facts(route, [rule.index for rule in facts.rules])


def route_facts(route: Mapping[str, Any], services: Services) -> RouteFacts:
    """Return what a route object (read or watched) says about the rules with ``services``.

    Raises:
        InvalidError: such a rule lists a Service twice.

    """
    namespace = route["metadata"].get("namespace", "")
    listing = [
        index
        for index, rule in enumerate(_rules(route))
        if services.named <= {name for _, name, _ in _backends(rule, namespace)}
    ]
    return _facts(route, listing)


def _facts(route: Mapping[str, Any], indices: list[int]) -> RouteFacts:
    metadata = route["metadata"]
    ref = ObjectRef(_kind(route), metadata.get("namespace", ""), metadata["name"])
    accepted, message = _accepted(route)
    rules = _rules(route)
    return RouteFacts(
        ref=ref,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=metadata.get("generation", 0),
        accepted_generation=accepted,
        rules=tuple(_rule_weights(ref, index, rules[index]) for index in indices),
        message=message,
        unresolved=_unresolved(route),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def _kind(route: Mapping[str, Any]) -> str:
    return str(route.get("kind") or "HTTPRoute")


def _rule_weights(ref: ObjectRef, index: int, rule: Mapping[str, Any]) -> RuleWeights:
    weights: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, name, weight in _backends(rule, ref.namespace):
        if name in weights:
            raise InvalidError(
                f"rule {index} of {ref} lists Service {name} twice, so"
                " weights cannot be set by name: list it once, or split the rule"
            )
        weights[name] = weight
        places[name] = place
    return RuleWeights(index, MappingProxyType(weights), MappingProxyType(places))


def _rules(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (route.get("spec") or {}).get("rules") or []


def _backends(rule: Mapping[str, Any], namespace: str) -> Iterator[tuple[int, str, int]]:
    """Yield place, name and weight of the backends that are Services of the route's namespace."""
    for place, backend in enumerate(rule.get("backendRefs") or ()):
        is_service = backend.get("kind") in {None, "Service"} and not backend.get("group")
        if is_service and backend.get("namespace") in {None, namespace}:
            weight = backend.get("weight")
            yield place, backend["name"], 1 if weight is None else weight


def _changes(
    facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
) -> Iterator[dict[str, Any]]:
    known = {rule.index: rule for rule in facts.rules}
    for index, by_service in weights.items():
        for service, weight in by_service.items():
            rule = known.get(index)
            if rule is None or service not in rule.weights:
                raise InvalidError(f"{facts.ref} lists no Service {service} in rule {index}")
            if not 0 <= weight <= MAX_WEIGHT:
                raise InvalidError(
                    f"weight {weight} for Service {service} is not between 0 and {MAX_WEIGHT}"
                )
            if rule.weights[service] != weight:
                place = f"/spec/rules/{index}/backendRefs/{rule.places[service]}"
                yield {"op": "test", "path": f"{place}/name", "value": service}
                yield {"op": "add", "path": f"{place}/weight", "value": weight}


def _accepted(route: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return the oldest generation that all parents accepted, or ``None`` and why not.

    A parent has one controller; what the one before it has left in the status says nothing.
    """
    namespace = route["metadata"].get("namespace", "")
    reports: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for report in (route.get("status") or {}).get("parents") or ():
        reports.setdefault(_parent_key(report["parentRef"], namespace), []).append(report)
    generations: list[int] = []
    for parent in (route.get("spec") or {}).get("parentRefs") or ():
        found = reports.get(_parent_key(parent, namespace))
        if not found:
            return None, f"{_parent(parent)} has not reported on the route yet"
        newest = max(map(_generation, found))
        for report in found:
            if _generation(report) < newest:
                continue
            generation, message = _accepted_by(report)
            if generation is None:
                return None, message
            generations.append(generation)
    if not generations:
        return None, "the route names no parent, so no gateway serves it"
    return min(generations), ""


def _generation(report: Mapping[str, Any]) -> int:
    """Return the newest generation of which a report says whether it is accepted."""
    seen = (
        condition.get("observedGeneration", 0)
        for condition in report.get("conditions") or ()
        if condition.get("type") == "Accepted"
    )
    return max(seen, default=-1)


def _accepted_by(report: Mapping[str, Any]) -> tuple[int | None, str]:
    who = _parent(report["parentRef"])
    for condition in report.get("conditions") or ():
        if condition.get("type") != "Accepted":
            continue
        if condition.get("status") == "True":
            return condition.get("observedGeneration", 0), ""
        said = one_line(str(condition.get("message", "")), _MESSAGE_LIMIT)
        reason = one_line(str(condition.get("reason", "")), _MESSAGE_LIMIT)
        return None, f"{who} does not accept the route: {said or reason or 'it gives no reason'}"
    return None, f"{who} has not said whether it accepts the route"


def _unresolved(route: Mapping[str, Any]) -> str:
    """Return what a parent says of backends that it cannot find; empty when all are found."""
    for report in (route.get("status") or {}).get("parents") or ():
        for condition in report.get("conditions") or ():
            if condition.get("type") == "ResolvedRefs" and condition.get("status") == "False":
                said = one_line(str(condition.get("message", "")), _MESSAGE_LIMIT)
                return f"{_parent(report['parentRef'])} cannot resolve a backend: {said}"
    return ""


def _parent(parent: Mapping[str, Any]) -> str:
    return f"{parent.get('kind') or 'Gateway'}/{parent.get('name', '')}"


def _parent_key(parent: Mapping[str, Any], namespace: str) -> tuple[object, ...]:
    group = parent.get("group")
    return (
        _GROUP if group is None else group,
        parent.get("kind") or "Gateway",
        parent.get("namespace") or namespace,
        parent.get("name"),
        parent.get("sectionName"),
        parent.get("port"),
    )


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, _PLURALS[ref.kind], ref.name)
