"""The demo's hands and eyes: changes go through kubectl, as a user would make them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.paths import namespaced
from backstop_lab.demo.environment import NAMESPACE, DemoError
from backstop_lab.demo.snapshot import Snapshot, parse

_KUBECTL_SECONDS = 60.0
_BACKSTOP = "backstop.dev/v1alpha1"
_ROUTE = namespaced("gateway.networking.k8s.io/v1", NAMESPACE, "httproutes", "ranker")
_TARGET = namespaced("apps/v1", NAMESPACE, "deployments", "ranker")
_MONITOR = namespaced(_BACKSTOP, NAMESPACE, "modelmonitors", "ranker")
_INCIDENTS = namespaced(_BACKSTOP, NAMESPACE, "incidents")


async def command(*arguments: str | Path, given: str | None = None) -> str:
    """Run a program and return its output. Raises DemoError with what it said when it fails."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_KUBECTL_SECONDS):
            output, errors = await process.communicate(None if given is None else given.encode())
    except TimeoutError:
        raise DemoError(f"{_shown(arguments)} did not end in {_KUBECTL_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip()
        raise DemoError(f"{_shown(arguments)} failed: {said}")
    return output.decode()


class Cluster:
    """The demo's namespace. `announce` is told of each change that is made by hand."""

    def __init__(self, api: KubernetesApi, announce: Callable[[str], None]) -> None:
        self._api = api
        self._announce = announce

    async def read(self) -> Snapshot:
        """Return what stands in the cluster now."""
        at = time.time()
        route, target, monitor, incidents = await asyncio.gather(
            self._api.get(_ROUTE),
            self._api.get(_TARGET),
            self._api.get(_MONITOR),
            self._api.list(_INCIDENTS),
        )
        return parse(at, route=route, target=target, monitor=monitor, incidents=incidents)

    async def set_environment(self, deployment: str, *changes: str) -> None:
        """Release by changing the environment: `NAME=value`, or `NAME-` to remove it."""
        await self._kubectl("set", "env", f"deployment/{deployment}", *changes)

    async def scale(self, deployment: str, replicas: int, *, namespace: str = NAMESPACE) -> None:
        """Scale a Deployment."""
        arguments = ("scale", f"deployment/{deployment}", f"--replicas={replicas}")
        await self._kubectl(*arguments, namespace=namespace)

    async def set_weights(self, weights: Mapping[str, int]) -> None:
        """Set the weights of the route's Services, in the order in which the route lists them."""
        patch = [
            {"op": "replace", "path": f"/spec/rules/0/backendRefs/{place}/weight", "value": weight}
            for place, weight in enumerate(weights.values())
        ]
        said = "/".join(str(weight) for weight in weights.values())
        await self._patch("httproute", "json", patch, f"the weights of HTTPRoute ranker: {said}")

    async def set_mode(self, mode: str) -> None:
        """Set the monitor's mode."""
        await self._patch("modelmonitor", "merge", {"spec": {"mode": mode}}, f"mode: {mode}")

    async def wait_rolled_out(self, deployment: str) -> None:
        """Wait until a Deployment is complete."""
        await command("kubectl", "-n", NAMESPACE, "rollout", "status", f"deployment/{deployment}")

    async def _patch(self, kind: str, form: str, patch: Any, said: str) -> None:
        self._announce(f"by hand: {said}")
        await command(
            *("kubectl", "-n", NAMESPACE, "patch", kind, "ranker"),
            *("--type", form, "--patch", json.dumps(patch)),
        )

    async def _kubectl(self, *arguments: str, namespace: str = NAMESPACE) -> None:
        words = ("kubectl", "-n", namespace, *arguments)
        self._announce(f"$ {shlex.join(words)}")
        await command(*words)


async def apply(objects: list[dict[str, Any]]) -> None:
    """Apply objects server-side in the demo's namespace."""
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    flags = ("--server-side", "--force-conflicts", "-f", "-")
    await command("kubectl", "-n", NAMESPACE, "apply", *flags, given=json.dumps(items))


async def wait_available() -> None:
    """Wait until all Deployments of the demo are available."""
    flags = ("--for=condition=Available", f"--timeout={_KUBECTL_SECONDS:.0f}s")
    await command("kubectl", "-n", NAMESPACE, "wait", "deployment", "--all", *flags)


async def use_context(context: str, directory: Path) -> None:
    """Make one context the only one, for this process and all that it starts."""
    flags = ("config", "view", "--minify", "--flatten", f"--context={context}")
    path = directory / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(await command("kubectl", *flags))
    os.environ["KUBECONFIG"] = str(path)


def _shown(arguments: tuple[str | Path, ...]) -> str:
    return shlex.join(str(argument) for argument in arguments[:8])
