"""Records what a Prometheus sees of faults whose true times are known, for tests of backtests.

Run as `python -m backstop_lab.record`, inside of `python -m backstop_lab exec`. Plays a fixed
sequence on the demo's model: failing and slow answers, missing features, and between them what is
no fault: quiet, four times the load, and some seconds without Prometheus. Writes the samples as
OpenMetrics text with timestamps (gzipped) and the faults as YAML.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from backstop_lab.demo import environment, manifests
from backstop_lab.demo.cluster import command
from backstop_lab.demo.processes import running

NAMESPACE = "demo"
HOST = "recorded.demo.test"
PODS = 2
RATE = 20.0
_DEPLOYED = ("feature-store", "ranker")
_WAIT_SECONDS = 60.0

SELECTORS = (
    "model_requests_total",
    'model_request_duration_seconds_bucket{le=~"0.1|0.25|0.5|[+]Inf"}',
    "model_feature_values_total",
    "model_feature_missing_total",
)
"""What is recorded, of the target only."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong, and from when to when (Unix seconds)."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Recording:
    """Series as Prometheus returned them, and the faults that they show."""

    series: list[dict[str, Any]]
    faults: list[Fault]


class Recorder:
    """The recorded model, its load, and the Prometheus that watches."""

    def __init__(self, session: aiohttp.ClientSession, where: environment.Environment) -> None:
        self._session = session
        self._where = where
        self.faults: list[Fault] = []

    @asynccontextmanager
    async def load(self, rate: float, directory: Path) -> AsyncIterator[None]:
        """Send `rate` requests per second for the length of the context."""
        program = (sys.executable, "-m", "backstop_lab.demo.load", "--url", self._where.gateway_url)
        flags = ("--host", HOST, "--rate", str(rate), "--out", str(directory / "requests"))
        async with running("load", (*program, *flags), directory / "load.log"):
            yield

    @asynccontextmanager
    async def fault(self, name: str) -> AsyncIterator[None]:
        """Note when the fault of the context began and ended."""
        begin = time.time()
        yield
        self.faults.append(Fault(name, begin, time.time()))

    async def tell(self, **fault: float) -> None:
        """Set a fault on all pods at once; without arguments none is left."""
        listed = json.loads(await _kubectl("get", "pods", "-l", "app=ranker", "-o", "json"))
        for pod in listed["items"]:
            url = f"http://{pod['status']['podIP']}:8080/admin/fault"
            async with self._session.post(url, json=fault) as answer:
                answer.raise_for_status()

    async def samples(self, since: float) -> list[dict[str, Any]]:
        """Return the series of the target with all samples since then."""
        found: list[dict[str, Any]] = []
        now = time.time()
        for selector in SELECTORS:
            query = f"{_confined(selector)}[{now - since:.0f}s]"
            params = {"query": query, "time": f"{now:.3f}"}
            url = f"{self._where.prometheus_url}/api/v1/query"
            async with self._session.get(url, params=params) as answer:
                answer.raise_for_status()
                found += (await answer.json())["data"]["result"]
        return found

    async def until_scraped(self) -> None:
        """Wait until Prometheus has a fresh sample of each pod."""
        query = f"count(timestamp({_confined('up')}) > {time.time():.3f})"
        await self._until(query, PODS)

    async def _until(self, query: str, expected: int) -> None:
        end = time.monotonic() + _WAIT_SECONDS
        url = f"{self._where.prometheus_url}/api/v1/query"
        while time.monotonic() < end:
            try:
                async with self._session.get(url, params={"query": query}) as answer:
                    result = (await answer.json())["data"]["result"]
                if result and float(result[0]["value"][1]) == expected:
                    return
            except (aiohttp.ClientError, TimeoutError, KeyError):
                pass  # it is just starting
            await asyncio.sleep(0.5)
        raise environment.DemoError(f"{query} did not become {expected}")


def _confined(selector: str) -> str:
    name, _, matchers = selector.rstrip("}").partition("{")
    return f'{name}{{{matchers}{"," if matchers else ""}namespace="{NAMESPACE}",app="ranker"}}'


