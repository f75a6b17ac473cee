"""Whether the next step may be taken now.

Somebody may have undone the last one, a brake may hold, a person may have to say yes. What may not
be taken stays wanted, and the status says what it waits for.
"""

from dataclasses import dataclass, replace

from backstop.api.modelmonitor import Mode
from backstop.api.status import Episode, ModelMonitorStatus
from backstop.api.words import CircuitPhase, Progress, Severity, StepKind
from backstop.core import approval, brakes, breaker, reverts, runbook
from backstop.core import episode as episodes
from backstop.core.brakes import Hold
from backstop.core.view import Step, View


@dataclass(frozen=True, slots=True)
class Permission:
    """What may be done, with the status that says what is waited for.

    ``again`` asks for the next step, as this one was answered without anything to do; ``page``
    says that somebody is to be woken for the whole fleet. ``brake`` is which brake holds, empty
    where none does.
    """

    status: ModelMonitorStatus
    step: Step | None = None
    again: bool = False
    page: bool = False
    brake: str = ""


def permit(view: View, step: Step | None) -> Permission:
    """Return whether ``step`` may be taken."""
    free = view.showing(_without_wait(view.status))
    if step is None:
        return Permission(free.status)
    held = brakes.hold(view, step)
    if held is not None:
        return _held(free, held)
    if step.kind is StepKind.WAIT_FOR_APPROVAL and view.spec.mode is Mode.OBSERVE:
        return _answered(free, step, Progress.DONE, "nobody is asked in mode Observe")
    if not approval.is_needed(view, step):
        return Permission(free.status, step)
    return _asked(view, free, step)


def _without_wait(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Return the status without what was waited for.

    A question about a repair outlasts a probe: asked anew after each that fails, its time would
    begin anew as well, and no answer would never count as the refusal that it is.
    """
    kept = status.approval if status.circuit.phase is CircuitPhase.HALF_OPEN else None
    if not status.held and status.approval is kept:
        return status
    return status.model_copy(update={"held": "", "approval": kept})


def _held(view: View, held: Hold) -> Permission:
    status = view.status.model_copy(update={"held": held.why})
    page = held.page and held.kind is brakes.HoldKind.BLAST_RADIUS
    return Permission(status, page=page, brake=held.kind)


def _asked(view: View, free: View, step: Step) -> Permission:
    waits = step.of.wait_for_approval if step.of else None
    expires = waits.expire_after if waits else view.spec.limits.approval_expires_after
    question = approval.ask(view, step, expires)
    found = approval.answer(view, question)
    if found.answer is approval.Answer.APPROVED:
        if step.kind is StepKind.WAIT_FOR_APPROVAL:
            return _answered(free, step, Progress.DONE, found.why)
        return Permission(free.status, step)
    if found.refused and step.of is not None:
        return _answered(free, step, Progress.FAILED, found.why)
    asked = free.status.model_copy(update={"approval": question, "held": found.why[:300]})
    return Permission(_noted(replace(free, status=asked), step, Progress.WAITING, found.why))


def _answered(view: View, step: Step, state: Progress, why: str) -> Permission:
    return Permission(_noted(view, step, state, why), again=True)


def _noted(view: View, step: Step, state: Progress, why: str) -> ModelMonitorStatus:
    """Return the status with the progress of the runbook's step, if it is one."""
    episode = episodes.under_way(view.status)
    if step.of is None or episode is None:
        return view.status
    known = runbook.progress_of(episode, step.of)
    if known is not None and known.state is state:
        return view.status
    noted = runbook.noted(episode, step.of, state, why, view.now)
    return view.status.model_copy(update={"incident": noted})


def redo(view: View) -> Permission | None:
    """Return what is to be done about a change of ours that was undone, ``None`` if none was."""
    revert, episode = reverts.find(view), view.status.incident
    if revert is None or episode is None or view.spec.mode is Mode.OBSERVE:
        return None
    closes = breaker.concede(view, episode)
    if closes is not None:
        return permit(view, closes)
    if not reverts.may_redo(episode, view.spec.limits):
        urgent = _with_incident(view, episode.model_copy(update={"severity": Severity.P0}))
        return _held(urgent, reverts.stopped(episode, revert))
    nth = episode.reverts + 1
    action = revert.action
    again = episodes.action_id(view.uid, f"{episode.name}/reverts", action.step, nth)
    permission = permit(view, Step(action.step, again, f"once more: {revert.what}"))
    if permission.step is None:
        return permission
    counted = episode.model_copy(update={"reverts": nth})
    status = permission.status.model_copy(update={"incident": counted})
    return replace(permission, status=status)


def _with_incident(view: View, episode: Episode) -> View:
    return replace(view, status=view.status.model_copy(update={"incident": episode}))
