"""``Incident``: one episode from onset to recovery, kept when the monitor goes."""

from enum import StrEnum

from backstop.api.base import ApiModel
from backstop.api.status import Episode, Name


class IncidentPhase(StrEnum):
    """How far an incident has come."""

    OPEN = "Open"
    MITIGATED = "Mitigated"
    REPAIRED = "Repaired"
    RESOLVED = "Resolved"


class IncidentSpec(ApiModel):
    """What the incident is about."""

    monitor: Name
    """Name of the ModelMonitor."""

    target: Name
    """Kind and name of the workload."""

    mode: Name
    """`Act`, `Approve` or `Observe`: in `Observe` the actions were only recorded."""


class IncidentStatus(Episode):
    """What happened, and what was done."""

    phase: IncidentPhase = IncidentPhase.OPEN
    """How far the incident has come."""


def incident_status(episode: Episode) -> IncidentStatus:
    """Return the status of the Incident object that shows ``episode``."""
    if episode.resolved is not None:
        phase = IncidentPhase.RESOLVED
    elif episode.repaired is not None:
        phase = IncidentPhase.REPAIRED
    elif episode.mitigated is not None:
        phase = IncidentPhase.MITIGATED
    else:
        phase = IncidentPhase.OPEN
    return IncidentStatus(phase=phase, **dict(episode))
