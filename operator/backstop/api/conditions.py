"""Every condition and reason that a ModelMonitor can show, in one place.

``Ready``, ``MetricsAvailable``, ``TargetFound`` and ``RouteReady`` are good when True.
``Stalled``, ``Reconciling`` and ``Held`` are abnormal-true: present only while true, as kstatus
expects; ``Held`` says which brake or which approval an action waits for.
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
    HELD = "Held"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Reasons of conditions and of Events."""

    WATCHING = "Watching"
    SUSPENDED = "Suspended"
    STOOD_DOWN = "StoodDown"
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
    RUNBOOK_NOT_FOUND = "RunbookNotFound"
    RUNBOOK_NOT_READABLE = "RunbookNotReadable"
    UNKNOWN_KIND = "UnknownKind"
    UNKNOWN_REQUEST = "UnknownRequest"
    FORBIDDEN = "Forbidden"
    API_UNAVAILABLE = "ApiUnavailable"
    ACTION_UNDER_WAY = "ActionUnderWay"
    ACTION_FAILED = "ActionFailed"
    ACTION_HELD = "ActionHeld"
    ACTION_REVERTED = "ActionReverted"
    APPROVAL_NEEDED = "ApprovalNeeded"
    INCIDENT_DETECTED = "IncidentDetected"
    INCIDENT_RESOLVED = "IncidentResolved"
    CIRCUIT_OPENED = "CircuitOpened"
    CIRCUIT_HALF_OPEN = "CircuitHalfOpen"
    CIRCUIT_CLOSED = "CircuitClosed"
    CANDIDATE_ABORTED = "CandidateAborted"
    CANDIDATE_STARTED = "CandidateStarted"
    CANDIDATE_PROMOTED = "CandidatePromoted"
    ROLLED_BACK = "RolledBack"
    SCALED = "Scaled"
    RESTARTED = "Restarted"
    ROLLOUT_PAUSED = "RolloutPaused"
    JOB_STARTED = "JobStarted"
    WEBHOOK_CALLED = "WebhookCalled"
    NOTIFIED = "Notified"
    TRAFFIC_SHIFTED = "TrafficShifted"
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
