"""The whole of it: one monitor as it stands in, what to do about it out.

``decide`` is a pure function. It performs no step; a step that it asks for happens only after its
intent was written to the status, and what became of it comes back in the next view.
"""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from backstop.api.status import (
    CandidateStatus,
    Episode,
    ModelMonitorStatus,
    SignalStatus,
    StepProgress,
)
from backstop.api.words import (
    ActionState,
    Arm,
    CircuitPhase,
    Finding,
    Progress,
    Severity,
    StepKind,
    Verdict,
)
from backstop.core import (
    brakes,
    breaker,
    checkpoint,
    clock_error,
    explain,
    journal,
    progression,
    revisions,
    runbook,
    shifts,
    trials,
)
from backstop.core import episode as episodes
from backstop.core.changes import release_context
from backstop.core.diagnosis import Diagnosis, diagnose
from backstop.core.evidence import is_complete
from backstop.core.permission import Permission, permit, redo
from backstop.core.units import seconds
from backstop.core.verdicts import Look, SignalVerdict, overall
from backstop.core.view import Decision, Memory, Step, View

LULL: Final = 60.0
"""Two looks are usually not further apart than this many seconds, or two intervals."""

SCRAPES_TO_SETTLE: Final = 1.5
"""Scrape intervals in which every pod of the target is scraped at least once, and a bit more."""


def decide(view: View) -> Decision:
    """Return what to do about ``view`` now, what to remember, and the status to show."""
    view = view.showing(clock_error.corrected(view))
    memory, before = _remember(view), view.status.candidate
    view = replace(view, memory=memory, status=_observe(view, memory))
    view = replace(view, look=_meaningful(view, before))
    settle = SCRAPES_TO_SETTLE * (view.look.scrape_interval or 0.0)
    diagnosis = diagnose(view.look.verdicts, release_context(view), settle=settle)
    acting = _acting(diagnosis)
    view = view.showing(_carried_on(view, acting))
    view = view.showing(_begin_or_resolve(view, diagnosis))
    view = view.showing(_settled(view, acting))
    view = view.showing(progression.advance(view))
    permission = _permitted(view, acting)
    view, step = view.showing(permission.status), permission.step
    memory = progression.remember(view, step)
    tests = checkpoint.due(view.status, memory)
    status = view.status.model_copy(
        update={
            "tests": tests,
            "verdict": overall(view.look.verdicts, Arm.TARGET),
            "signals": _signals(view.status, view.look.verdicts),
        }
    )
    status = status.model_copy(update={"why": explain.sentence(replace(view, status=status), step)})
    due, brake = _due(view), permission.brake
    return Decision(status, memory, step, due=due, freeze=permission.page, brake=brake)


def _acting(diagnosis: Diagnosis | None) -> Diagnosis | None:
    """Return the diagnosis that steps may follow from; what only reports is none."""
    return None if diagnosis is None or diagnosis.severity is Severity.P2 else diagnosis


def _permitted(view: View, diagnosis: Diagnosis | None) -> Permission:
    """Return the next step that may be taken; one that a person refused is followed by the next."""
    again = redo(view)
    if again is not None:
        return again
    permission = permit(view, _next_step(view, diagnosis))
    while permission.again:
        view = replace(view, status=_settled(replace(view, status=permission.status), diagnosis))
        permission = permit(view, _next_step(view, diagnosis))
    waits = permission.brake or permission.status.approval is not None
    return _meanwhile(view, diagnosis, permission) if waits else permission


def _meanwhile(view: View, diagnosis: Diagnosis | None, waits: Permission) -> Permission:
    """Return what the breaker does while the runbook's next step waits for a brake or a person.

    A repair that must wait, perhaps for ever, keeps no users with the fallback of a healthy target.
    """
    view = replace(view, status=waits.status)
    episode = _on_target(view)
    step = breaker.next_step(view, episode, diagnosis) if episode is not None else None
    permission = permit(view, step or progression.removed(view))
    if permission.step is None:
        return waits
    waited_for = {"held": waits.status.held, "approval": waits.status.approval}
    status = permission.status.model_copy(update=waited_for)
    return replace(permission, status=status, page=waits.page)


def _due(view: View) -> float | None:
    """Return the Unix time at which the first timer ends, ``None`` without one."""
    episode = episodes.under_way(view.status)
    recovery = runbook.due(view, episode) if episode else None
    asked = view.status.approval
    expiry = asked.expires.timestamp() if asked else None
    timers = (breaker.due(view), progression.timer(view), recovery, expiry)
    return min((one for one in timers if one is not None and one > view.now), default=None)


def _remember(view: View) -> Memory:
    fingerprint = view.target.fingerprint if view.target else view.memory.fingerprint
    verdict = overall(view.look.verdicts, Arm.TARGET)
    since = view.memory.healthy_since if fingerprint == view.memory.fingerprint else None
    if verdict is Verdict.HEALTHY and since is None:
        since = view.now
    elif since is not None:
        since += _unseen(view, verdict)
    if verdict is Verdict.BREACHED or not _serves(view):
        since = None
    return replace(
        view.memory,
        histories=MappingProxyType(dict(view.look.histories)),
        healthy_since=since,
        fingerprint=fingerprint,
        looked=view.now,
        fallback_lost=_fallback_lost(view),
    )


def _fallback_lost(view: View) -> float | None:
    """Return the Unix time since which no endpoint of the fallback that answers is ready.

    ``None`` while one is, or while the circuit is closed. Unknown changes nothing.
    """
    circuit = view.status.circuit
    if circuit.phase is CircuitPhase.CLOSED or view.fallback_ready:
        return None
    told = circuit.fallback_lost.timestamp() if circuit.fallback_lost else None
    before = view.memory.fallback_lost or told
    return before if view.fallback_ready is None else before or view.now


def _unseen(view: View, verdict: Verdict) -> float:
    """Return for how many of the seconds since the last look nothing is known of the target.

    Those without a verdict; and where nobody looked for longer than usual, as while the monitor was
    suspended or the process was stopped, all that were too many.
    """
    passed = max(0.0, view.now - view.memory.looked)
    usual = max(LULL, 2.0 * seconds(view.spec.interval))
    return passed if verdict is Verdict.UNKNOWN else max(0.0, passed - usual)


def _serves(view: View) -> bool:
    """Return whether the target's revision alone has all of the target's traffic."""
    rolled_out = view.target is None or view.target.rolled_out
    return rolled_out and view.status.circuit.phase is CircuitPhase.CLOSED


def _observe(view: View, memory: Memory) -> ModelMonitorStatus:
    known = revisions.observe(view.status.revisions, view.target, view.now)
    good_after = seconds(view.spec.rollback.good_after)
    known = revisions.record_good(
        known, healthy_since=memory.healthy_since, good_after=good_after, now=view.now
    )
    trial = trials.observe(view)
    kept = trials.circuit_of(view, trial)
    lost = breaker.noticed(kept, memory.fallback_lost, view.now)
    status = view.status.model_copy(
        update={"revisions": known, "candidate": trial, "circuit": lost}
    )
    return journal.verify(status, replace(view, status=status))


def _meaningful(view: View, before: CandidateStatus | None) -> Look:
    if trials.is_judged(view, before):
        return view.look
    target_only = tuple(v for v in view.look.verdicts if v.arm is Arm.TARGET)
    return replace(view.look, verdicts=target_only)


def _begin_or_resolve(view: View, diagnosis: Diagnosis | None) -> ModelMonitorStatus:
    episode = episodes.under_way(view.status)
    if diagnosis is not None and _supersedes(diagnosis, episode):
        begun = episodes.begin(view.name, diagnosis, view.now, view.status.incident)
        return brakes.cooling(view.status).model_copy(update={"incident": begun})
    if episode is not None and not view.status.shifted and _is_over(view, episode):
        resolved = episodes.resolve(episode, view.now)
        return view.status.model_copy(
            update={"incident": resolved, "evidence_from": resolved.resolved}
        )
    return view.status


def _supersedes(diagnosis: Diagnosis, episode: Episode | None) -> bool:
    if episode is None:
        return True
    if diagnosis.severity is Severity.P2 or episode.severity is Severity.P2:
        return diagnosis.severity is not episode.severity and diagnosis.severity is not Severity.P2
    return episode.arm is Arm.CANDIDATE and diagnosis.arm is Arm.TARGET


