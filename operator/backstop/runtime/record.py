"""What the runtime keeps of one monitor between looks.

The newest object the API server has shown, the status we last wrote, and the memory that may be
lost. A watch event never replaces a status: what we wrote is newer than what the watch still tells,
and what somebody else wrote is read when our next write is refused.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from backstop.api.conditions import ConditionType, Reason
from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.problems import find_problems
from backstop.api.status import Episode, ModelMonitorStatus
from backstop.api.words import TrialPhase
from backstop.core.checkpoint import restore
from backstop.core.conditions import Problem
from backstop.core.episode import under_way
from backstop.core.facts import ObjectRef, RuleWeights
from backstop.core.inquiry import Inquiry, SignalKey, inquiries
from backstop.core.measurement import Missing
from backstop.core.presets.preset import PresetError
from backstop.core.promotion import effective_spec, settled
from backstop.core.promql import PromqlError
from backstop.core.reference import Reference
from backstop.core.requests import Requests, requests
from backstop.core.routing import route_of
from backstop.core.units import seconds
from backstop.core.verdicts import Look
from backstop.core.view import Memory, View, services
from backstop.core.weights import Services
from backstop.runtime.scheduler import Key

FINALIZER = "backstop.dev/restore-traffic"


@dataclass(slots=True)
class Record:
    """One monitor; mutable, owned by the event loop.

    ``declared`` is the spec as it was written, ``spec`` as it holds once a promotion has swapped
    the roles of target and candidate.
    ``changed`` is the Unix time at which the target's revision began, as the questions know it;
    ``weight`` the candidate's share of the traffic when the route was last read,
    ``compared_with`` what is known of the ConfigMaps that its rules compare with, by name.
    For metrics there are ``rules``, those of the route when it was last seen, ``values``, what was
    last held against the limits of signals, ``brake``, which one holds the next step, and
    ``counted``, the incident as far as it was counted.
    ``tenant_labels`` are the labels that confine questions to the namespace, by metrics source.
    ``gone`` says that the monitor does not exist any more, also to a pass that is still under way.
    """

    key: Key
    uid: str
    generation: int
    resource_version: str
    finalizers: tuple[str, ...]
    deleted_at: float | None
    spec: ModelMonitorSpec | None
    declared: ModelMonitorSpec | None
    invalid: Problem | None
    status: ModelMonitorStatus
    written: ModelMonitorStatus
    tenant_labels: Mapping[str, str]
    memory: Memory = field(default_factory=Memory)
    inquiries: Mapping[SignalKey, Inquiry] = field(default_factory=dict)
    changed: float | None = None
    weight: float = 0.0
    compared_with: Mapping[str, Reference | Missing] = field(default_factory=dict)
    requests: Requests = field(default_factory=Requests)
    published: ModelMonitorStatus | None = None
    written_at: float = 0.0
    failures: int = 0
    rules: tuple[RuleWeights, ...] = ()
    values: Mapping[SignalKey, float] = field(default_factory=dict)
    brake: str = ""
    counted: Episode | None = None
    gone: bool = False

    @property
    def namespace(self) -> str:
        """The namespace of the monitor and of everything it names."""
        return self.key[0]

    @property
    def name(self) -> str:
        """The name of the monitor."""
        return self.key[1]

    @property
    def interval(self) -> float:
        """The longest time between looks, in seconds."""
        return seconds(self.spec.interval) if self.spec else 300.0

    @property
    def services(self) -> Services | None:
        """The Services to move traffic between, or ``None`` without a route."""
        return services(self.name, self.spec, self.status) if self.spec else None

    @property
    def route(self) -> ObjectRef | None:
        """The route, if the spec names one."""
        return route_of(self.spec, self.namespace) if self.spec else None

    @property
    def target(self) -> ObjectRef | None:
        """The target; ``None`` while the spec is invalid."""
        if self.spec is None:
            return None
        return ObjectRef(self.spec.target.kind, self.namespace, self.spec.target.name)

    @property
    def candidate(self) -> ObjectRef | None:
        """The candidate, if the spec names one."""
        if self.spec is None or self.spec.candidate is None:
            return None
        return ObjectRef(self.spec.candidate.kind, self.namespace, self.spec.candidate.name)

    @property
    def runbook(self) -> ObjectRef | None:
        """The Runbook, if the spec names one."""
        if self.spec is None or self.spec.runbook.name is None:
            return None
        return ObjectRef("Runbook", self.namespace, self.spec.runbook.name)

    @property
    def references(self) -> frozenset[ObjectRef]:
        """Everything that the monitor names and Backstop reads."""
        named = (self.target, self.candidate, self.route, self.runbook)
        return frozenset(ref for ref in named if ref)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that the cluster is asked about more often."""
        trial = self.status.candidate
        promoting = trial is not None and trial.phase is TrialPhase.PROMOTING
        return promoting or self.status.action is not None or under_way(self.status) is not None

    @property
    def regarding(self) -> dict[str, str]:
        """The monitor as Events refer to it."""
        return {
            "apiVersion": "backstop.dev/v1alpha1",
            "kind": "ModelMonitor",
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }

    def catch_up(self) -> None:
        """Ask about the workload that is the target now, and about the revision it runs."""
        current = self.status.revisions.current
        changed = current.since.timestamp() if current else None
        if self.declared is None or not self.inquiries:
            self.changed = changed
            return
        self.status = settled(self.declared, self.status)
        spec = effective_spec(self.declared, self.status)
        if changed != self.changed or spec != self.spec:
            self.spec = spec
            tenant_label = self.tenant_labels.get(spec.source)
            self.inquiries = inquiries(spec, self.namespace, changed, tenant_label)
        self.changed = changed

    def view(self, look: Look, now: float, **around: Any) -> View:
        """Return the monitor as a decision wants it; ``around`` are further fields of the view.

        Raises:
            ValueError: the spec is invalid.
        """
        if self.spec is None:
            raise ValueError(f"{self.name} has no valid spec")
        return View(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            generation=self.generation,
            spec=self.spec,
            status=self.status,
            memory=self.memory,
            look=look,
            now=now,
            requests=self.requests,
            **around,
        )

    def absorb(self, body: Mapping[str, Any], *, with_status: bool) -> bool:
        """Take over what ``body`` says; return whether spec or deletion changed.

        ``with_status`` also takes the status: right after a read, not from a watch. A version with
        a status that is not ours is left aside, so that our next write is refused and we read it.
        """
        metadata = body["metadata"]
        deleted_at, asked = _deleted_at(metadata), requests(metadata.get("annotations") or {})
        changed = metadata["uid"] != self.uid or deleted_at != self.deleted_at
        changed = changed or asked != self.requests
        self.requests = asked
        if with_status or metadata["uid"] != self.uid or self._is_successor(body):
            self.resource_version = metadata["resourceVersion"]
            self.finalizers = tuple(metadata.get("finalizers", ()))
        self.deleted_at = deleted_at
        if with_status or metadata["uid"] != self.uid:
            self.status = self.written = parse_status(body)
        if metadata["uid"] != self.uid or metadata["generation"] != self.generation:
            self.uid, self.generation = metadata["uid"], metadata["generation"]
            self.declared, self.inquiries, self.invalid = understand(body, self.tenant_labels)
            self.spec = effective_spec(self.declared, self.status) if self.declared else None
            self.changed = None
            return True
        return changed

    def follow(self, body: Mapping[str, Any]) -> bool:
        """Take over all that ``body`` says, also the status, as another replica writes it.

        What is not newer than what is known is left aside, as a listing and a watch may cross.
        Return whether spec or deletion changed.
        """
        metadata = body["metadata"]
        known = metadata["uid"] == self.uid
        if known and not newer(metadata["resourceVersion"], self.resource_version):
            return False
        changed = self.absorb(body, with_status=True)
        self.memory = restore(self.status)
        return changed

    def _is_successor(self, body: Mapping[str, Any]) -> bool:
        """Return whether ``body`` is newer than what we know, and its status the one we wrote."""
        if not newer(body["metadata"]["resourceVersion"], self.resource_version):
            return False
        return parse_status(body).to_json() == self.written.to_json()


