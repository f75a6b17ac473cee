"""What a monitor would have done: recorded readings go through the very code that decides.

Each look judges and decides as the operator does in mode Observe, and remembers from look to look,
so that persistence, sequential tests, diagnosis and reports are those of the operator. What a
record does not hold is not made up: revisions are unknown, so no rollback is judged, and traffic
stays where it was, so an incident lasts until its signals are healthy again by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core import journal
from backstop.core.backtest_incidents import Incidents
from backstop.core.backtest_report import (
    Gap,
    KnownFault,
    ReplayedIncident,
    Report,
    Span,
    assess,
    outcome,
)
from backstop.core.backtest_saved import Countable, countables
from backstop.core.backtest_tracks import Tracks
from backstop.core.backtest_values import Tapped
from backstop.core.decide import decide
from backstop.core.episode import under_way
from backstop.core.evidence import evidence_from, without_answered
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.core.inquiry import Inquiry, SignalKey
from backstop.core.judging import look_all
from backstop.core.measurement import Missing
from backstop.core.reference import Reference
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import Look, Sight
from backstop.core.view import Memory, Step, View


@dataclass(frozen=True, slots=True)
class Watched:
    """The monitor that is replayed, and what it asks."""

    namespace: str
    name: str
    spec: ModelMonitorSpec
    inquiries: Mapping[SignalKey, Inquiry]
    counters: Mapping[SignalKey, Countable]
    references: Mapping[str, Reference | Missing]

    @property
    def questions(self) -> dict[str, float]:
        """Each distinct question, and for how many seconds its answer may be used again."""
        asked: dict[str, float] = {}
        sources = [one.questions for one in self.inquiries.values()]
        sources += [one.questions for one in self.counters.values()]
        for question in (one for questions in sources for one in questions.values()):
            known = asked.get(question.promql, question.keep)
            asked[question.promql] = min(known, question.keep)
        return asked


def watch(
    spec: ModelMonitorSpec,
    inquiries: Mapping[SignalKey, Inquiry],
    *,
    namespace: str,
    name: str,
    references: Mapping[str, Reference | Missing] | None = None,
) -> Watched:
    """Return the monitor ``name`` as it is replayed: in mode Observe, whatever its spec says.

    ``inquiries`` are those that the operator would make of ``spec``, ``references`` are what the
    ConfigMaps hold that it names.
    """
    observed = spec.model_copy(update={"mode": Mode.OBSERVE, "suspend": False})
    tapped = {
        key: replace(inquiry, rule=Tapped(inner=inquiry.rule)) for key, inquiry in inquiries.items()
    }
    counters = countables(spec, inquiries)
    return Watched(namespace, name, observed, tapped, counters, references or {})


@dataclass(frozen=True, slots=True)
class State:
    """What is carried from look to look. ``trial`` counts the candidates that the record shows."""

    status: ModelMonitorStatus = field(default_factory=ModelMonitorStatus)
    memory: Memory = field(default_factory=Memory)
    trial: int = 0
    on_trial: bool = False


def advance(
    watched: Watched, state: State, readings: Mapping[str, Reading], now: float
) -> tuple[State, Look, Step | None]:
    """Return the state after a look at ``now`` (Unix seconds), the look, and the step to take."""
    state = _with_trial(watched, state, readings)
    memory = without_answered(state.memory, state.status)
    begins = evidence_from(state.status)
    sight = Sight(watched.inquiries, memory.histories, begins, references=watched.references)
    (seen,) = look_all([sight], readings, now=now)
    view = View(
        namespace=watched.namespace,
        name=watched.name,
        uid=f"{watched.namespace}/{watched.name}",
        generation=1,
        spec=watched.spec,
        status=state.status,
        memory=memory,
        look=seen,
        now=now,
        candidate=_candidate(watched, state),
    )
    decision = decide(view)
    status = _observed(replace(view, status=decision.status), decision.step)
    return replace(state, status=status, memory=decision.memory), seen, decision.step


def _observed(view: View, step: Step | None) -> ModelMonitorStatus:
    """Return the status with ``step`` recorded as one that is not carried out."""
    episode = under_way(view.status)
    if step is None or episode is None:
        return view.status
    action = journal.intent(view, step, subject="record", before="", after="")
    return view.status.model_copy(update={"incident": journal.observed(episode, action)})


def _with_trial(watched: Watched, state: State, readings: Mapping[str, Reading]) -> State:
    """Return ``state`` with a new trial where the candidate's series appear or vanish.

    Only a record that still shows the target can tell that the candidate is gone.
    """
    candidate = watched.spec.candidate
    if candidate is None:
        return state
    is_there = _is_there(watched, readings, Arm.CANDIDATE, candidate.metric_labels)
    labels = watched.spec.target.metric_labels
    is_known = is_there or _is_there(watched, readings, Arm.TARGET, labels)
    if not is_known or is_there is state.on_trial:
        return state
    return replace(state, trial=state.trial + 1, on_trial=is_there)


def _is_there(
    watched: Watched, readings: Mapping[str, Reading], arm: Arm, labels: Mapping[str, str]
) -> bool:
    """Return whether any answer about ``arm`` holds a series of it.

    What an expression returns need not have labels, so any answer to it will do.
    """
    for (_, whose), inquiry in watched.inquiries.items():
        if whose is arm:
            for question in inquiry.questions.values():
                found = readings[question.promql].series
                if any(not question.raw or _has(one, labels) for one in found):
                    return True
    return False


def _has(series: Series, labels: Mapping[str, str]) -> bool:
    return all(series.labels.get(name) == value for name, value in labels.items())


def _candidate(watched: Watched, state: State) -> WorkloadFacts | None:
    candidate = watched.spec.candidate
    if candidate is None or state.trial == 0:
        return None
    return WorkloadFacts(
        ref=ObjectRef(candidate.kind, watched.namespace, candidate.name),
        uid="record",
        resource_version="",
        fingerprint=f"record-{state.trial}",
        desired=1,
        ready=1,
        rolled_out=state.on_trial,
    )


def replay(
    watched: Watched,
    span: Span,
    looks: Iterable[tuple[float, Mapping[str, Reading]]],
    *,
    reaction: float,
    brief: float,
    known: Sequence[KnownFault] | None = None,
) -> Report:
    """Return what ``watched`` would have found and done.

    ``looks`` are the readings at each time of ``span``, in ascending order; they are used up one by
    one, and none is kept. ``reaction`` and ``brief`` are in seconds: from a decision until it takes
    effect, and how soon after it a breach must end by itself to make it doubtful.
    """
    state, tracks = State(), Tracks(watched.inquiries, span)
    incidents = Incidents(watched.counters, reaction)
    for now, readings in looks:
        state, seen, step = advance(watched, state, readings, now)
        tracks.add(now, seen.verdicts, readings)
        incidents.add(now, state.status.incident, seen, step, readings)
    found = [_assessed(one, known, brief) for one in incidents.finish()]
    inside = [one for one in known or () if one.end >= span.begin and one.begin <= span.end]
    return Report(
        namespace=watched.namespace,
        monitor=watched.name,
        span=span,
        reaction=reaction,
        brief=brief,
        first_sample=tracks.first_sample,
        tracks=tracks.finish(),
        incidents=tuple(found),
        outcomes=None if known is None else tuple(outcome(one, found) for one in inside),
    )


def with_gaps(report: Report, gaps: Iterable[Gap]) -> Report:
    """Return ``report`` with what could not be read."""
    return replace(report, gaps=tuple(gaps))


def _assessed(
    incident: ReplayedIncident, known: Sequence[KnownFault] | None, brief: float
) -> ReplayedIncident:
    assessment, names = assess(incident, known, brief)
    return replace(incident, assessment=assessment, faults=names)
