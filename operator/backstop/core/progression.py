"""What is to be done about the candidate: step by step more traffic, on evidence, to a promotion.

A trial belongs to one pod template; an aborted one stays aborted until the template changes.
Nothing gives the candidate more while an incident is under way, while something acting is breached,
while a person pauses it, or in mode Observe. Unknown never lets a step be left; it takes no traffic
away either, unless the spec asks for that when a step takes too long.
"""

from dataclasses import replace
from typing import Final

from backstop.api.modelmonitor import Mode, OnTimeout, Progression, Promotion
from backstop.api.status import CandidateStatus, Episode, ModelMonitorStatus
from backstop.api.words import Arm, CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core import episode as episodes
from backstop.core import leaving
from backstop.core.promotion import swapped
from backstop.core.requests import CandidateRequest
from backstop.core.trials import (
    ABORT,
    FINISH,
    LIVE,
    PROMOTE,
    REMOVE,
    action_id,
    incident,
    is_ready,
    plan_of,
    wants,
)
from backstop.core.units import seconds
from backstop.core.verdicts import overall
from backstop.core.view import Memory, Step, View, parting

ASK_AGAIN: Final = 15.0
"""Seconds until a step of the progression that could not be taken is tried again."""


def advance(view: View) -> ModelMonitorStatus:
    """Return the status with what needs no write: the swap of roles, and why it stands there."""
    trial, plan = view.status.candidate, plan_of(view)
    if trial is None:
        return view.status
    if plan is not None and _is_free(view) and _may_swap(view, plan, trial):
        return swapped(view)
    why = _standing(view, trial)
    if why == trial.why:
        return view.status
    told = trial.model_copy(update={"why": why})
    return view.status.model_copy(update={"candidate": told})


def _may_swap(view: View, plan: Progression, trial: CandidateStatus) -> bool:
    swaps = plan.promotion is Promotion.SWAP_ROLES and trial.phase is TrialPhase.TRIAL
    known = view.target is not None and trial.since is not None
    return swaps and known and is_ready(view) and _may_leave(view, plan, trial, last=True)


def _may_leave(view: View, plan: Progression, trial: CandidateStatus, *, last: bool) -> bool:
    """Return whether the step may be left, for the promotion if it is to be the ``last``."""
    if not leaving.is_under_way(plan, trial) or leaving.is_last(plan, trial) is not last:
        return False
    if last and not leaving.may_promote(view, plan, trial):
        return False
    if wants(view, trial, CandidateRequest.PROMOTE):
        return not leaving.fault(view)
    return not leaving.hindrance(view, plan, trial)


def _standing(view: View, trial: CandidateStatus) -> str:
    """Return why the trial is where it is.

    The sentence holds no number that changes from look to look.
    """
    plan = plan_of(view)
    if trial.phase not in LIVE:
        return trial.why
    if view.requests.unknown:
        return f"cannot understand {view.requests.unknown!r}: write pause, promote or abort"
    if plan is None:
        return "others move its traffic; it is taken away when the candidate fails"
    where = f"at {trial.weight} %" if trial.weight else "without traffic"
    return f"{where}: {_held(view) or _waits(view, plan, trial)}"[:300]


def _held(view: View) -> str:
    """Return why the progression may do nothing at all, "" if it may."""
    if view.spec.mode is Mode.OBSERVE:
        return "the mode is Observe, so its traffic is left alone"
    if view.requests.candidate is CandidateRequest.PAUSE:
        return "paused by a person"
    if incident(view) is not None:
        return "held, as an incident is under way"
    circuit = view.status.circuit.phase
    return "" if circuit is CircuitPhase.CLOSED else "held, as the circuit is not closed"


