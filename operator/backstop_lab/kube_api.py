"""A small asynchronous client of the API server, and caches that follow it.

It exists because the lab needs only plain JSON requests and must start fast. `Cache` is
level-triggered: after any interruption it lists again, so a missed event cannot leave it wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

log = logging.getLogger(__name__)

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_TIMEOUT = aiohttp.ClientTimeout(total=20)
_WATCH_SECONDS = 300
_RETRY_SECONDS = 0.3


class ApiError(Exception):
    """The API server refused a request: HTTP status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubeApi:
    """A connection to the API server with the identity of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server: str = config["clusters"][0]["cluster"]["server"]
        directory = kubeconfig.parent
        context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open HTTP session. Raises RuntimeError outside of `async with`."""
        if self._session is None:
            raise RuntimeError("use `async with KubeApi(...)`")
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """Send one request and return the answer. Raises ApiError, or aiohttp's errors."""
        async with self.session.request(
            method,
            self.server + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            params=query,
            timeout=_TIMEOUT,
        ) as response:
            text = await response.text()
            if not response.ok:
                raise ApiError(response.status, _message(text))
            answer: Object = json.loads(text) if text.startswith("{") else {"text": text}
            return answer

    async def get(self, path: str) -> Object:
        """Return one object."""
        return await self.request("GET", path)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection."""
        return await self.request("POST", path, body)

    async def patch(self, path: str, body: Object, *, content: str = MERGE) -> Object:
        """Patch an object."""
        return await self.request("PATCH", path, body, content=content)

    async def apply(self, path: str, body: Object) -> Object:
        """Create or update an object by server-side apply; may be repeated."""
        query = {"fieldManager": "backstop-lab", "force": "true"}
        return await self.request("PATCH", path, body, content=APPLY, query=query)

    async def is_ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        try:
            await self.request("GET", "/readyz")
        except (ApiError, aiohttp.ClientError, TimeoutError):
            return False
        return True


class Cache:
    """All objects of one collection by `namespace/name`, kept current by a watch.

    `changed` is called with the key after each change, also for what vanished while the watch was
    interrupted. It must not block.
    """

    def __init__(
        self, api: KubeApi, path: str, changed: Callable[[str], None], *, fields: str = ""
    ) -> None:
        self._api = api
        self._path = path
        self._changed = changed
        self._query = {"fieldSelector": fields} if fields else {}
        self.objects: dict[str, Object] = {}

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        while True:
            try:
                version = await self._list()
                while version:
                    version = await self._watch(version)
            except (ApiError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.debug("listing %s again: %s", self._path, error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _list(self) -> str:
        answer = await self._api.request("GET", self._path, query=self._query)
        current = {key_of(item): item for item in answer["items"]}
        vanished = self.objects.keys() - current.keys()
        self.objects = current
        for key in (*vanished, *current):
            self._changed(key)
        version: str = answer["metadata"]["resourceVersion"]
        return version

    async def _watch(self, version: str) -> str:
        """Follow events and return the version to go on from, or "" if it must be listed again."""
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
            "resourceVersion": version,
        }
        timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS + 30, sock_connect=5)
        async with self._api.session.get(
            self._api.server + self._path, params=query, timeout=timeout, read_bufsize=2**22
        ) as response:
            if not response.ok:
                return ""
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                self._accept(event["type"], event["object"])
        return version

    def _accept(self, kind: str, item: Object) -> None:
        if kind == "BOOKMARK":
            return
        key = key_of(item)
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = item
        self._changed(key)


def key_of(item: Object) -> str:
    """Return `namespace/name` of an object."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))
    except (ValueError, AttributeError):
        return text[:500]
