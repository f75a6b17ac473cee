"""A backtest of a real Prometheus finds the faults that were really there, and nothing else."""

import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from backstop.adapters.metrics.history import History
from backstop.adapters.metrics.past import Past
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.core.backtest import watch
from backstop.core.backtest_report import Span
from backstop.core.inquiry import inquiries
from backstop.core.samples import Reading

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_DIR" not in os.environ, reason="needs the lab's programs"),
]

RECORDING = Path(__file__).parent / "recording"
MONITOR = RECORDING / "monitor.yaml"
FAULTS = yaml.safe_load((RECORDING / "faults.yaml").read_text())["faults"]
END, LAST = "2026-11-23T20:24:20Z", 420.0


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the recording by a Prometheus of its own, on loopback."""
    directory = tmp_path_factory.mktemp("recording")
    samples, data = directory / "samples.om", directory / "data"
    samples.write_bytes(gzip.decompress((RECORDING / "samples.om.gz").read_bytes()))
    blocks = ("promtool", "tsdb", "create-blocks-from", "openmetrics", samples, data)
    subprocess.run(blocks, check=True, timeout=60, stdout=subprocess.DEVNULL)  # noqa: S603
    (directory / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = (
        "prometheus",
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        _wait_ready(process, f"http://{address}", directory / "log")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready after 30 s: {log.read_text()}")


def backtest(prometheus: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backstop", "backtest", MONITOR, "--prometheus", prometheus]
    span = ["--last", f"{LAST:.0f}s", "--end", END]
    return subprocess.run(  # noqa: S603
        [*command, *span, *options], check=False, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def found(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the JSON of a backtest that knows the faults, and what it printed and drew."""
    out = tmp_path_factory.mktemp("out")
    options = ("--json", out / "out.json", "--png", out / "out.png")
    done = backtest(prometheus, "--known", RECORDING / "faults.yaml", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return {
        **json.loads((out / "out.json").read_text()),
        "text": done.stdout,
        "png": (out / "out.png").read_bytes(),
    }


def test_all_faults_are_found_and_nothing_else(found: dict[str, Any]):
    """Three faults, three incidents: neither the load nor the time without Prometheus is one."""
    assert found["summary"]["incidents"] == found["summary"]["acting"] == len(FAULTS)
    assert (found["summary"]["wrong"], found["summary"]["missed"]) == (0, 0)
    assert [one["faults"] for one in found["incidents"]] == [[one["name"]] for one in FAULTS]
    assert [one["cause"] for one in found["incidents"]] == [
        "infrastructure",
        "infrastructure",
        "data",
    ]
    assert {one["step"] for one in found["incidents"]} == {"openCircuit"}
    assert [set(one["signals"]) for one in found["incidents"]] == [
        {"errors"},
        {"slow", "p95"},
        {"errors", "missing-features"},
    ]


def test_faults_are_found_in_time(found: dict[str, Any]):
    """Each is detected within seven seconds, and what was bad after that is counted."""
    for one, fault in zip(found["incidents"], found["knownFaults"], strict=True):
        begin, end, detected = (_time(at) for at in (fault["from"], fault["to"], one["detected"]))
        assert begin < detected < begin + 7.0
        share = 0.5 if fault["name"] == "errors" else 1.0
        assert one["saved"] == pytest.approx(20.0 * share * (end - detected - 2.0), rel=0.25)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_terminal_shows_the_same(found: dict[str, Any]):
    """The output has a row for each incident and each signal, and the summary."""
    lines = found["text"].splitlines()
    rows = [line.split() for line in lines if line[:4] in {"1   ", "2   ", "3   "}]
    assert [row[-2:] for row in rows] == [
        ["openCircuit", f"{one['saved']:,}"] for one in found["incidents"]
    ]
    names = ("errors", "slow", "p95", "missing-features", "load", "incidents", "known faults")
    assert all(any(line.startswith(f"{name}  ") for line in lines) for name in names)
    assert "Wrong: 0 times. Known faults: 3, acted on 3, only noticed 0, missed 0." in found["text"]


def test_picture_is_drawn(found: dict[str, Any]):
    """The picture is a PNG of some size."""
    assert found["png"].startswith(b"\x89PNG")
    assert len(found["png"]) > 20_000


def test_without_prometheus_there_was_no_verdict(found: dict[str, Any]):
    """The time without scrapes is Unknown for want of samples."""
    for signal in found["signals"][:4]:
        assert signal["unknownReasons"]["NoData"] >= 10


async def test_past_is_what_the_source_would_have_answered(prometheus: str):
    """At any time the slices are the very samples that the operator's own source returns."""
    manifest = yaml.safe_load(MONITOR.read_text())
    spec = ModelMonitorSpec.model_validate(manifest["spec"])
    watched = watch(spec, inquiries(spec, "demo"), namespace="demo", name="ranker")
    span = Span(_time(END) - LAST, _time(END), 7.0)
    past = Past(prometheus)
    clock = [0.0]
    source = PrometheusSource(prometheus, now=lambda: clock[0])
    for now, readings in History(past, watched.questions, span).looks():
        clock[0] = now
        live = await source.read(list(watched.questions))
        assert {query: _plain(readings[query]) for query in live} == {
            query: _plain(reading) for query, reading in live.items()
        }
    past.close()
    await source.close()


def _plain(reading: Reading) -> Any:
    assert reading.failure == ""
    return sorted(
        (
            sorted(one.labels.items()),
            one.times.tolist(),
            one.values.tolist(),
        )
        for one in reading.series
    )