def _waits(view: View, plan: Progression, trial: CandidateStatus) -> str:
    """Return what the progression waits for."""
    if trial.phase is TrialPhase.PROMOTING:
        return leaving.fault(view) or _takes_over(view, plan, trial)
    if not is_ready(view):
        return "it has no ready pod"
    if not leaving.is_under_way(plan, trial):
        doubt = "its signals are not all healthy" if _is_doubtful(view, trial) else ""
        return leaving.fault(view) or doubt or "it is about to get its first traffic"
    if not leaving.is_last(plan, trial) or leaving.may_promote(view, plan, trial):
        return leaving.hindrance(view, plan, trial) or "the evidence lets it go on"
    return leaving.no_promotion(view, plan) or "its last step"


def _takes_over(view: View, plan: Progression, trial: CandidateStatus) -> str:
    """Return how far the target has come with the candidate's version."""
    name = view.spec.target.name
    if view.target is not None and view.target.rolled_out and not _has_adopted(view, trial):
        return f"{name} runs another version by now: abort, or release this one there"
    if trial.step_since and view.now >= trial.step_since.timestamp() + seconds(plan.max_time):
        return f"{name} has not taken over its version within {plan.max_time}: look at its rollout"
    return f"{name} is taking over its version"


def next_step(view: View) -> Step | None:
    """Return the progression's next step, ``None`` where there is nothing to do now."""
    trial, plan = view.status.candidate, plan_of(view)
    if trial is None or not _is_free(view):
        return None
    if trial.phase is TrialPhase.PROMOTING:
        return _paced(view, _finish(view, trial))
    if plan is None or trial.phase is not TrialPhase.TRIAL:
        return None
    late = plan.on_timeout is OnTimeout.ABORT and leaving.is_late(view, plan, trial)
    if late and not wants(view, trial, CandidateRequest.PROMOTE):
        why = f"the step of {trial.weight} % took longer than {plan.max_time}"
        return _paced(view, _taken_away(view, trial, why))
    return _paced(view, _onward(view, plan, trial))


def _is_free(view: View) -> bool:
    """Return whether the progression may do anything: no incident, no pause, no open circuit."""
    closed = view.status.circuit.phase is CircuitPhase.CLOSED
    asked = view.requests.candidate is not CandidateRequest.PAUSE
    acts = view.spec.mode is not Mode.OBSERVE and view.status.action is None
    return closed and asked and acts and incident(view) is None


def _onward(view: View, plan: Progression, trial: CandidateStatus) -> Step | None:
    if not is_ready(view) or leaving.fault(view):
        return None
    if wants(view, trial, CandidateRequest.PROMOTE) and not leaving.is_last(plan, trial):
        return _given(view, trial, plan.steps[-1], "asked to go on to the last step")
    if not leaving.is_under_way(plan, trial):
        return None if _is_doubtful(view, trial) else _given(view, trial, plan.steps[0], "is ready")
    if _may_leave(view, plan, trial, last=False):
        percent = plan.steps[leaving.place(plan, trial) + 1]
        return _given(view, trial, percent, f"is no worse at {trial.weight} %")
    if plan.promotion is Promotion.TEMPLATE and _may_leave(view, plan, trial, last=True):
        return _adopted(view, trial)
    return None


def _is_doubtful(view: View, trial: CandidateStatus) -> bool:
    """Return whether a candidate that has traffic, of which an edited spec wants more, may be bad.

    Only its very first traffic is given without a verdict.
    """
    return bool(trial.weight) and overall(view.look.verdicts, Arm.CANDIDATE) is not Verdict.HEALTHY


def _given(view: View, trial: CandidateStatus, percent: int, because: str) -> Step:
    action = action_id(view, trial, StepKind.SHIFT_TRAFFIC, str(percent))
    why = f"{_name(view)} {because}: {percent} % of traffic for its trial"
    return Step(StepKind.SHIFT_TRAFFIC, action, why, candidate_weight=percent)


def _adopted(view: View, trial: CandidateStatus) -> Step | None:
    if view.target is None or trial.since is None:
        return None
    action = action_id(view, trial, StepKind.PROMOTE, PROMOTE)
    why = f"{_name(view)} passed its last step: {view.spec.target.name} takes over its version"
    return Step(StepKind.PROMOTE, action, why)


