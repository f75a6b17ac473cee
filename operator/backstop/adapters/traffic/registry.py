"""Which kinds of routers there are, and which adapter each has."""

from collections.abc import Mapping
from typing import Any, Final

from backstop.adapters.traffic.gateway_api import GatewayApiTraffic, route_facts
from backstop.core.facts import ObjectRef, RouteFacts
from backstop.core.weights import Services
from backstop.ports import KubeApi

WATCHED: Final = {"HTTPRoute": ("gateway.networking.k8s.io", "v1", "httproutes")}


def facts_of(kind: str, body: Mapping[str, Any], services: Services) -> RouteFacts | None:
    return route_facts(body, services) if kind == "HTTPRoute" else None


class Routers:
    def __init__(self, api: KubeApi) -> None:
        self._http = GatewayApiTraffic(api)

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        return await self._http.read(ref, services)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        return await self._http.write(facts, weights)
