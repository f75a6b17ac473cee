"""Why a step must wait, whatever the diagnosis says: the brakes, in their order.

Guarantees: only the kill switch holds what gives traffic back and what ends a probe; nothing holds
what tells people; in mode Observe nothing is held, as nothing is done. No sequence of steps that
pass takes more than the limits allow. Each hold says in one sentence, with numbers, who can change
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backstop.api.modelmonitor import Gitops, Mode
from backstop.api.runbook import WORDS
from backstop.api.status import Action, ActionCount, ModelMonitorStatus
from backstop.api.words import CircuitPhase, Severity, StepKind
from backstop.core import shifts, weights
from backstop.core.episode import under_way
from backstop.core.fleet import Fleet
from backstop.core.units import say_seconds, say_share, seconds
from backstop.core.view import Step, View
from backstop.core.weights import Services
from backstop.core.windows import open_window, say

HOUR: Final = 3600.0
"""Seconds over which actions are counted."""

TOGETHER: Final = 600.0
"""Actions in the same ten minutes are counted together; each then counts until the last of them is
an hour old."""

FREEZE: Final = "freeze: "
"""How the sentence of a freeze begins, by which other shards know it."""

LONGEST: Final = 300
"""Characters that a status has for why actions are held."""

WORKLOAD_STEPS: Final = frozenset(
    {StepKind.ROLLBACK, StepKind.SCALE, StepKind.RESTART, StepKind.PROMOTE}
)
"""Steps that replace pods of the target, between which it must come to rest."""

_OWNED: Final = WORKLOAD_STEPS | {StepKind.PAUSE_ROLLOUT}
"""Steps that write the target's workload, which a GitOps tool may own."""


class HoldKind(StrEnum):
    """Which brake holds."""

    KILL_SWITCH = "KillSwitch"
    MAINTENANCE = "Maintenance"
    GITOPS = "Gitops"
    COOL_DOWN = "CoolDown"
    MONITOR_RATE = "MonitorRate"
    NAMESPACE_RATE = "NamespaceRate"
    CLUSTER_RATE = "ClusterRate"
    BLAST_RADIUS = "BlastRadius"
    REVERTS = "Reverts"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a step waits; ``page`` says that somebody is to be woken.

    ``why`` is one sentence of at most 300 characters.
    """

    kind: HoldKind
    why: str
    page: bool = False

    def __post_init__(self) -> None:
        """Keep ``why`` to what a status can hold."""
        object.__setattr__(self, "why", self.why[:LONGEST])


def hold(view: View, step: Step) -> Hold | None:
    """Return the first brake that holds ``step`` now, ``None`` where it may go ahead."""
    if view.spec.mode is Mode.OBSERVE or step.kind is StepKind.NOTIFY:
        return None
    if view.fleet.stopped:
        why = f"all actions are stopped: {view.fleet.stopped}"
        return Hold(HoldKind.KILL_SWITCH, why)
    if not is_limited(view, step):
        return None
    return next(filter(None, (brake(view, step) for brake in _BRAKES)), None)


def gives_back(step: Step) -> bool:
    """Return whether ``step`` gives traffic back to the target; that is never limited."""
    if step.kind is StepKind.SHIFT_TRAFFIC:
        return step.candidate_weight == 0
    return step.kind in {StepKind.PROBE_CIRCUIT, StepKind.CLOSE_CIRCUIT}


def ends_probe(view: View, kind: StepKind) -> bool:
    """Return whether a step of ``kind`` ends a probe that failed; that is never limited either.

    A probe is never limited, so neither is what takes its users away from the fault again.
    """
    half_open = view.status.circuit.phase is CircuitPhase.HALF_OPEN
    return half_open and kind is StepKind.OPEN_CIRCUIT


def is_limited(view: View, step: Step) -> bool:
    """Return whether ``step`` is one that the limits hold and count."""
    free = gives_back(step) or ends_probe(view, step.kind)
    return not free and step.kind not in WORDS


def counts(action: Action, services: Services | None) -> bool:
    """Return whether ``action`` is of a step that the limits hold and count."""
    if action.step in WORDS:
        return False
    if action.step is StepKind.SHIFT_TRAFFIC:
        candidate = services.candidate if services else None
        rules = weights.from_text(action.after).values() if action.after else ()
        return any(rule.get(candidate or "", 0) for rule in rules)
    return action.step not in {StepKind.PROBE_CIRCUIT, StepKind.CLOSE_CIRCUIT}


def counted(
    view: View, status: ModelMonitorStatus, action: Action, now: float
) -> ModelMonitorStatus:
    """Return ``status`` with ``action``, which was applied at Unix time ``now``, counted.

    To be called once for each action, together with what else it leaves in the status; ``view`` is
    from before it.
    """
    free = ends_probe(view, action.step) or shifts.is_back(view, action)
    if free or not counts(action, view.services):
        return status
    recent = _last_hour(status, now)
    count = 1
    if recent and _period(recent[-1].last.timestamp()) == _period(now):
        count = recent.pop().count + 1
    newest = ActionCount.model_validate({"last": now, "count": count})
    return status.model_copy(update={"recent_actions": [*recent, newest][-7:]})


def actions_in_last_hour(status: ModelMonitorStatus, now: float) -> int:
    """Return how many actions of this monitor count at the Unix time ``now``."""
    return sum(one.count for one in _last_hour(status, now))


def cooling(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Return ``status`` with the end of the incident noted that changed a workload, if it did.

    To be called before the next incident takes the place of the one in the status.
    """
    episode = status.incident
    if episode is None or episode.resolved is None:
        return status
    changed = any(
        action.step in WORKLOAD_STEPS and action.applied_at is not None
        for action in episode.actions
    )
    return status.model_copy(update={"cool_down_from": episode.resolved}) if changed else status


