"""Makes every address of the pod and the Service range local (AnyIP), so processes can bind them.

EndpointSlices reject loopback addresses, hence ranges of their own. No device and no privilege
outside of the namespace is needed. The constants here are the lab's whole address plan.
"""

from __future__ import annotations

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
NODE_ADDRESS = "10.244.0.1"
"""Address of the only node; the API server listens on it too."""
API_PORT = 6443
API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"
API_SERVICE_ADDRESS = "10.96.0.1"
"""The first address of the Service range always belongs to the Service `kubernetes`."""

_LOOPBACK_INDEX = 1
_LOCAL_TABLE = 255


def prepare() -> None:
    """Set the loopback device up and route both ranges to it. Needs a fresh network namespace."""
    # Heavy to import, and it ships no types.
    from pyroute2 import IPRoute  # type: ignore[import-untyped]  # noqa: PLC0415

    with IPRoute() as routes:
        routes.link("set", index=_LOOPBACK_INDEX, state="up")
        for destination in (POD_RANGE, SERVICE_RANGE):
            routes.route(
                "add",
                dst=destination,
                oif=_LOOPBACK_INDEX,
                table=_LOCAL_TABLE,
                type="local",
                scope="host",
                proto="static",
            )
