"""``ModelMonitor``: what must hold for a model, and what Backstop may do when it does not.

All references are names in the monitor's own namespace. Rules that compare fields are CEL rules
(``x-kubernetes-validations``), evaluated by the API server and by the models alike, with a message
that says what to change.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints

from backstop.api.base import ApiModel, KeyedBy
from backstop.api.maintenance import MaintenanceWindow
from backstop.api.runbook import RunbookUse
from backstop.api.signal import Signal
from backstop.core.cel import cel
from backstop.core.presets.registry import presets
from backstop.core.units import DnsLabel, DnsName, Duration, LabelName, LabelValue

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=64)]


if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = Literal[tuple(presets())]


class Mode(StrEnum):
    """What Backstop may do with what it decides."""

    OBSERVE = "Observe"
    APPROVE = "Approve"
    ACT = "Act"


class Gitops(StrEnum):
    """What Backstop may change of objects that Argo CD or Flux own."""

    BLOCK = "Block"
    TRAFFIC_ONLY = "TrafficOnly"
    PROCEED = "Proceed"


class Promotion(StrEnum):
    """How a candidate that passed its last step becomes what serves production."""

    TEMPLATE = "Template"
    SWAP_ROLES = "SwapRoles"
    NEVER = "Never"


class OnTimeout(StrEnum):
    """What becomes of a candidate whose step takes too long."""

    HOLD = "Hold"
    ABORT = "Abort"


WorkloadKind = Literal["Deployment", "StatefulSet", "InferenceService", "Rollout", "Canary"]


class OnDelete(StrEnum):
    """What becomes of moved traffic when the monitor is deleted."""

    RESTORE = "Restore"
    LEAVE = "Leave"


class Target(ApiModel):
    """The workload that serves production."""

    kind: WorkloadKind = "Deployment"
    """Kind of the workload: of Kubernetes, KServe, Argo Rollouts (Rollout) or Flagger (Canary)."""

    name: DnsName
    """Name of the workload."""

    service: DnsLabel | None = None
    """The Service that the route sends its traffic to; needed where `traffic` is given."""

    metric_labels: dict[LabelName, LabelValue] = Field(min_length=1, max_length=8)
    """Labels that select the target's series; they are added to each selector of each signal."""


@cel(
    "self.steps.isSorted() && self.steps.all(i, self.steps.exists_one(j, j == i))",
    "steps must grow: write percentages such as 1, 5, 25, 50, 100, each larger than the last",
    lambda self: sorted(set(self.steps)) == self.steps,
)
class Progression(ApiModel):
    """How the candidate gets more and more of the traffic, as long as it is no worse."""

    steps: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=20)]
    """Percentages of the traffic, growing: for example 1, 5, 25, 50, 100."""

    min_time: Duration = "2m"
    """A step lasts at least this long."""

    min_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    """Where no signal compares the candidate with the target, a step is left only when the
    candidate has answered this many requests in it by each signal that counts them."""

    max_time: Duration = "1h"
    """A step that has not been left by then is at an end; see `onTimeout`."""

    on_timeout: OnTimeout = OnTimeout.HOLD
    """`Hold` leaves the candidate at its step and says so; `Abort` takes its traffic away."""

    promotion: Promotion = Promotion.TEMPLATE
    """What follows the step of 100 %: `Template` gives the target the candidate's pod template and
    then the traffic; `SwapRoles` makes the candidate the target from then on; `Never` waits."""


class Candidate(ApiModel):
    """The workload under trial; it receives canary traffic."""

    kind: WorkloadKind = "Deployment"
    """Kind of the workload: of Kubernetes, KServe, Argo Rollouts (Rollout) or Flagger (Canary)."""

    name: DnsName
    """Name of the workload."""

    service: DnsLabel
    """The Service that the route sends canary traffic to."""

    metric_labels: dict[LabelName, LabelValue] = Field(min_length=1, max_length=8)
    """Labels that select the candidate's series."""

    progression: Progression | None = None
    """How the candidate gets its traffic. Without it Backstop leaves the weights as they are, and
    only takes the traffic away when the candidate fails."""


