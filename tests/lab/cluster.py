"""Small helpers for tests against the lab's cluster: apply, read, wait, ask."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import requests

T = TypeVar("T")
SERVER = Path(__file__).with_name("answering_server.py")
PORT = 8080


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return its output; its error message is the exception's text."""
    done = subprocess.run(  # noqa: S603 - arguments come from the tests
        ["kubectl", *arguments],  # noqa: S607 - the lab puts its own first on PATH
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def apply(*objects: dict[str, Any]) -> None:
    """Create or update objects."""
    kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    )


def read(*arguments: str) -> Any:
    """Return what `kubectl get ARGUMENTS` reads."""
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def eventually(what: str, probe: Callable[[], T], *, seconds: float = 30) -> T:
    """Return the first true result of `probe`; fail with `what` if there is none in time."""
    deadline = time.monotonic() + seconds
    result = probe()
    while not result:
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {result!r}")
        time.sleep(0.1)
        result = probe()
    return result


def ask(url: str, *, host: str = "", method: str = "GET") -> str:
    """Send one HTTP request on a connection of its own and return the body, or "" on failure."""
    try:
        response = requests.request(
            method, url, headers={"Host": host} if host else None, timeout=5
        )
    except requests.RequestException:
        return ""
    return response.text if response.ok else ""


def answers(url: str, count: int, *, host: str = "") -> Counter[str]:
    """Return how often each answer came in `count` requests."""
    return Counter(ask(url, host=host) for _ in range(count))


def query(expression: str) -> list[Any]:
    """Return the result of an instant query to Prometheus; empty while it does not answer."""
    text = ask(f"{os.environ['LAB_PROMETHEUS_URL']}/api/v1/query?query={quote(expression)}")
    result: list[Any] = json.loads(text)["data"]["result"] if text else []
    return result


def deployment(namespace: str, name: str, *, replicas: int = 1, **container: Any) -> dict[str, Any]:
    """Return a Deployment of the answering server that says its own name."""
    labels = {"app": name}
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    spec = {
        "name": "server",
        "image": "answering-server",
        "command": ["python3", str(SERVER)],
        "env": [{"name": "VERSION", "value": name}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [spec]},
            },
        },
    }


def service(namespace: str, name: str) -> dict[str, Any]:
    """Return a Service in front of the Deployment of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT}]},
    }


def route(namespace: str, weights: dict[str, int]) -> dict[str, Any]:
    """Return an HTTPRoute for the host name NAMESPACE.test with these weights."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "split", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "default"}],
            "hostnames": [f"{namespace}.test"],
            "rules": [{"backendRefs": backends}],
        },
    }


def ready_addresses(namespace: str, name: str) -> set[str]:
    """Return the ready addresses in a Service's EndpointSlices."""
    selector = f"kubernetes.io/service-name={name}"
    slices = read("endpointslices", "-n", namespace, "-l", selector)["items"]
    return {
        address
        for item in slices
        for endpoint in item.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }
