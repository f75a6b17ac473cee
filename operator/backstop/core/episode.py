"""The incident under way: opening it, asking what was done in it, and resolving it."""

import hashlib
from datetime import UTC, datetime

from backstop.api.modelmonitor import Mode
from backstop.api.runbook import MESSAGES
from backstop.api.status import Action, Episode, ModelMonitorStatus, StepProgress
from backstop.api.words import ActionState, Arm, Progress, Severity, StepKind, Verdict
from backstop.core.diagnosis import Diagnosis
from backstop.core.inquiry import ARMS
from backstop.core.signals.rule import OnBreach
from backstop.core.view import View

MAX_ACTIONS = 10
"""How many actions an episode keeps: the first three and the newest."""

_KEPT_FIRST = 3
_RETRY_AFTER = (1.0, 2.0, 5.0, 15.0, 60.0)


def under_way(status: ModelMonitorStatus) -> Episode | None:
    """Return the incident that is not resolved, if there is one."""
    episode = status.incident
    return episode if episode is not None and episode.resolved is None else None


def begin(monitor: str, diagnosis: Diagnosis, now: float, last: Episode | None = None) -> Episode:
    """Return a new episode for ``diagnosis``, by another name than that of the ``last`` one."""
    stamp = datetime.fromtimestamp(now, tz=UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{monitor[:230].rstrip('-.')}-{stamp}"
    return Episode.model_validate(
        {
            "name": f"{name}-2" if last is not None and last.name == name else name,
            "cause": diagnosis.cause,
            "severity": diagnosis.severity,
            "arm": diagnosis.arm,
            "onset": min(diagnosis.onset, now),
            "detected": now,
            "why": diagnosis.why[:1024],
            "evidence": [line[:300] for line in diagnosis.evidence][:12],
            "findings": sorted(diagnosis.findings),
            "pod": diagnosis.pod,
        }
    )


def actions(episode: Episode, kind: StepKind) -> list[Action]:
    """Return the actions of ``kind`` in the episode, oldest first."""
    return [action for action in episode.actions if action.step is kind]


def with_action(episode: Episode, action: Action) -> Episode:
    """Return the episode with ``action`` added, or replaced where its id is known."""
    known = any(one.id == action.id for one in episode.actions)
    kept = [action if one.id == action.id else one for one in episode.actions]
    kept = kept if known else [*kept, action]
    while len(kept) > MAX_ACTIONS:
        del kept[_least_telling(kept)]
    return episode.model_copy(update={"actions": kept})


def _least_telling(actions: list[Action]) -> int:
    """Return the place of the action to forget: an old one of the breaker, else of the runbook.

    Of the runbook's, one that was tried again goes first, then a message. What has become of a
    repair is asked until it is judged.
    """
    middle = range(_KEPT_FIRST, len(actions) - 1)
    done = [i for i in middle if actions[i].state is not ActionState.APPLIED]
    nameless = [i for i in done if not actions[i].name]
    again = [i for i in done if any(one.name == actions[i].name for one in actions[i + 1 :])]
    words = [i for i in done if actions[i].step in MESSAGES]
    return next(iter(nameless or again or words or done), _KEPT_FIRST)


def action_id(uid: str, scope: str, kind: StepKind, ordinal: int) -> str:
    """Return the id of action ``ordinal`` of ``kind`` in ``scope`` (an incident or a trial)."""
    text = "/".join((uid, scope, kind.value, str(ordinal)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def may_try(episode: Episode, kind: StepKind, now: float, *, mode: Mode, name: str = "") -> bool:
    """Return whether ``kind`` may be tried: later after each failure.

    ``name`` is that of the runbook's step, empty for what follows by itself: probing, closing,
    ending a probe, taking the traffic of a failed candidate away. That is never given up, only
    tried less and less often. In Observe a step is recorded once, and the record stands in for it
    from then on.
    """
    tried = _tried(episode, kind, name)
    if mode is Mode.OBSERVE and any(a.state is ActionState.OBSERVED for a in tried):
        return False
    failed = [a for a in tried if a.state is ActionState.FAILED]
    if not failed:
        return True
    # Of a list that is full, older failures may be forgotten.
    times = len(_RETRY_AFTER) if name and len(episode.actions) >= MAX_ACTIONS else len(failed)
    wait = _RETRY_AFTER[min(times, len(_RETRY_AFTER)) - 1]
    return now >= failed[-1].planned_at.timestamp() + wait


def is_given_up(episode: Episode, kind: StepKind, name: str = "") -> bool:
    """Return whether the runbook's step ``name`` has failed too often to be tried again."""
    failed = [a for a in _tried(episode, kind, name) if a.state is ActionState.FAILED]
    return bool(name) and len(failed) >= len(_RETRY_AFTER)


def _tried(episode: Episode, kind: StepKind, name: str) -> list[Action]:
    return [action for action in actions(episode, kind) if action.name == name]


def evidence_cleared(view: View, episode: Episode) -> bool:
    """Return whether every signal of the episode's arm is Healthy; Unknown clears nothing.

    What only reports does not keep open an incident in which users suffered, nor the other way.
    Where the spec has no such signal any more, nothing keeps it open.
    """
    reported = episode.severity is Severity.P2
    if not any(
        (one.leads_to is OnBreach.REPORT) is reported and episode.arm in ARMS[one.rule.scope]
        for one in view.spec.signals
    ):
        return True
    found = [v for v in view.look.verdicts if v.arm is episode.arm and v.reports is reported]
    return bool(found) and all(one.verdict is Verdict.HEALTHY for one in found)


def _at_the_end(step: StepProgress, now: float) -> StepProgress:
    if step.state not in {Progress.RUNNING, Progress.WAITING}:
        return step
    state = Progress.HELPED if step.state is Progress.RUNNING else Progress.SKIPPED
    change = {"state": state, "since": now, "why": "all was healthy again"}
    return StepProgress.model_validate({**dict(step), **change})


def resolve(episode: Episode, now: float) -> Episode:
    """Return the episode as resolved at ``now``; a repair that still runs has helped."""
    steps = [_at_the_end(one, now) for one in episode.steps]
    resolved = Episode.model_validate({**dict(episode), "steps": steps, "resolved": now})
    if resolved.repaired is None and resolved.arm is Arm.CANDIDATE:
        return Episode.model_validate({**dict(resolved), "repaired": now})
    return resolved
