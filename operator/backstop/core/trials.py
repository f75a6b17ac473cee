"""What the candidate's trial is: which template, how far it has come, and what people ask of it.

All of it is in the status. An action is told by its id, which follows from the trial and what is to
be done, so that finishing one after a restart, or under an edited spec, records what was done.
"""

from typing import Any, Final

from backstop.api.modelmonitor import Mode, Progression, Promotion
from backstop.api.status import Action, CandidateStatus, CircuitStatus, Episode, ModelMonitorStatus
from backstop.api.words import Arm, CircuitPhase, Severity, StepKind, TrialPhase
from backstop.core import episode as episodes
from backstop.core import leaving, shifts, weights
from backstop.core.requests import CandidateRequest
from backstop.core.revisions import record_bad
from backstop.core.view import View, parting

LIVE: Final = frozenset({TrialPhase.TRIAL, TrialPhase.PAUSED, TrialPhase.PROMOTING})
"""The phases in which the candidate may have traffic."""

ABORT: Final = "abort"
PROMOTE: Final = "promote"
FINISH: Final = "finish"
REMOVE: Final = "remove"

_ANSWERED_ONCE: Final = frozenset({CandidateRequest.PROMOTE, CandidateRequest.ABORT})


def observe(view: View) -> CandidateStatus | None:
    """Return the trial that the cluster shows: a new template begins a new one.

    A request counts for the trial that it was made in, so one that stands when a template is first
    seen is no request any more.
    """
    trial, service = view.status.candidate or CandidateStatus(), _service(view)
    why = _ends(view, trial)
    if why:
        return _removed(view, trial, why)
    if view.spec.candidate is None:
        return None
    if trial.phase is TrialPhase.REMOVED or trial.service not in {"", service}:
        trial = CandidateStatus()
    if view.candidate is not None and trial.fingerprint != view.candidate.fingerprint:
        wish = view.requests.candidate
        answered = wish if wish in _ANSWERED_ONCE else ""
        trial = CandidateStatus(fingerprint=view.candidate.fingerprint, answered=answered)
    if trial.since is None and view.candidate is not None and view.candidate.rolled_out:
        trial = _changed(trial, since=view.now)
    return _placed(view, _heard(view, _changed(trial, service=service)))


def circuit_of(view: View, trial: CandidateStatus | None) -> CircuitStatus:
    """Return the circuit once ``trial`` has taken the place of the one in the status.

    What it puts back when it closes is not for a candidate that has not been given it.
    """
    circuit, before = view.status.circuit, view.status.candidate
    if before is None or not circuit.restore:
        return circuit
    target, kept = _target_of(view), trial is not None and trial.service == before.service
    same = trial is not None and trial.fingerprint == before.fingerprint
    if kept and (same or before.weight is None):
        return circuit
    restore = [weights.given(one, before.service, target, kept=kept) for one in circuit.restore]
    return circuit.model_copy(update={"restore": restore})


def has_share(status: ModelMonitorStatus) -> bool:
    """Return whether a candidate on trial has traffic of Backstop's, or is about to get it."""
    trial, planned = status.candidate, status.action
    begun = planned is not None and planned.step is StepKind.SHIFT_TRAFFIC
    return trial is not None and trial.phase in LIVE and bool(trial.weight or begun)


def _target_of(view: View) -> str:
    return view.services.target if view.services is not None else ""


def _service(view: View) -> str:
    return (view.services.candidate if view.services is not None else "") or ""


def _ends(view: View, trial: CandidateStatus) -> str:
    """Return why what Backstop gave on trial is to be put back, as it is of another version now.

    Or of none: a candidate whose pods are gone answers nobody, whatever its signals say last.
    """
    if parting(view.spec, view.status):
        return f"{trial.service} is not the monitor's candidate any more"
    on_trial = trial.phase in LIVE or trial.phase is TrialPhase.REMOVED
    closed, found = view.status.circuit.phase is CircuitPhase.CLOSED, view.candidate
    if not (trial.weight and trial.service and on_trial and closed):
        return ""
    if found is not None and trial.fingerprint != found.fingerprint:
        return f"{trial.service} has another template, whose trial begins at the first step"
    if found is not None and not is_ready(view):
        return f"no pod of {trial.service} is ready"
    return "" if trial.phase in LIVE else f"{trial.service} is tried anew"


def is_ready(view: View) -> bool:
    """Return whether somebody would answer; where pods are the split, they come with it."""
    if view.candidate is None:
        return False
    return view.candidate.ready > 0 or (view.route is not None and view.route.piecemeal)