class DefaultPrediction(ApiModel):
    """An answer that Backstop itself gives while the circuit is open."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    """HTTP status of the answer."""

    headers: dict[
        HeaderName,
        Annotated[str, StringConstraints(max_length=256)],
    ] = Field(default_factory=dict, max_length=16)
    """HTTP headers of the answer."""

    body: Annotated[str, StringConstraints(max_length=16384)] = ""
    """Body of the answer."""


@cel(
    "has(self.service) != has(self.defaultPrediction)",
    "fallback needs exactly one of service (a simpler model)"
    " and defaultPrediction (a fixed answer)",
    lambda self: (self.service is None) != (self.default_prediction is None),
)
class Fallback(ApiModel):
    """What answers while the circuit is open."""

    service: DnsLabel | None = None
    """The Service of a simpler model."""

    default_prediction: DefaultPrediction | None = None
    """A fixed answer. Backstop runs the Service that gives it, named
    `<monitor>-default-prediction`; list that name in the route with weight 0."""


_ROUTERS: Final = (
    "httpRoute",
    "grpcRoute",
    "virtualService",
    "ingress",
    "service",
    "replicaRatio",
    "inferenceService",
)


class ReplicaRatio(ApiModel):
    """No router: the pods of target and candidate stand behind one Service.

    Their numbers are the split; a circuit cannot be opened this way.
    """


@cel(
    f"{' + '.join(f'(has(self.{kind}) ? 1 : 0)' for kind in _ROUTERS)} == 1",
    f"traffic needs exactly one of {', '.join(_ROUTERS)}",
    lambda self: len(self.routers) == 1,
)
class Traffic(ApiModel):
    """The router in front of the target; exactly one."""

    http_route: DnsName | None = None
    """Name of the HTTPRoute. Backstop changes only weights, and only in rules that list the
    Services of target, candidate and fallback."""

    grpc_route: DnsName | None = None
    """Name of the GRPCRoute; as with an HTTPRoute, only weights change."""

    virtual_service: DnsName | None = None
    """Name of the Istio VirtualService; only weights of its HTTP routes change."""

    ingress: DnsName | None = None
    """Name of the canary Ingress of ingress-nginx; only its annotation `canary-weight` changes."""

    service: DnsLabel | None = None
    """Name of a Service in front of all others, whose selector is switched to that of the one that
    gets the traffic: all or nothing."""

    replica_ratio: ReplicaRatio | None = None
    """No router: the numbers of pods of two Deployments behind one Service are the split."""

    inference_service: DnsName | None = None
    """Name of the KServe InferenceService that splits traffic between its revisions."""

    @property
    def routers(self) -> dict[str, str]:
        """The routers that are set: kind and name of the object; exactly one in a valid spec."""
        found = {
            "HTTPRoute": self.http_route,
            "GRPCRoute": self.grpc_route,
            "VirtualService": self.virtual_service,
            "Ingress": self.ingress,
            "Service": self.service,
            "ReplicaRatio": "" if self.replica_ratio is not None else None,
            "InferenceService": self.inference_service,
        }
        return {kind: name for kind, name in found.items() if name is not None}


class Circuit(ApiModel):
    """How the circuit breaker recovers."""

    open_for: Duration = "30s"
    """How long the circuit stays open before the first probe; it doubles with each failed probe."""

    max_open_for: Duration = "10m"
    """The longest time between probes."""

    probe_weight: Annotated[int, Field(ge=1, le=50)] = 5
    """Percent of traffic that probes the target while the circuit is half-open."""

    probe_for: Duration = "10s"
    """How long the target must be healthy under the probe before the circuit closes."""


class Rollback(ApiModel):
    """When Backstop may go back to an earlier revision of the target."""

    enabled: bool = True
    """Whether rollbacks are allowed at all."""

    good_after: Duration = "5m"
    """How long a revision must be healthy before it is recorded as good."""

    blame_release_within: Duration = "30m"
    """A fault that begins within this time after a revision change is blamed on the release."""

    warm_up: Duration = "2m"
    """How long after a revision change slow answers alone do not lead to a rollback, as new pods
    may be warming up; the circuit opens all the same."""


class Limits(ApiModel):
    """How much Backstop may do to one monitor's target; giving traffic back is never limited."""

    cool_down: Duration = "1m"
    """How long after the end of an incident no workload is changed again."""

    actions_per_hour: Annotated[int, Field(ge=1, le=1000)] = 20
    """How many actions there may be in an hour."""

    max_reverts: Annotated[int, Field(ge=0, le=20)] = 2
    """How often a change that somebody else undid is made again in one incident."""

    approval_expires_after: Duration = "30m"
    """In mode Approve: how long a person may take to answer."""


