"""What the tests on a real API server share."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from backstop.ports import ConflictError

Json = dict[str, Any]
T = TypeVar("T")


def without_bookkeeping(body: Json) -> Json:
    """Return what a person wrote: the object without what the API server keeps about it."""
    body = copy.deepcopy(body)
    body.pop("status", None)
    for name in ("resourceVersion", "generation", "managedFields"):
        body["metadata"].pop(name, None)
    return body


def route() -> Json:
    header = {"name": "x-model", "value": "2"}
    split = [
        {"name": "model", "port": 80, "weight": 90},
        {
            "name": "fallback",
            "port": 80,
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [header]}}
            ],
        },
    ]
    mirror = {"backendRef": {"name": "shadow", "port": 80}}
    match = {"path": {"type": "PathPrefix", "value": "/score"}, "headers": [header]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "model", "annotations": {"team": "ml"}},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "default"}],
            "hostnames": ["model.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "Exact", "value": "/health"}}],
                    "backendRefs": [{"name": "model", "port": 80}],
                },
                {
                    "matches": [match],
                    "filters": [{"type": "RequestMirror", "requestMirror": mirror}],
                    "timeouts": {"request": "2s"},
                    "backendRefs": split,
                },
            ],
        },
    }


async def eventually(probe: Callable[[], Awaitable[T]]) -> T:
    """Return the first true result; fail after half a minute."""
    result = await probe()
    for _ in range(300):
        if result:
            return result
        await asyncio.sleep(0.1)
        result = await probe()
    raise AssertionError(f"not within 30 s; last seen: {result!r}")


async def undisturbed(change: Callable[[], Awaitable[T]]) -> T:
    """Return what ``change`` returns; it reads and writes, and does so anew after a conflict."""

    async def probe() -> list[T]:
        try:
            return [await change()]
        except ConflictError:
            return []

    return (await eventually(probe))[0]
