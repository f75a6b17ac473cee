"""kopf's watches under an API server in trouble, which says so in the middle of a watch."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from aiohttp import web
from tests.fakeapi.connection import kubeconfig

from backstop.runtime import watching

DEPLOYMENTS = "/apis/apps/v1/deployments"
_LIST = ["get", "list", "watch", "patch"]
_NAMESPACE = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace"}
_DEPLOYMENT = {"name": "deployments", "singularName": "deployment", "kind": "Deployment"}
_VERSION = {"groupVersion": "apps/v1", "version": "v1"}
_GROUP = {"name": "apps", "versions": [_VERSION], "preferredVersion": _VERSION}
ANSWERS: dict[str, dict[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": [_GROUP]},
    "/api/v1": {"resources": [{**_NAMESPACE, "namespaced": False, "verbs": _LIST}]},
    "/apis/apps/v1": {"resources": [{**_DEPLOYMENT, "namespaced": True, "verbs": _LIST}]},
    DEPLOYMENTS: {
        "kind": "DeploymentList",
        "apiVersion": "apps/v1",
        "metadata": {"resourceVersion": "5"},
        "items": [{"metadata": {"name": "fraud", "namespace": "demo", "uid": "d"}, "spec": {}}],
    },
}


class Server:
    """An API server with one Deployment, whose first watch ends with an error of this code."""

    def __init__(self, code: int) -> None:
        self.code, self.watches = code, 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(ANSWERS[request.path])
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        if self.watches > 1:
            await asyncio.sleep(60)
        said = {"kind": "Status", "code": self.code, "message": "etcdserver: no leader"}
        await response.write(json.dumps({"type": "ERROR", "object": said}).encode() + b"\n")
        return response


@pytest.fixture
async def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Server]:
    made = Server(request.param)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("KUBECONFIG", kubeconfig(url, tmp_path))
    monkeypatch.setattr(watching, "WATCH_AGAIN", 0.05)
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("server", [410, 429, 500, 504], indirect=True)
async def test_a_watch_that_the_server_breaks_begins_anew_and_ends_nothing_else(server: Server):
    """All is listed again, the tasks of others live on, and a stop still ends it."""
    registry, stop, told = kopf.OperatorRegistry(), asyncio.Event(), list[str]()

    @kopf.on.event("apps", "v1", "deployments", registry=registry)
    async def saw(name: str, **_: Any) -> None:
        told.append(name)

    running = asyncio.create_task(watching.until_stopped(registry, [], stop))
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.01)
        others = asyncio.create_task(asyncio.sleep(60))  # younger than the watches
        while not running.done() and (server.watches < 2 or len(told) < 2):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert told == ["fraud", "fraud"]
        assert not running.done()
        assert not others.done()
        stop.set()
        await running
    assert not others.done()
    others.cancel()
