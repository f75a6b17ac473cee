"""What the runtime needs from the outside world, as Protocols that adapters implement.

Every failure that the runtime must tell apart has an exception here; adapters translate the errors
of their libraries into these, with a message for a person and without echoing response bodies.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backstop.core.facts import (
    ConfigurationChange,
    JobFacts,
    ObjectRef,
    PodFacts,
    ReplicaFacts,
    RevisionFacts,
    RouteFacts,
    WorkloadFacts,
)
from backstop.core.messages import Notification, WebhookCall
from backstop.core.samples import Reading
from backstop.core.weights import Services


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


class UnknownKindError(NotFoundError):
    """The cluster does not know this kind of object: the project it belongs to is not installed."""


class UnsupportedError(InvalidError):
    """What is asked is beyond this kind of object; the message says what to use."""


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

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return the rules that list all of ``services``.

        Raises:
            UnknownKindError: the cluster has no such kind of router.
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
    """A controller of pods with revisions.

    Each change carries ``facts.resource_version`` as a precondition and marks the object with
    ``action_id`` in the same write; one that the object says was done already sends nothing. All
    raise ConflictError when the workload changed since ``facts`` was read (nothing was written),
    NotFoundError when it is gone, UnsupportedError when this kind cannot do it, and ForbiddenError,
    InvalidError, UnavailableError.
    """

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the workload as it is now.

        Raises:
            UnknownKindError: the cluster has no such kind of workload.
            NotFoundError, ForbiddenError, UnavailableError
        """
        ...

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that can be rolled back to, newest first, the current included."""
        ...

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make revision ``fingerprint`` the current one; NotFoundError when it is gone."""
        ...

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all pods by new ones of the same revision, as a rollout does."""
        ...

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Stop a rollout that is under way where it is."""
        ...

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Give the workload the version that ``source`` runs, and keep its own labels.

        The write is refused when ``source`` is no longer at ``source.fingerprint``.
        """
        ...


class Replicas(Protocol):
    """How many pods a workload has, through its ``/scale`` subresource."""

    async def read(self, ref: ObjectRef) -> ReplicaFacts:
        """Return the desired number, and the HorizontalPodAutoscaler that sets it, if any."""
        ...

    async def write(self, facts: ReplicaFacts, replicas: int) -> ReplicaFacts:
        """Ask for ``replicas`` pods: of the autoscaler as its least number, else directly.

        Raises:
            ConflictError: it changed since ``facts`` was read; nothing was written.
            InvalidError: the autoscaler allows fewer.
            NotFoundError, ForbiddenError, UnavailableError
        """
        ...


class Pods(Protocol):
    """Single pods of a workload."""

    async def find(self, workload: WorkloadFacts, name: str) -> PodFacts:
        """Return pod ``name``; NotFoundError where it is not a pod of ``workload``."""
        ...

    async def delete(self, pod: PodFacts) -> None:
        """Delete this very pod, so that its controller makes another; one that is gone is fine."""
        ...


class Jobs(Protocol):
    """Jobs made from a CronJob, or from a Job that serves as a template."""

    async def start(self, template: ObjectRef, name: str, action_id: str) -> JobFacts:
        """Create Job ``name`` from ``template``; one that exists with this id is returned."""
        ...

    async def read(self, ref: ObjectRef) -> JobFacts:
        """Return how far a Job has come."""
        ...


class Configuration(Protocol):
    """When ConfigMaps and Secrets changed, without reading what is in them."""

    async def changes(self, refs: Sequence[ObjectRef]) -> tuple[ConfigurationChange, ...]:
        """Return the last change of the data of each; what is gone or forbidden is left out."""
        ...


class Endpoints(Protocol):
    """Who is behind a Service."""

    async def ready(self, namespace: str, service: str) -> int:
        """Return how many endpoints of the Service are ready."""
        ...


class Webhooks(Protocol):
    """Calls of URLs that the operator's configuration allows."""

    async def call(self, call: WebhookCall) -> None:
        """POST once, signed, with the action id as idempotency key.

        Raises:
            ForbiddenError: the configuration does not allow the host.
            InvalidError: the other side refuses the call (4xx); repeating it cannot help.
            UnavailableError: it is down, slow or overloaded.
        """
        ...


class Notifier(Protocol):
    """Tells people; returns at once and never raises, delivery goes on in the background."""

    def notify(self, notification: Notification) -> None:
        """Deliver ``notification`` at least once; its id tells repetitions apart."""
        ...


class KillSwitch(Protocol):
    """One object in the cluster that stops all actions."""

    async def engaged(self) -> str:
        """Return why all actions are stopped, "" when they are not.

        Raises:
            OutsideError: it cannot be told; the caller must not act.
        """
        ...


class KubeApi(Protocol):
    """The Kubernetes API, untyped: JSON objects in and out, every call with a deadline."""

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at ``path`` (for example ``/api/v1/namespaces/demo/services/x``)."""
        ...

    async def metadata(self, path: str) -> dict[str, Any]:
        """Return the metadata of the object at ``path``; the rest of it is not even sent."""
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

    async def delete(self, path: str, uid: str = "") -> None:
        """Delete the object; one that is already gone is a success.

        Raises:
            ConflictError: another object than the one with ``uid`` has the name by now.
        """
        ...


class Clock(Protocol):
    """The time, so that tests can set it."""

    def now(self) -> float:
        """Return the Unix time in seconds."""
        ...