def _removed(view: View, trial: CandidateStatus, because: str) -> CandidateStatus:
    """Return the trial that is over, and whose traffic is still to be put back."""
    what = f"its traffic goes back to {view.spec.target.name}"
    if view.spec.mode is Mode.OBSERVE:
        what = "its traffic is left alone because the mode is Observe, and nobody watches it"
    return _changed(trial, phase=TrialPhase.REMOVED, why=f"{because}: {what}"[:300])


def _changed(trial: CandidateStatus, **changes: Any) -> CandidateStatus:
    return CandidateStatus.model_validate({**dict(trial), **changes})


def _heard(view: View, trial: CandidateStatus) -> CandidateStatus:
    """Return the trial with what people ask of it that needs no write."""
    wish = view.requests.candidate
    if trial.answered and wish != trial.answered:
        trial = _changed(trial, answered="")
    if wish is CandidateRequest.PAUSE and trial.phase is TrialPhase.TRIAL:
        return _changed(trial, phase=TrialPhase.PAUSED)
    if wish is not CandidateRequest.PAUSE and trial.phase is TrialPhase.PAUSED:
        # The time of a pause is not that of the step.
        since = None if trial.step_since is None else view.now
        trial = _changed(trial, phase=TrialPhase.TRIAL, step_since=since)
    if not wants(view, trial, CandidateRequest.PROMOTE, CandidateRequest.ABORT):
        return trial
    if wish is CandidateRequest.ABORT and trial.phase in LIVE:
        return _aborted_unseen(view, trial)
    if wish is CandidateRequest.PROMOTE and _has_more(view, trial):
        return trial
    return _changed(trial, answered=wish)


def wants(view: View, trial: CandidateStatus, *wishes: CandidateRequest) -> bool:
    """Return whether a person asks for one of ``wishes``, and was not answered yet."""
    wish = view.requests.candidate
    return wish in wishes and wish != trial.answered


def _aborted_unseen(view: View, trial: CandidateStatus) -> CandidateStatus:
    """Return the trial as aborted where an open circuit has its traffic anyway."""
    if view.spec.mode is Mode.OBSERVE or view.status.circuit.phase is CircuitPhase.CLOSED:
        return trial
    why = "aborted on request; the open circuit had its traffic"
    return _changed(
        trial, phase=TrialPhase.ABORTED, weight=0, why=why, answered=CandidateRequest.ABORT
    )


def _has_more(view: View, trial: CandidateStatus) -> bool:
    """Return whether there is anything left to go on to."""
    known = plan_of(view)
    if known is None or trial.phase is not TrialPhase.TRIAL:
        return False
    return not leaving.is_last(known, trial) or leaving.may_promote(view, known, trial)


def _placed(view: View, trial: CandidateStatus) -> CandidateStatus:
    """Return the trial at its step, which begins once its traffic is in effect."""
    known = plan_of(view)
    if known is None or trial.phase not in LIVE:
        return trial
    in_effect = view.route is None or view.route.in_effect
    if trial.step_since is None and leaving.is_under_way(known, trial) and in_effect:
        trial = _changed(trial, step_since=view.now)
    return _changed(trial, step=leaving.place(known, trial))


def plan_of(view: View) -> Progression | None:
    """Return the steps of the candidate, ``None`` where others move its traffic."""
    return view.spec.candidate.progression if view.spec.candidate else None


def is_on(view: View) -> bool:
    """Return whether a trial is on, be it paused; neither an aborted one nor one that is over."""
    trial = view.status.candidate
    return trial is not None and trial.phase in LIVE


def is_judged(view: View, before: CandidateStatus | None) -> bool:
    """Return whether the candidate's verdicts are about the template that is on trial now.

    ``before`` is the trial under which the look was taken: when a template is first seen, the look
    still tells of the one before it.
    """
    trial = view.status.candidate
    if trial is None or before is None or trial.since is None or not is_on(view):
        return False
    return (trial.fingerprint, trial.since) == (before.fingerprint, before.since)


def is_of(view: View, episode: Episode) -> bool:
    """Return whether the trial is still the one that ``episode`` blames, not a later template's."""
    trial = view.status.candidate
    return trial is not None and trial.since is not None and trial.since <= episode.detected


def action_id(view: View, trial: CandidateStatus, kind: StepKind, what: str) -> str:
    """Return the id of an action: one for each template, trial of it, and thing to do."""
    since = trial.since.timestamp() if trial.since else 0.0
    scope = f"trial/{trial.fingerprint}/{since}/{what}"
    return episodes.action_id(view.uid, scope, kind, 0)


def incident(view: View) -> Episode | None:
    """Return the incident that is under way, unless it only reports."""
    episode = episodes.under_way(view.status)
    return None if episode is None or episode.severity is Severity.P2 else episode


