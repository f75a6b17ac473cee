"""A namespace on a real API server that has the CRDs, for the tests marked `cluster`."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.cluster import kubectl

CRDS = str(Path(__file__).parents[2] / "crds")


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """Create a namespace of our own, and remove it at the end."""
    kubectl("apply", "--server-side", "-f", CRDS)
    for condition in ("Established", "NamesAccepted"):
        kubectl("wait", f"--for=condition={condition}", "--timeout=20s", "-f", CRDS)
    name = f"schema-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "modelmonitors,incidents,runbooks", "--all", "-n", name)
    kubectl("delete", "namespace", name, "--wait=false")
