"""The model's pods and the load behave on a real cluster as the demo relies on it."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
from tests.lab.cluster import eventually, kubectl, query, read, ready_addresses

from backstop_lab.demo import manifests
from backstop_lab.demo.processes import Child, running
from backstop_lab.demo.records import RecordReader

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("LAB_GATEWAY_URL" not in os.environ, reason="needs the real cluster"),
]

RATE = 100


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Deploy the demo's workloads without a monitor, under a host name of their own."""
    name = f"demo-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    objects = [item for item in manifests.load() if item["kind"] != "ModelMonitor"]
    for item in objects:
        if item["kind"] == "HTTPRoute":
            item["spec"]["hostnames"] = [f"{name}.test"]
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl("-n", name, "apply", "-f", "-", stdin=json.dumps(whole))
    wait = ("wait", "deployment", "--all", "--for=condition=Available", "--timeout=60s")
    kubectl("-n", name, *wait)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@asynccontextmanager
async def load(namespace: str, records: Path) -> AsyncIterator[Child]:
    command = [sys.executable, "-m", "backstop_lab.demo.load", "--rate", str(RATE)]
    where = ["--url", os.environ["LAB_GATEWAY_URL"], "--host", f"{namespace}.test"]
    log = records.with_suffix(".log")
    async with running("load", [*command, *where, "--out", str(records)], log) as child:
        yield child


def answering(namespace: str) -> bool:
    url, host = os.environ["LAB_GATEWAY_URL"], f"{namespace}.test"
    return requests.get(f"{url}/predict", headers={"Host": host}, timeout=5).ok


async def test_a_rollout_under_load_costs_no_request(namespace: str, tmp_path: Path) -> None:
    """Pods drain before they end: each request of a restart is answered, by old or new pods."""
    eventually("an answer through the gateway", lambda: answering(namespace))
    before = {pod["metadata"]["name"] for pod in read("pods", "-n", namespace)["items"]}
    reader = RecordReader(tmp_path / "requests.csv")
    async with load(namespace, tmp_path / "requests.csv"):
        eventually("the load has begun", lambda: len(reader.read()) > RATE)
        kubectl("-n", namespace, "rollout", "restart", "deployment/ranker")
        kubectl("-n", namespace, "rollout", "status", "deployment/ranker", "--timeout=60s")
        seen = len(reader.read())
        eventually("requests after the rollout", lambda: len(reader.read()) > seen + RATE)
    records = reader.read()
    assert Counter(record.status for record in records) == {200: len(records)}
    assert {record.version for record in records} == {"v1"}
    served_by = {record.served_by for record in records}
    assert len(served_by & before) == 3
    assert len(served_by - before) == 3


def test_a_pod_fails_as_it_is_told_and_counts_it(namespace: str) -> None:
    """The fault that a benchmark sets shows in the answers and in Prometheus, and can be undone."""
    pod = f"http://{min(ready_addresses(namespace, 'ranker-simple'))}:8080"
    refused = requests.post(f"{pod}/admin/fault", json={"errorRate": 2}, timeout=5)
    assert refused.status_code == 400
    assert "errorRate" in refused.json()["error"]
    fault = {"errorRate": 1, "healthGauge": 0.25}
    assert requests.post(f"{pod}/admin/fault", json=fault, timeout=5).ok
    assert requests.get(f"{pod}/predict", timeout=5).status_code == 500
    selector = f'namespace="{namespace}",app="ranker-simple"'
    errors = f'model_requests_total{{{selector},code="500"}} > 0'
    eventually("the error in Prometheus", lambda: query(errors))
    eventually("the gauge", lambda: query(f"model_health_gauge{{{selector}}} == 0.25"))
    assert requests.post(f"{pod}/admin/fault", json={}, timeout=5).ok
    assert requests.get(f"{pod}/predict", timeout=5).status_code == 200


def test_without_its_features_the_model_answers_503_and_counts_them_missing(
    namespace: str,
) -> None:
    """The dependency's fault is visible as an error and in the data, and ends with it."""
    pod = f"http://{min(ready_addresses(namespace, 'ranker'))}:8080"

    def status() -> int:
        return requests.get(f"{pod}/predict?id=7", timeout=5).status_code

    assert status() == 200
    kubectl("-n", namespace, "scale", "deployment/feature-store", "--replicas=0")
    eventually("answers without features", lambda: status() == 503)
    missing = f'sum(model_feature_missing_total{{namespace="{namespace}",app="ranker"}}) >= 3'
    eventually("missing values in Prometheus", lambda: query(missing))
    kubectl("-n", namespace, "scale", "deployment/feature-store", "--replicas=1")
    eventually("answers with features again", lambda: status() == 200)
