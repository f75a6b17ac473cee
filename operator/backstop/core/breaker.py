"""The circuit breaker of a target, from the moment the runbook has opened it.

Open: wait for a repair or for the open interval, then probe. Half-open: a breach opens again, for
twice as long; health for long enough closes. Unknown moves nothing in any phase.
"""

from typing import Final

from backstop.api.status import CircuitStatus, Episode
from backstop.api.words import ActionState, Arm, CircuitPhase, StepKind
from backstop.core import episode as episodes
from backstop.core.diagnosis import Diagnosis
from backstop.core.evidence import is_complete
from backstop.core.units import say_seconds, seconds
from backstop.core.view import Step, View

_HOLD_BACK = frozenset({StepKind.ROLLBACK, StepKind.RESTART, StepKind.SCALE})
"""Repairs during which the target is not probed: its pods are being replaced."""

_MOVES = frozenset({StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT})
"""What moves traffic while the circuit is not closed."""


FALLBACK_LOST: Final = 15.0
"""Seconds without a ready endpoint after which the fallback is given up; pods that are replaced one
by one are back sooner."""


def next_step(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Step | None:
    """Return the breaker's next step in ``episode``, ``None`` where there is nothing to do."""
    if view.status.circuit.fallback_lost is not None:
        return _leave(view, episode)
    match view.status.circuit.phase:
        case CircuitPhase.HALF_OPEN:
            return _half_open(view, episode, diagnosis)
        case CircuitPhase.OPEN:
            return _probe(view, episode)
        case CircuitPhase.CLOSED:  # pragma: no branch - mypy proves that there is no other phase
            return None


def _leave(view: View, episode: Episode) -> Step | None:
    why = f"nobody is behind the fallback for {say_seconds(FALLBACK_LOST)}; the target answers"
    return _step(view, episode, StepKind.CLOSE_CIRCUIT, why)


def noticed(circuit: CircuitStatus, lost: float | None, now: float) -> CircuitStatus:
    """Return ``circuit`` with whether its fallback, without anybody since ``lost``, is given up.

    A fallback often falls over under the traffic that it was not made for. A target that fails in
    part is then better than nobody at all.
    """
    too_long = lost is not None and now >= lost + FALLBACK_LOST
    if not too_long and circuit.fallback_lost is None:
        return circuit
    return CircuitStatus.model_validate(
        {**circuit.model_dump(), "fallback_lost": lost if too_long else None}
    )


def open_again(view: View, episode: Episode, why: str) -> Step | None:
    """Return the step that gives the traffic to the fallback once more."""
    if view.services is None or view.services.fallback is None:
        return None
    return _step(view, episode, StepKind.OPEN_CIRCUIT, why)


def _step(view: View, episode: Episode, kind: StepKind, why: str) -> Step | None:
    if not episodes.may_try(episode, kind, view.now, mode=view.spec.mode):
        return None
    failed = sum(a.state is ActionState.FAILED for a in episodes.actions(episode, kind))
    ordinal = view.status.circuit.openings * 100 + episode.reverts * 10_000 + failed
    return Step(kind, episodes.action_id(view.uid, episode.name, kind, ordinal), why)


def _probe(view: View, episode: Episode) -> Step | None:
    circuit = view.status.circuit
    if circuit.next_probe is None or view.now < circuit.next_probe.timestamp():
        return None
    if _repair_under_way(episode) or _is_opening(episode):
        return None
    percent = view.spec.circuit.probe_weight
    opened = circuit.since.timestamp() if circuit.since else view.now
    why = f"open for {say_seconds(view.now - opened)}; {percent} % of traffic probe the target"
    if episode.repaired is not None:
        why = f"repaired; {percent} % of traffic probe the target"
    return _step(view, episode, StepKind.PROBE_CIRCUIT, why)


def _repair_under_way(episode: Episode) -> bool:
    return any(
        action.state is ActionState.APPLIED and action.step in _HOLD_BACK
        for action in episode.actions
    )


def _is_opening(episode: Episode) -> bool:
    """Return whether the gateway has yet to take over that the circuit is open.

    A probe would end the wait for it, and nobody would learn that it never opened.
    """
    moves = [one for one in episode.actions if one.step in _MOVES and one.applied_at is not None]
    return any(
        one.step is StepKind.OPEN_CIRCUIT and one.state is ActionState.APPLIED for one in moves[-1:]
    )


def concede(view: View, episode: Episode) -> Step | None:
    """Return the step that closes a circuit which somebody else keeps closed, if that did well.

    The target has its traffic against our will, and was healthy under it for as long as a probe
    takes: there is nothing left to fight about. Nor is there about a fallback that is lost, which
    others may have left before us.
    """
    if view.status.circuit.phase is CircuitPhase.CLOSED:
        return None
    if view.status.circuit.fallback_lost is not None:
        return _leave(view, episode)
    began = view.status.evidence_from
    if began is None or view.now < began.timestamp() + seconds(view.spec.circuit.probe_for):
        return None
    if not (is_complete(view) and episodes.evidence_cleared(view, episode)):
        return None
    why = "somebody else gave the traffic back, and the target is healthy"
    return _step(view, episode, StepKind.CLOSE_CIRCUIT, why)


def _half_open(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Step | None:
    if diagnosis is not None and diagnosis.arm is Arm.TARGET:
        return open_again(view, episode, f"the probe failed: {diagnosis.why}")
    since = view.status.circuit.since
    probed = view.now - since.timestamp() if since else 0.0
    if probed < seconds(view.spec.circuit.probe_for):
        return None
    if not (is_complete(view) and episodes.evidence_cleared(view, episode)):
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
