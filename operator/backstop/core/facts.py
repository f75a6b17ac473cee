"""What is known about the cluster, as plain values that adapters return and decisions read.

A fact is a snapshot with the ``resource_version`` it was read at; whoever writes on the strength of
a fact must send that version back as a precondition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
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
    ``grain`` is into how many parts the router can divide traffic: 0 for any percentage, 1 where it
    can only switch, the number of pods where their ratio is the split; weights then sum to it.
    ``parts`` are the further objects that the facts were read from. ``manager`` is the field
    manager other than ours that wrote the route last, ``gitops`` the tool that owns it.
    ``piecemeal`` says that a write takes several requests, so that a crash may leave it half done.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    generation: int
    accepted_generation: int | None
    rules: tuple[RuleWeights, ...]
    message: str = ""
    unresolved: str = ""
    grain: int = 0
    piecemeal: bool = False
    parts: tuple[ObjectRef, ...] = ()
    manager: str = ""
    gitops: str = ""

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
    ``configuration`` names the ConfigMaps and Secrets that its pods read. ``manager`` is the field
    manager other than ours that wrote the spec last, ``gitops`` the tool that owns the object
    (``Argo CD``, ``Flux``), both empty where unknown.
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
    configuration: tuple[ObjectRef, ...] = ()
    manager: str = ""
    gitops: str = ""


@dataclass(frozen=True, slots=True)
class AutoscalerFacts:
    """The HorizontalPodAutoscaler that sets the replicas of a workload, with its limits.

    ``owner`` is the object whose controller writes it (KEDA's ScaledObject), empty without one.
    """

    ref: ObjectRef
    resource_version: str
    least: int
    most: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """How many pods a workload wants (``desired``) and has ready.

    ``resource_version`` is that of the scale. Where an ``autoscaler`` sets the number, it is asked
    for more by its least number, as what it would overwrite is no change.
    """

    ref: ObjectRef
    resource_version: str
    desired: int
    ready: int
    autoscaler: AutoscalerFacts | None = None


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod, by name and uid: another pod of the same name is another pod."""

    namespace: str
    name: str
    uid: str


class JobState(StrEnum):
    """How far a Job has come."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A Job that was started for an action; ``message`` holds its controller's words."""

    ref: ObjectRef
    action_id: str
    state: JobState
    message: str = ""


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """When the data of a ConfigMap or Secret last changed after its creation, and by whom.

    ``changed`` is a Unix time, ``None`` where it never did; ``manager`` is the field manager.
    """

    ref: ObjectRef
    changed: float | None
    manager: str = ""
