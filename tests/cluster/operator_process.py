"""The operator as a process of its own, behind a proxy to the API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.api_proxy import ApiProxy


@dataclass(slots=True)
class Operator:
    """One replica. Its log lines are in `log`."""

    process: asyncio.subprocess.Process
    proxy: ApiProxy
    log: Path

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.returncode is None

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def killed(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            return await asyncio.wait_for(self.process.wait(), 10)
        except TimeoutError:
            await self.killed()
            raise


async def start(
    proxy: ApiProxy,
    *,
    namespace: str,
    source: str,
    lease: str,
    directory: Path,
    name: str,
    config: dict[str, Any] | None = None,
    shard: str = "0/1",
    health_port: int = 0,
) -> Operator:
    """Start a replica of a shard that watches `namespace` and reads metrics from `source`.

    It serves its own at `health_port` of loopback, where that is not 0.
    """
    log = directory / f"{name}.log"
    arguments = {
        "--prometheus": source,
        "--kubeconfig": str(proxy.kubeconfig(directory / f"{name}.kubeconfig")),
        "--namespace": namespace,
        "--lease-namespace": namespace,
        "--lease-name": lease,
        "--shard": shard,
        "--health-host": "127.0.0.1",
        "--health-port": str(health_port),
        "--log-format": "json",
    }
    if config is not None:
        file = directory / f"{name}.config.yaml"
        file.write_text(yaml.safe_dump(config))
        arguments["--config"] = str(file)
    flat = [part for pair in arguments.items() for part in pair]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "backstop",
            "run",
            *flat,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    return Operator(process, proxy, log)