def _is_over(view: View, episode: Episode) -> bool:
    circuit_used = view.status.circuit.phase is not CircuitPhase.CLOSED
    repairing = any(
        action.state is ActionState.APPLIED and action.step is not StepKind.RUN_JOB
        for action in episode.actions
    )
    if circuit_used or repairing or view.status.action is not None:
        return False
    if episode.arm is Arm.CANDIDATE and not trials.is_of(view, episode):
        return True
    return is_complete(view) and episodes.evidence_cleared(view, episode)


def _next_step(view: View, diagnosis: Diagnosis | None) -> Step | None:
    asked = progression.requested(view)
    if asked is not None:
        return asked
    episode = trials.incident(view)
    if episode is None:
        return progression.removed(view) or progression.next_step(view)
    if episode.arm is Arm.CANDIDATE:
        return progression.removed(view) or progression.abort(view, episode)
    step = runbook.next_step(view, episode, diagnosis) or breaker.next_step(
        view, episode, diagnosis
    )
    if step is None and view.status.shifted and _is_over(view, episode):
        step = shifts.back(view, episode)
    return step or progression.removed(view)


def _carried_on(view: View, diagnosis: Diagnosis | None) -> ModelMonitorStatus:
    """Return the status with what was found since, and what became of the steps that run."""
    episode = _on_target(view)
    if episode is None:
        return view.status
    episode = runbook.advance(view, _learnt(episode, diagnosis))
    status = view.status.model_copy(update={"incident": episode})
    return shifts.seen(replace(view, status=status))


def _settled(view: View, diagnosis: Diagnosis | None) -> ModelMonitorStatus:
    """Return the status with the steps left out that are not needed."""
    episode = _on_target(view)
    if episode is None:
        return view.status
    named = episode.model_copy(update={"runbook": runbook.source_of(view, episode)})
    settled = runbook.settle(view, named, diagnosis)
    at_a_loss = diagnosis is not None and runbook.is_at_a_loss(view, settled)
    if at_a_loss or view.status.circuit.fallback_lost is not None:
        settled = settled.model_copy(update={"severity": Severity.P0})
    return view.status.model_copy(update={"incident": settled})


def _on_target(view: View) -> Episode | None:
    """Return the incident of the target in which something may be done."""
    episode = episodes.under_way(view.status)
    if episode is None or episode.severity is Severity.P2 or episode.arm is Arm.CANDIDATE:
        return None
    return episode


def _learnt(episode: Episode, diagnosis: Diagnosis | None) -> Episode:
    """Return the episode with what was found since it began.

    Whether a rollback helps is as the newest look has it; one that was skipped gets its turn then.
    """
    if diagnosis is None:
        return episode
    found, pod = {*episode.findings, *diagnosis.findings}, episode.pod or diagnosis.pod
    helps = Finding.ROLLBACK_HELPS in diagnosis.findings
    found -= set() if helps else {Finding.ROLLBACK_HELPS}
    known = Finding.ROLLBACK_HELPS in episode.findings or not helps
    steps = [one for one in episode.steps if known or not _is_skipped_rollback(one)]
    return episode.model_copy(update={"findings": sorted(found), "pod": pod, "steps": steps})


def _is_skipped_rollback(one: StepProgress) -> bool:
    return one.step is StepKind.ROLLBACK and one.state is Progress.SKIPPED


def _signals(status: ModelMonitorStatus, verdicts: tuple[SignalVerdict, ...]) -> list[SignalStatus]:
    """Return the signals to show; the numbers of one change only when its verdict does."""
    known = {(shown.name, shown.arm): shown for shown in status.signals}
    return [_shown(verdict, known.get((verdict.name, verdict.arm))) for verdict in verdicts]


def _shown(verdict: SignalVerdict, known: SignalStatus | None) -> SignalStatus:
    if known and (known.verdict, known.reason) == (verdict.verdict, verdict.reason):
        return known
    return SignalStatus(
        name=verdict.name,
        arm=verdict.arm,
        pillar=verdict.pillar,
        verdict=verdict.verdict,
        reason=verdict.reason,
        why=verdict.why[:300],
    )
