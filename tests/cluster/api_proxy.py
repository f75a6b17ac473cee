"""A proxy in front of the API server that sees each request of one operator.

It adds the administrator's credentials, passes watches through, and records writes in order. Its
hooks run just before a write is forwarded and just before its answer is returned; one that raises
`Cut` ends the connection there, so the operator never learns what became of its write.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from backstop_lab.kube_api import KubeApi

_HOP = {"connection", "transfer-encoding", "content-length", "host", "authorization", "keep-alive"}


class Cut(Exception):  # noqa: N818 - an instruction to the proxy, not an error
    """End the connection here."""


class What(StrEnum):
    """What a write is about."""

    STATUS = "status"
    MONITOR = "monitor"
    ROUTE = "route"
    DEPLOYMENT = "deployment"
    STATEFULSET = "statefulset"
    AUTOSCALER = "autoscaler"
    JOB = "job"
    INCIDENT = "incident"
    EVENT = "event"
    LEASE = "lease"
    OTHER = "other"


_BY_PLURAL = {
    "modelmonitors": What.MONITOR,
    "httproutes": What.ROUTE,
    "deployments": What.DEPLOYMENT,
    "statefulsets": What.STATEFULSET,
    "horizontalpodautoscalers": What.AUTOSCALER,
    "jobs": What.JOB,
    "incidents": What.INCIDENT,
    "events": What.EVENT,
    "leases": What.LEASE,
}


@dataclass(slots=True)
class Write:
    """One request that is not a read; `code` is the HTTP status of its answer, 0 without one.

    `at` is the monotonic time at which it arrived.
    """

    method: str
    path: str
    body: bytes
    code: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def what(self) -> What:
        """What the write is about, by its path."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        plural = parts[parts.index("namespaces") + 2] if "namespaces" in parts else ""
        what = _BY_PLURAL.get(plural, What.OTHER)
        return What.STATUS if what is What.MONITOR and parts[-1] == "status" else what

    @property
    def payload(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body or b"null")

    def __str__(self) -> str:
        return f"{self.method} {self.what} -> {self.code}"


@dataclass(slots=True)
class Read:
    """One GET; `sent` bytes of its answer were passed on, and while `open` more may come."""

    path: str
    code: int = 0
    sent: int = 0
    open: bool = True

    def __str__(self) -> str:
        return f"GET {self.path} -> {self.code}, {self.sent} B{', open' if self.open else ''}"


Hook = Callable[[Write], Awaitable[None]]


async def _nothing(_: Write) -> None:
    pass


@dataclass(slots=True)
class ApiProxy:
    """Listens on loopback between `async with`."""

    upstream: KubeApi
    before: Hook = _nothing
    after: Hook = _nothing
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, and return its path."""
        named: dict[str, Any] = {
            "clusters": [{"name": "lab", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "lab", "user": {"token": "added-by-the-proxy"}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        }
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "lab", **named}
        path.write_text(yaml.safe_dump(config))
        return path

    def wrote(self, *kinds: What) -> list[Write]:
        """Return the writes of these kinds that the API server accepted, in order."""
        return [one for one in self.writes if one.what in kinds and 200 <= one.code < 300]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            # A review is a question that is POSTed: nothing is stored.
            if request.method in {"GET", "HEAD"} or "/selfsubjectrulesreviews" in request.path:
                return await self._pass_read(request, body)
            write = Write(request.method, request.raw_path, body)
            self.writes.append(write)
            await self.before(write)
            return await self._pass_write(request, write)
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _pass_read(self, request: web.Request, body: bytes) -> web.StreamResponse:
        read = Read(request.raw_path)
        self.reads.append(read)
        try:
            async with self._send(request, body) as answer:
                read.code = answer.status
                stream = web.StreamResponse(status=answer.status, headers=_kept(answer))
                await stream.prepare(request)
                async for chunk in answer.content.iter_any():
                    await stream.write(chunk)
                    read.sent += len(chunk)
                return stream
        finally:
            read.open = False

    async def _pass_write(self, request: web.Request, write: Write) -> web.Response:
        async with self._send(request, write.body) as answer:
            data = await answer.read()
            write.code = answer.status
            await self.after(write)
            return web.Response(status=answer.status, headers=_kept(answer), body=data)

    def _send(
        self, request: web.Request, body: bytes
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.upstream.session.request(
            request.method,
            URL(self.upstream.server + request.raw_path, encoded=True),
            data=body or None,
            headers={k: v for k, v in request.headers.items() if k.lower() not in _HOP},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )


def _kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {"Content-Type": answer.headers.get("Content-Type", "application/json")}
