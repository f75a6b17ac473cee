"""Which step of the runbook is next, and what became of those that were taken.

Guarantees: mitigation comes before any notification that stands in front of it; a repair is waited
for, in effect and then in what recovers, before the next one; a step is taken at most once in an
incident, except that one which failed is tried again; Unknown neither starts a step nor ends the
wait for recovery.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from backstop.api.modelmonitor import Mode
from backstop.api.runbook import (
    MAX_STEPS,
    MESSAGES,
    MITIGATIONS,
    WORDS,
    OnFailure,
    RunbookStep,
)
from backstop.api.status import Action, Episode, StepProgress
from backstop.api.words import ActionState, Arm, CircuitPhase, Progress, Severity, Verdict
from backstop.core import episode as episodes
from backstop.core.built_in import BUILT_IN
from backstop.core.diagnosis import Diagnosis
from backstop.core.evidence import is_complete
from backstop.core.fitness import NOT_KNOWN, fallback_has_all, unfit, unwanted
from backstop.core.units import say_seconds, seconds
from backstop.core.verdicts import SignalVerdict
from backstop.core.view import Step, View

_OVER = frozenset(
    {
        Progress.DONE,
        Progress.HELPED,
        Progress.NOT_HELPED,
        Progress.FAILED,
        Progress.SKIPPED,
    }
)

TIME_TO_MEND: Final = 300.0
"""Seconds that a version gets to end an incident in which somebody else released it."""

_IN_VAIN = frozenset({Progress.NOT_HELPED, Progress.FAILED})


def steps_of(view: View, episode: Episode) -> Sequence[RunbookStep]:
    """Return the steps for the episode's cause: the monitor's own, else the built-in ones."""
    own = view.runbook.steps(episode.cause) if view.runbook else None
    return (BUILT_IN.steps(episode.cause) or []) if own is None else own


def source_of(view: View, episode: Episode) -> str:
    """Return where the steps come from: a Runbook's name, ``inline`` or ``built-in``."""
    own = view.runbook.steps(episode.cause) if view.runbook else None
    return "built-in" if own is None else view.runbook_name


def advance(view: View, episode: Episode) -> Episode:
    """Return ``episode`` with what became of the steps that run, and P0 if one was in vain."""
    episode = _with_room(view, _with_another_turn(view, _without_observed(view, episode)))
    for step in steps_of(view, episode):
        known = progress_of(episode, step)
        if known is None or known.state is not Progress.RUNNING:
            continue
        state, why = _outcome(view, episode, step)
        if state is not Progress.RUNNING:
            episode = noted(episode, step, state, why, view.now)
        if state in _IN_VAIN and step.kind not in MESSAGES:
            episode = episode.model_copy(update={"severity": Severity.P0})
    return episode


def _without_observed(view: View, episode: Episode) -> Episode:
    """Return ``episode`` without the steps that were only observed, once more is allowed."""
    if view.spec.mode is Mode.OBSERVE:
        return episode
    observed = {one.name for one in episode.actions if one.state is ActionState.OBSERVED}
    done = {one.name for one in episode.actions if one.state is not ActionState.OBSERVED}
    kept = [one for one in episode.steps if one.name not in observed - done]
    return episode.model_copy(update={"steps": kept})


def _with_another_turn(view: View, episode: Episode) -> Episode:
    """Return ``episode`` without the steps that only an unknown target kept from being taken."""
    kept = [one for one in episode.steps if view.target is None or one.why != NOT_KNOWN]
    return episode.model_copy(update={"steps": kept})


def _with_room(view: View, episode: Episode) -> Episode:
    """Return ``episode`` with as many steps of a runbook that was edited meanwhile as have room."""
    names = {one.name for one in steps_of(view, episode)}
    past = [one.name for one in episode.steps if one.name not in names]
    dropped = set(past[: max(0, len(past) + len(names) - MAX_STEPS)])
    kept = [one for one in episode.steps if one.name not in dropped]
    return episode.model_copy(update={"steps": kept})


def progress_of(episode: Episode, step: RunbookStep) -> StepProgress | None:
    """Return how far ``step`` has come, ``None`` where its turn has not come."""
    return next((one for one in episode.steps if one.name == step.name), None)