def applied(
    view: View, status: ModelMonitorStatus, action: Action, now: float
) -> ModelMonitorStatus:
    """Return ``status`` once ``action``, a shift or the promotion, has taken place at ``now``."""
    if action.step is StepKind.PROMOTE:
        return promoted(view, status, now)
    episode = episodes.under_way(status)
    if episode is not None and episode.mitigated is None:
        mitigated = Episode.model_validate({**dict(episode), "mitigated": now})
        status = status.model_copy(update={"incident": mitigated})
    if shifts.is_back(view, action):
        return shifts.put_back(view, status, action, now)
    return shifts.shifted(view, status, action) or shifted(view, status, action, now)


def shifted(
    view: View, status: ModelMonitorStatus, action: Action, now: float
) -> ModelMonitorStatus:
    """Return ``status`` once the shift of traffic ``action`` has taken place at ``now``."""
    trial, services = status.candidate, view.services
    if trial is None or services is None or services.candidate is None:
        return status
    wish = view.requests.candidate
    over = _changed(trial, weight=0, step_since=None, why=action.why[:300])
    if action.id == action_id(view, trial, StepKind.SHIFT_TRAFFIC, ABORT):
        answered = ABORT if wish is CandidateRequest.ABORT else trial.answered
        aborted = _changed(over, phase=TrialPhase.ABORTED, answered=answered)
        status = status.model_copy(update={"shifted": []})
        return _with(_without_incident(status, now), aborted)
    if action.id == action_id(view, trial, StepKind.SHIFT_TRAFFIC, FINISH):
        done = _changed(over, phase=TrialPhase.PROMOTED)
        return _with(_without_incident(status, now), done)
    if action.id == action_id(view, trial, StepKind.SHIFT_TRAFFIC, REMOVE):
        gone: dict[str, Any] = {"candidate": None, "shifted": []}
        return _without_incident(status, now).model_copy(update=gone)
    percent = _percent(view, trial, action)
    if percent is None:
        asked = weights.from_text(action.after)
        percent = weights.largest_percent(asked, services.candidate)
        return _shifted_in_incident(view, status, trial, percent, now)
    asked_to = wish is CandidateRequest.PROMOTE and percent == _last_percent(view)
    answered = PROMOTE if asked_to else trial.answered
    return _with(status, _changed(trial, weight=percent, step_since=None, answered=answered))


def _with(status: ModelMonitorStatus, trial: CandidateStatus) -> ModelMonitorStatus:
    return status.model_copy(update={"candidate": trial})


def _without_incident(status: ModelMonitorStatus, now: float) -> ModelMonitorStatus:
    """Return ``status`` with the candidate's own incident at an end: it has no traffic now."""
    episode = episodes.under_way(status)
    if episode is None or episode.arm is not Arm.CANDIDATE:
        return status
    return status.model_copy(update={"incident": episodes.resolve(episode, now)})


def _percent(view: View, trial: CandidateStatus, action: Action) -> int | None:
    """Return which percentage ``action`` was to give, ``None`` where it is no step of the trial.

    The weights do not tell: a router that cannot divide traffic finely gives less or more.
    """
    for percent in range(1, leaving.ALL + 1):
        if action.id == action_id(view, trial, StepKind.SHIFT_TRAFFIC, str(percent)):
            return percent
    return None


def _last_percent(view: View) -> int | None:
    known = plan_of(view)
    return known.steps[-1] if known is not None else None


def _shifted_in_incident(
    view: View, status: ModelMonitorStatus, trial: CandidateStatus, percent: int, now: float
) -> ModelMonitorStatus:
    """Return the status once an incident has moved the traffic; its own ends the trial."""
    trial = _changed(trial, weight=percent, step_since=None)
    status = status.model_copy(update={"shifted": []})
    episode = episodes.under_way(status)
    if episode is None or episode.arm is not Arm.CANDIDATE:
        return _with(status, trial)
    known, bad = plan_of(view), status.revisions
    if known is not None and known.promotion is Promotion.SWAP_ROLES:
        # The candidate's workload may have the target's role one day, and be rolled back.
        bad = record_bad(bad, trial.fingerprint)
    aborted = _changed(trial, phase=TrialPhase.ABORTED, why=episode.why[:300])
    ended = _with(_without_incident(status, now), aborted)
    return ended.model_copy(update={"revisions": bad})


def promoted(view: View, status: ModelMonitorStatus, now: float) -> ModelMonitorStatus:
    """Return ``status`` once the target was given the candidate's version at ``now``."""
    trial = status.candidate
    if trial is None:
        return status
    asked = view.requests.candidate is CandidateRequest.PROMOTE
    answered = PROMOTE if asked else trial.answered
    phase = TrialPhase.PROMOTING
    return _with(status, _changed(trial, phase=phase, step_since=now, answered=answered))
