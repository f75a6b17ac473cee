"""Whether somebody else has undone what was done in an incident, who, and whether to do it again.

A GitOps tool, a person or another controller may write what we wrote. Only what was in effect, or
has had the time to be seen, counts as undone: facts may be older than a write.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from backstop.api.modelmonitor import Limits
from backstop.api.status import Action, Episode
from backstop.api.words import ActionState, CircuitPhase, StepKind, TrialPhase
from backstop.core import weights
from backstop.core.brakes import Hold, HoldKind, left_alone
from backstop.core.episode import under_way
from backstop.core.facts import RouteFacts, WorkloadFacts
from backstop.core.view import View

SEEN_WITHIN: Final = 5.0
"""Seconds after which a write of ours is part of all facts; it may be undone before it is ever seen
in effect."""

REVERTED: Final = weights.TRAFFIC_STEPS | {StepKind.ROLLBACK}
"""Steps whose values are compared with what is there, to tell whether they were undone."""


@dataclass(frozen=True, slots=True)
class Revert:
    """What of ours was undone: ``what`` is a sentence, ``manager`` who wrote last.

    ``manager`` is the field manager, empty where it is not known; ``tool`` the GitOps tool that
    owns the object, empty where none does.
    """

    action: Action
    what: str
    manager: str
    tool: str = ""


def find(view: View) -> Revert | None:
    """Return what somebody else undid and still is undone, ``None`` where nothing is."""
    if view.status.action is not None:
        return None
    return _circuit(view) or _rollback(view) or _candidate(view)


def may_redo(episode: Episode, limits: Limits) -> bool:
    """Return whether one more change that was undone may be made again in this incident."""
    return episode.reverts < limits.max_reverts


def stopped(episode: Episode, revert: Revert) -> Hold:
    """Return why what was undone is not done again; somebody must be woken."""
    advice = left_alone(revert.tool, revert.action.step) if revert.tool else "stop who undoes it"
    why = (
        f"{revert.what}; made again {episode.reverts} times, not once more"
        f" (spec.limits.maxReverts): {advice}"
    )
    return Hold(HoldKind.REVERTS, why, page=True)


def _circuit(view: View) -> Revert | None:
    """Return the move of traffic that was undone while the circuit is not closed."""
    episode = under_way(view.status)
    if episode is None or view.status.circuit.phase is CircuitPhase.CLOSED:
        return None
    action = _last(episode.actions, weights.TRAFFIC_STEPS)
    if action is None or view.route is None or not _was_seen(action, view.now):
        return None
    asked = weights.from_text(action.after)
    for rule in view.route.rules:
        wanted = asked.get(rule.index, {})
        live = {name: rule.weights.get(name, 0) for name in wanted}
        if live != wanted:
            says = f"gives, in rule {rule.index}, {_say(live)} instead of {_say(wanted)}"
            return _revert(action, view.route, says)
    return None


def _candidate(view: View) -> Revert | None:
    """Return the move that took the traffic of a failed candidate away, if it has some again."""
    trial, episode, services = view.status.candidate, view.status.incident, view.services
    aborted = trial is not None and trial.phase is TrialPhase.ABORTED
    if not aborted or episode is None or services is None or view.route is None:
        return None
    name = services.candidate or ""
    action = _last(episode.actions, weights.TRAFFIC_STEPS)
    if action is None or not _was_seen(action, view.now):
        return None
    took = not any(rule.get(name, 0) for rule in weights.from_text(action.after).values())
    again = next((rule for rule in view.route.rules if rule.weights.get(name, 0)), None)
    if not took or again is None:
        return None
    says = f"gives, in rule {again.index}, {name} {again.weights[name]} after its trial was aborted"
    return _revert(action, view.route, says)


def _rollback(view: View) -> Revert | None:
    episode, target = under_way(view.status), view.target
    if episode is None or target is None:
        return None
    action = _last(episode.actions, frozenset({StepKind.ROLLBACK}))
    if action is None or action.state is not ActionState.VERIFIED:
        return None
    if target.fingerprint not in {action.before, *view.status.revisions.known_bad}:
        return None
    return _revert(action, target, f"asks for revision {target.fingerprint[:12]} again")


def _last(actions: Iterable[Action], kinds: frozenset[StepKind]) -> Action | None:
    """Return the last action of ``kinds`` that changed something."""
    done = [one for one in actions if one.step in kinds and one.applied_at is not None]
    return done[-1] if done else None


def _was_seen(action: Action, now: float) -> bool:
    """Return whether facts of now must show ``action``, unless it was undone."""
    if action.state is ActionState.VERIFIED:
        return True
    applied = (action.applied_at or action.planned_at).timestamp()
    return action.state is ActionState.APPLIED and now >= applied + SEEN_WITHIN


def _say(rule: dict[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(rule.items()))


def _revert(action: Action, undone: RouteFacts | WorkloadFacts, says: str) -> Revert:
    who = undone.manager or "somebody unknown"
    by = f"{who} ({undone.gitops})" if undone.gitops else who
    what = f"{action.step} was undone by {by}: {undone.ref} {says}"
    return Revert(action, what, undone.manager, undone.gitops)
