"""What is known about the cluster, as plain values that adapters return and decisions read.

A fact is a snapshot with the ``resource_version`` it was read at; whoever writes on the strength of
a fact must send that version back as a precondition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A namespaced object by kind and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class RuleWeights:
    """The weights of one routing rule, by Service name. ``index`` is its place in the route.

    ``places`` is for the router that read it: where in the rule each Service stands.
    """

    index: int
    weights: Mapping[str, int]
    places: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """The rules of a route that list both the target's and the fallback's (or candidate's) Service.

    ``generation`` and ``accepted_generation`` tell whether every gateway has taken the last change:
    ``accepted_generation`` is the oldest generation among all parents that accepted the route, or
    ``None`` when a parent has rejected it or said nothing; ``message`` then holds its words.
    ``unresolved`` holds a parent's words on a backend that it cannot find, in whichever rule.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    generation: int
    accepted_generation: int | None
    rules: tuple[RuleWeights, ...]
    message: str = ""
    unresolved: str = ""

    @property
    def in_effect(self) -> bool:
        """Whether every gateway has accepted the newest generation."""
        return self.accepted_generation is not None and self.accepted_generation >= self.generation


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """One revision of a workload.

    ``fingerprint`` identifies the pod template (equal templates have equal fingerprints, whatever
    number they carry); ``number`` grows with each rollout; ``created`` is when it first appeared.
    """

    fingerprint: str
    number: int
    created: datetime


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """A workload as its controller last reported it.

    ``fingerprint`` is of the template that the spec asks for now; ``rolled_out`` says that all
    desired pods run it, are available, and no pod of another revision is left.
    ``last_action`` is the id of the last action of ours that changed the template, else empty.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    fingerprint: str
    desired: int
    ready: int
    rolled_out: bool
    changed: datetime | None = None
    paused: bool = False
    last_action: str = ""
    images: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
