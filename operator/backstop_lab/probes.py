"""HTTP, TCP and exec probes of containers, with the periods and thresholds of Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp

from backstop_lab.kube_api import Object


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to probe, in seconds, and how many results in a row change the answer."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Object) -> Schedule:
        """Read a probe of a container with the defaults of Kubernetes."""
        return cls(
            probe.get("initialDelaySeconds", 0),
            probe.get("periodSeconds", 10),
            probe.get("timeoutSeconds", 1),
            probe.get("successThreshold", 1),
            probe.get("failureThreshold", 3),
        )


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What is probed: a container's address and named ports, its commands' environment."""

    address: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]

    def port(self, wanted: str | int) -> int:
        """Return a port given by number or by name. Raises ValueError for an unknown name."""
        return self.ports.get(str(wanted)) or int(wanted)


async def changes(
    probe: Object, target: ProbeTarget, session: aiohttp.ClientSession
) -> AsyncIterator[bool]:
    """Yield True after enough successes in a row, False after failures, on change only."""
    schedule = Schedule.of(probe)
    await asyncio.sleep(schedule.initial_delay)
    answer: bool | None = None
    in_a_row, last = 0, None
    while True:
        result = await check(probe, target, session, schedule.timeout)
        in_a_row = in_a_row + 1 if result == last else 1
        last = result
        enough = in_a_row >= (schedule.successes if result else schedule.failures)
        if enough and result != answer:
            answer = result
            yield result
        await asyncio.sleep(schedule.period)


async def check(
    probe: Object, target: ProbeTarget, session: aiohttp.ClientSession, timeout_seconds: float
) -> bool:
    """Probe once. A probe of a kind that the lab does not know (gRPC) fails."""
    try:
        async with asyncio.timeout(timeout_seconds):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], target, session)
            if "tcpSocket" in probe:
                return await _tcp(probe["tcpSocket"], target)
            if "exec" in probe:
                return await _exec(probe["exec"]["command"], target)
    except (OSError, aiohttp.ClientError, TimeoutError, ValueError):
        return False
    return False


async def _http(request: Object, target: ProbeTarget, session: aiohttp.ClientSession) -> bool:
    scheme = request.get("scheme", "HTTP").lower()
    address = f"{request.get('host') or target.address}:{target.port(request['port'])}"
    headers = {header["name"]: header["value"] for header in request.get("httpHeaders", ())}
    url = f"{scheme}://{address}/{request.get('path', '/').lstrip('/')}"
    async with session.get(url, headers=headers, allow_redirects=False, ssl=False) as response:
        return 200 <= response.status < 400


async def _tcp(request: Object, target: ProbeTarget) -> bool:
    host = request.get("host") or target.address
    _, writer = await asyncio.open_connection(host, target.port(request["port"]))
    writer.close()
    return True


async def _exec(command: list[str], target: ProbeTarget) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(target.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
