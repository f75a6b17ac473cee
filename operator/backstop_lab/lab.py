"""Starts the cluster inside the namespaces, runs one command beside it, and stops everything."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from backstop_lab import control_plane, crds, gateway, network, prometheus
from backstop_lab.binaries import cache_directory
from backstop_lab.component import Component, log_tail
from backstop_lab.control_plane import Credentials
from backstop_lab.errors import LabError
from backstop_lab.kube_api import KubeApi
from backstop_lab.node import Node
from backstop_lab.pod import PodHost
from backstop_lab.service_proxy import ServiceProxy

log = logging.getLogger(__name__)

_READY_SECONDS = 90.0
_POLL_SECONDS = 0.05
_COMMAND_GRACE_SECONDS = 10.0
_NOT_RUNNABLE = 127
_INTERRUPTED = 128 + signal.SIGINT


def run(*, programs: Mapping[str, Path], command: Sequence[str], keep_logs: Path | None) -> int:
    """Run `command` beside a cluster and return its exit code; problems go to standard error.

    Must be called inside fresh network, mount and process namespaces.
    """
    return run_as(Lab, network.prepare, programs, command, keep_logs)


def run_as(
    kind: type[Lab],
    prepare: Callable[[], None],
    programs: Mapping[str, Path],
    command: Sequence[str],
    keep_logs: Path | None,
) -> int:
    """Do what `run` says with the cluster of that class; `prepare` sets the network up."""
    try:
        _forget_proxies()
        directory = _prepare_directory(keep_logs)
        prepare()
        return asyncio.run(kind(programs, directory).run(command))
    except LabError as error:
        print(f"backstop-lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


def _forget_proxies() -> None:
    """Drop proxy settings: the namespace reaches nothing outside, so they only do harm."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)


def _prepare_directory(keep_logs: Path | None) -> Path:
    """Mount a file system in memory that vanishes with the namespace, and make its directories."""
    directory = cache_directory() / "lab"
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "backstop-lab", directory], check=True)
    for name in ("etc", "bin", "run", "prometheus"):
        (directory / name).mkdir()
    for name in ("logs", "pods"):
        if keep_logs is None:
            (directory / name).mkdir()
        else:
            (keep_logs / name).mkdir(parents=True, exist_ok=True)
            (directory / name).symlink_to(keep_logs / name)
    hosts = directory / "etc" / "hosts"
    hosts.touch()
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    return directory


