"""A connection of the operator's own client to a fake API."""

from pathlib import Path

import yaml
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi


def kubeconfig(url: str, directory: Path) -> str:
    """Write a kubeconfig that leads to the server at ``url``, and return its path."""
    named = {
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {"token": "t"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    whole = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", **named}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return str(path)


async def connected(server: FakeApi, directory: Path) -> KubernetesApi:
    """Return a client of ``server``, which is to be closed."""
    return await KubernetesApi.connect(kubeconfig=kubeconfig(server.url, directory))
