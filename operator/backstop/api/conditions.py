"""Every condition and reason that a ModelMonitor can show, in one place.

``Ready``, ``MetricsAvailable``, ``TargetFound`` and ``RouteReady`` are good when True.
``Stalled`` and ``Reconciling`` are abnormal-true: present only while true, as kstatus expects.
``Ready`` says whether Backstop can protect the model, not whether the model is healthy; the
model's health is ``status.verdict`` and the condition ``Healthy``.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from backstop.api.base import ApiModel, Time


class ConditionType(StrEnum):
    """Types of conditions."""

    READY = "Ready"
    HEALTHY = "Healthy"
    METRICS_AVAILABLE = "MetricsAvailable"
    TARGET_FOUND = "TargetFound"
    ROUTE_READY = "RouteReady"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Reasons of conditions and of Events."""

    WATCHING = "Watching"
    SUSPENDED = "Suspended"
    HEALTHY = "Healthy"
    BREACHED = "Breached"
    UNKNOWN = "Unknown"
    READABLE = "Readable"
    SOURCE_DOWN = "SourceDown"
    INVALID_QUERY = "InvalidQuery"
    INVALID_SPEC = "InvalidSpec"
    FOUND = "Found"
    TARGET_NOT_FOUND = "TargetNotFound"
    CANDIDATE_NOT_FOUND = "CandidateNotFound"
    ROUTE_NOT_FOUND = "RouteNotFound"
    ROUTE_HAS_NO_RULE = "RouteHasNoRule"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    ROUTE_NOT_RESOLVED = "RouteNotResolved"
    FORBIDDEN = "Forbidden"
    API_UNAVAILABLE = "ApiUnavailable"
    ACTION_UNDER_WAY = "ActionUnderWay"
    ACTION_FAILED = "ActionFailed"
    INCIDENT_DETECTED = "IncidentDetected"
    INCIDENT_RESOLVED = "IncidentResolved"
    CIRCUIT_OPENED = "CircuitOpened"
    CIRCUIT_HALF_OPEN = "CircuitHalfOpen"
    CIRCUIT_CLOSED = "CircuitClosed"
    CANDIDATE_ABORTED = "CandidateAborted"
    CANDIDATE_STARTED = "CandidateStarted"
    ROLLED_BACK = "RolledBack"
    WOULD_ACT = "WouldAct"
    TRAFFIC_RESTORED = "TrafficRestored"


class Condition(ApiModel):
    """metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=316)]
    """Which condition this is."""

    status: Annotated[str, StringConstraints(pattern=r"^(True|False|Unknown)$", max_length=7)]
    """`True`, `False` or `Unknown`."""

    reason: Annotated[
        str,
        StringConstraints(
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", min_length=1, max_length=1024
        ),
    ]
    """Why, in one word."""

    message: Annotated[str, StringConstraints(max_length=2048)] = ""
    """Why, in a sentence."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The generation of the spec that the condition is about."""

    last_transition_time: Time
    """When `status` last changed."""
