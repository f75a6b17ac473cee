"""What a runbook gave to the candidate in an incident of the target, until it is put back.

The weights from before stand in the status. Once the target has recovered they are put back in one
step, which ends the incident as closing a circuit does; a circuit that opens meanwhile takes them
over. Taking the candidate's traffic away is no such thing: the target has what is its own.
"""

from backstop.api.status import Action, CandidateStatus, Episode, ModelMonitorStatus
from backstop.api.words import ActionState, CircuitPhase, StepKind
from backstop.core import episode as episodes
from backstop.core import weights
from backstop.core.view import Step, View

_BACK = "back"


def shifted(view: View, status: ModelMonitorStatus, action: Action) -> ModelMonitorStatus | None:
    """Return ``status`` once a runbook's ``action`` gave the candidate traffic of the target.

    ``None`` where it gave none.
    """
    if not action.name or not _gets(view, action):
        return None
    before = status.shifted or list(weights.from_text(action.before).values())
    return status.model_copy(update={"shifted": before})


def seen(view: View) -> ModelMonitorStatus:
    """Return the status without weights to put back, where somebody else moved the traffic since.

    Where the router counts pods, or can only switch, nobody can tell.
    """
    status, episode = view.status, episodes.under_way(view.status)
    if not status.shifted or episode is None or view.route is None or view.route.grain:
        return status
    done = [one for one in episode.actions if one.step in weights.TRAFFIC_STEPS and one.applied_at]
    if not done or done[-1].state is not ActionState.VERIFIED:
        return status
    last, asked = done[-1], weights.from_text(done[-1].after)
    live = {rule.index: rule.weights for rule in view.route.rules}
    if all(
        live.get(index, {}).get(name) == weight
        for index, rule in asked.items()
        for name, weight in rule.items()
    ):
        return status
    who = view.route.manager or "somebody unknown"
    said = f"{who} moved the traffic since, so it is not put back"
    told = episodes.with_action(episode, last.model_copy(update={"message": said}))
    return status.model_copy(update={"shifted": [], "incident": told})


def back(view: View, episode: Episode) -> Step | None:
    """Return the step that puts the weights back, for a target that has recovered."""
    kind = StepKind.SHIFT_TRAFFIC
    if not episodes.may_try(episode, kind, view.now, mode=view.spec.mode):
        return None
    failed = sum(one.state is ActionState.FAILED for one in episodes.actions(episode, kind))
    why = f"{view.spec.target.name} is healthy again, and gets its traffic back"
    return Step(kind, _id(view, episode, failed), why, back=True)


def saved(status: ModelMonitorStatus) -> list[dict[str, int]] | None:
    """Return the weights from before all that was moved for mitigation, ``None`` for nothing.

    Also where the intent alone stands in the status. An empty list means that they are not known.
    """
    planned, moved = status.action, status.circuit.restore or status.shifted
    begun = planned is not None and (
        planned.step is StepKind.OPEN_CIRCUIT
        or (planned.step is StepKind.SHIFT_TRAFFIC and planned.name != "")
    )
    if not moved and planned is not None and begun:
        moved = list(weights.from_text(planned.before).values())
    return moved if moved or status.circuit.phase is not CircuitPhase.CLOSED else None


def _id(view: View, episode: Episode, ordinal: int) -> str:
    scope = f"{episode.name}/{_BACK}"
    return episodes.action_id(view.uid, scope, StepKind.SHIFT_TRAFFIC, ordinal)


def is_back(view: View, action: Action) -> bool:
    """Return whether ``action`` puts back what a runbook has shifted."""
    episode = episodes.under_way(view.status)
    return episode is not None and any(
        action.id == _id(view, episode, ordinal) for ordinal in range(episodes.MAX_ACTIONS + 1)
    )


def put_back(
    view: View, status: ModelMonitorStatus, action: Action, now: float
) -> ModelMonitorStatus:
    """Return ``status`` once ``action`` has put the weights back at ``now``: the incident is over.

    The candidate's step begins anew, or its trial where it has no traffic.
    """
    episode, trial = status.incident, status.candidate or CandidateStatus()
    known = {"step_since": None, "weight": trial.weight if _gets(view, action) else 0}
    return status.model_copy(
        update={
            "shifted": [],
            "incident": episodes.resolve(episode, now) if episode is not None else None,
            "candidate": CandidateStatus.model_validate({**dict(trial), **known}),
        }
    )


def _gets(view: View, action: Action) -> bool:
    """Return whether ``action`` gives the candidate any traffic."""
    name = (view.services.candidate if view.services is not None else None) or ""
    return weights.largest_percent(weights.from_text(action.after), name) > 0
