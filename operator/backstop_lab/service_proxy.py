"""Makes Services answer: listens on each ClusterIP and forwards to ready endpoints in turn.

Also keeps a hosts file with the names of Services (`name.namespace`, `.svc`, `.svc.cluster.local`),
which stands in for the cluster's DNS. TCP only. Level-triggered: after each change the listeners
are compared with what the Services say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterable
from pathlib import Path

from backstop_lab.kube_api import Cache, KubeApi, Object

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 2.0
_CHUNK = 65_536
_SLICE_LABEL = "kubernetes.io/service-name"
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"

Listener = tuple[str, int]


class ServiceProxy:
    """Forwards connections to Services. `run` serves until cancelled."""

    def __init__(self, api: KubeApi, hosts_file: Path) -> None:
        self._hosts_file = hosts_file
        self._changed = asyncio.Event()
        self._turn = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: dict[Listener, asyncio.Server] = {}
        self._ports: dict[Listener, tuple[str, str]] = {}
        slices = "/apis/discovery.k8s.io/v1/endpointslices"
        self._services = Cache(api, "/api/v1/services", self._note)
        self._slices = Cache(api, slices, self._note)
        hosts_file.write_text(_HOSTS)

    def services(self) -> Iterable[Object]:
        """Return all Services as they are known now."""
        return self._services.objects.values()

    async def run(self) -> None:
        """Follow Services and EndpointSlices until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run())
            group.create_task(self._slices.run())
            group.create_task(self._follow())

    def _note(self, _key: str) -> None:
        self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = dict(service_ports(self._services.objects.values()))
            self._ports = wanted
            for gone in self._servers.keys() - wanted.keys():
                self._servers.pop(gone).close()
            for listener in wanted.keys() - self._servers.keys():
                await self._listen(listener)
            self._hosts_file.write_text(_HOSTS + hosts_lines(self._services.objects.values()))

    async def _listen(self, listener: Listener) -> None:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._forward(listener, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        try:
            self._servers[listener] = await asyncio.start_server(serve, *listener)
        except OSError as error:
            log.warning("cannot listen on %s: %s", listener, error)

    async def _forward(
        self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            backend = await self._connect(listener)
            if backend is None:
                return
            back_reader, back_writer = backend
            try:
                await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))
            finally:
                back_writer.close()
        finally:
            writer.close()

    async def _connect(
        self, listener: Listener
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to the next endpoint that accepts; None if there is none."""
        key, port_name = self._ports.get(listener, ("", ""))
        endpoints = sorted(ready_endpoints(self._slices.objects.values(), key, port_name))
        first = next(self._turn)
        for offset in range(len(endpoints)):
            address, port = endpoints[(first + offset) % len(endpoints)]
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await asyncio.open_connection(address, port)
        return None


def service_ports(services: Iterable[Object]) -> Iterable[tuple[Listener, tuple[str, str]]]:
    """Yield ((cluster IP, port), (namespace/name of the Service, port name)) for each TCP port."""
    for service in services:
        address = service["spec"].get("clusterIP", "None")
        if address in ("", "None"):
            continue
        key = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        for port in service["spec"].get("ports", ()):
            if port.get("protocol", "TCP") == "TCP":
                yield (address, port["port"]), (key, port.get("name", ""))


def ready_endpoints(
    slices: Iterable[Object], service: str, port_name: str
) -> Iterable[tuple[str, int]]:
    """Yield address and port of each ready endpoint of a Service's port."""
    for endpoint_slice in slices:
        metadata = endpoint_slice["metadata"]
        owner = metadata.get("labels", {}).get(_SLICE_LABEL)
        if f"{metadata['namespace']}/{owner}" != service:
            continue
        ports = [
            p["port"]
            for p in endpoint_slice.get("ports") or ()
            if (p.get("name") or "") == port_name
        ]
        for endpoint in endpoint_slice.get("endpoints") or ():
            if endpoint.get("conditions", {}).get("ready", True):
                for port, address in itertools.product(ports, endpoint["addresses"]):
                    yield address, port


def hosts_lines(services: Iterable[Object]) -> str:
    """Return one line of a hosts file for each Service that has an address."""
    lines: list[str] = []
    for service in services:
        address = service["spec"].get("clusterIP", "None")
        if address not in ("", "None"):
            name = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
            lines.append(f"{address} {name} {name}.svc {name}.svc.cluster.local\n")
    return "".join(sorted(lines))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
