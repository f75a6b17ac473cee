"""The Kubernetes API over ``kubernetes.aio``, as plain JSON.

The client library is used for what is hard (configuration, credentials, TLS, the connection pool)
and asked for raw responses, since its typed models are ten times slower and reject unknown fields.

Guarantees: every call ends within its deadline; every write carries the field manager ``backstop``
and is sent at most once, whatever happens to the connection; every failure is one of the errors in
:mod:`backstop.ports`, with the API server's own message on one line of at most 300 characters.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import api_client, configuration

from backstop import __version__
from backstop.adapters.kube_errors import (
    APPLY_PATCH,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    METADATA,
    Request,
    connection_words,
    translate,
    words,
)
from backstop.adapters.kubeconfig import examine
from backstop.ports import NotFoundError, OutsideError, UnavailableError

FIELD_MANAGER: Final = "backstop"
DEFAULT_DEADLINE: Final = 10.0
_CONNECTIONS: Final = 64
_PAGE: Final = "500"
_TOKEN_REFRESH_SECONDS: Final = 300
_OWNED: Final = {"fieldManager": FIELD_MANAGER}
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "patch": "PATCH",
    "delete": "DELETE",
}

# The library is untyped; these names say once that nothing is known about what it returns.
_config: Any = kube_config
_ApiClient: Any = api_client.ApiClient
_Configuration: Any = configuration.Configuration


class _InterruptedError(Exception):
    """A write lost its connection; unlike the error it replaces, nothing takes it for a retry."""


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a DELETE on a stale connection and from following redirects."""
    try:
        response = await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _InterruptedError(connection_words(error)) from error
    if 300 <= response.status < 400 and response.status != 304:  # noqa: PLR2004 (status classes)
        response.close()
        raise _InterruptedError("it redirects elsewhere, which is refused")
    return response


class KubernetesApi:
    """Implements :class:`backstop.ports.KubeApi`; make one with :meth:`connect`."""

    def __init__(
        self,
        settings: Any,
        *,
        deadline: float = DEFAULT_DEADLINE,
        refresh: "asyncio.Task[None] | None" = None,
    ) -> None:
        """Wrap a ``kubernetes.aio`` Configuration; ``deadline`` is in seconds, per request."""
        settings.connection_pool_maxsize = _CONNECTIONS
        settings.retries = None
        settings.client_session_kwargs = {"middlewares": (_send_once,)}
        self._client: Any = _ApiClient(settings)
        self._client.user_agent = f"backstop/{__version__}"
        self._deadline = deadline
        self._refresh = refresh

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        deadline: float = DEFAULT_DEADLINE,
    ) -> Self:
        """Load a configuration: ``kubeconfig`` if given, else the pod's own, else the default file.

        No request is made yet.

        Raises:
            OutsideError: there is no usable configuration.

        """
        settings = _Configuration()
        refresh = None
        try:
            if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                _config.load_incluster_config(client_configuration=settings)
            else:
                examine(kubeconfig, context)
                loader = await _config.load_kube_config(
                    config_file=kubeconfig,
                    context=context,
                    client_configuration=settings,
                    persist_config=False,
                )
                refresh = asyncio.create_task(
                    _config.refresh_token(loader, settings, _TOKEN_REFRESH_SECONDS)
                )
        except (
            _config.ConfigException,
            OSError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            raise OutsideError(
                f"cannot load a Kubernetes configuration: {words(str(error))}"
            ) from error
        return cls(settings, deadline=deadline, refresh=refresh)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._client.configuration.host)

    async def close(self) -> None:
        """Close all connections."""
        if self._refresh is not None:
            self._refresh.cancel()
        await self._client.close()

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at ``path``."""
        return await self._call(Request("get", path))

    async def metadata(self, path: str) -> dict[str, Any]:
        """Return the metadata of the object at ``path``; the rest of it is not even sent."""
        answer = await self._call(Request("get", path, accept=METADATA))
        found = answer.get("metadata")
        return found if isinstance(found, dict) else {}

    async def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return all items of the collection; ``query`` is for example ``labelSelector``."""
        items: list[dict[str, Any]] = []
        position = ""
        while True:
            page = {**query, "limit": _PAGE} | ({"continue": position} if position else {})
            answer = await self._call(Request("list", path, page))
            items.extend(answer.get("items") or ())
            position = (answer.get("metadata") or {}).get("continue") or ""
            if not position:
                return items

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create ``body`` in the collection ``path``; ConflictError when the name is taken."""
        return await self._call(Request("create", path, _OWNED, dict(body), JSON))

    async def would_create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what :meth:`create` would, with each unknown field an error; nothing is stored."""
        query = {**_OWNED, "dryRun": "All", "fieldValidation": "Strict"}
        return await self._call(Request("create", path, query, dict(body), JSON))

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a JSON merge patch; a resourceVersion in it is a precondition."""
        return await self._call(Request("patch", path, _OWNED, dict(body), MERGE_PATCH))

    async def json_patch(self, path: str, body: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch; a ``test`` that fails is a ConflictError, as a stale version is."""
        operations = [dict(operation) for operation in body]
        return await self._call(Request("patch", path, _OWNED, operations, JSON_PATCH))

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply server-side; ConflictError when another field manager owns one of the fields."""
        query = {**_OWNED, "force": "false"}
        return await self._call(Request("patch", path, query, dict(body), APPLY_PATCH))

    async def delete(self, path: str, uid: str = "") -> None:
        """Delete the object, with ``uid`` as precondition; one that is gone is a success."""
        options = {"preconditions": {"uid": uid}} if uid else None
        with contextlib.suppress(NotFoundError):
            await self._call(Request("delete", path, body=options))

    async def _call(self, request: Request) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._deadline):
                status, headers, data = await self._exchange(request)
        except TimeoutError:
            raise UnavailableError(request.say(f"no answer within {self._deadline:g} s")) from None
        except (aiohttp.ClientError, OSError, _InterruptedError) as error:
            raise UnavailableError(request.say(connection_words(error))) from error
        except _config.ConfigException as error:
            raise UnavailableError(request.say("the credentials cannot be read")) from error
        answer = _object(data)
        if not 200 <= status < 300:  # noqa: PLR2004 (status classes)
            raise translate(request, status, headers, answer or {})
        if answer is None:
            raise UnavailableError(request.say("the answer is not a JSON object"))
        return answer

    async def _exchange(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        method = _METHODS[request.verb]
        _, url, headers, _, _ = await self._client.param_serialize(
            method,
            request.path,
            header_params={"Accept": request.accept, "Content-Type": request.content_type},
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(
            method,
            f"{url}?{urlencode(request.query)}" if request.query else url,
            header_params=headers,
            body=request.body,
            _request_timeout=aiohttp.ClientTimeout(total=self._deadline),
            _preload_content=False,
        )
        return response.status, response.headers, await response.read()


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
