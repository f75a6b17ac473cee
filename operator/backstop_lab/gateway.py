"""The gateway: Contour as the Gateway API's controller, and Envoy as what carries the traffic.

The Gateway `edge` in the namespace `default` takes HTTPRoutes from all namespaces. Envoy
listens on loopback only, so no port of a pod is shadowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import yaml

from backstop_lab.errors import LabError
from backstop_lab.kube_api import ApiError, KubeApi, Object

_LISTENER_PORT = 88
_ENVOY_PORT = _LISTENER_PORT + 8000  # how Contour maps a listener's port to Envoy's
GATEWAY_URL = f"http://127.0.0.1:{_ENVOY_PORT}"
_XDS_PORT = "8001"
_POLL_SECONDS = 0.05

_CLASS: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "lab"},
    "spec": {"controllerName": "projectcontour.io/gateway-controller"},
}
_GATEWAY: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "edge", "namespace": "default"},
    "spec": {
        "gatewayClassName": "lab",
        "listeners": [
            {
                "name": "http",
                "port": _LISTENER_PORT,
                "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }
        ],
    },
}
_API = "/apis/gateway.networking.k8s.io/v1"
_GATEWAY_PATH = f"{_API}/namespaces/default/gateways/edge"


def contour(programs: Mapping[str, Path], kubeconfig: Path, directory: Path) -> list[str | Path]:
    """Write Contour's configuration and return its command line."""
    config = directory / "contour.yaml"
    reference = {"name": "edge", "namespace": "default"}
    config.write_text(yaml.safe_dump({"gateway": {"gatewayRef": reference}}))
    local = "127.0.0.1"
    return [
        programs["contour"],
        "serve",
        f"--kubeconfig={kubeconfig}",
        f"--config-path={config}",
        "--insecure",
        f"--xds-address={local}",
        f"--xds-port={_XDS_PORT}",
        "--disable-leader-election",
        f"--envoy-service-http-address={local}",
        f"--envoy-service-https-address={local}",
        f"--stats-address={local}",
        f"--health-address={local}",
        f"--http-address={local}",
        f"--debug-http-address={local}",
    ]


async def envoy(programs: Mapping[str, Path], directory: Path) -> list[str | Path]:
    """Write Envoy's bootstrap configuration and return its command line."""
    bootstrap = directory / "envoy.json"
    process = await asyncio.create_subprocess_exec(
        programs["contour"],
        "bootstrap",
        f"--admin-address={_admin_socket(directory)}",
        "--xds-address=127.0.0.1",
        f"--xds-port={_XDS_PORT}",
        str(bootstrap),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise LabError(f"contour bootstrap failed:\n{output.decode(errors='replace')}")
    identity = ["--service-cluster", "lab", "--service-node", "lab"]
    options = ["--disable-hot-restart", "--log-level", "warn", "--concurrency", "2", *identity]
    return [programs["envoy"], "-c", bootstrap, *options]


async def install_definitions(api: KubeApi, definitions: Sequence[Object]) -> None:
    """Create custom resource definitions and wait until they are served."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names: list[str] = []
    async with asyncio.TaskGroup() as group:
        for definition in definitions:
            names.append(definition["metadata"]["name"])
            group.create_task(api.create(path, definition))
    for name in names:
        established = False
        while not established:
            established = _has_condition(await api.get(f"{path}/{name}"), "Established")
            await asyncio.sleep(0 if established else _POLL_SECONDS)


async def create_gateway(api: KubeApi) -> None:
    """Create the Gateway and its class."""
    await api.apply(f"{_API}/gatewayclasses/lab", _CLASS)
    await api.apply(_GATEWAY_PATH, _GATEWAY)


async def is_programmed(api: KubeApi) -> bool:
    """Return whether Contour has taken the Gateway in."""
    try:
        return _has_condition(await api.get(_GATEWAY_PATH), "Programmed")
    except ApiError:
        return False


async def envoy_is_ready(directory: Path) -> bool:
    """Return whether Envoy has its configuration."""
    connector = aiohttp.UnixConnector(str(_admin_socket(directory)))
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/ready") as response,
        ):
            return response.ok
    except (aiohttp.ClientError, OSError):
        return False


def _admin_socket(directory: Path) -> Path:
    return directory / "envoy.sock"


def _has_condition(item: Object, kind: str) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)
