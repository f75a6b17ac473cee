"""What the runtime needs from the outside world, as Protocols that adapters implement.

Every failure that the runtime must tell apart has an exception here; adapters translate the errors
of their libraries into these, with a message for a person and without echoing response bodies.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backstop.core.facts import ObjectRef, RevisionFacts, RouteFacts, WorkloadFacts
from backstop.core.samples import Reading


class OutsideError(Exception):
    """Something outside refused or failed; the message says what, in words for a status."""


class NotFoundError(OutsideError):
    """The object does not exist."""


class ConflictError(OutsideError):
    """The object changed since it was read; read it again before deciding anything."""


class ForbiddenError(OutsideError):
    """The API server denied the verb; the message names verb and resource."""


class InvalidError(OutsideError):
    """The API server refuses the content; repeating the write cannot help."""


class UnavailableError(OutsideError):
    """The other side is down, slow or overloaded; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MetricsSource(Protocol):
    """A Prometheus-compatible server."""

    async def read(self, queries: Sequence[str]) -> Mapping[str, Reading]:
        """Answer each distinct query with a Reading; a failure is a Reading too, never raised."""
        ...


class Traffic(Protocol):
    """A router that splits traffic between Services by weight."""

    async def read(self, ref: ObjectRef, services: frozenset[str]) -> RouteFacts:
        """Return the rules that list all of ``services``.

        Raises:
            InvalidError: a rule lists a Service twice, so its weights have no names.
            NotFoundError, ForbiddenError, UnavailableError
        """
        ...

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set the weights by rule index and Service name, and touch nothing else.

        The write carries ``facts.resource_version`` as a precondition.

        Raises:
            ConflictError: the route changed since ``facts`` was read; nothing was written.
            NotFoundError, ForbiddenError, InvalidError, UnavailableError
        """
        ...


class Workload(Protocol):
    """A controller of pods with revisions."""

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the workload as it is now.

        Raises:
            NotFoundError, ForbiddenError, UnavailableError
        """
        ...

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that can be rolled back to, newest first, the current included."""
        ...

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make the template of revision ``fingerprint`` the current one, and mark it ``action_id``.

        Raises:
            ConflictError: the workload changed since ``facts`` was read; nothing was written.
            NotFoundError: the workload or the revision is gone.
            ForbiddenError, InvalidError, UnavailableError
        """
        ...


class KubeApi(Protocol):
    """The Kubernetes API, untyped: JSON objects in and out, every call with a deadline."""

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at ``path`` (for example ``/api/v1/namespaces/demo/services/x``)."""
        ...

    async def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return all items of the collection, page by page; items carry no kind of their own."""
        ...

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create ``body``; ConflictError when the name is taken."""
        ...

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a JSON merge patch; a resourceVersion in it is a precondition."""
        ...

    async def json_patch(self, path: str, body: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch; replacing the resourceVersion in it is a precondition."""
        ...

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply server-side as field manager ``backstop``, without force."""
        ...

    async def delete(self, path: str) -> None:
        """Delete the object; one that is already gone is a success."""
        ...


class Clock(Protocol):
    """The time, so that tests can set it."""

    def now(self) -> float:
        """Return the Unix time in seconds."""
        ...
