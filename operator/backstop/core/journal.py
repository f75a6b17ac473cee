"""What an action leaves in the status: as intent, as applied, as verified, as failed.

The status is written with the intent before anything happens. Everything needed to finish the
action after a crash is in the intent itself, so resuming and doing are the same code.
"""

from typing import TypeVar

from backstop.api.base import ApiModel
from backstop.api.runbook import MAX_STEPS, MESSAGES, REPAIRS
from backstop.api.status import Action, CircuitStatus, Episode, ModelMonitorStatus, StepProgress
from backstop.api.words import ActionState, CircuitPhase, Progress, Severity, StepKind
from backstop.core import brakes, effects, runbook, trials, weights
from backstop.core.episode import resolve, under_way, with_action
from backstop.core.revisions import rolled_back
from backstop.core.units import say_seconds, seconds
from backstop.core.view import Step, View

VERIFY_WITHIN = 600.0
"""Seconds after which an action that is not verified has failed."""

LONGEST_OPEN = 365 * 86_400.0
"""No probe is further away than this many seconds, whatever a spec says: times end somewhere."""


def intent(view: View, step: Step, *, subject: str, before: str, after: str) -> Action:
    """Return ``step`` as an action that is planned."""
    return Action.model_validate(
        {
            "id": step.action_id,
            "step": step.kind,
            "name": step.of.name if step.of else "",
            "state": ActionState.PLANNED,
            "subject": subject,
            "before": before,
            "after": after,
            "planned_at": view.now,
            "why": step.why[:1024],
        }
    )


ModelT = TypeVar("ModelT", bound=ApiModel)


def _changed(model: ModelT, **changes: object) -> ModelT:
    return type(model).model_validate({**dict(model), **changes})


def applied(view: View, action: Action, now: float) -> ModelMonitorStatus:
    """Return the status once ``action`` has taken place at ``now``."""
    status = view.status
    done = _changed(action, state=ActionState.APPLIED, applied_at=now)
    status = status.model_copy(update={"action": None})
    if action.step not in MESSAGES:
        status = _changed(status, evidence_from=now)
    episode = under_way(status)
    if episode is not None:
        episode = _running(with_action(episode, done), done, now)
        status = status.model_copy(update={"incident": episode})
    if action.step in MESSAGES:
        return _verified(status, done, now)
    return brakes.counted(view, _consequence(view, status, done, now), done, now)


def _consequence(
    view: View, status: ModelMonitorStatus, done: Action, now: float
) -> ModelMonitorStatus:
    """Return the status with what the applied action ``done`` means for the rest of it."""
    match done.step:
        case StepKind.OPEN_CIRCUIT:
            return _opened(view, status, done, now)
        case StepKind.PROBE_CIRCUIT:
            return _probing(status, now)
        case StepKind.CLOSE_CIRCUIT:
            return _closed(status, now)
        case StepKind.SHIFT_TRAFFIC | StepKind.PROMOTE:
            return trials.applied(view, status, done, now)
        case StepKind.ROLLBACK:
            known = rolled_back(status.revisions, done.before, done.after)
            return status.model_copy(update={"revisions": known})
        case _:
            return status


def _running(episode: Episode, action: Action, now: float) -> Episode:
    """Return ``episode`` with the runbook's step that asked for ``action`` as one that runs."""
    known = next((one for one in episode.steps if one.name == action.name), None)
    if not action.name or (known is not None and known.state is Progress.RUNNING):
        return episode
    if known is None and len(episode.steps) >= MAX_STEPS:
        return episode  # of a runbook that was edited since the action was planned
    entry = StepProgress.model_validate(
        {"name": action.name, "step": action.step, "state": Progress.RUNNING, "since": now}
    )
    others = [one for one in episode.steps if one.name != action.name]
    return episode.model_copy(update={"steps": [*others, entry]})


def _mitigated(status: ModelMonitorStatus, now: float) -> ModelMonitorStatus:
    episode = under_way(status)
    if episode is None or episode.mitigated is not None:
        return status
    return status.model_copy(update={"incident": _changed(episode, mitigated=now)})


def _opened(
    view: View, status: ModelMonitorStatus, action: Action, now: float
) -> ModelMonitorStatus:
    circuit = status.circuit
    first = circuit.phase is CircuitPhase.CLOSED
    openings = 1 if first else circuit.openings + 1
    wait = min(
        seconds(view.spec.circuit.open_for) * 2 ** min(openings - 1, 16),
        seconds(view.spec.circuit.max_open_for),
        LONGEST_OPEN,
    )
    before = status.shifted or list(weights.from_text(action.before).values())
    restore = before if first else circuit.restore
    opened = CircuitStatus.model_validate(
        {
            "phase": CircuitPhase.OPEN,
            "since": now,
            "openings": openings,
            "next_probe": now + wait,
            "restore": restore,
        }
    )
    return _mitigated(status.model_copy(update={"circuit": opened, "shifted": []}), now)


