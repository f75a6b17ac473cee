"""Turns what changed between two looks at the cluster into lines of the timeline."""

from __future__ import annotations

from collections.abc import Iterator

from backstop.api.status import Action
from backstop.api.words import ActionState, CircuitPhase, StepKind
from backstop_lab.demo.snapshot import Snapshot

_DONE = {
    StepKind.OPEN_CIRCUIT: "circuit opened: the fallback answers",
    StepKind.PROBE_CIRCUIT: "circuit half-open: a small share probes the target",
    StepKind.CLOSE_CIRCUIT: "circuit closed: the target answers again",
    StepKind.SHIFT_TRAFFIC: "the candidate's traffic was moved",
    StepKind.ROLLBACK: "rollback to the last good revision",
    StepKind.SCALE: "more pods asked for",
    StepKind.RESTART: "restart",
    StepKind.PAUSE_ROLLOUT: "rollout paused",
    StepKind.RUN_JOB: "Job started",
    StepKind.CALL_WEBHOOK: "webhook called",
    StepKind.NOTIFY: "people told",
    StepKind.WAIT_FOR_APPROVAL: "approval asked for",
    StepKind.PROMOTE: "the target takes over the candidate's version",
}


def changes(before: Snapshot, now: Snapshot) -> list[str]:
    """Return one line per change, in the order in which the changes follow from each other."""
    return [
        *_verdict(before, now),
        *_incidents(before, now),
        *_actions(before, now),
        *_weights(before, now),
        *_workload(before, now),
    ]


def say_weights(snapshot: Snapshot) -> str:
    """Return the weights in words."""
    return "  ".join(f"{name} {weight}" for name, weight in snapshot.weights.items())


def _verdict(before: Snapshot, now: Snapshot) -> Iterator[str]:
    old, new = before.monitor, now.monitor
    if old.verdict is not new.verdict:
        yield f"verdict {new.verdict}: {new.why}"
    good = new.revisions.last_good
    if good is not None and good != old.revisions.last_good:
        yield f"revision {now.version} is recorded as good"


def _incidents(before: Snapshot, now: Snapshot) -> Iterator[str]:
    known = {seen.status.name: seen.status for seen in before.incidents}
    for seen in now.incidents:
        old, new = known.get(seen.status.name), seen.status
        if old is None:
            yield f"incident {new.severity}, cause {new.cause}: {new.why}"
        if new.repaired is not None and (old is None or old.repaired is None):
            yield "repaired"
        if new.resolved is not None and (old is None or old.resolved is None):
            yield "incident resolved"


def _actions(before: Snapshot, now: Snapshot) -> Iterator[str]:
    known = {action.id: action.state for seen in before.incidents for action in seen.status.actions}
    for seen in now.incidents:
        for action in seen.status.actions:
            if known.get(action.id) is not action.state:
                yield from _action(action, known.get(action.id))


def _action(action: Action, before: ActionState | None) -> Iterator[str]:
    done = _DONE[action.step]
    if action.state is ActionState.FAILED:
        yield f"failed: {done}: {action.message}"
    elif action.state is ActionState.OBSERVED:
        yield f"not carried out (Observe): {done}"
    elif before is None and action.state in (ActionState.APPLIED, ActionState.VERIFIED):
        yield done


def _weights(before: Snapshot, now: Snapshot) -> Iterator[str]:
    if dict(before.weights) != dict(now.weights):
        yield f"weights: {say_weights(now)}"


def _workload(before: Snapshot, now: Snapshot) -> Iterator[str]:
    if before.template != now.template:
        yield f"Deployment ranker changes to {now.version}"
    elif not before.rolled_out and now.rolled_out:
        yield f"rollout of {now.version} complete"


def last_action(snapshot: Snapshot) -> str:
    """Return the newest action of the current incident in words, or `-`."""
    episode = snapshot.monitor.incident
    if episode is None or not episode.actions:
        return "-"
    action = episode.actions[-1]
    return f"{_DONE[action.step]} ({action.state})"


def circuit(snapshot: Snapshot) -> str:
    """Return the state of the circuit in words."""
    return {
        CircuitPhase.CLOSED: "closed",
        CircuitPhase.OPEN: "open",
        CircuitPhase.HALF_OPEN: "half-open",
    }[snapshot.monitor.circuit.phase]