def _finish(view: View, trial: CandidateStatus) -> Step | None:
    """Return the step that gives the target the traffic, once it runs the candidate's version."""
    if leaving.fault(view) or not _has_adopted(view, trial):
        return None
    action = action_id(view, trial, StepKind.SHIFT_TRAFFIC, FINISH)
    why = f"{view.spec.target.name} runs the version of {_name(view)}, and has its traffic back"
    return Step(StepKind.SHIFT_TRAFFIC, action, why)


def _has_adopted(view: View, trial: CandidateStatus) -> bool:
    target = view.target
    if target is None or not target.rolled_out:
        return False
    adopted = action_id(view, trial, StepKind.PROMOTE, PROMOTE)
    return target.last_action == adopted or target.fingerprint == trial.fingerprint


def _taken_away(view: View, trial: CandidateStatus, why: str, *, asked: bool = False) -> Step:
    action = action_id(view, trial, StepKind.SHIFT_TRAFFIC, ABORT)
    return Step(StepKind.SHIFT_TRAFFIC, action, f"{_name(view)} is aborted: {why}", asked=asked)


def _name(view: View) -> str:
    return view.spec.candidate.name if view.spec.candidate else "the candidate"


def _paced(view: View, step: Step | None) -> Step | None:
    """Return ``step`` unless the same one was asked for just now, and did not come about."""
    memory = view.memory
    if step is None or step.action_id != memory.trial_action:
        return step
    return step if view.now >= memory.trial_asked + ASK_AGAIN else None


def remember(view: View, step: Step | None) -> Memory:
    """Return the memory once ``step`` was asked for, whosever it is."""
    trial, memory = view.status.candidate, view.memory
    if step is None or trial is None or step.of is not None:
        return memory
    own = step.asked or trial.phase is TrialPhase.REMOVED
    if incident(view) is not None and not own:
        return memory
    return replace(memory, trial_asked=view.now, trial_action=step.action_id)


def requested(view: View) -> Step | None:
    """Return the step by which a person aborts the trial, also in an incident."""
    trial = view.status.candidate
    if trial is None or trial.phase not in LIVE or view.spec.mode is Mode.OBSERVE:
        return None
    if not wants(view, trial, CandidateRequest.ABORT):
        return None
    if view.status.circuit.phase is not CircuitPhase.CLOSED or view.status.action is not None:
        return None
    return _paced(view, _taken_away(view, trial, "a person asked for it", asked=True))


def removed(view: View) -> Step | None:
    """Return the step that puts back the traffic of a candidate that the spec names no more."""
    trial = view.status.candidate
    if trial is None or trial.phase is not TrialPhase.REMOVED or view.spec.mode is Mode.OBSERVE:
        return None
    action = action_id(view, trial, StepKind.SHIFT_TRAFFIC, REMOVE)
    asked = bool(parting(view.spec, view.status))
    return _paced(view, Step(StepKind.SHIFT_TRAFFIC, action, trial.why, asked=asked))


def abort(view: View, episode: Episode) -> Step | None:
    """Return the step that takes the candidate's traffic away in its incident ``episode``."""
    if not episodes.may_try(episode, StepKind.SHIFT_TRAFFIC, view.now, mode=view.spec.mode):
        return None
    ordinal = len(episodes.actions(episode, StepKind.SHIFT_TRAFFIC))
    action = episodes.action_id(view.uid, episode.name, StepKind.SHIFT_TRAFFIC, ordinal)
    return Step(StepKind.SHIFT_TRAFFIC, action, episode.why, candidate_weight=0)


def timer(view: View) -> float | None:
    """Return the Unix time at which the step's shortest or longest time ends, if one will."""
    trial, plan = view.status.candidate, plan_of(view)
    if trial is None or plan is None or trial.phase is not TrialPhase.TRIAL:
        return None
    since = leaving.began(view, trial)
    if since is None:
        return None
    ends = (since + seconds(plan.min_time), since + seconds(plan.max_time))
    return min((end for end in ends if end > view.now), default=None)
