"""Which kinds of routers there are, and which adapter each has."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from backstop.adapters.traffic import (
    gateway_api,
    inference_service,
    ingress,
    replica_ratio,
    service_selector,
    virtual_service,
)
from backstop.core.facts import ObjectRef, RouteFacts
from backstop.core.weights import Services
from backstop.ports import KubeApi, Traffic, UnsupportedError

Resource = tuple[str, str, str]
"""Group, version and plural of a kind."""

Facts = Callable[[Mapping[str, Any], Services], RouteFacts]
"""Turns an object, read or watched, into facts."""


class Kind(NamedTuple):
    """One kind: its adapter, and, where one object tells all, what is watched and its facts."""

    adapter: Callable[[KubeApi], Traffic]
    resource: Resource | None = None
    facts: Facts | None = None


_GATEWAY: Final = "gateway.networking.k8s.io"

# One entry per kind. A kind without a resource is read on demand instead of watched.
KINDS: Final[Mapping[str, Kind]] = {
    "HTTPRoute": Kind(
        gateway_api.GatewayApiTraffic, (_GATEWAY, "v1", "httproutes"), gateway_api.route_facts
    ),
    "GRPCRoute": Kind(
        gateway_api.GatewayApiTraffic, (_GATEWAY, "v1", "grpcroutes"), gateway_api.route_facts
    ),
    "VirtualService": Kind(
        virtual_service.VirtualServiceTraffic,
        ("networking.istio.io", "v1", "virtualservices"),
        virtual_service.route_facts,
    ),
    "Ingress": Kind(ingress.IngressTraffic),
    "Service": Kind(service_selector.ServiceSelectorTraffic),
    replica_ratio.KIND: Kind(replica_ratio.ReplicaRatioTraffic),
    "InferenceService": Kind(inference_service.InferenceServiceTraffic),
}

WATCHED: Final[Mapping[str, Resource]] = {
    name: kind.resource for name, kind in KINDS.items() if kind.resource is not None
}
"""The kinds whose changes can be watched."""


def facts_of(kind: str, body: Mapping[str, Any], services: Services) -> RouteFacts | None:
    """Return what an object of ``kind`` says, ``None`` where one object does not tell all."""
    known = KINDS.get(kind)
    if known is None or known.facts is None:
        return None
    # An item of a list carries no kind of its own.
    return known.facts({**body, "kind": kind}, services)


class Routers:
    """Implements :class:`backstop.ports.Traffic` for all kinds, by that of the reference."""

    def __init__(self, api: KubeApi, enabled: Collection[str] = tuple(KINDS)) -> None:
        """Make the adapter of each kind in ``enabled``; all work through ``api``."""
        self._adapters = {name: KINDS[name].adapter(api) for name in enabled}

    def _of(self, ref: ObjectRef) -> Traffic:
        if ref.kind in KINDS and ref.kind not in self._adapters:
            raise UnsupportedError(
                f"{ref.kind} is not enabled: add it to `routers` of the operator's configuration"
            )
        if ref.kind not in self._adapters:
            raise UnsupportedError(f"{ref.kind} is no router; use one of {', '.join(KINDS)}")
        return self._adapters[ref.kind]

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the rules that list all of ``services``."""
        return await self._of(ref).read(ref, services)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set the weights by rule index and Service name, and touch nothing else."""
        return await self._of(facts.ref).write(facts, weights)
