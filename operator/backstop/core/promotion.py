"""Which workload is the target and which the candidate, once a promotion has swapped their roles.

The spec keeps its words; ``status.promoted`` says that its candidate serves production by now, and
everything reads the spec through :func:`effective_spec`.
"""

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.status import (
    CandidateStatus,
    Episode,
    ModelMonitorStatus,
    Revision,
    RevisionsStatus,
)
from backstop.api.words import TrialPhase
from backstop.core import episode as episodes
from backstop.core.view import View

_ROLE = ("kind", "name", "service", "metric_labels")


def effective_spec(spec: ModelMonitorSpec, status: ModelMonitorStatus) -> ModelMonitorSpec:
    """Return ``spec`` with the roles of target and candidate as they are now."""
    candidate = spec.candidate
    if candidate is None or not _is_swapped(spec, status):
        return spec
    before = {field: getattr(spec.target, field) for field in _ROLE}
    after = {field: getattr(candidate, field) for field in _ROLE}
    return spec.model_copy(
        update={
            "target": spec.target.model_copy(update=after),
            "candidate": candidate.model_copy(update=before),
        }
    )


def settled(spec: ModelMonitorSpec, status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Return ``status`` without a promotion that ``spec``, as it was written, has taken over."""
    if not status.promoted or _is_swapped(spec, status):
        return status
    return status.model_copy(update={"promoted": ""})


def _is_swapped(spec: ModelMonitorSpec, status: ModelMonitorStatus) -> bool:
    candidate = spec.candidate
    if candidate is None or candidate.name == spec.target.name:
        return False
    return status.promoted == candidate.name


def swapped(view: View) -> ModelMonitorStatus:
    """Return the status once target and candidate of ``view`` have swapped their roles.

    No write is needed: the traffic is on the candidate's Service already. What was known of the
    revisions was of another workload, and the new target's revision begins now, so that a fault
    that follows is blamed on it. The former target is no candidate until its template changes.
    """
    spec, status = view.spec, view.status
    if spec.candidate is None or view.candidate is None or view.target is None:
        return status
    current = Revision.model_validate(
        {"fingerprint": view.candidate.fingerprint, "since": view.now}
    )
    trial = CandidateStatus.model_validate(
        {
            "phase": TrialPhase.PROMOTED,
            "fingerprint": view.target.fingerprint,
            "weight": 0,
            "why": f"{spec.candidate.name} is the target now, and {spec.target.name} stands by",
            "answered": view.requests.candidate or "",
        }
    )
    # Where the roles were swapped before, the spec that is read here names them swapped.
    back = status.promoted == spec.target.name
    known_bad = status.revisions.known_bad
    return ModelMonitorStatus.model_validate(
        {
            **dict(status),
            "promoted": "" if back else spec.candidate.name,
            "candidate": trial,
            "revisions": RevisionsStatus(current=current, known_bad=known_bad),
            "evidence_from": view.now,
            "incident": _over(status, view.now),
        }
    )


def _over(status: ModelMonitorStatus, now: float) -> Episode | None:
    """Return the last incident as resolved: what was reported was of another workload."""
    episode = episodes.under_way(status)
    return status.incident if episode is None else episodes.resolve(episode, now)