def _deleted_at(metadata: Mapping[str, Any]) -> float | None:
    stamp = metadata.get("deletionTimestamp")
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def newer(one: str, other: str) -> bool:
    """Return whether the resourceVersion ``one`` is later than ``other``."""
    try:
        return int(one) > int(other)
    except ValueError:
        return one != other


def record_of(body: Mapping[str, Any], tenant_labels: Mapping[str, str]) -> Record:
    """Return a new record for the ModelMonitor ``body``.

    ``tenant_labels`` are the labels that confine questions to the namespace, by metrics source.
    """
    metadata = body["metadata"]
    status = parse_status(body)
    spec, asked, invalid = understand(body, tenant_labels)
    return Record(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        finalizers=tuple(metadata.get("finalizers", ())),
        deleted_at=_deleted_at(metadata),
        spec=effective_spec(spec, status) if spec else None,
        declared=spec,
        invalid=invalid,
        status=status,
        written=status,
        tenant_labels=tenant_labels,
        memory=restore(status),
        counted=status.incident,
        inquiries=asked,
        requests=requests(metadata.get("annotations") or {}),
    )


def parse_status(body: Mapping[str, Any]) -> ModelMonitorStatus:
    """Return the status of ``body`` without the parts that cannot be read.

    Another release may have written fields or values that this one does not know. What it does know
    must not be lost with them, such as the weights from before a circuit was opened.
    """
    known = deepcopy(dict(body.get("status") or {}))
    while True:
        try:
            return ModelMonitorStatus.model_validate(known)
        except ValidationError as error:
            gone: list[tuple[int | str, ...]] = []
            # Backwards, as the places in a list change when one before them is gone.
            for one in reversed(error.errors(include_url=False, include_input=False)):
                place = one["loc"][:-1] if one["type"] == "missing" else one["loc"]
                if not place:
                    return ModelMonitorStatus()
                if all(place[: len(dropped)] != dropped for dropped in gone):
                    _drop(known, place)
                    gone.append(place)


