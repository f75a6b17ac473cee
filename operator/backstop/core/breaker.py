"""The runbook of an incident on the target, as a circuit breaker with a repair in between.

Closed: a breach opens the circuit. Open: repair if a repair would help, then wait for it or for the
open interval, then probe. Half-open: a breach opens again, for twice as long; health for long
enough closes. Unknown moves nothing in any phase.
"""

from backstop.api.status import (
    ActionState,
    Arm,
    Cause,
    CircuitPhase,
    Episode,
    StepKind,
)
from backstop.core import episode as episodes
from backstop.core.diagnosis import Diagnosis
from backstop.core.units import say_seconds, seconds
from backstop.core.view import Step, View


def next_step(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Step | None:
    """Return the next step of ``episode`` on the target, ``None`` where there is nothing to do."""
    phase = view.status.circuit.phase
    if phase is CircuitPhase.HALF_OPEN:
        return _half_open(view, episode, diagnosis)
    if phase is CircuitPhase.OPEN:
        return _rollback(view, episode) or _probe(view, episode)
    if diagnosis is None or diagnosis.arm is not Arm.TARGET:
        return None
    return _open(view, episode, episode.why) or _rollback(view, episode)


def _step(view: View, episode: Episode, kind: StepKind, why: str) -> Step | None:
    if not episodes.may_try(episode, kind, view.now, mode=view.spec.mode):
        return None
    ordinal = view.status.circuit.openings if kind in _REPEATED else 0
    failed = sum(a.state is ActionState.FAILED for a in episodes.actions(episode, kind))
    action = episodes.action_id(view.uid, episode.name, kind, ordinal * 100 + failed)
    return Step(kind, action, why)


_REPEATED = frozenset({StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT, StepKind.CLOSE_CIRCUIT})


def _open(view: View, episode: Episode, why: str) -> Step | None:
    services = view.services
    if services is None or services.fallback is None:
        return None
    return _step(view, episode, StepKind.OPEN_CIRCUIT, why)


def _rollback(view: View, episode: Episode) -> Step | None:
    blamed = episode.cause is Cause.RELEASE and episode.arm is Arm.TARGET
    if not blamed or not view.spec.rollback.enabled or view.target is None:
        return None
    done = episodes.actions(episode, StepKind.ROLLBACK)
    if any(a.applied_at is not None for a in done):
        return None
    current = view.status.revisions.current
    if current is None or current.since > episode.detected:
        return None
    return _step(view, episode, StepKind.ROLLBACK, episode.why)


def _probe(view: View, episode: Episode) -> Step | None:
    circuit = view.status.circuit
    if circuit.next_probe is None or view.now < circuit.next_probe.timestamp():
        return None
    if _repair_under_way(episode):
        return None
    percent = view.spec.circuit.probe_weight
    opened = circuit.since.timestamp() if circuit.since else view.now
    why = f"open for {say_seconds(view.now - opened)}; {percent} % of traffic probe the target"
    if episode.repaired is not None:
        why = f"repaired; {percent} % of traffic probe the target"
    return _step(view, episode, StepKind.PROBE_CIRCUIT, why)


def _repair_under_way(episode: Episode) -> bool:
    return any(
        action.state is ActionState.APPLIED
        for action in episodes.actions(episode, StepKind.ROLLBACK)
    )


def _half_open(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Step | None:
    if diagnosis is not None and diagnosis.arm is Arm.TARGET:
        return _open(view, episode, f"the probe failed: {diagnosis.why}")
    since = view.status.circuit.since
    probed = view.now - since.timestamp() if since else 0.0
    if probed < seconds(view.spec.circuit.probe_for):
        return None
    if not episodes.evidence_cleared(episode, view.look.verdicts):
        return None
    why = f"the target was healthy under the probe for {say_seconds(probed)}"
    return _step(view, episode, StepKind.CLOSE_CIRCUIT, why)


def due(view: View) -> float | None:
    """Return the Unix time at which a timer of the circuit will end, ``None`` without one."""
    ends = _timer(view)
    return ends if ends is not None and ends > view.now else None


def _timer(view: View) -> float | None:
    circuit = view.status.circuit
    if circuit.phase is CircuitPhase.OPEN and circuit.next_probe is not None:
        return circuit.next_probe.timestamp()
    if circuit.phase is CircuitPhase.HALF_OPEN and circuit.since is not None:
        return circuit.since.timestamp() + seconds(view.spec.circuit.probe_for)
    return None
