"""Why a step of a runbook is not taken: its own conditions, and what can be right in an incident.

Whatever a runbook asks, one rollback an incident, and only where something shows that it helps.
"""

from typing import Final

from backstop.api.runbook import Pods, RunbookStep
from backstop.api.status import Episode
from backstop.api.words import Arm, CircuitPhase, Finding, StepKind, Verdict
from backstop.core import episode as episodes
from backstop.core.verdicts import overall
from backstop.core.view import View

NOT_KNOWN: Final = "the target's revision is not known"
"""Why a step is not taken as long as the target cannot be read; then its turn comes again."""


def unwanted(episode: Episode, step: RunbookStep) -> str:
    """Return which of the step's own conditions does not hold."""
    when, found = step.when, set(episode.findings)
    if when.any and not found & set(when.any):
        return f"not found: {' or '.join(when.any)}"
    excluded = [one for one in when.none if one in found]
    if excluded:
        return f"found: {excluded[0]}"
    breached = {line.split(" on ", 1)[0] for line in episode.evidence}
    if when.signals and not breached & set(when.signals):
        return f"not breached: {' or '.join(when.signals)}"
    return ""


def unfit(view: View, episode: Episode, step: RunbookStep) -> str:
    """Return why the action of ``step`` cannot be right in this incident."""
    match step.kind:
        case StepKind.OPEN_CIRCUIT:
            return _no_opening(view)
        case StepKind.ROLLBACK:
            return _no_way_back(view, episode)
        case StepKind.SHIFT_TRAFFIC:
            return _no_shift(view, step)
        case StepKind.RESTART if step.restart and step.restart.pods is Pods.BAD:
            return _no_pod(episode)
        case StepKind.PAUSE_ROLLOUT:
            return _no_rollout(view)
    return ""


def _no_rollout(view: View) -> str:
    if view.target is None:
        return NOT_KNOWN
    return "no rollout is under way" if view.target.rolled_out else ""


def _no_pod(episode: Episode) -> str:
    if not episode.pod:
        return "no single pod carries most of the fault"
    # Without a label pod, a scrape target goes by its address.
    return f"no label says which pod {episode.pod} is" if ":" in episode.pod else ""


def _no_opening(view: View) -> str:
    if view.status.circuit.phase is not CircuitPhase.CLOSED:
        return "the circuit is open already"
    if view.services is None or view.services.fallback is None:
        return "the monitor names no fallback"
    # It would be put back to this later, and nobody but the fallback would ever answer.
    return "the fallback has all traffic already" if fallback_has_all(view) else ""


def fallback_has_all(view: View) -> bool:
    """Return whether somebody else gave all of our traffic to the fallback, by the route."""
    rules = view.route.rules if view.route is not None else ()
    services = view.services
    return (
        bool(rules)
        and services is not None
        and all(
            weight == 0
            for rule in rules
            for name, weight in rule.weights.items()
            if name in services.named - {services.fallback}
        )
    )


def _no_way_back(view: View, episode: Episode) -> str:
    if not view.spec.rollback.enabled:
        return "spec.rollback.enabled is false"
    if any(one.applied_at for one in episodes.actions(episode, StepKind.ROLLBACK)):
        return "it was rolled back in this incident already"
    if Finding.ROLLBACK_HELPS not in episode.findings:
        return "nothing shows that an earlier revision would be better"
    current = view.status.revisions.current
    if current is None or view.target is None:
        return NOT_KNOWN
    if current.since > episode.detected:
        return "the target has been changed since"
    return ""


def _no_shift(view: View, step: RunbookStep) -> str:
    if view.services is None or view.services.candidate is None:
        return "the monitor names no candidate"
    more = step.shift_traffic is not None and step.shift_traffic.candidate_weight > 0
    if more and view.status.circuit.phase is not CircuitPhase.CLOSED:
        return "the circuit is open, and has the traffic"
    if more and overall(view.look.verdicts, Arm.CANDIDATE) is not Verdict.HEALTHY:
        return "the candidate is not known to be healthy"
    return ""
