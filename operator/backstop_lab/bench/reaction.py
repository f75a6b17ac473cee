"""How long from a fault to the written weight, and where the time goes.

Two rows. *Instant gauge*: a gauge jumps at a random phase of the scrape; this is the test in which
rollout controllers were measured. *Whole path*: half of the requests fail, at 100 requests/s
through the gateway. Each fault is split at the sample that the decision rests on: scraped, readable
(seen by polling Prometheus from here), evaluated and written (as the Incident tells).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.table import Table

from backstop_lab.demo import environment
from backstop_lab.demo.cluster import command
from backstop_lab.demo.processes import running

NAMESPACE = "bench"
HOST = "scorer.bench.test"
RATE = 100.0
_MANIFESTS = Path(__file__).with_name("manifests")
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.01

GAUGE = {
    "name": "gauge",
    "pillar": "model",
    "window": "5s",
    "persistence": {"breaches": 1, "looks": 1},
    "threshold": {"promql": {"expr": "model_health_gauge"}, "max": "0.5"},
}
ERRORS = {
    "name": "errors",
    "window": "3s",
    "minSamples": 20,
    "persistence": {"breaches": 1, "looks": 1},
    "threshold": {
        "errors": {
            "requests": "model_requests_total",
            "errors": 'model_requests_total{code=~"5.."}',
        },
        "max": "5%",
    },
}


@dataclass(frozen=True, slots=True)
class Row:
    """One way to break the model: the signal that sees it, the fault, and the metric scraped."""

    name: str
    signal: dict[str, Any]
    fault: dict[str, Any]
    cure: dict[str, Any]
    metric: str
    pods: int


ROWS = (
    Row(
        name="instant gauge",
        signal=GAUGE,
        fault={"healthGauge": 1},
        cure={"healthGauge": 0},
        metric="model_health_gauge",
        pods=1,
    ),
    Row(
        name="whole path, 50 % errors",
        signal=ERRORS,
        fault={"errorRate": 0.5},
        cure={"errorRate": 0},
        metric="model_requests_total",
        pods=3,
    ),
)


@dataclass(frozen=True, slots=True)
class Reaction:
    """One fault: Unix times of each stage."""

    fault: float
    scraped: float
    readable: float
    evaluated: float
    written: float

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage, and the sums that the budgets are about."""
        return {
            "fault -> sample scraped": self.scraped - self.fault,
            "scraped -> readable": self.readable - self.scraped,
            "readable -> evaluated": self.evaluated - self.readable,
            "evaluated -> written": self.written - self.evaluated,
            "own share (readable -> written)": self.written - self.readable,
            "fault -> weight written": self.written - self.fault,
        }