class Lab:
    """The lab's own cluster, whose pods are processes; another kind of node overrides `cluster`."""

    def __init__(self, programs: Mapping[str, Path], directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self._components: list[Component] = []
        for name, path in programs.items():
            if os.access(path, os.X_OK):
                (directory / "bin" / name).symlink_to(path)
        logging.basicConfig(
            filename=directory / "logs" / "lab.log",
            level=logging.INFO,
            filemode="w",
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )

    async def run(self, command: Sequence[str]) -> int:
        """Start the cluster, run the command, stop the cluster."""
        begin = time.monotonic()
        interrupted_by = self._cancel_on_signals()
        try:
            async with self.cluster() as environment:
                elapsed = time.monotonic() - begin
                print(f"Cluster ready after {elapsed:.1f} s.", file=sys.stderr, flush=True)
                return await self._run_command(command, environment)
        except asyncio.CancelledError:
            return 128 + (interrupted_by[0] if interrupted_by else signal.SIGINT)

    @staticmethod
    def _cancel_on_signals() -> list[int]:
        """Cancel the current task on Ctrl-C and SIGTERM; the list then holds which it was."""
        task = asyncio.current_task()
        seen: list[int] = []

        def cancel(number: int) -> None:
            seen.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, cancel, number)
        return seen

    @asynccontextmanager
    async def cluster(self) -> AsyncIterator[dict[str, str]]:
        """Bring everything up, and give the environment of the command."""
        credentials = control_plane.create_credentials(self.directory / "etc" / "pki")
        async with self.control_plane(credentials) as api, AsyncExitStack() as stack:
            definitions = asyncio.create_task(
                gateway.install_definitions(api, crds.read(self.programs["crds"]))
            )
            await self.start_controllers(credentials)
            await self._start_node(api, stack)
            await prometheus.install(api, self.directory / "prometheus")
            log.info("Prometheus is installed")
            await definitions
            log.info("definitions are installed")
            await self._start_gateway(api, credentials.admin)
            await self.wait_for_prometheus(api)
            yield self.environment(credentials.admin)

    @asynccontextmanager
    async def control_plane(self, credentials: Credentials) -> AsyncIterator[KubeApi]:
        """Start etcd and the API server, and give a connection once it is ready."""
        await self.start("etcd", control_plane.etcd(self.programs, self.directory / "etcd"))
        server = control_plane.api_server(self.programs, credentials)
        api_server = await self.start("kube-apiserver", server)
        async with KubeApi(credentials.admin) as api:
            await api_server.wait_ready(api.is_ready, seconds=_READY_SECONDS)
            yield api

    async def start_controllers(self, credentials: Credentials) -> None:
        """Start the controller manager and the scheduler."""
        manager = control_plane.controller_manager(self.programs, credentials)
        await self.start("kube-controller-manager", manager)
        await self.start("kube-scheduler", control_plane.scheduler(self.programs, credentials))

    async def start(self, name: str, arguments: Sequence[str | Path]) -> Component:
        """Start one program; the run ends when it does."""
        component = Component(name, arguments, self.directory / "logs")
        await component.start()
        self._components.append(component)
        return component

    async def _start_node(self, api: KubeApi, stack: AsyncExitStack) -> None:
        proxy = ServiceProxy(api, self.directory / "etc" / "hosts")
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        probing = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        node = Node(
            PodHost(
                api=api,
                session=probing,
                services=proxy.services,
                base_environment=self._pod_environment(),
                resolve_program=self._resolve_program,
                logs=self.directory / "pods",
                scratch=self.directory / "run",
            )
        )
        await node.register()
        for task in (asyncio.create_task(proxy.run()), asyncio.create_task(node.run())):
            stack.callback(task.cancel)

    async def _start_gateway(self, api: KubeApi, kubeconfig: Path) -> None:
        etc = self.directory / "etc"
        await gateway.create_gateway(api)
        contour = await self.start("contour", gateway.contour(self.programs, kubeconfig, etc))
        envoy = await self.start("envoy", await gateway.envoy(self.programs, etc))
        await contour.wait_ready(lambda: gateway.is_programmed(api), seconds=_READY_SECONDS)
        await envoy.wait_ready(lambda: gateway.envoy_is_ready(etc), seconds=_READY_SECONDS)

    async def wait_for_prometheus(self, api: KubeApi) -> None:
        """Wait until Prometheus answers; raises LabError with the end of its log."""
        deadline = time.monotonic() + _READY_SECONDS
        while not await prometheus.is_ready(api):
            if time.monotonic() > deadline:
                logs = sorted((self.directory / "pods").glob(f"{prometheus.NAMESPACE}.*"))
                tail = "\n".join(log_tail(log) for log in logs) or "(its pod has not started)"
                raise LabError(f"prometheus was not ready after {_READY_SECONDS:.0f} s:\n{tail}")
            await asyncio.sleep(_POLL_SECONDS)

    def _pod_environment(self) -> dict[str, str]:
        """Return what a pod inherits: search paths only, as if its image held this Python."""
        kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ}
        python = Path(sys.executable).parent
        system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            **kept,
            "PATH": f"{self.directory / 'bin'}:{python}:{system}",
            "KUBERNETES_SERVICE_HOST": network.API_SERVICE_ADDRESS,
            "KUBERNETES_SERVICE_PORT": "443",
        }

    def _resolve_program(self, name: str) -> str:
        if name in ("python", "python3"):
            return sys.executable
        return shutil.which(name, path=self._pod_environment()["PATH"]) or name

    def environment(self, kubeconfig: Path) -> dict[str, str]:
        """Return the environment of the command."""
        return {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            # Else kubectl would leave the discovery of this cluster to the next one, in HOME.
            "KUBECACHEDIR": str(self.directory / "run" / "kubectl"),
            "LAB_GATEWAY_URL": gateway.GATEWAY_URL,
            "LAB_PROMETHEUS_URL": prometheus.PROMETHEUS_URL,
            "LAB_DIR": str(self.directory),
            "PATH": f"{self.directory / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        }

    async def _run_command(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run the command in the terminal's own group, until it ends or a component dies."""
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except OSError as error:
            message = f"cannot run {command[0]}: {error.strerror}"
            raise LabError(message, exit_code=_NOT_RUNNABLE) from error
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the command has received it too
        watchers = [asyncio.create_task(component.watch()) for component in self._components]
        waiting = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([waiting, *watchers], return_when=asyncio.FIRST_COMPLETED)
            for watcher in watchers:
                if watcher.done():
                    watcher.result()
            code = await waiting
            return code if code >= 0 else 128 - code
        finally:
            for watcher in watchers:
                watcher.cancel()
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeout=_COMMAND_GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
