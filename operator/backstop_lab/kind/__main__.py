"""`python -m backstop_lab.kind`: creates the cluster, or brings an existing one up to date.

Everything is applied server-side, so running it again repairs what is missing. Needs Docker.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from backstop_lab import build, crds
from backstop_lab.binaries import BINARIES, KIND
from backstop_lab.errors import LabError
from backstop_lab.prometheus import scrape_config

CLUSTER = "backstop"
CONTEXT = f"kind-{CLUSTER}"
IMAGE = "backstop-lab:dev"
ENVOY_NODE_PORT = 30088
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_GATEWAY_SECONDS = 180.0


def main() -> int:
    """Create the cluster. Returns 0, or 2 with a sentence when something is missing."""
    try:
        _require_docker()
        kubectl = build.ensure(next(one for one in BINARIES if one.name == "kubectl"))
        _create(build.ensure(KIND))
        _install([str(kubectl), "--context", CONTEXT])
    except LabError as error:
        print(f"backstop-lab: {error}", file=sys.stderr)
        return error.exit_code
    print(f"Ready. Now: make demo CONTEXT={CONTEXT}")
    return 0


def _require_docker() -> None:
    if shutil.which("docker") is None:
        raise LabError("kind needs Docker, and there is no `docker` here. `make demo` needs none.")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        raise LabError("The Docker daemon does not answer; start it. `make demo` needs none.")


def _run(*command: str | Path, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"`{' '.join(str(word) for word in command[:6])}` failed:\n{said}")
    return done.stdout


def _create(kind: Path) -> None:
    if CLUSTER not in _run(kind, "get", "clusters").split():
        print("Creating the cluster.")
        _run(kind, "create", "cluster", "--config", _ROOT / "kind-config.yaml", "--wait", "120s")
    print(f"Building {IMAGE} and loading it.")
    _run("docker", "build", "--tag", IMAGE, "--file", _HERE / "Dockerfile", _ROOT)
    _run(kind, "load", "docker-image", IMAGE, "--name", CLUSTER)


def _install(kubectl: list[str]) -> None:
    print("Installing Contour and Prometheus.")
    apply = (*kubectl, "apply", "--server-side", "--force-conflicts", "-f")
    provisioner = crds.module_file(
        "github.com/projectcontour/contour", "examples/render/contour-gateway-provisioner.yaml"
    )
    _run(*apply, str(provisioner))
    established = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    _run(*kubectl, *established)
    _run(*apply, str(_HERE / "manifests" / "gateway.yaml"))
    _run(*apply, str(_HERE / "manifests" / "prometheus.yaml"))
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prometheus", "namespace": "monitoring"},
        "data": {"prometheus.yml": yaml.safe_dump(scrape_config())},
    }
    _run(*apply, "-", given=json.dumps(config))
    available = ("wait", "--for=condition=Available", "--timeout=300s", "deployment/prometheus")
    _run(*kubectl, "-n", "monitoring", *available)
    _publish_envoy(kubectl)


def _publish_envoy(kubectl: list[str]) -> None:
    """Give the gateway's Service the node port that kind-config.yaml maps to this machine."""
    patch = {"spec": {"ports": [{"port": 80, "nodePort": ENVOY_NODE_PORT}]}}
    deadline = time.monotonic() + _GATEWAY_SECONDS
    while True:
        try:
            _run(*kubectl, "patch", "service", "envoy-edge", "--patch", json.dumps(patch))
            _run(*kubectl, "wait", "--for=condition=Programmed", "gateway/edge", "--timeout=120s")
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