def noted(episode: Episode, step: RunbookStep, state: Progress, why: str, now: float) -> Episode:
    """Return ``episode`` with the progress of ``step``."""
    entry = StepProgress.model_validate(
        {"name": step.name, "step": step.kind, "state": state, "since": now, "why": why[:300]}
    )
    others = [one for one in episode.steps if one.name != step.name]
    return episode.model_copy(update={"steps": [*others, entry]})


def _outcome(view: View, episode: Episode, step: RunbookStep) -> tuple[Progress, str]:
    """Return to what state a running step has come."""
    action = _last(episode, step)
    if action is None:
        return Progress.FAILED, "nothing is known of its action any more"
    if action.state is ActionState.FAILED:
        if _may_retry(view, episode, step, action):
            return Progress.RUNNING, ""
        return Progress.FAILED, action.message
    if action.state is ActionState.OBSERVED:
        return _recovery(view, episode, step, action.planned_at.timestamp())
    if action.state is not ActionState.VERIFIED or action.verified_at is None:
        return Progress.RUNNING, ""
    return _recovery(view, episode, step, action.verified_at.timestamp())


def _last(episode: Episode, step: RunbookStep) -> Action | None:
    ours = [one for one in episode.actions if one.name == step.name]
    return ours[-1] if ours else None


def _was_refused(action: Action | None) -> bool:
    """Return whether ``action`` never took place; what took place in vain is not repeated."""
    return action is not None and action.state is ActionState.FAILED and action.applied_at is None


def _may_retry(view: View, episode: Episode, step: RunbookStep, action: Action) -> bool:
    if not _was_refused(action):
        return False
    known = progress_of(episode, step)
    first = known.since if known is not None else action.planned_at
    in_time = view.now < first.timestamp() + seconds(step.timeout)
    return in_time and not episodes.is_given_up(episode, step.kind, step.name)


def _recovery(
    view: View, episode: Episode, step: RunbookStep, in_effect: float
) -> tuple[Progress, str]:
    """Return whether the step, in effect since Unix time ``in_effect``, has helped."""
    wanted = step.verifies
    if wanted is None:
        return Progress.DONE, ""
    circuit = view.status.circuit
    if circuit.phase is not CircuitPhase.CLOSED:
        reopened = circuit.phase is CircuitPhase.OPEN and circuit.since is not None
        if reopened and circuit.since is not None and circuit.since.timestamp() > in_effect:
            return Progress.NOT_HELPED, "the target failed the probe that followed"
        return Progress.RUNNING, ""
    found = _watched(view, episode, wanted.signals)
    healthy = bool(found) and all(one.verdict is Verdict.HEALTHY for one in found)
    if healthy and is_complete(view):
        return Progress.HELPED, "all that was breached is healthy"
    late = view.now >= in_effect + seconds(wanted.within)
    worst = next((one for one in found if one.verdict is Verdict.BREACHED), None)
    if late and worst is not None:
        waited = say_seconds(view.now - in_effect)
        return Progress.NOT_HELPED, f"{worst.name} is breached {waited} after it: {worst.why}"
    return Progress.RUNNING, ""


def _watched(view: View, episode: Episode, names: Sequence[str]) -> list[SignalVerdict]:
    arms = [one for one in view.look.verdicts if one.arm is episode.arm]
    if names:
        return [one for one in arms if one.name in names]
    return [one for one in arms if not one.reports]


