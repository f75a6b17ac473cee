"""What a decision is made from, and what it is: values without any connection to the outside."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.runbook import Causes, RunbookStep
from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import Arm, CircuitPhase, StepKind
from backstop.core.facts import ConfigurationChange, JobFacts, RouteFacts, WorkloadFacts
from backstop.core.fleet import Fleet
from backstop.core.inquiry import SignalKey
from backstop.core.requests import Requests
from backstop.core.verdicts import History, Look
from backstop.core.weights import TRAFFIC_STEPS, Services, from_text


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered between looks and may be lost in a restart at the cost of some seconds.

    ``healthy_since`` is the Unix time since which the target's current revision, named by
    ``fingerprint``, has been Healthy without a breach; time without a verdict does not count, nor
    time in which nobody looked.
    ``looked`` is the Unix time of the last look, ``trial_asked`` that of the last step of the
    progression, and ``trial_action`` the id of its action. ``fallback_lost`` is the Unix time since
    which nobody is behind the fallback that answers.
    """

    histories: Mapping[SignalKey, History] = field(default_factory=lambda: MappingProxyType({}))
    evidence_from: Mapping[Arm, float] = field(default_factory=lambda: MappingProxyType({}))
    healthy_since: float | None = None
    fingerprint: str = ""
    looked: float = 0.0
    trial_asked: float = -math.inf
    trial_action: str = ""
    fallback_lost: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One monitor as it stands at ``now`` (Unix time): what is wanted, known, and measured.

    ``runbook`` holds the monitor's own steps by cause, ``None`` where it has none. ``jobs`` are
    those of actions under way, by action id; ``configuration`` is what changed of the ConfigMaps
    and Secrets of the target, read only while something is breached. ``fallback_ready`` is how many
    endpoints of the fallback are ready, read only while it answers; ``None`` where it is not known.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    spec: ModelMonitorSpec
    status: ModelMonitorStatus
    memory: Memory
    look: Look
    now: float
    target: WorkloadFacts | None = None
    candidate: WorkloadFacts | None = None
    route: RouteFacts | None = None
    runbook: Causes | None = None
    runbook_name: str = "built-in"
    requests: Requests = field(default_factory=Requests)
    fleet: Fleet = field(default_factory=Fleet)
    jobs: Mapping[str, JobFacts] = field(default_factory=lambda: MappingProxyType({}))
    configuration: tuple[ConfigurationChange, ...] = ()
    fallback_ready: int | None = None

    @property
    def services(self) -> Services | None:
        """The Services to move traffic between, or ``None`` without a route."""
        return services(self.name, self.spec, self.status)

    def showing(self, status: ModelMonitorStatus) -> Self:
        """Return the view with ``status``; a healthy monitor keeps its own, and costs little."""
        return self if status is self.status else replace(self, status=status)


def default_prediction_service(monitor: str) -> str:
    """Return the name of the Service that answers with the default prediction of ``monitor``."""
    return f"{monitor}-default-prediction"


def parting(spec: ModelMonitorSpec, status: ModelMonitorStatus) -> str:
    """Return the Service of a candidate that ``spec`` names no more while it has traffic of ours.

    "" where there is none, as while the circuit is not closed, when no candidate has any. What a
    move that was begun is about is named until it is finished.
    """
    trial = status.candidate
    if trial is None or not trial.service or spec.traffic is None:
        return ""
    named = {spec.target.service, spec.candidate.service if spec.candidate else None}
    if spec.traffic.replica_ratio is not None:
        named = {spec.target.name, spec.candidate.name if spec.candidate else None}
    if trial.service in named:
        return ""
    if _begun(status) is not None:
        return trial.service
    closed = status.circuit.phase is CircuitPhase.CLOSED
    return trial.service if closed and (trial.weight or status.shifted) else ""


def _begun(status: ModelMonitorStatus) -> Action | None:
    """Return the move of traffic that is to be finished, of which nobody knows how far it came."""
    action = status.action
    return action if action is not None and action.step in TRAFFIC_STEPS else None


def fallback_of(monitor: str, spec: ModelMonitorSpec) -> str | None:
    """Return the Service that ``spec`` names as fallback, ``None`` where it names none."""
    if spec.fallback is None:
        return None
    return spec.fallback.service or default_prediction_service(monitor)


def services(monitor: str, spec: ModelMonitorSpec, status: ModelMonitorStatus) -> Services | None:
    """Return the Services that ``spec`` names, or ``None`` where it names no route.

    A fallback that was taken out of the spec, or exchanged, while it still answers, or may do so
    by a move that was begun, is named until it no longer does, so that its traffic can be put back;
    so is a candidate.
    """
    if spec.traffic is None:
        return None
    if spec.traffic.replica_ratio is not None:
        # Without a router, Deployments themselves stand for their pods.
        other = spec.candidate.name if spec.candidate else None
        other = parting(spec, status) or other
        return Services(target=spec.target.name, candidate=other, fallback=None)
    if spec.target.service is None:
        return None
    candidate = spec.candidate.service if spec.candidate else None
    candidate = parting(spec, status) or candidate
    fallback, moved = fallback_of(monitor, spec), _moved(status)
    if fallback not in moved:
        tried = status.candidate.service if status.candidate else ""
        left = moved.keys() - {spec.target.service, candidate, tried}
        # A candidate that was taken out as well had traffic before, the fallback usually none.
        fallback = min(left, key=lambda name: (moved[name], name), default=fallback)
    return Services(target=spec.target.service, candidate=candidate, fallback=fallback)


def _moved(status: ModelMonitorStatus) -> Mapping[str, int]:
    """Return the weights, in the first rule, from before what is moved or being moved."""
    if status.circuit.restore:
        return status.circuit.restore[0]
    begun = _begun(status)
    rules = from_text(begun.before) if begun is not None and begun.before else {}
    return next(iter(rules.values()), {})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do now, and why.

    ``candidate_weight`` (percent) belongs to shiftTraffic. ``of`` is the runbook's step that asks
    for it, ``None`` where the breaker or the progression does. ``asked`` says that a person has
    asked for it, ``back`` that it puts back what a runbook has shifted.
    """

    kind: StepKind
    action_id: str
    why: str
    candidate_weight: int = 0
    of: RunbookStep | None = None
    asked: bool = False
    back: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, what to remember, and when a timer is due (Unix time).

    ``freeze`` says that too many monitors act at once, which is told once for all of them;
    ``brake`` is which brake holds the next step, empty where none does.
    """

    status: ModelMonitorStatus
    memory: Memory
    step: Step | None = None
    due: float | None = None
    freeze: bool = False
    brake: str = ""
