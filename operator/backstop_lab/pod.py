"""Runs one pod: volumes, init containers, containers, status, and its end.

One worker serves one pod UID from the moment it is bound until it is gone from the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from backstop_lab import pod_environment, volumes
from backstop_lab.container import Container, Launch, now
from backstop_lab.kube_api import STRATEGIC, ApiError, KubeApi, Object
from backstop_lab.pod_status import pod_status
from backstop_lab.probes import ProbeTarget

log = logging.getLogger(__name__)

_STATUS_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class PodHost:
    """What the node gives to its pods."""

    api: KubeApi
    session: aiohttp.ClientSession
    """For probes; without connections that are kept, as a kubelet's."""
    services: Callable[[], Iterable[Object]]
    base_environment: Mapping[str, str]
    resolve_program: Callable[[str], str]
    logs: Path
    scratch: Path


class PodWorker:
    """Runs a pod that is bound to the node."""

    def __init__(self, pod: Object, address: str, host: PodHost) -> None:
        self.pod = pod
        self._host = host
        self._address = address
        self._scratch = host.scratch / pod["metadata"]["uid"]
        self._volumes: dict[str, Path] | None = None
        self._dirty = asyncio.Event()
        self._stopped = False
        self._ending: asyncio.Task[None] | None = None
        spec = pod["spec"]
        self._policy: str = spec.get("restartPolicy", "Always")
        init_policy = "Never" if self._policy == "Never" else "OnFailure"
        self._init = [self._container(c, init_policy) for c in spec.get("initContainers", ())]
        self._main = [self._container(c, self._policy) for c in spec["containers"]]
        self._pod_ip_known = {**pod, "status": {**pod.get("status", {}), "podIP": address}}
        self._tasks = [
            asyncio.create_task(self._run_containers()),
            asyncio.create_task(self._write_status()),
        ]

    def update(self, pod: Object) -> None:
        """Take note of the pod's newest state; begins its end when it is being deleted."""
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"] and self._ending is None:
            self._ending = asyncio.create_task(self._end(pod))

    def kill(self) -> None:
        """End all processes at once, for a pod that is gone from the API."""
        for container in (*self._init, *self._main):
            container.kill()
        for task in self._tasks:
            task.cancel()
        # What is mounted in there shows in the container's mount namespace only.
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def _path(self) -> str:
        metadata = self.pod["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"

    def _container(self, spec: Object, policy: str) -> Container:
        async def prepare() -> Launch:
            return await self._launch(spec)

        grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
        return Container(
            spec, policy, prepare, self._dirty.set, self._host.session, grace_seconds=grace
        )

    async def _run_containers(self) -> None:
        self._dirty.set()
        for container in self._init:
            await container.run()
            if container.state.terminated_code != 0:
                return
        async with asyncio.TaskGroup() as group:
            for container in self._main:
                group.create_task(container.run())

    async def _launch(self, spec: Object) -> Launch:
        host, pod = self._host, self._pod_ip_known
        if self._volumes is None:
            self._volumes = await volumes.materialise(host.api, pod, self._scratch / "volumes")
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        directory = self._scratch / spec["name"]
        (directory / "tmp").mkdir(parents=True, exist_ok=True)
        base = {
            **host.base_environment,
            **pod_environment.service_variables(host.services(), namespace),
            "HOSTNAME": name,
            "HOME": str(directory),
            "TMPDIR": str(directory / "tmp"),
            "POD_IP": self._address,
        }
        values = await pod_environment.container_environment(spec, pod, host.api, base)
        if spec.get("workingDir"):
            values["PWD"] = spec["workingDir"]
        command = pod_environment.command_line(spec, values)
        command[0] = host.resolve_program(command[0])
        mounts = volumes.container_mounts(spec, self._volumes)
        return Launch(
            command=volumes.wrap(command, mounts, directory),
            environment=values,
            directory=directory,
            log=host.logs / f"{namespace}.{name}.{spec['name']}.log",
            target=ProbeTarget(self._address, _named_ports(spec), values),
        )

    async def _end(self, pod: Object) -> None:
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        containers = (*self._init, *self._main)
        await asyncio.gather(*(container.stop(grace) for container in containers))
        self._stopped = True
        self._dirty.set()
        body = {
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": pod["metadata"]["uid"]},
        }
        while True:
            try:
                await self._host.api.request("DELETE", self._path, body)
            except ApiError as error:
                if error.status in (404, 409):
                    return
            except (aiohttp.ClientError, TimeoutError):
                log.debug("deleting %s again", self._path)
            else:
                return
            await asyncio.sleep(_STATUS_RETRY_SECONDS)

    async def _write_status(self) -> None:
        """Write the status after each change, several quick changes at once."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                status = self._status()
                body = {"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": status}
                self.pod = await self._host.api.patch(
                    f"{self._path}/status", body, content=STRATEGIC
                )
            except ApiError as error:
                if error.status in (404, 409):  # gone, or replaced by one of the same name
                    return
                log.warning("status of %s: %s", self._path, error)
                await self._try_again()
            except (aiohttp.ClientError, TimeoutError):
                await self._try_again()

    async def _try_again(self) -> None:
        self._dirty.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(_STATUS_RETRY_SECONDS)

    def _status(self) -> Object:
        return pod_status(
            self.pod.get("status", {}),
            [container.state for container in self._main],
            [container.state for container in self._init],
            address=self._address,
            restart_policy=self._policy,
            stopped=self._stopped,
            time=now(),
        )


def _named_ports(spec: Object) -> dict[str, int]:
    ports = spec.get("ports", ())
    return {port["name"]: port["containerPort"] for port in ports if port.get("name")}
