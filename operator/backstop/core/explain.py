"""One sentence that says what Backstop sees and what it does about it.

The sentence holds numbers only of what has just changed, so that an unchanged situation has an
unchanged sentence and the status need not be written again.
"""

from backstop.api.modelmonitor import Mode
from backstop.api.status import Episode
from backstop.api.words import Arm, CircuitPhase, Severity, StepKind, TrialPhase, Verdict
from backstop.core.episode import under_way
from backstop.core.verdicts import overall
from backstop.core.view import Step, View

_DOING = {
    StepKind.OPEN_CIRCUIT: "opening the circuit to the fallback",
    StepKind.PROBE_CIRCUIT: "probing the target",
    StepKind.CLOSE_CIRCUIT: "closing the circuit",
    StepKind.SHIFT_TRAFFIC: "shifting the candidate's traffic",
    StepKind.ROLLBACK: "rolling back",
    StepKind.SCALE: "scaling out",
    StepKind.RESTART: "restarting",
    StepKind.PAUSE_ROLLOUT: "pausing the rollout",
    StepKind.RUN_JOB: "running a Job",
    StepKind.CALL_WEBHOOK: "calling a webhook",
    StepKind.NOTIFY: "telling people",
    StepKind.WAIT_FOR_APPROVAL: "waiting for approval",
    StepKind.PROMOTE: "promoting the candidate",
}

_NOT_CLOSED = {CircuitPhase.OPEN: "open", CircuitPhase.HALF_OPEN: "half-open"}


def sentence(view: View, step: Step | None) -> str:
    """Return the sentence for ``view`` with ``step`` about to be taken."""
    if step is not None:
        would = "mode is Observe, would be " if view.spec.mode is Mode.OBSERVE else ""
        return f"{would}{_DOING[step.kind]}: {step.why}"[:1024]
    if view.status.held:
        return f"held: {view.status.held}"[:1024]
    episode = under_way(view.status)
    if episode is not None and episode.severity is Severity.P2:
        return f"no action, only reported: {episode.why}"[:1024]
    if episode is not None:
        return f"{_phase(view, episode)}; {episode.why}"[:1024]
    return _without_incident(view)[:1024]


def _phase(view: View, episode: Episode) -> str:
    phase = view.status.circuit.phase
    if phase is not CircuitPhase.CLOSED and view.spec.mode is Mode.OBSERVE:
        return f"circuit {_NOT_CLOSED[phase]} and left so because the mode is Observe"
    if phase is CircuitPhase.OPEN:
        repairing = any(
            action.step is StepKind.ROLLBACK and action.state == "Applied"
            for action in episode.actions
        )
        return f"circuit open, {'rollback under way' if repairing else 'fallback answers'}"
    if phase is CircuitPhase.HALF_OPEN:
        return "circuit half-open, the target is being probed"
    if view.status.shifted:
        until = "until it recovers"
        if view.spec.mode is Mode.OBSERVE:
            until = "and is left so because the mode is Observe"
        return f"incident under way, the candidate has traffic of the target {until}"
    if view.spec.mode is Mode.OBSERVE:
        return "incident under way, nothing is changed because the mode is Observe"
    return "incident under way, watching"


def _without_incident(view: View) -> str:
    trial = view.status.candidate
    if trial is not None and trial.phase is TrialPhase.REMOVED:
        return trial.why
    verdict = overall(view.look.verdicts, Arm.TARGET)
    if verdict is Verdict.HEALTHY:
        return f"no action: all signals of {view.spec.target.name} are healthy"
    shown = [signal for signal in view.status.signals if signal.arm is Arm.TARGET]
    unknown = next((signal for signal in shown if signal.verdict is verdict), None)
    if unknown is None:
        return "no action: nothing has been measured yet"
    return f"no action: {unknown.name} is unknown ({unknown.reason}): {unknown.why}"