def settle(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Episode:
    """Return ``episode`` with every step skipped whose turn has come without being needed."""
    while True:
        turn = _turn(view, episode, diagnosis)
        why = _needless(view, episode, turn) if turn is not None else ""
        if turn is None or not why:
            return episode
        episode = noted(episode, turn, Progress.SKIPPED, why, view.now)


def next_step(view: View, episode: Episode, diagnosis: Diagnosis | None) -> Step | None:
    """Return the runbook's next step, ``None`` where there is nothing to do now."""
    turn = _turn(view, episode, diagnosis)
    if turn is None or not _may_try(view, episode, turn):
        return None
    failed = (ActionState.FAILED, turn.name)
    attempt = sum((one.state, one.name) == failed for one in episode.actions)
    # Not of how often the circuit opened: a question about the step outlasts a probe that failed.
    ordinal = episode.reverts * 10_000 + attempt
    scope = f"{episode.name}/{turn.name}"
    action = episodes.action_id(view.uid, scope, turn.kind, ordinal)
    weight = turn.shift_traffic.candidate_weight if turn.shift_traffic else 0
    return Step(turn.kind, action, episode.why, candidate_weight=weight, of=turn)


def is_at_a_loss(view: View, episode: Episode) -> bool:
    """Return whether the fault stands, and of all the runbook could do about it nothing was done.

    A runbook that only tells people is meant to do no more.
    """
    if view.spec.mode is Mode.OBSERVE or view.status.circuit.phase is not CircuitPhase.CLOSED:
        return False
    if fallback_has_all(view) or _is_mended(view, episode):
        return False
    changes = [one for one in steps_of(view, episode) if one.kind not in WORDS]
    found = [progress_of(episode, one) for one in changes]
    return bool(found) and all(
        one is not None and one.state in {Progress.SKIPPED, Progress.FAILED} for one in found
    )


def _is_mended(view: View, episode: Episode) -> bool:
    """Return whether somebody changed the target since, so lately that it may still help."""
    current = view.status.revisions.current
    if current is None or current.since <= episode.detected:
        return False
    return view.now < current.since.timestamp() + TIME_TO_MEND


def _turn(view: View, episode: Episode, diagnosis: Diagnosis | None) -> RunbookStep | None:
    """Return the step whose turn it is: a mitigation goes before messages in front of it.

    Messages wait for what stands in front of them, unless that is not wanted anyway.
    """
    messages: list[RunbookStep] = []
    for step, may_change in _open_steps(view, episode):
        if step.kind in MESSAGES:
            messages.append(step)
        elif may_change and _may_change(view, diagnosis):
            first = messages[0] if messages and step.kind not in MITIGATIONS else None
            return first or step
        elif not unwanted(episode, step):
            break
    return messages[0] if messages else None


def _open_steps(view: View, episode: Episode) -> Iterator[tuple[RunbookStep, bool]]:
    """Yield the steps that are not over, and whether what changes something may go ahead.

    A repair that runs holds back what follows, but for messages; one that is to be tried again
    holds back no mitigation.
    """
    waiting = retrying = False
    for step in steps_of(view, episode):
        known = progress_of(episode, step)
        state = known.state if known else None
        if state in _IN_VAIN and step.on_failure is OnFailure.STOP:
            return
        if state in _OVER:
            continue
        if state is Progress.RUNNING:
            again = _was_refused(_last(episode, step))
            if again and _may_try(view, episode, step):
                yield step, not waiting
            if step.kind not in MESSAGES:
                waiting = waiting or not again
                retrying = retrying or (again and step.kind not in MITIGATIONS)
            continue
        yield step, not waiting and (not retrying or step.kind in MITIGATIONS)


def _may_try(view: View, episode: Episode, step: RunbookStep) -> bool:
    return episodes.may_try(episode, step.kind, view.now, mode=view.spec.mode, name=step.name)


def _may_change(view: View, diagnosis: Diagnosis | None) -> bool:
    """Return whether the fault stands, as far as can be seen: an open circuit hides it."""
    phase = view.status.circuit.phase
    if phase is CircuitPhase.CLOSED:
        return diagnosis is not None and diagnosis.arm is Arm.TARGET
    return phase is CircuitPhase.OPEN


def _needless(view: View, episode: Episode, step: RunbookStep) -> str:
    """Return why ``step`` is not taken in this incident, "" where it is."""
    known = progress_of(episode, step)
    if known is not None and known.state is Progress.RUNNING:
        # What is tried again must still be right: the circuit may be open by now, or the fallback
        # gone from the spec, and nobody would get what is taken from the target.
        again = step.kind in MITIGATIONS and _was_refused(_last(episode, step))
        return unfit(view, episode, step) if again else ""
    helped = [one.name for one in episode.steps if one.state is Progress.HELPED]
    if helped and step.kind not in MESSAGES:
        return f"{helped[0]} helped"
    return unwanted(episode, step) or unfit(view, episode, step)


def due(view: View, episode: Episode) -> float | None:
    """Return the Unix time until which a running step may recover, ``None`` without one."""
    for step in steps_of(view, episode):
        known = progress_of(episode, step)
        action = _last(episode, step)
        if known is None or known.state is not Progress.RUNNING or action is None:
            continue
        if action.verified_at is not None and step.verifies is not None:
            return action.verified_at.timestamp() + seconds(step.verifies.within)
    return None