def may_act(fleet: Fleet) -> int:
    """Return how many monitors of ``fleet`` may act at once."""
    share = int(fleet.blast_radius * fleet.monitors + 1e-9)  # 0.29 of 100 is 28.999999999999996
    return max(fleet.blast_radius_at_least, share)


def _last_hour(status: ModelMonitorStatus, now: float) -> list[ActionCount]:
    return [one for one in status.recent_actions if one.last.timestamp() > now - HOUR]


def _period(moment: float) -> int:
    return int(moment // TOGETHER)


def _maintenance(view: View, step: Step) -> Hold | None:
    window = open_window(view.spec.maintenance, view.now)
    if window is None:
        return None
    why = (
        f"maintenance: {say(window)}; {step.kind} waits until the window closes, or until its"
        " entry in spec.maintenance is removed"
    )
    return Hold(HoldKind.MAINTENANCE, why)


def _gitops(view: View, step: Step) -> Hold | None:
    traffic = step.kind in weights.TRAFFIC_STEPS
    if not (traffic or step.kind in _OWNED):
        return None
    found = view.route if traffic else view.target
    allowed = view.spec.gitops
    may = allowed is Gitops.PROCEED or (traffic and allowed is Gitops.TRAFFIC_ONLY)
    if found is None or not found.gitops or may:
        return None
    wider = Gitops.TRAFFIC_ONLY if traffic else Gitops.PROCEED
    why = (
        f"{found.gitops} owns {found.ref} and spec.gitops is {allowed}: make the change in Git; or"
        f" set spec.gitops to {wider} and {left_alone(found.gitops, step.kind)}"
    )
    return Hold(HoldKind.GITOPS, why)


_FIELDS: Final = {StepKind.SCALE: "replicas", StepKind.PAUSE_ROLLOUT: "paused"}


def left_alone(tool: str, kind: StepKind) -> str:
    """Return what makes ``tool`` leave alone the field that a step of ``kind`` writes."""
    if tool == "Flux":
        return "annotate the object with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"
    field = "weights" if kind in weights.TRAFFIC_STEPS else _FIELDS.get(kind, "template")
    return f"list its {field} under ignoreDifferences, with RespectIgnoreDifferences=true"


def _cool_down(view: View, step: Step) -> Hold | None:
    since = cooling(view.status).cool_down_from
    if step.kind not in WORKLOAD_STEPS or since is None:
        return None
    wanted = seconds(view.spec.limits.cool_down)
    passed = max(0.0, view.now - since.timestamp())
    if passed >= wanted:
        return None
    why = (
        f"cool-down: a workload was changed in an incident that ended {since:%H:%M:%S} UTC;"
        f" {step.kind} waits until {say_seconds(wanted)} after that (spec.limits.coolDown)"
    )
    return Hold(HoldKind.COOL_DOWN, why)


def _monitor_rate(view: View, _: Step) -> Hold | None:
    done = actions_in_last_hour(view.status, view.now)
    most = view.spec.limits.actions_per_hour
    if done < most:
        return None
    why = (
        f"this monitor took {done} actions in the last hour, allowed {most}: look after it"
        " yourself, or raise spec.limits.actionsPerHour"
    )
    return Hold(HoldKind.MONITOR_RATE, why)


def _unseen(count: int) -> str:
    return f" and other shards perhaps {count} more just now," if count else ""


def _namespace_rate(view: View, _: Step) -> Hold | None:
    done, most = view.fleet.namespace_actions, view.fleet.namespace_actions_per_hour
    assumed = view.fleet.assumed_namespace_actions
    if done + assumed < most:
        return None
    why = (
        f"the monitors of namespace {view.namespace} took {done} actions in the last hour,"
        f"{_unseen(assumed)} allowed {most}: whoever runs Backstop can raise"
        " budgets.actionsPerHourPerNamespace"
    )
    return Hold(HoldKind.NAMESPACE_RATE, why)


def _cluster_rate(view: View, _: Step) -> Hold | None:
    done, most = view.fleet.actions, view.fleet.actions_per_hour
    assumed = view.fleet.assumed_actions
    if done + assumed < most:
        return None
    why = (
        f"all monitors together took {done} actions in the last hour,{_unseen(assumed)} allowed"
        f" {most}: whoever runs Backstop can raise budgets.actionsPerHour"
    )
    return Hold(HoldKind.CLUSTER_RATE, why)


def _blast_radius(view: View, _: Step) -> Hold | None:
    fleet = view.fleet
    if fleet.acting + fleet.assumed_acting + 1 <= may_act(fleet):
        return None
    if fleet.acting + 1 <= may_act(fleet):
        unseen = _unseen(fleet.assumed_acting)
        why = (
            f"{fleet.acting} of {fleet.monitors} monitors act already,{unseen} allowed"
            f" {may_act(fleet)}: tried again at the next look"
        )
        return Hold(HoldKind.BLAST_RADIUS, why)
    why = (
        f"{FREEZE}{fleet.acting} of {fleet.monitors} monitors act already, allowed"
        f" {say_share(fleet.blast_radius)} and at least {fleet.blast_radius_at_least}: suspect the"
        " metrics source or the cluster first; whoever runs Backstop can raise budgets.blastRadius"
    )
    # Only an incident joins those that act: the next step of a candidate can wait unnoticed.
    episode = under_way(view.status)
    page = episode is not None and episode.severity is not Severity.P2
    return Hold(HoldKind.BLAST_RADIUS, why, page=page)


_BRAKES: Final[tuple[Callable[[View, Step], Hold | None], ...]] = (
    _maintenance,
    _gitops,
    _cool_down,
    _monitor_rate,
    _namespace_rate,
    _cluster_rate,
    _blast_radius,
)
