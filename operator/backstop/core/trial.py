"""The candidate's trial: it gets its share of traffic once, and loses it when it fails.

A trial belongs to one pod template. An aborted one stays aborted until the template changes.
"""

from typing import Final

from backstop.api.modelmonitor import Mode
from backstop.api.status import CandidateStatus, CircuitPhase, Episode, StepKind, TrialPhase
from backstop.core import episode as episodes
from backstop.core.view import Step, View

ASK_AGAIN: Final = 15.0
"""Seconds until a trial that could not be started is tried again."""


def observe(view: View) -> CandidateStatus | None:
    """Return the trial that the cluster shows: a new template begins a new one."""
    if view.spec.candidate is None:
        return None
    known = view.status.candidate or CandidateStatus()
    if view.candidate is None:
        return known
    if known.fingerprint != view.candidate.fingerprint:
        known = CandidateStatus(fingerprint=view.candidate.fingerprint)
    if known.since is not None or not view.candidate.rolled_out:
        return known
    return CandidateStatus.model_validate({**dict(known), "since": view.now})


def is_on(view: View) -> bool:
    """Return whether a trial is on; an aborted one is not."""
    trial = view.status.candidate
    return trial is not None and trial.phase is TrialPhase.TRIAL


def is_judged(view: View, before: CandidateStatus | None) -> bool:
    """Return whether the candidate's verdicts are about the template that is on trial now.

    ``before`` is the trial under which the look was taken: when a template is first seen, the look
    still tells of the one before it.
    """
    trial = view.status.candidate
    return is_on(view) and trial == before and trial is not None and trial.since is not None


def is_of(view: View, episode: Episode) -> bool:
    """Return whether the trial is still the one that ``episode`` blames, not a later template's."""
    trial = view.status.candidate
    return trial is not None and trial.since is not None and trial.since <= episode.detected


def start(view: View) -> Step | None:
    """Return the step that gives the candidate its traffic, if it is due; not in an incident."""
    trial, candidate = view.status.candidate, view.spec.candidate
    if trial is None or candidate is None or candidate.weight is None or not is_on(view):
        return None
    if view.spec.mode is Mode.OBSERVE:
        return None
    ready = view.candidate is not None and view.candidate.ready > 0
    closed = view.status.circuit.phase is CircuitPhase.CLOSED
    again = view.now >= view.memory.trial_asked + ASK_AGAIN
    if trial.weight == candidate.weight or not (ready and closed and again):
        return None
    scope = f"trial/{trial.fingerprint}/{view.generation}/{candidate.weight}"
    action = episodes.action_id(view.uid, scope, StepKind.SHIFT_TRAFFIC, 0)
    why = f"{candidate.name} is ready: {candidate.weight} % of traffic for its trial"
    return Step(StepKind.SHIFT_TRAFFIC, action, why, candidate_weight=candidate.weight)


def abort(view: View, episode: Episode) -> Step | None:
    """Return the step that takes the candidate's traffic away in its incident ``episode``."""
    if not episodes.may_try(episode, StepKind.SHIFT_TRAFFIC, view.now, mode=view.spec.mode):
        return None
    ordinal = len(episodes.actions(episode, StepKind.SHIFT_TRAFFIC))
    action = episodes.action_id(view.uid, episode.name, StepKind.SHIFT_TRAFFIC, ordinal)
    return Step(StepKind.SHIFT_TRAFFIC, action, episode.why, candidate_weight=0)
