"""What a monitor sees and would do, as a page of plain text.

Pure rendering of one decision: the verdicts with their numbers, the diagnosis, how far incident,
runbook, circuit and candidate have come, what is held back and how a person lets it go on, and what
comes next.
"""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.runbook import RunbookStep
from backstop.api.status import Action, Episode, ModelMonitorStatus
from backstop.api.words import CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core import step_words
from backstop.core.episode import under_way
from backstop.core.verdicts import SignalVerdict
from backstop.core.view import Step

_NOT_REACHED: Final = "to come"
_BY_ITSELF: Final = {
    StepKind.OPEN_CIRCUIT: "open the circuit again, as the probe failed",
    StepKind.CLOSE_CIRCUIT: "close the circuit, and put the traffic back as it was",
    StepKind.PROMOTE: "give the target the candidate's version",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One monitor at ``now`` (Unix time), and what was decided about it.

    ``verdicts`` are those of a look just now, ``None`` without one: then ``status`` is what the
    operator wrote last, else it is what it would write. ``steps`` are those of the runbook for the
    incident under way. ``problems`` are what keeps Backstop from seeing or acting.
    """

    namespace: str
    monitor: str
    spec: ModelMonitorSpec
    status: ModelMonitorStatus
    now: float
    verdicts: tuple[SignalVerdict, ...] | None = None
    step: Step | None = None
    steps: tuple[RunbookStep, ...] = ()
    problems: tuple[str, ...] = ()


def lines(seen: Seen, width: int) -> Iterator[str]:
    """Yield the lines of the page, each at most ``width`` characters where words allow."""
    for line in _head(seen):
        yield from _wrapped(line, width)
    parts = (
        ("Problems", seen.problems),
        ("Signals", _signals(seen)),
        ("Diagnosis", _diagnosis(seen)),
        ("Incident", _incident(seen)),
        ("Runbook", _runbook(seen)),
        ("Circuit", _circuit(seen)),
        ("Candidate", _candidate(seen)),
        ("Revisions", _revisions(seen.status)),
        ("Under way", _under_way(seen.status)),
        ("Brakes", _brakes(seen)),
        ("Next", (_next(seen),)),
    )
    for title, said in parts:
        yield from _section(title, said, width)


def _section(title: str, said: Iterable[str], width: int) -> Iterator[str]:
    entries = list(said)
    if not entries:
        return
    yield ""
    yield title
    for entry in entries:
        yield from _wrapped(entry, width, indent=2)


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _head(seen: Seen) -> Iterator[str]:
    target = f"{seen.spec.target.kind} {seen.spec.target.name}"
    yield f"ModelMonitor {seen.namespace}/{seen.monitor}, mode {seen.spec.mode}, target {target}"
    if seen.verdicts is None:
        yield f"by its status alone at {_time(seen.now)}, as no metrics source is named"
    else:
        yield f"by a look at {_time(seen.now)}; nothing is changed"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def _since(at: datetime | None) -> str:
    return f" since {_time(at.timestamp())}" if at is not None else ""


def _signals(seen: Seen) -> Iterator[str]:
    found = seen.status.signals if seen.verdicts is None else seen.verdicts
    for one in found:
        reason = f" ({one.reason})" if one.reason else ""
        why = f": {one.why}" if one.why else ""
        yield f"{one.name} on {one.arm}: {one.verdict}{reason}{why}"
    if not found:
        yield "nothing has been looked at yet"


def _diagnosis(seen: Seen) -> Iterator[str]:
    episode = under_way(seen.status)
    if episode is None:
        yield {
            Verdict.HEALTHY: "all signals of the target hold",
            Verdict.UNKNOWN: "a signal of the target has no verdict, so nothing is blamed",
            Verdict.BREACHED: "a signal of the target is breached; nothing is blamed yet",
        }[seen.status.verdict]
        return
    yield f"{episode.cause}: {episode.why}"
    for finding in episode.findings:
        yield f"{finding}: {step_words.FINDINGS[finding]}"
    if episode.pod:
        yield f"the pod at fault: {episode.pod}"


def _incident(seen: Seen) -> Iterator[str]:
    episode = seen.status.incident
    if episode is None:
        return
    yield f"{episode.name}, {episode.severity}, on the {episode.arm}: {_course(episode)}"
    if episode.resolved is None:
        yield from (_action(one) for one in episode.actions)


def _course(episode: Episode) -> str:
    times = (
        ("began", episode.onset),
        ("detected", episode.detected),
        ("mitigated", episode.mitigated),
        ("repaired", episode.repaired),
        ("resolved", episode.resolved),
    )
    return ", ".join(f"{word} {at:%H:%M:%S}" for word, at in times if at is not None) + " UTC"


def _action(action: Action) -> str:
    said = f": {action.message}" if action.message else ""
    return f"{action.planned_at:%H:%M:%S} {action.step} on {action.subject}: {action.state}{said}"


def _runbook(seen: Seen) -> Iterator[str]:
    episode = under_way(seen.status)
    if episode is None or not seen.steps:
        return
    yield f"steps for {episode.cause}, {_whence(episode.runbook)}"
    reached = {one.name: one for one in episode.steps}
    for number, step in enumerate(seen.steps, start=1):
        known = reached.get(step.name)
        state = _NOT_REACHED if known is None else f"{known.state}{_since(known.since)}"
        why = f": {known.why}" if known is not None and known.why else ""
        yield f"{number}. {step.name} ({step.kind}): {state}{why}"


def _whence(source: str) -> str:
    known = {"": "built-in", "built-in": "built-in", "inline": "written in the monitor"}
    return known.get(source, f"of Runbook {source}")


def _circuit(seen: Seen) -> Iterator[str]:
    circuit = seen.status.circuit
    if seen.spec.fallback is None and circuit.phase is CircuitPhase.CLOSED:
        return
    times = f", opened {circuit.openings} times in this incident" if circuit.openings > 1 else ""
    probe = f", probed from {circuit.next_probe:%H:%M:%S} UTC" if circuit.next_probe else ""
    yield f"{circuit.phase}{_since(circuit.since)}{times}{probe}"


def _candidate(seen: Seen) -> Iterator[str]:
    trial, candidate = seen.status.candidate, seen.spec.candidate
    if trial is not None and trial.phase is TrialPhase.REMOVED:
        yield f"{trial.service}: {trial.phase} at {trial.weight or 0} %: {trial.why}"
        return
    if trial is None or candidate is None:
        return
    plan = candidate.progression
    place = f", step {trial.step + 1} of {len(plan.steps)}" if plan is not None else ""
    share = f" at {trial.weight} %" if trial.weight is not None else ""
    why = f": {trial.why}" if trial.why else ""
    yield f"{candidate.name}: {trial.phase}{share}{place}{why}"


def _revisions(status: ModelMonitorStatus) -> Iterator[str]:
    known = status.revisions
    if known.current is not None:
        yield f"current {known.current.fingerprint}{_since(known.current.since)}"
    if known.last_good is not None:
        yield f"last good {known.last_good.fingerprint}{_since(known.last_good.since)}"
    if known.known_bad:
        yield f"known bad, never rolled back to: {', '.join(known.known_bad)}"


def _under_way(status: ModelMonitorStatus) -> Iterator[str]:
    if status.action is not None:
        yield _action(status.action)


def _brakes(seen: Seen) -> Iterator[str]:
    status = seen.status
    if seen.spec.suspend:
        yield "spec.suspend is true: nothing is looked at, and traffic stays as it is"
    if status.held:
        yield f"held: {status.held}"
    if status.approval is not None:
        waiting = status.approval
        yield (
            f"{waiting.step} waits for approval{_since(waiting.asked)}, until"
            f" {_time(waiting.expires.timestamp())}: {waiting.why}"
        )
        yield f"approve it by: backstop approve {seen.monitor} {waiting.id} -n {seen.namespace}"


def _next(seen: Seen) -> str:
    if seen.step is not None:
        would = "if the mode were not Observe, would " if seen.spec.mode is Mode.OBSERVE else ""
        return f"{would}{_does(seen, seen.step)}: {seen.step.why}"
    if seen.verdicts is None:
        said = f" Backstop said last: {seen.status.why}" if seen.status.why else ""
        advice = "name the metrics source with --prometheus or --config to see what it would do now"
        return f"not known: {advice}.{said}"
    return seen.status.why


def _does(seen: Seen, step: Step) -> str:
    """Return what ``step`` does: that of a runbook, or one of the circuit or the progression."""
    if step.of is not None:
        told = step_words.does(step.of, seen.spec, seen.monitor, seen.namespace)
        return told.replace("`", "")
    if step.kind is StepKind.PROBE_CIRCUIT:
        share = seen.spec.circuit.probe_weight
        return f"give {seen.spec.target.name} {share} % of the traffic, as a probe"
    if step.kind is StepKind.SHIFT_TRAFFIC:
        return _shift(seen.spec, step.candidate_weight)
    return _BY_ITSELF.get(step.kind, step.kind)


def _shift(spec: ModelMonitorSpec, weight: int) -> str:
    name = spec.candidate.name if spec.candidate is not None else "the candidate"
    return f"give {name} {weight} % of the traffic" if weight else f"take all traffic from {name}"