@cel(
    "!has(self.fallback) || has(self.traffic)",
    "fallback needs traffic: without a route there is no traffic to move",
    lambda self: self.fallback is None or self.traffic is not None,
)
@cel(
    "!has(self.candidate) || has(self.traffic)",
    "candidate needs traffic: without a route it has no traffic to watch",
    lambda self: self.candidate is None or self.traffic is not None,
)
@cel(
    "!has(self.traffic) || has(self.traffic.replicaRatio) || has(self.target.service)",
    "traffic needs target.service: the Service in the route that the target answers for",
    lambda self: (
        self.traffic is None
        or self.traffic.replica_ratio is not None
        or self.target.service is not None
    ),
)
@cel(
    "!has(self.candidate) || !has(self.target.service)"
    " || self.candidate.service != self.target.service"
    " || (has(self.traffic) && has(self.traffic.replicaRatio))",
    "candidate.service and target.service must differ",
    lambda self: (
        self.candidate is None
        or self.candidate.service != self.target.service
        or (self.traffic is not None and self.traffic.replica_ratio is not None)
    ),
)
@cel(
    "!has(self.traffic) || !has(self.traffic.replicaRatio) || (self.target.kind == 'Deployment'"
    " && (!has(self.candidate) || self.candidate.kind == 'Deployment'))",
    "traffic.replicaRatio needs Deployments: write kind Deployment for target and candidate, or"
    " name a router",
    lambda self: (
        self.traffic is None
        or self.traffic.replica_ratio is None
        or {self.target.kind, self.candidate.kind if self.candidate else "Deployment"}
        == {"Deployment"}
    ),
)
@cel(
    "!has(self.fallback) || !has(self.fallback.service) || !has(self.target.service)"
    " || self.fallback.service != self.target.service",
    "fallback.service and target.service must differ",
    lambda self: (
        self.fallback is None
        or self.fallback.service is None
        or self.fallback.service != self.target.service
    ),
)
@cel(
    "!has(self.fallback) || !has(self.fallback.service) || !has(self.candidate)"
    " || self.fallback.service != self.candidate.service",
    "fallback.service and candidate.service must differ",
    lambda self: (
        self.fallback is None
        or self.candidate is None
        or self.fallback.service != self.candidate.service
    ),
)
@cel(
    "!has(self.candidate) || self.candidate.name != self.target.name"
    " || self.candidate.kind == 'InferenceService'",
    "candidate.name and target.name must differ",
    lambda self: (
        self.candidate is None
        or self.candidate.name != self.target.name
        or self.candidate.kind == "InferenceService"
    ),
)
@cel(
    "!has(self.fallback) || !has(self.traffic)"
    " || !(has(self.traffic.replicaRatio) || has(self.traffic.inferenceService))",
    "fallback needs a router that knows it: neither replicaRatio nor inferenceService can open a"
    " circuit; name an httpRoute, a virtualService or a service",
    lambda self: (
        self.fallback is None
        or self.traffic is None
        or not {"ReplicaRatio", "InferenceService"} & self.traffic.routers.keys()
    ),
)
class ModelMonitorSpec(ApiModel):
    """What to watch, and what may be done."""

    mode: Mode = Mode.OBSERVE
    """`Observe` decides and reports, but changes nothing; `Approve` asks a person before each
    change; `Act` changes traffic and workloads by itself."""

    suspend: bool = False
    """Stop looking and acting. Traffic stays as it is."""

    preset: PresetName | None = None
    """Which model server the target is: signals then need no selectors for what it exports."""

    source: DnsLabel = "default"
    """Name of the metrics source, as the operator's configuration lists it."""

    interval: Duration = "15s"
    """The longest time between two looks; looks follow new samples."""

    target: Target
    """The workload that serves production."""

    candidate: Candidate | None = None
    """The workload under trial."""

    traffic: Traffic | None = None
    """The router in front of the target. Without it Backstop can roll back, but not mitigate."""

    fallback: Fallback | None = None
    """What answers while the circuit is open."""

    circuit: Circuit = Circuit()
    """How the circuit breaker recovers."""

    rollback: Rollback = Rollback()
    """When Backstop may go back to an earlier revision of the target."""

    runbook: RunbookUse = RunbookUse()
    """What is to be done in an incident; without it, the built-in runbook."""

    limits: Limits = Limits()
    """How much Backstop may do."""

    gitops: Gitops = Gitops.TRAFFIC_ONLY
    """What may be changed of objects that Argo CD or Flux own: nothing (`Block`), only the traffic
    (`TrafficOnly`), or all that the runbook says (`Proceed`)."""

    maintenance: Annotated[list[MaintenanceWindow], Field(max_length=16)] = Field(
        default_factory=list
    )
    """When people work on the model: Backstop goes on watching, and holds all actions but those
    that give traffic back."""

    signals: Annotated[list[Signal], Field(min_length=1, max_length=32), KeyedBy(("name",))]
    """What must hold."""

    on_delete: OnDelete = OnDelete.RESTORE
    """What becomes of moved traffic when the monitor is deleted."""

    history_limit: Annotated[int, Field(ge=0, le=200)] = 20
    """How many resolved incidents of this monitor are kept."""


__all__ = ["Candidate", "Mode", "ModelMonitorSpec", "OnDelete", "Signal", "Target"]
