"""``ModelMonitor``: what must hold for a model, and what Backstop may do when it does not.

All references are names in the monitor's own namespace. Rules that compare fields are CEL rules
(``x-kubernetes-validations``), evaluated by the API server and by the models alike, with a message
that says what to change.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from backstop.api.base import ApiModel, KeyedBy
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
    ACT = "Act"


class OnDelete(StrEnum):
    """What becomes of moved traffic when the monitor is deleted."""

    RESTORE = "Restore"
    LEAVE = "Leave"


class Target(ApiModel):
    """The workload that serves production."""

    kind: Literal["Deployment"] = "Deployment"
    """Kind of the workload."""

    name: DnsName
    """Name of the workload."""

    service: DnsLabel | None = None
    """The Service that the route sends its traffic to; needed where `traffic` is given."""

    metric_labels: dict[LabelName, LabelValue] = Field(min_length=1, max_length=8)
    """Labels that select the target's series; they are added to each selector of each signal."""


class Candidate(ApiModel):
    """The workload under trial; it receives canary traffic."""

    kind: Literal["Deployment"] = "Deployment"
    """Kind of the workload."""

    name: DnsName
    """Name of the workload."""

    service: DnsLabel
    """The Service that the route sends canary traffic to."""

    metric_labels: dict[LabelName, LabelValue] = Field(min_length=1, max_length=8)
    """Labels that select the candidate's series."""

    weight: Annotated[int, Field(ge=1, le=50)] | None = None
    """Percent of traffic for the trial. Without it Backstop leaves the weights as they are, and
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


class Traffic(ApiModel):
    """The router in front of the target."""

    http_route: DnsName
    """Name of the HTTPRoute. Backstop changes only weights, and only in rules that list the
    Services of target, candidate and fallback."""


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


@cel(
    "!has(self.fallback) || has(self.traffic)",
    "fallback needs traffic.httpRoute: without a route there is no traffic to move",
    lambda self: self.fallback is None or self.traffic is not None,
)
@cel(
    "!has(self.candidate) || has(self.traffic)",
    "candidate needs traffic.httpRoute: without a route it has no traffic to watch",
    lambda self: self.candidate is None or self.traffic is not None,
)
@cel(
    "!has(self.traffic) || has(self.target.service)",
    "traffic needs target.service: the Service in the route that the target answers for",
    lambda self: self.traffic is None or self.target.service is not None,
)
@cel(
    "!has(self.candidate) || !has(self.target.service)"
    " || self.candidate.service != self.target.service",
    "candidate.service and target.service must differ",
    lambda self: self.candidate is None or self.candidate.service != self.target.service,
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
    "!has(self.candidate) || self.candidate.name != self.target.name",
    "candidate.name and target.name must differ",
    lambda self: self.candidate is None or self.candidate.name != self.target.name,
)
class ModelMonitorSpec(ApiModel):
    """What to watch, and what may be done."""

    mode: Mode = Mode.OBSERVE
    """`Observe` decides and reports, but changes nothing; `Act` also changes traffic and
    workloads."""

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

    signals: Annotated[list[Signal], Field(min_length=1, max_length=32), KeyedBy(("name",))]
    """What must hold."""

    on_delete: OnDelete = OnDelete.RESTORE
    """What becomes of moved traffic when the monitor is deleted."""

    history_limit: Annotated[int, Field(ge=0, le=200)] = 20
    """How many resolved incidents of this monitor are kept."""


__all__ = ["Candidate", "Mode", "ModelMonitorSpec", "OnDelete", "Signal", "Target"]
