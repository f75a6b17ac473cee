"""Signed calls of other programs, to the hosts that the operator's configuration allows.

Guarantees: a host that is not listed is never dialled, and of a listed one only an address that was
checked after the one resolution; no redirect is followed and nothing is taken from the environment;
a call is sent once and ends within its deadline; at most 4 KiB of the answer are read, and nothing
of it is shown. The receiver can tell by the signature who calls and when, and by the idempotency
key whether it has seen the call before.
"""

import asyncio
import contextlib
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from backstop import __version__
from backstop.adapters.destinations import Allowed, Destination, parse, refuses
from backstop.core.messages import WebhookCall
from backstop.ports import ForbiddenError, InvalidError, UnavailableError

SHORTEST_SECRET: Final = 16
"""Bytes that the key of signatures has at least."""

TOLERANCE: Final = 300.0
"""Seconds by which the timestamp of a call may be off before a receiver should refuse it."""

_ANSWER_LIMIT: Final = 4_096
_ANSWER_WAIT: Final = 0.5
_LONGEST_RETRY_AFTER: Final = 300.0
_MAY_WORK_LATER: Final = frozenset({408, 425, 429})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name, as text; OSError when there are none."""


class SecretError(Exception):
    """The key of signatures cannot be used; the message says why."""


class WebhookAccess(Protocol):
    """What the configuration says about calls: where to, with which key, for how many seconds."""

    @property
    def allowed(self) -> Allowed:
        """The destinations that may be called."""
        ...

    @property
    def secret_file(self) -> Path | None:
        """The file with the key of signatures; without it calls are not signed."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds that a call takes at most."""
        ...


def read_secret(file: Path) -> bytes:
    """Return the key in ``file``, without the line break at its end.

    Raises:
        SecretError: it cannot be read, or is too short.
    """
    try:
        secret = file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SecretError(f"{file} cannot be read: {error.strerror}") from None
    if len(secret) < SHORTEST_SECRET:
        raise SecretError(
            f"{file} holds a key of {len(secret)} bytes: write one of at least {SHORTEST_SECRET}"
        )
    return secret


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of ``Backstop-Signature`` for ``body`` sent at ``timestamp``."""
    signed = timestamp.encode() + b"." + body
    return f"v1={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"


def verify(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Return whether a call comes from who has ``secret``, and is not older than five minutes.

    For receivers. ``body`` is what came over the wire, ``now`` the Unix time in seconds.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    timestamp = by_name.get("backstop-timestamp", "")
    signature = by_name.get("backstop-signature", "")
    if not (timestamp.isascii() and timestamp.isdecimal()):
        return False
    if abs(now - float(timestamp)) > TOLERANCE:
        return False
    return hmac.compare_digest(sign(secret, timestamp, body).encode(), signature.encode())


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class _RefusedAddressError(Exception):
    """A name leads where nobody may be called."""


class _Checked(AbstractResolver):
    """Hands out addresses that may be dialled; what it returns is dialled without a new look-up."""

    def __init__(self, resolve: Resolve, destination: Destination) -> None:
        self._resolve = resolve
        self._destination = destination

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 (aiohttp's signature)
    ) -> list[ResolveResult]:
        """Return all addresses of ``host``; one that is refused spoils all of them."""
        addresses = list(dict.fromkeys(await self._resolve(host, port)))
        if any(refuses(self._destination, one) for one in addresses):
            raise _RefusedAddressError
        if not addresses:
            raise OSError
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in addresses
        ]

    async def close(self) -> None:
        """Do nothing; there is nothing to release."""


class SignedWebhooks:
    """Implements :class:`backstop.ports.Webhooks`.

    ``resolve``, ``dial`` (which makes the socket) and ``now`` are for tests.
    """

    def __init__(
        self,
        access: WebhookAccess,
        *,
        resolve: Resolve = _resolve,
        dial: Callable[[Any], socket.socket] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._resolve = resolve
        self._dial = dial
        self._now = now

    async def call(self, call: WebhookCall) -> None:
        """POST once; the shorter of the call's timeout and the configured one ends it."""
        destination = self._permitted(call.url)
        body = call.payload.encode()
        headers = self._headers(call.action_id, body)
        deadline = min(call.timeout, self._access.deadline)
        try:
            async with asyncio.timeout(deadline):
                status, retry_after = await self._post(destination, headers, body)
        except TimeoutError:
            raise UnavailableError(
                f"{destination.place}: no answer within {deadline:g} s"
            ) from None
        except _RefusedAddressError:
            raise ForbiddenError(self._refused_address(destination)) from None
        except ValueError:
            raise InvalidError(f"{destination.place}: the call cannot be sent as it is") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{destination.place}: {_connection_words(error)}") from error
        _judge(destination, status, retry_after)

    async def close(self) -> None:
        """Do nothing: each call has a connection of its own, which ends with it."""

    def _permitted(self, url: str) -> Destination:
        destination = parse(url)
        allowed = self._access.allowed
        if not allowed.allows(destination):
            raise ForbiddenError(
                f"{destination.place} is not allowed: add it to {allowed.key} in the"
                " operator's configuration"
            )
        # No resolver sees a host that is an address; it is listed itself, as no wildcard means one.
        return destination

    def _refused_address(self, destination: Destination) -> str:
        return (
            f"{destination.place} leads to an address of this machine, its link or a metadata"
            f" service, which is refused: if it is meant, write the address itself in the URL"
            f" and in {self._access.allowed.key}"
        )

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._now()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"backstop/{__version__}",
            "Idempotency-Key": key,
            "Backstop-Timestamp": timestamp,
        }
        if self._access.secret_file is not None:
            # Read for each call, so that a rotated key is used at once.
            try:
                secret = read_secret(self._access.secret_file)
            except SecretError as error:
                raise UnavailableError(f"the call cannot be signed: {error}") from None
            headers["Backstop-Signature"] = sign(secret, timestamp, body)
        return headers

    async def _post(
        self, destination: Destination, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str]:
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self._resolve, destination),
            use_dns_cache=False,
            force_close=True,
            socket_factory=self._dial,
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            session.post(
                URL(destination.url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            # The status is the answer; the rest is read so that a small one ends in good order.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(_ANSWER_WAIT):
                    await response.content.read(_ANSWER_LIMIT)
            return response.status, response.headers.get("Retry-After", "")


def _judge(destination: Destination, status: int, retry_after: str) -> None:
    if 200 <= status < 300:  # noqa: PLR2004 (status classes)
        return
    if 300 <= status < 400:  # noqa: PLR2004
        raise InvalidError(
            f"{destination.place} redirects elsewhere, which is refused: write the final address"
        )
    said = f"{destination.place} answered HTTP {status}"
    if 400 <= status < 500 and status not in _MAY_WORK_LATER:  # noqa: PLR2004
        raise InvalidError(said)
    raise UnavailableError(said, _seconds(retry_after))


def _seconds(retry_after: str) -> float:
    try:
        wait = float(retry_after)
    except ValueError:
        return 1.0
    return min(wait, _LONGEST_RETRY_AFTER) if wait > 0 else 1.0


def _connection_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "the TLS connection failed: check the receiver's certificate"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot connect"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not HTTP"
    return "the connection broke"
