"""Runs one container of a pod as a local process: start, probes, restarts, stop.

Guarantees that at most one process of the container runs, in a session of its own, and that its
children do not outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from backstop_lab import probes
from backstop_lab.kube_api import ApiError, Object
from backstop_lab.pod_fields import ConfigError

FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 60.0
_CONFIG_RETRY_SECONDS = 2.0
_PAST_RECOVERY_SECONDS = 60.0
"""A container that ran this long starts with the first delay again."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start the process."""

    command: list[str]
    environment: dict[str, str]
    directory: Path
    log: Path
    target: probes.ProbeTarget


@dataclass(slots=True)
class ContainerState:
    """What is reported about a container."""

    spec: Object
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    started: bool = False
    ready: bool = False
    restarts: int = 0

    @property
    def terminated_code(self) -> int | None:
        """Exit code if the container has ended and will not be restarted, else None."""
        code: int | None = self.state.get("terminated", {}).get("exitCode")
        return code


class Container:
    """One container; awaits `prepare` before each start, calls `changed` after each change."""

    def __init__(
        self,
        spec: Object,
        restart_policy: str,
        prepare: Callable[[], Awaitable[Launch]],
        changed: Callable[[], None],
        session: aiohttp.ClientSession,
        *,
        grace_seconds: float,
    ) -> None:
        self._grace_seconds = grace_seconds
        self.state = ContainerState(spec)
        self._policy = restart_policy
        self._prepare = prepare
        self._changed = changed
        self._session = session
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self) -> None:
        """Keep the container running according to its restart policy; return when it is done."""
        delay = FIRST_RESTART_SECONDS
        while not self._stopping:
            try:
                launch = await self._prepare()
            except (ConfigError, ApiError, aiohttp.ClientError) as error:
                self._wait_because("CreateContainerConfigError", str(error))
                await asyncio.sleep(_CONFIG_RETRY_SECONDS)
                continue
            code, duration = await self._run_once(launch)
            if self._stopping or not self._restarts_after(code):
                return
            if duration > _PAST_RECOVERY_SECONDS:
                delay = FIRST_RESTART_SECONDS
            self.state.last_state = self.state.state
            self._wait_because("CrashLoopBackOff", f"back-off {delay:.0f}s restarting the process")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RESTART_SECONDS)
            self.state.restarts += 1

    async def stop(self, grace_seconds: float) -> None:
        """Ask the process to end, by force after the grace period, and do not start it again.

        Of the hooks of Kubernetes, `preStop.sleep` is honoured.
        """
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        pause = self.state.spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        await asyncio.sleep(min(pause.get("seconds", 0), grace_seconds))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        remaining = grace_seconds - pause.get("seconds", 0)
        try:
            await asyncio.wait_for(process.wait(), timeout=max(remaining, 0.1))
        except TimeoutError:
            _kill_session(process.pid)
            await process.wait()

    def kill(self) -> None:
        """Kill the process at once."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            _kill_session(self._process.pid)

    async def _run_once(self, launch: Launch) -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        begin, started_at = loop.time(), now()
        try:
            self._process = await _start(launch)
        except OSError as error:
            self._terminated(started_at, 128, "StartError", str(error))
            return 128, 0.0
        self.state.state = {"running": {"startedAt": started_at}}
        self._set_started(started="startupProbe" not in self.state.spec)
        observers = [asyncio.create_task(self._observe(launch.target))]
        try:
            code = await self._process.wait()
        finally:
            for observer in observers:
                observer.cancel()
            _kill_session(self._process.pid)
        code = code if code >= 0 else 128 - code
        self._terminated(started_at, code, "Completed" if code == 0 else "Error", "")
        return code, loop.time() - begin

    async def _observe(self, target: probes.ProbeTarget) -> None:
        spec = self.state.spec
        if "startupProbe" in spec:
            async for good in probes.changes(spec["startupProbe"], target, self._session):
                if good:
                    break
                await self._restart(spec["startupProbe"])
            self._set_started(started=True)
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in spec:
                group.create_task(self._observe_readiness(spec["readinessProbe"], target))
            if "livenessProbe" in spec:
                group.create_task(self._observe_liveness(spec["livenessProbe"], target))

    async def _observe_readiness(self, probe: Object, target: probes.ProbeTarget) -> None:
        async for good in probes.changes(probe, target, self._session):
            self.state.ready = good
            self._changed()

    async def _observe_liveness(self, probe: Object, target: probes.ProbeTarget) -> None:
        async for good in probes.changes(probe, target, self._session):
            if not good:
                await self._restart(probe)

    async def _restart(self, probe: Object) -> None:
        """End the process only; the loop in `run` starts it again."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.sleep(probe.get("terminationGracePeriodSeconds", self._grace_seconds))
        _kill_session(process.pid)

    def _set_started(self, *, started: bool) -> None:
        self.state.started = started
        self.state.ready = started and "readinessProbe" not in self.state.spec
        self._changed()

    def _wait_because(self, reason: str, message: str) -> None:
        self.state.state = {"waiting": {"reason": reason, "message": message}}
        self.state.started = self.state.ready = False
        self._changed()

    def _terminated(self, started_at: str, code: int, reason: str, message: str) -> None:
        self.state.state = {
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "message": message,
                "startedAt": started_at,
                "finishedAt": now(),
            }
        }
        self.state.started = self.state.ready = False
        self._changed()

    def _restarts_after(self, code: int) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)


def now() -> str:
    """Return the current time as the API writes it, in whole seconds."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _start(launch: Launch) -> asyncio.subprocess.Process:
    launch.directory.mkdir(parents=True, exist_ok=True)
    with launch.log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *launch.command,
            env=launch.environment,
            cwd=launch.environment.get("PWD") or None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )


def _kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