class Bench:
    """The cluster, and the HTTP session to pods and to Prometheus."""

    def __init__(self, session: aiohttp.ClientSession, prometheus: str) -> None:
        self._session = session
        self._prometheus = prometheus

    async def kubectl(self, *arguments: str, given: object = None) -> str:
        """Run kubectl in the namespace of the benchmark."""
        text = None if given is None else json.dumps(given)
        return await command("kubectl", "-n", NAMESPACE, *arguments, given=text)

    async def monitor(self) -> dict[str, Any]:
        """Return the monitor's status."""
        found: dict[str, Any] = json.loads(
            await self.kubectl("get", "modelmonitor", "scorer", "-o", "json")
        )
        return found.get("status") or {}

    async def scale(self, pods: int) -> list[str]:
        """Scale the scorer, and return the addresses of its pods once they are ready."""
        await self.kubectl("scale", "deployment/scorer", f"--replicas={pods}")
        end = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < end:
            await self.kubectl("rollout", "status", "deployment/scorer", "--timeout=30s")
            listed = json.loads(await self.kubectl("get", "pods", "-l", "app=scorer", "-o", "json"))
            addresses = [pod["status"].get("podIP") for pod in listed["items"]]
            if len(addresses) == pods and all(addresses):
                return addresses
            await asyncio.sleep(0.5)
        raise environment.DemoError(f"the scorer did not come to {pods} pods")

    async def tell(self, addresses: Sequence[str], fault: dict[str, Any]) -> None:
        """Set ``fault`` on the pods at ``addresses`` at once."""

        async def one(address: str) -> None:
            url = f"http://{address}:8080/admin/fault"
            async with self._session.post(url, json=fault) as answer:
                answer.raise_for_status()

        await asyncio.gather(*(one(address) for address in addresses))

    async def newest_sample(self, metric: str) -> float:
        """Return the time of the newest sample that can be read now; 0 without any."""
        query = f'max(timestamp({metric}{{namespace="{NAMESPACE}"}}))'
        url = f"{self._prometheus}/api/v1/query"
        async with self._session.get(url, params={"query": query}) as answer:
            result = (await answer.json())["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    @asynccontextmanager
    async def watching_arrivals(self, metric: str) -> AsyncIterator[list[tuple[float, float]]]:
        """Note, for as long as the context lasts, when each new sample becomes readable."""
        arrivals: list[tuple[float, float]] = []

        async def poll() -> None:
            while True:
                newest = await self.newest_sample(metric)
                if not arrivals or newest > arrivals[-1][0]:
                    arrivals.append((newest, time.time()))
                await asyncio.sleep(_POLL_SECONDS)

        task = asyncio.create_task(poll())
        try:
            yield arrivals
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, what: str, reached: Any) -> dict[str, Any]:
        """Wait until the monitor's status is as ``reached`` wants it, and return it."""
        end = time.monotonic() + _WAIT_SECONDS
        status: dict[str, Any] = {}
        while time.monotonic() < end:
            status = await self.monitor()
            if reached(status):
                return status
            await asyncio.sleep(0.2)
        said = json.dumps(status, indent=1)
        raise environment.DemoError(f"no {what} within {_WAIT_SECONDS:.0f} s; status: {said}")


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _is_calm(status: dict[str, Any]) -> bool:
    closed = status.get("circuit", {}).get("phase") == "Closed"
    return closed and status.get("verdict") == "Healthy" and not status.get("action")


def _opened(status: dict[str, Any], since: float) -> dict[str, Any] | None:
    incident = status.get("incident") or {}
    for action in incident.get("actions", ()):
        done = action["step"] == "openCircuit" and action.get("appliedAt")
        if done and _time(action["appliedAt"]) >= since:
            return {"evaluated": incident["detected"], "written": action["appliedAt"]}
    return None


async def one_fault(bench: Bench, row: Row, addresses: Sequence[str]) -> Reaction:
    """Break the model at a random phase, and return when what happened."""
    await bench.until("calm", _is_calm)
    await asyncio.sleep(1.0 + random.random())  # noqa: S311 - a phase, not a secret
    async with bench.watching_arrivals(row.metric) as arrivals:
        fault = time.time()
        await bench.tell(addresses, row.fault)
        status = await bench.until("open circuit", lambda s: _opened(s, fault) is not None)
    seen = _opened(status, fault) or {}
    await bench.tell(addresses, row.cure)
    evaluated, written = _time(seen["evaluated"]), _time(seen["written"])
    before = [pair for pair in arrivals if fault <= pair[0] <= evaluated]
    if not before:
        raise environment.DemoError("acted before a sample of the fault was scraped")
    scraped, readable = before[-1]
    return Reaction(fault, scraped, min(readable, evaluated), evaluated, written)


