"""What the API server's refusals mean, in the errors of :mod:`backstop.ports`.

Messages name the verb and the resource, and carry the ``message`` of the server's Status object;
a body that is not a Status is never shown.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from backstop.adapters.text import one_line
from backstop.ports import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    OutsideError,
    UnavailableError,
    UnknownKindError,
)

_MESSAGE_LIMIT: Final = 300
_LONGEST_RETRY_AFTER: Final = 300.0
_EXPIRED: Final = 410
_NOT_FOUND: Final = 404
_NO_SUCH_KIND: Final = "the server could not find the requested resource"
_UNPROCESSABLE: Final = 422

_BY_STATUS: Final[Mapping[int, type[OutsideError]]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}


JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, by its Kubernetes verb: get, list, create, patch, delete."""

    verb: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON

    def say(self, what: str) -> str:
        """Return a sentence: the request, and ``what`` came of it."""
        return f"{self.verb} {resource(self.path)}: {what}"


def resource(path: str) -> str:
    """Return what a path names, as people write it: ``deployments demo/web``."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if not parts:
        return path
    scope = ""
    if parts[:1] == ["namespaces"] and len(parts) > 2:  # noqa: PLR2004 (more than the namespace)
        scope, parts = f"{parts[1]}/", parts[2:]
    plural, name, subresource = (*parts, "", "", "")[:3]
    kind = f"{plural}/{subresource}" if subresource else plural
    return f"{kind} {scope}{name}".rstrip(" /")


def kind(path: str) -> str:
    """Return the kind that a path is about, with its API: ``httproutes (gateway.../v1)``."""
    parts = path.strip("/").split("/")
    version = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
    return f"{resource(path).split(' ', 1)[0]} ({version})"


def words(text: str) -> str:
    """Return a foreign message on one line of at most 300 characters."""
    return one_line(text, _MESSAGE_LIMIT)


def connection_words(error: BaseException) -> str:
    """Return what became of the connection, without addresses."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the API server's name does not resolve"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "the TLS connection to the API server failed: check its certificate authority"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot connect to the API server"
    if isinstance(error, aiohttp.ClientError | OSError):
        return "the connection to the API server broke"
    return words(str(error))


def translate(
    request: Request, status: int, headers: Mapping[str, str], answer: Mapping[str, Any]
) -> OutsideError:
    """Return the error for an answer with ``status``, which is not a success.

    ``answer`` is the Status object, or empty when the body was none.
    """
    said = answer.get("message")
    text = words(said) if isinstance(said, str) and said else f"HTTP {status}"
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    if status == _NOT_FOUND and (not answer or said == _NO_SUCH_KIND):
        return UnknownKindError(request.say(f"the cluster does not know {kind(request.path)}"))
    if status in _BY_STATUS:
        return _BY_STATUS[status](request.say(text))
    if (
        status == _UNPROCESSABLE
        and request.content_type == JSON_PATCH
        and not _names_fields(details)
    ):
        return ConflictError(request.say("the object is no longer what the patch expects"))
    if 400 <= status < 500 and status not in {408, _EXPIRED, 429}:  # noqa: PLR2004
        return InvalidError(request.say(text))
    return UnavailableError(request.say(text), _retry_after(headers, details))


def _names_fields(details: Mapping[str, Any]) -> bool:
    # A patch that does not fit the object is refused without details; validation names the object
    # and the fields that it rejects.
    return bool(details.get("causes") or details.get("name"))


def _retry_after(headers: Mapping[str, str], details: Mapping[str, Any]) -> float:
    for value in (headers.get("Retry-After"), details.get("retryAfterSeconds")):
        try:
            seconds = float(value or 0)
        except (TypeError, ValueError):
            continue
        if seconds > 0:
            return min(seconds, _LONGEST_RETRY_AFTER)
    return 1.0
