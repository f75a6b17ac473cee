"""A Prometheus that scrapes one operator each second and evaluates Backstop's own alerts.

The lab's Prometheus scrapes pods; an operator under test is a process beside it.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from tests.cluster.namespace import until

from backstop_lab import binaries


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class OwnPrometheus:
    """The server, asked over HTTP."""

    url: str
    session: aiohttp.ClientSession

    async def ready(self) -> bool:
        """Return whether it answers."""
        try:
            async with self.session.get(f"{self.url}/-/ready") as response:
                return response.ok
        except aiohttp.ClientError:
            return False

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; one that is no success fails the test."""
        async with self.session.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    async def numbers(self, expression: str, begin: float, end: float) -> list[float]:
        """Return the finite values of an expression at each second of a time, of all series."""
        data = await self.get(
            "query_range", query=expression, start=str(begin), end=str(end), step="1s"
        )
        values = (float(value) for one in data["result"] for _, value in one["values"])
        return [value for value in values if math.isfinite(value)]

    async def now(self, expression: str) -> dict[str, float]:
        """Return the values of an expression by the values of its labels."""
        data = await self.get("query", query=expression)
        return {
            " ".join(value for name, value in sorted(one["metric"].items()) if name[0] != "_"): (
                float(one["value"][1])
            )
            for one in data["result"]
        }


@asynccontextmanager
async def scraping(port: int, rules: Iterable[Path], directory: Path) -> AsyncIterator[Any]:
    """Run a Prometheus that scrapes `port` of loopback, with its data in `directory`."""
    program = next(one for one in binaries.BINARIES if one.name == "prometheus")
    found = binaries.find(program)
    assert found is not None
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": "backstop",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
        ],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    listen = f"127.0.0.1:{free_port()}"
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            found,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={listen}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            server = OwnPrometheus(f"http://{listen}", session)
            await until("the operator's own Prometheus answers", server.ready)
            yield server
    finally:
        process.terminate()
        await process.wait()