async def measure(bench: Bench, row: Row, faults: int, console: Console) -> list[Reaction]:
    """Return the reactions to ``faults`` faults of ``row``."""
    monitor = yaml.safe_load((_MANIFESTS / "monitor.yaml").read_text())
    monitor["spec"]["signals"] = [row.signal]
    await bench.kubectl("apply", "-f", "-", given=monitor)
    addresses = await bench.scale(row.pods)
    await bench.tell(addresses, row.cure)
    reactions: list[Reaction] = []
    for number in range(faults):
        reaction = await one_fault(bench, row, addresses)
        reactions.append(reaction)
        took = reaction.stages()["fault -> weight written"]
        console.print(f"  {row.name}: fault {number + 1} of {faults}: {took:.2f} s")
    await bench.kubectl("delete", "modelmonitor", "scorer", "--wait=true")
    return reactions


def show(console: Console, row: Row, reactions: Sequence[Reaction]) -> None:
    """Print the distribution of each stage."""
    table = Table(title=f"{row.name}: {len(reactions)} faults at random phases, scrape each 1 s")
    table.add_column("stage")
    for name in ("min", "median", "p90", "max"):
        table.add_column(f"{name}, s", justify="right")
    stages = [reaction.stages() for reaction in reactions]
    for stage in stages[0]:
        values = sorted(one[stage] for one in stages)
        p90 = values[min(len(values) - 1, round(0.9 * (len(values) - 1)))]
        figures = (values[0], statistics.median(values), p90, values[-1])
        table.add_row(stage, *(f"{figure:.3f}" for figure in figures))
    console.print(table)


PEERS = (
    "Measured elsewhere with the same gauge test, during a rollout only: Argo Rollouts 1.10 median"
    " 1.5 s (0.6-2.2), Flagger 1.44 14.5 s (10.7-20.3). After a rollout neither reacts."
)


async def run(faults: int, rows: Sequence[Row]) -> None:
    """Set the stage, measure all ``rows``, and print the figures."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    where = environment.read(os.environ)
    timeout = aiohttp.ClientTimeout(total=5)
    with tempfile.TemporaryDirectory(prefix="backstop-bench-") as scratch:
        logs = Path(scratch)
        crds = await command(sys.executable, "-m", "backstop", "crds")
        await command("kubectl", "apply", "--server-side", "-f", "-", given=crds)
        await command("kubectl", "create", "namespace", NAMESPACE)
        workloads = str(_MANIFESTS / "workloads.yaml")
        await command("kubectl", "-n", NAMESPACE, "apply", "-f", workloads)
        wait = ("wait", "--for=condition=Available", "deployment", "--all", "--timeout=60s")
        await command("kubectl", "-n", NAMESPACE, *wait)
        operator = (sys.executable, "-m", "backstop", "run", "-n", NAMESPACE, "--health-port", "0")
        load = (sys.executable, "-m", "backstop_lab.demo.load", "--url", where.gateway_url)
        async with (
            running(
                "backstop",
                (*operator, "--prometheus", where.prometheus_url, "--lease-name", "bench"),
                logs / "backstop.log",
            ) as backstop,
            running(
                "load",
                (*load, "--host", HOST, "--rate", str(RATE), "--out", str(logs / "requests")),
                logs / "load.log",
            ),
            aiohttp.ClientSession(timeout=timeout) as session,
        ):
            bench = Bench(session, where.prometheus_url)
            results = []
            for row in rows:
                try:
                    results.append((row, await measure(bench, row, faults, console)))
                except environment.DemoError:
                    backstop.require_alive()
                    console.print((logs / "backstop.log").read_text()[-4000:])
                    raise
            for row, reactions in results:
                show(console, row, reactions)
            console.print(PEERS)


def main() -> int:
    """Run as `python -m backstop_lab.bench.reaction`."""
    parser = argparse.ArgumentParser(description="Measure the time from a fault to the weight.")
    parser.add_argument("--faults", type=int, default=20, help="faults per row")
    parser.add_argument("--row", type=int, choices=range(len(ROWS)), help="only this row")
    arguments = parser.parse_args()
    rows = ROWS if arguments.row is None else (ROWS[arguments.row],)
    try:
        asyncio.run(run(arguments.faults, rows))
    except environment.DemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
