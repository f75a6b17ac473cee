"""Who is behind a Service, from its EndpointSlices (``discovery.k8s.io/v1``)."""

from backstop.adapters.paths import namespaced
from backstop.ports import KubeApi


class EndpointSlices:
    """Counts ready endpoints."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def ready(self, namespace: str, service: str) -> int:
        """Return how many endpoints of ``service`` are ready; 0 for a Service without any.

        Raises:
            OutsideError: see :mod:`backstop.ports`.

        """
        slices = await self._api.list(
            namespaced("discovery.k8s.io/v1", namespace, "endpointslices"),
            labelSelector=f"kubernetes.io/service-name={service}",
        )
        return sum(
            endpoint.get("conditions", {}).get("ready") is not False
            for part in slices
            for endpoint in part.get("endpoints") or ()
        )