def _drop(value: Any, place: Sequence[int | str]) -> None:
    """Remove what is at ``place`` in ``value``, or as near to it as there is anything."""
    first, *rest = place
    inside = value[first]
    if rest and isinstance(inside, dict | list):
        try:
            _drop(inside, rest)
        except (LookupError, TypeError):
            del value[first]
    else:
        del value[first]


def understand(
    body: Mapping[str, Any], tenant_labels: Mapping[str, str]
) -> tuple[ModelMonitorSpec | None, dict[SignalKey, Inquiry], Problem | None]:
    """Return the spec of ``body`` and the questions it asks, or what is wrong with it."""
    try:
        spec = ModelMonitorSpec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        said = _sentences(body, str(error))
        return None, {}, Problem(ConditionType.READY, Reason.INVALID_SPEC, said, stalled=True)
    try:
        namespace, tenant_label = body["metadata"]["namespace"], tenant_labels.get(spec.source)
        return spec, inquiries(spec, namespace, tenant_label=tenant_label), None
    except (PromqlError, PresetError) as error:
        said = _sentences(body, str(error))
        unreadable = Problem(
            ConditionType.METRICS_AVAILABLE, Reason.INVALID_QUERY, said, stalled=True
        )
        return spec, {}, unreadable


def _sentences(body: Mapping[str, Any], otherwise: str) -> str:
    return "; ".join(f"{one.path}: {one.message}" for one in find_problems(body)) or otherwise
