"""Whether what an action asked for is there, as far as the cluster shows.

An action that was acknowledged is not yet in effect: gateways take a route over, pods are replaced,
a Job runs.
"""

from typing import Final

from backstop.api.status import Action
from backstop.api.words import StepKind
from backstop.core import weights
from backstop.core.facts import JobState, RouteFacts, WorkloadFacts
from backstop.core.view import View

POD: Final = "Pod/"
"""What a restart of a single pod has before its name."""

_POD_SETTLES: Final = 5.0
"""Seconds until a workload shows that one of its pods was deleted."""


def in_effect(action: Action, view: View) -> bool:
    """Return whether ``action``, which was acknowledged, is in effect."""
    if action.step in weights.TRAFFIC_STEPS:
        return _routed(action, view.route)
    if action.step is StepKind.RUN_JOB:
        job = view.jobs.get(action.id)
        return job is not None and job.state is JobState.COMPLETE
    return view.target is not None and _changed(action, view.target, view.now)


def failure(action: Action, view: View) -> str:
    """Return why ``action`` will never be in effect, "" while it still may."""
    job = view.jobs.get(action.id)
    if action.step is StepKind.RUN_JOB and job is not None and job.state is JobState.FAILED:
        return f"{job.ref} failed: {job.message}".rstrip(": ")
    return ""


def _routed(action: Action, route: RouteFacts | None) -> bool:
    if route is None or not route.in_effect:
        return False
    found = {rule.index: rule.weights for rule in route.rules}
    return all(
        found.get(index, {}).get(name) == weight
        for index, rule in weights.from_text(action.after).items()
        for name, weight in rule.items()
    )


def _changed(action: Action, target: WorkloadFacts, now: float) -> bool:
    match action.step:
        case StepKind.ROLLBACK:
            return target.fingerprint == action.after and target.rolled_out
        case StepKind.RESTART if action.after.startswith(POD):
            applied = action.applied_at.timestamp() if action.applied_at else now
            return target.rolled_out and now >= applied + _POD_SETTLES
        case StepKind.RESTART | StepKind.PROMOTE:
            return target.last_action == action.id and target.rolled_out
        case StepKind.SCALE:
            return min(target.desired, target.ready) >= int(action.after)
        case StepKind.PAUSE_ROLLOUT:
            return target.paused or target.last_action == action.id
    return False
