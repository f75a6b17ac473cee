"""An in-process Kubernetes API that fails as it is told to.

It is for faults that a real server does not produce on demand; whatever can be tested on a real one
is tested there. It knows no schemas, no selectors, no field ownership and no watches.
"""

import asyncio
import json
from typing import Any, Self

from aiohttp import web
from tests.fakeapi.faults import Fault
from tests.fakeapi.store import Json, Place, RefusedError, Store

_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


class FakeApi:
    """``async with FakeApi() as api`` serves on ``api.url`` until the end of the block.

    ``requests`` lists what arrived, as verb and path; ``writes`` what took effect.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.writes: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def add(self, collection: str, body: Json) -> Json:
        """Store an object, as if it had been created long ago."""
        return self.store.create(Place.of(collection), body)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            place = Place.of(request.path)
        except RefusedError as error:
            return _refusal(error.status, error.reason, error.message)
        verb = _VERBS[request.method]
        verb = "list" if verb == "get" and not place.name else verb
        self.requests.append((verb, request.path))
        self.headers.append(dict(request.headers))
        self.queries.append(dict(request.query))
        faults = [fault for fault in self.faults if fault.strikes(verb, request.path)]
        fault = faults[0] if faults else Fault(verb, "")
        await asyncio.sleep(fault.delay)
        if fault.reset == "before":
            return self._cut(request)
        if fault.status:
            return _refusal(fault.status, "Scripted", fault.message, fault.retry_after)
        answer = await self._answer(verb, place, request)
        return self._cut(request) if fault.reset == "after" else answer

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _answer(self, verb: str, place: Place, request: web.Request) -> web.Response:
        try:
            if verb == "list":
                return web.json_response(self._page(place, request))
            if verb == "get":
                return web.json_response(_shown(self.store.get(place), request))
            body = await request.text()
            result = self._write(verb, place, request.content_type, json.loads(body or "{}"))
        except RefusedError as refused:
            return _refusal(refused.status, refused.reason, refused.message)
        self.writes.append((verb, request.path))
        return web.json_response(result, status=201 if verb == "create" else 200)

    def _write(self, verb: str, place: Place, content_type: str, body: Any) -> Json:
        if verb == "create":
            return self.store.create(place, body)
        if verb == "delete":
            return self.store.delete(place, (body.get("preconditions") or {}).get("uid", ""))
        if content_type == "application/json-patch+json":
            return self.store.json_patch(place, body)
        if content_type == "application/merge-patch+json":
            return self.store.merge_patch(place, body)
        if content_type == "application/apply-patch+yaml":
            if (place.collection, place.namespace, place.name) in self.store.objects:
                return self.store.merge_patch(place, body)
            return self.store.create(place, body)
        raise RefusedError(415, "UnsupportedMediaType", f"{content_type} is not supported")

    def _page(self, place: Place, request: web.Request) -> Json:
        items = self.store.listing(place)
        start = int(request.query.get("continue", "0"))
        end = start + int(request.query.get("limit", "0") or len(items))
        metadata = {"resourceVersion": "1"} | ({"continue": str(end)} if end < len(items) else {})
        return {"kind": "List", "metadata": metadata, "items": items[start:end]}


def _shown(body: Json, request: web.Request) -> Json:
    if "as=PartialObjectMetadata" in request.headers.get("Accept", ""):
        return {"kind": "PartialObjectMetadata", "metadata": body["metadata"]}
    return body


def _refusal(status: int, reason: str, message: str, retry_after: str = "") -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
    }
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.json_response(body, status=status, headers=headers)
