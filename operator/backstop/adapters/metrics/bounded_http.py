"""A ``requests`` session for servers that may be slow, broken or hostile.

Guarantees for each request: no redirect is followed and no proxy, password or certificate setting
is taken from the environment; nothing is repeated; the body is read up to a limit that holds after
decompression; :meth:`BoundedSession.abort` ends it from another thread, even when the server feeds
it byte by byte; a refusal is told by its status code, never by its body.
"""

import contextlib
import io
import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

_CHUNK: Final = 65_536
_REDIRECTS: Final = range(300, 400)
_BROKEN: Final = (
    (requests.exceptions.ContentDecodingError, "the source's compressed answer is damaged"),
    (
        requests.exceptions.ChunkedEncodingError,
        "the connection to the source broke during the answer",
    ),
)


class SourceError(Exception):
    """The request failed; the message is safe to show."""


class TimedOutError(SourceError):
    """The deadline passed."""


class ConnectError(SourceError):
    """There is no connection to the server, so the next request would fail as well."""


class RefusedError(SourceError):
    """The server answered with an error status. ``body`` is not safe to show."""

    def __init__(self, status: int, body: bytes) -> None:
        """Keep the status and the body for whoever knows how to read them."""
        super().__init__(f"the source answered HTTP {status}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Login:
    """A user by name, with the file that holds the password."""

    username: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a server: what every request carries, and how long and large it may get.

    ``deadline`` is in seconds, ``max_body`` in bytes after decompression. The file with the bearer
    token or the password is read for each request, so that a rotated one is used at once.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    token_file: Path | None = None
    login: Login | None = None
    ca_file: Path | None = None
    deadline: float = 5.0
    max_body: int = 16 * 2**20


class _Adapter(HTTPAdapter):
    """Knows its connection, of which there is one at a time since a session has one user."""

    aborted = False
    _sock: socket.socket | None = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool, with connections that tell the adapter about themselves."""
        super().init_poolmanager(*args, **kwargs)
        adapter = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                adapter.use(self.sock)

        class Encrypted(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                adapter.use(self.sock)

        plain = type("Plain", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        encrypted = type("Encrypted", (HTTPSConnectionPool,), {"ConnectionCls": Encrypted})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": encrypted}

    def use(self, sock: socket.socket | None) -> None:
        """Take note of a new connection, and stop if its request has been aborted already.

        The socket is kept here since a connection forgets it while the answer is still read.
        """
        self._sock = sock
        if self.aborted:
            raise ConnectionAbortedError

    def abort(self) -> None:
        """Let every read and write on the connection fail, the one under way included."""
        self.aborted = True
        if self._sock is not None:
            with contextlib.suppress(OSError):  # the other side was quicker
                # Not the method of a TLS socket, which changes its state under the reader.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class BoundedSession(requests.Session):
    """A session for one request at a time."""

    def __init__(self, access: Access) -> None:
        """Prepare; nothing is sent."""
        super().__init__()
        self.trust_env = False
        self.verify = str(access.ca_file) if access.ca_file else True
        self._access = access
        self._adapter = _Adapter(max_retries=0, pool_connections=1, pool_maxsize=1)

    def get_adapter(self, url: str | bytes) -> HTTPAdapter:  # noqa: ARG002 (requests' signature)
        """Return the session's own adapter, whatever a library mounts for its URL."""
        return self._adapter

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 (the same)
        """Return that there is none: even to look at it, the body would be read without limit."""
        return

    def begin(self) -> None:
        """Forget an earlier :meth:`abort`; call it before handing the session to a thread."""
        self._adapter.aborted = False

    def abort(self) -> None:
        """End the request under way, which then raises TimedOutError. Safe from any thread."""
        self._adapter.abort()

    def request(  # type: ignore[override]
        self, method: str | bytes, url: str | bytes, params: Any = None, **_: Any
    ) -> requests.Response:
        """Send ``params`` as a form and return the complete answer.

        Everything else that a caller may pass (headers, timeouts, verification) is fixed for the
        session and ignored.

        Raises:
            SourceError: anything else than an answer with status 200.

        """
        headers = self._headers()
        try:
            with super().request(
                method,
                url,
                data=params,
                headers=headers,
                timeout=self._access.deadline,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response)
        except Exception as error:
            raise self._failure(error) from error
        if self._adapter.aborted:
            raise self._timed_out()
        if response.status_code != requests.codes.ok:
            raise RefusedError(response.status_code, body)
        return _complete(response, body)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **self._access.headers}
        login = self._access.login
        if self._access.token_file:
            token = _secret(self._access.token_file, "bearer token", "ascii")
            headers["Authorization"] = f"Bearer {token}"
        elif login is not None:
            password = _secret(login.password_file, "password", "utf-8")
            pair = f"{login.username}:{password}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return headers

    def _body(self, response: requests.Response) -> bytes:
        if response.status_code in _REDIRECTS:
            raise SourceError("the source redirects elsewhere, which is refused")
        parts = bytearray()
        for part in response.iter_content(_CHUNK):
            parts += part
            if len(parts) > self._access.max_body:
                limit = self._access.max_body / 2**20
                raise SourceError(
                    f"the answer is larger than {limit:g} MiB: narrow the query's selectors"
                )
        return bytes(parts)

    def _failure(self, error: Exception) -> SourceError:
        if self._adapter.aborted or isinstance(error, requests.Timeout):
            return self._timed_out()
        if isinstance(error, SourceError):
            return error
        if isinstance(error, requests.ConnectionError):
            return _connection_failure(error)
        known = (words for kind, words in _BROKEN if isinstance(error, kind))
        return SourceError(
            next(known, "the request cannot be sent: check the source's URL, headers and CA file")
        )

    def _timed_out(self) -> SourceError:
        return TimedOutError(f"timed out after {self._access.deadline:g} s")


def _secret(file: Path, what: str, encoding: str) -> str:
    try:
        return file.read_text(encoding=encoding).strip()
    except (OSError, ValueError):
        raise SourceError(f"the {what} file of the source cannot be read") from None


def _connection_failure(error: requests.ConnectionError) -> SourceError:
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectError("the TLS connection failed: check the source's CA certificate")
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, NameResolutionError):
        return ConnectError("the source's host name does not resolve")
    if isinstance(reason, NewConnectionError):
        refused = isinstance(reason.__cause__, ConnectionRefusedError)
        return ConnectError("connection refused" if refused else "cannot connect to the source")
    return SourceError("the connection to the source broke")


def _complete(response: requests.Response, body: bytes) -> requests.Response:
    complete = requests.Response()
    complete.status_code = response.status_code
    complete.headers["Content-Type"] = "application/json"
    complete.headers["Date"] = response.headers.get("Date", "")
    complete.raw = io.BytesIO(body)
    complete.encoding = "utf-8"
    return complete