async def _kubectl(*arguments: str, given: object = None, namespace: str = NAMESPACE) -> str:
    text = None if given is None else json.dumps(given)
    return await command("kubectl", "-n", namespace, *arguments, given=text)


async def deploy() -> None:
    """Deploy the model with its feature store behind a route of its own."""
    await command("kubectl", "create", "namespace", NAMESPACE)
    objects = [one for one in manifests.load() if one["metadata"]["name"] in _DEPLOYED]
    items = [one for one in objects if one["kind"] in ("Service", "Deployment", "HTTPRoute")]
    for item in items:
        if item["kind"] == "HTTPRoute":
            backends = [{"name": "ranker", "port": 80}]
            item["spec"] |= {"hostnames": [HOST], "rules": [{"backendRefs": backends}]}
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "ranker":
            item["spec"]["replicas"] = PODS
    await _kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": items})
    flags = ("deployment", "--all", "--for=condition=Available", "--timeout=60s")
    await _kubectl("wait", *flags)


async def play(recorder: Recorder, directory: Path) -> None:
    """Play the sequence; takes about seven minutes."""
    await asyncio.sleep(60)
    async with recorder.fault("errors"):
        await recorder.tell(errorRate=0.5)
        await asyncio.sleep(30)
        await recorder.tell()
    await asyncio.sleep(55)
    async with recorder.load(3 * RATE, directory):
        await asyncio.sleep(40)
    await asyncio.sleep(30)
    async with recorder.fault("slow"):
        await recorder.tell(extraLatencyMs=400)
        await asyncio.sleep(30)
        await recorder.tell()
    await asyncio.sleep(40)
    await _kubectl("scale", "deployment/prometheus", "--replicas=0", namespace="monitoring")
    await asyncio.sleep(20)
    await _kubectl("scale", "deployment/prometheus", "--replicas=1", namespace="monitoring")
    await recorder.until_scraped()
    await asyncio.sleep(45)
    async with recorder.fault("missing features"):
        await _kubectl("scale", "deployment/feature-store", "--replicas=0")
        await asyncio.sleep(25)
        await _kubectl("scale", "deployment/feature-store", "--replicas=1")
        await _kubectl("rollout", "status", "deployment/feature-store")
    await asyncio.sleep(60)


def openmetrics(series: Iterable[dict[str, Any]]) -> str:
    """Return series of the HTTP API as OpenMetrics text with timestamps."""
    lines: list[str] = []
    for one in series:
        labels = dict(one["metric"])
        name = labels.pop("__name__")
        written = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
        lines += [f"{name}{{{written}}} {value} {at:.3f}" for at, value in one["values"]]
    return "\n".join([*lines, "# EOF", ""])


def known_faults(faults: Sequence[Fault]) -> str:
    """Return faults in the form in which `backstop backtest --known` reads them."""
    listed = [{"name": one.name, "from": _said(one.begin), "to": _said(one.end)} for one in faults]
    return yaml.safe_dump({"faults": listed}, sort_keys=False)


def _said(time_: float) -> str:
    return datetime.fromtimestamp(time_, tz=UTC).isoformat(timespec="milliseconds")


async def record() -> Recording:
    """Play, and return what was recorded."""
    where = environment.read(os.environ)
    await deploy()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="record-")))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        recorder = Recorder(session, where)
        await stack.enter_async_context(recorder.load(RATE, directory))
        await recorder.until_scraped()
        since = time.time()
        await play(recorder, directory)
        return Recording(await recorder.samples(since), recorder.faults)


def write(recording: Recording, out: Path) -> None:
    """Write `samples.om.gz` and `faults.yaml` into the directory `out`."""
    out.mkdir(parents=True, exist_ok=True)
    text = openmetrics(recording.series).encode()
    (out / "samples.om.gz").write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    (out / "faults.yaml").write_text(known_faults(recording.faults), encoding="utf-8")


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Record known faults for tests of backtests.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    arguments = parser.parse_args()
    try:
        write(asyncio.run(record()), arguments.out)
    except environment.DemoError as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
