"""Traffic through Istio: the weights in the HTTP routes of a VirtualService.

Guarantees: a write changes the weights it was asked for and no other byte of the object; it is one
request, which the API server refuses when the object changed since it was read. Routes of TCP and
TLS, and HTTP routes that do not list all of the given Services, are not even looked at.
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

_GROUP_VERSION: Final = "networking.istio.io/v1"
_MESSAGE_LIMIT: Final = 300
_WHOLE: Final = 100
MAX_WEIGHT: Final = 2**31 - 1
"""The largest weight that Istio allows; weights are relative, so they need not sum to 100."""


class VirtualServiceTraffic:
    """Implements :class:`backstop.ports.Traffic` for VirtualServices of Istio.

    A destination is a Service of the object's own namespace, however long its host is written.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the HTTP routes that list all of ``services``."""
        return route_facts(await self._api.get(_path(ref)), services)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set weights by route index and Service name; nothing is sent when they are so already.

        Raises:
            InvalidError: ``weights`` speaks of what ``facts`` does not, is out of range, or leaves
                a route with no traffic for anybody.

        """
        changes = list(_changes(facts, weights))
        if not changes:
            return facts
        precondition = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": facts.resource_version,
        }
        changed = await self._api.json_patch(_path(facts.ref), [precondition, *changes])
        return _facts(changed, [rule.index for rule in facts.rules])


def route_facts(body: Mapping[str, Any], services: Services) -> RouteFacts:
    """Return what a VirtualService (read or watched) says about the routes with ``services``.

    Raises:
        InvalidError: such a route lists a Service twice, by its subsets for example.

    """
    namespace = body["metadata"].get("namespace", "")
    listing = [
        index
        for index, route in enumerate(_routes(body))
        if services.named <= {name for _, name, _ in _destinations(route, namespace)}
    ]
    return _facts(body, listing)


def _facts(body: Mapping[str, Any], indices: list[int]) -> RouteFacts:
    metadata, routes = body["metadata"], _routes(body)
    ref = ObjectRef("VirtualService", metadata.get("namespace", ""), metadata["name"])
    generation = metadata.get("generation", 0)
    accepted, message = _accepted(body, generation)
    return RouteFacts(
        ref=ref,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=generation,
        accepted_generation=accepted,
        rules=tuple(_rule_weights(ref, index, routes[index]) for index in indices),
        message=message,
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def _rule_weights(ref: ObjectRef, index: int, route: Mapping[str, Any]) -> RuleWeights:
    weights: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, name, weight in _destinations(route, ref.namespace):
        if name in weights:
            raise InvalidError(
                f"HTTP route {index} of {ref} lists {name} twice, so weights cannot be set by name:"
                " give each version a Service of its own instead of a subset"
            )
        weights[name] = weight
        places[name] = place
    return RuleWeights(index, MappingProxyType(weights), MappingProxyType(places))


def _routes(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (body.get("spec") or {}).get("http") or []


def _destinations(route: Mapping[str, Any], namespace: str) -> Iterator[tuple[int, str, int]]:
    """Yield place, Service and weight of the destinations in the object's own namespace.

    A single destination has all of the traffic and no weight.
    """
    listed = route.get("route") or ()
    for place, one in enumerate(listed):
        name = _service(str((one.get("destination") or {}).get("host", "")), namespace)
        if name:
            yield place, name, one.get("weight", _WHOLE if len(listed) == 1 else 0)


def _service(host: str, namespace: str) -> str:
    """Return the Service that ``host`` names, "" where it is of elsewhere."""
    name, _, rest = host.partition(".")
    long = rest.removesuffix(".cluster.local").removesuffix(".svc")
    return name if not rest or long == namespace else ""


def _changes(
    facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
) -> Iterator[dict[str, Any]]:
    known = {rule.index: rule for rule in facts.rules}
    for index, by_service in weights.items():
        rule = known.get(index)
        if rule is not None and not any({**rule.weights, **by_service}.values()):
            raise InvalidError(f"HTTP route {index} of {facts.ref} would send traffic to nobody")
        for service, weight in by_service.items():
            if rule is None or service not in rule.weights:
                raise InvalidError(f"{facts.ref} lists no Service {service} in HTTP route {index}")
            if not 0 <= weight <= MAX_WEIGHT:
                raise InvalidError(
                    f"weight {weight} for Service {service} is not between 0 and {MAX_WEIGHT}"
                )
            if rule.weights[service] != weight:
                yield {
                    "op": "add",
                    "path": f"/spec/http/{index}/route/{rule.places[service]}/weight",
                    "value": weight,
                }


def _accepted(body: Mapping[str, Any], generation: int) -> tuple[int | None, str]:
    """Return the generation that Istio has taken over, or ``None`` and why not.

    It tells only of what went wrong, and what it says of an older generation holds no longer.
    """
    status = body.get("status") or {}
    seen = _generation(status, generation)
    if seen < generation:
        return seen, ""
    for message in status.get("validationMessages") or ():
        if message.get("level") == "ERROR":
            code = (message.get("type") or {}).get("code", "")
            return None, one_line(f"Istio refuses it: {code}", _MESSAGE_LIMIT)
    for condition in status.get("conditions") or ():
        if condition.get("type") != "Reconciled":
            continue
        seen = _generation(condition, generation)
        if condition.get("status") == "False" and seen >= generation:
            said = str(condition.get("message") or "Istio has not reconciled it yet")
            return None, one_line(said, _MESSAGE_LIMIT)
    return min(seen, generation), ""


def _generation(report: Mapping[str, Any], otherwise: int) -> int:
    """Return the generation that a report is about; the schema allows a number or a text."""
    text = str(report.get("observedGeneration") or "")
    return int(text) if text.isdecimal() and int(text) else otherwise


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "virtualservices", ref.name)
