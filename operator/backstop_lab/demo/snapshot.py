"""The cluster as the demo sees it at one moment, read from plain objects of the API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from backstop.api.incident import IncidentStatus
from backstop.api.status import ModelMonitorStatus

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """One Incident object: in which mode it arose, and its status."""

    mode: str
    status: IncidentStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What stood in the cluster at `at` (Unix seconds).

    `weights` are those of the route's first rule by Service; `template` is the target's pod
    template in one canonical text, and `version` the release that it names.
    """

    at: float
    weights: Mapping[str, int]
    template: str
    version: str
    rolled_out: bool
    monitor: ModelMonitorStatus
    incidents: tuple[IncidentSeen, ...] = ()


def parse(
    at: float, *, route: Object, target: Object, monitor: Object, incidents: Sequence[Object]
) -> Snapshot:
    """Read the objects: HTTPRoute, Deployment, ModelMonitor and all Incidents."""
    return Snapshot(
        at=at,
        weights=weights_of(route),
        template=json.dumps(target["spec"]["template"], sort_keys=True),
        version=version_of(target),
        rolled_out=is_rolled_out(target),
        monitor=ModelMonitorStatus.model_validate(monitor.get("status") or {}),
        incidents=tuple(_incident(item) for item in incidents if item.get("status")),
    )


def weights_of(route: Object) -> Mapping[str, int]:
    """Return the weights of the route's first rule by Service; one without a weight has 1."""
    backends = route["spec"]["rules"][0]["backendRefs"]
    return MappingProxyType({one["name"]: one.get("weight", 1) for one in backends})


def version_of(deployment: Object) -> str:
    """Return what the first container's VERSION says, or an empty text."""
    variables = deployment["spec"]["template"]["spec"]["containers"][0].get("env", ())
    found = (one.get("value", "") for one in variables if one["name"] == "VERSION")
    return next(found, "")


def is_rolled_out(deployment: Object) -> bool:
    """Return whether all pods run the template, and no pod of another one is left."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return current and counts == {wanted}


def _incident(item: Object) -> IncidentSeen:
    return IncidentSeen(item["spec"]["mode"], IncidentStatus.model_validate(item["status"]))