def _probing(status: ModelMonitorStatus, now: float) -> ModelMonitorStatus:
    circuit = _changed(status.circuit, phase=CircuitPhase.HALF_OPEN, since=now, next_probe=None)
    return status.model_copy(update={"circuit": circuit})


def _closed(status: ModelMonitorStatus, now: float) -> ModelMonitorStatus:
    closed = CircuitStatus.model_validate({"phase": CircuitPhase.CLOSED, "since": now})
    lost = status.circuit.fallback_lost is not None
    status = status.model_copy(update={"circuit": closed})
    # Closed for want of a fallback: the fault stands, and ends with the health of the target.
    episode = None if lost else under_way(status)
    return status.model_copy(update={"incident": resolve(episode, now)}) if episode else status


def failed(view: View, action: Action, message: str) -> ModelMonitorStatus:
    """Return the status once ``action`` could not be done; nothing was changed by it."""
    status = view.status.model_copy(update={"action": None})
    episode = under_way(status)
    if episode is None:
        return status
    undone = _changed(action, state=ActionState.FAILED, message=message[:1024])
    episode = _running(with_action(episode, undone), undone, view.now)
    if action.step not in MESSAGES:
        episode = _changed(episode, severity=Severity.P0)
    return status.model_copy(update={"incident": episode})


def observed(episode: Episode, action: Action) -> Episode:
    """Return the episode with ``action`` as something that would have been done."""
    said = "not carried out: the mode is Observe"
    seen = _changed(action, state=ActionState.OBSERVED, message=said)
    return _running(with_action(episode, seen), seen, action.planned_at.timestamp())


def verify(status: ModelMonitorStatus, view: View) -> ModelMonitorStatus:
    """Return the status with each applied action verified that is seen to be in effect."""
    episode = under_way(status)
    for action in episode.actions if episode else ():
        if action.state is ActionState.APPLIED:
            status = _verify_one(status, action, view)
    return status


def _verify_one(status: ModelMonitorStatus, action: Action, view: View) -> ModelMonitorStatus:
    episode = under_way(status)
    if episode is None or action.applied_at is None:
        return status
    if effects.in_effect(action, view):
        return _verified(status, action, view.now)
    overtaken = _overtaken(episode, action)
    if overtaken is not None:
        settled = overtaken.state is not ActionState.APPLIED
        said = f"{overtaken.step} took its place before it was seen in effect"
        return _verified(status, _changed(action, message=said), view.now) if settled else status
    why = effects.failure(action, view)
    if not why and view.now >= action.applied_at.timestamp() + _patience(view, episode, action):
        why = f"not in effect after {say_seconds(_patience(view, episode, action))}"
    if not why:
        return status
    late = _changed(action, state=ActionState.FAILED, message=why[:1024])
    worse = _changed(with_action(episode, late), severity=Severity.P0)
    return status.model_copy(update={"incident": worse})


def _overtaken(episode: Episode, action: Action) -> Action | None:
    """Return what has moved the traffic since ``action`` did, so that nobody will see its effect.

    Nothing may wait for it any more once the later one is judged.
    """
    if action.step not in weights.TRAFFIC_STEPS:
        return None
    later = [
        one
        for one in episode.actions
        if one.step in weights.TRAFFIC_STEPS
        and one.applied_at is not None
        and one.planned_at > action.planned_at
    ]
    return later[-1] if later else None


def _patience(view: View, episode: Episode, action: Action) -> float:
    """Return after how many seconds an action that is not in effect has failed."""
    steps = runbook.steps_of(view, episode)
    named = next((one.timeout for one in steps if one.name == action.name), None)
    return VERIFY_WITHIN if named is None else seconds(named)


def _verified(status: ModelMonitorStatus, action: Action, now: float) -> ModelMonitorStatus:
    episode = under_way(status)
    if episode is None:
        return status
    done = _changed(action, state=ActionState.VERIFIED, verified_at=now)
    episode = with_action(episode, done)
    if action.step in REPAIRS:
        return _repaired(status, episode, now)
    return status.model_copy(update={"incident": episode})


def _repaired(status: ModelMonitorStatus, episode: Episode, now: float) -> ModelMonitorStatus:
    status = status.model_copy(update={"incident": _changed(episode, repaired=now)})
    circuit = status.circuit
    if circuit.phase is CircuitPhase.OPEN:
        return status.model_copy(update={"circuit": _changed(circuit, next_probe=now)})
    return status
