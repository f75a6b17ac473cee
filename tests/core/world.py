"""A small world around decisions: weights, revisions and a crash now and then, driven as the
runtime drives the real one. What is unfinished is finished first, the intent stands in the status
before anything changes, and an action restarts the evidence.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.core.build import T0, deployment, route, spec, verdict

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.runbook import MESSAGES, RunbookUse
from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import ActionState, Arm, StepKind, Verdict
from backstop.core import journal, revisions, weights
from backstop.core.decide import decide
from backstop.core.episode import under_way
from backstop.core.evidence import evidence_from, without_answered
from backstop.core.facts import JobFacts, RevisionFacts, WorkloadFacts
from backstop.core.fleet import Fleet
from backstop.core.requests import Requests
from backstop.core.routing import wanted_weights
from backstop.core.verdicts import Look, SignalVerdict
from backstop.core.view import Decision, Memory, Step, View
from backstop.runtime.journal import fit

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN

STEPS_PER_PASS: Final = 4
SignalKey = tuple[str, Arm]


class Crash(Exception):  # noqa: N818 - what happens, not an error
    """The process ends here."""


@dataclass
class World:
    """One monitor and what surrounds it; `look` is one pass."""

    spec: ModelMonitorSpec = field(default_factory=spec)
    status: ModelMonitorStatus = field(default_factory=ModelMonitorStatus)
    now: float = T0
    rules: list[dict[str, int]] = field(default_factory=lambda: [{"fraud": 100, "simple": 0}])
    releases: list[tuple[str, int]] = field(default_factory=lambda: [("v0", 1), ("v1", 2)])
    changed: float = T0 - 86_400
    rolled_out: bool = True
    candidate: WorkloadFacts | None = None
    accepted: bool = True
    refused: frozenset[StepKind] = frozenset()
    crash: str = ""
    memory: Memory = field(default_factory=Memory)
    steps: list[StepKind] = field(default_factory=list)
    told: list[Action] = field(default_factory=list)
    pods: int = 2
    fleet: Fleet = field(default_factory=Fleet)
    requests: Requests = field(default_factory=Requests)
    jobs: dict[str, JobFacts] = field(default_factory=dict)
    restarted: str = ""
    done: list[Action] = field(default_factory=list)
    decision: Decision | None = None
    broken: dict[SignalKey, float] = field(default_factory=dict)
    reports: frozenset[str] = frozenset()
    readable: bool = True
    gitops: str = ""
    fallback_ready: int | None = None

    # What the world does

    @property
    def current(self) -> str:
        """The fingerprint that the target's template has."""
        return self.releases[-1][0]

    def release(self, fingerprint: str) -> None:
        """Change the target's template; it is rolled out at once."""
        number = max(number for _, number in self.releases) + 1
        kept = [one for one in self.releases if one[0] != fingerprint]
        self.releases = [*kept, (fingerprint, number)]
        self.changed = self.now

    def after(self, seconds: float) -> "World":
        """Let time pass."""
        self.now += seconds
        return self

    def restart(self) -> None:
        """Lose what may be lost."""
        self.memory = Memory()

    # What the operator does

    def look(self, target: Verdict = H, candidate: Verdict = U) -> list[StepKind]:
        """Look at one signal of both arms, and return the steps that were asked for."""
        found = {("errors", Arm.TARGET): target}
        if self.spec.candidate is not None:
            found["errors", Arm.CANDIDATE] = candidate
        return self.sees(found)

    def sees(self, found: Mapping[SignalKey, Verdict]) -> list[StepKind]:
        """Carry out one pass over these verdicts, and return the steps that were asked for."""
        asked: list[StepKind] = []
        if self.status.action is not None:
            self._finish(self._view(Look()), self.status.action)
        verdicts = tuple(self._verdict(key, outcome) for key, outcome in found.items())
        for _ in range(STEPS_PER_PASS):
            view = self._view(Look(verdicts=verdicts, answered=True))
            evidence = self.status.evidence_from
            self.decision = decide(view)
            self.memory, step = self.decision.memory, self.decision.step
            view = dataclasses.replace(view, status=self.decision.status)
            if step is None:
                self._write(self.decision.status)
                break
            if step.kind not in MESSAGES:
                asked.append(step.kind)
            self._take(view, step)
            if self.status.evidence_from != evidence:
                verdicts = tuple(_warming_up(one) for one in verdicts)
        self.steps += asked
        return asked

    def _verdict(self, key: SignalKey, outcome: Verdict) -> SignalVerdict:
        return self._outcome(key, outcome)._replace(reports=key[0] in self.reports)

    def _outcome(self, key: SignalKey, outcome: Verdict) -> SignalVerdict:
        if key[1] is Arm.CANDIDATE and self.now < evidence_from(self.status)[Arm.CANDIDATE]:
            return _warming_up(verdict(key[0], arm=key[1]))
        if outcome is B:
            seen = self.broken.setdefault(key, self.now)
            return verdict(key[0], B, arm=key[1], onset=seen - 1, seen=seen)
        if outcome is H:
            self.broken.pop(key, None)
        return verdict(key[0], outcome, arm=key[1], clean_at=self.now)

    def _view(self, look: Look) -> View:
        self.memory = without_answered(self.memory, self.status)
        return View(
            namespace="demo",
            name="fraud",
            uid="u",
            generation=1,
            spec=self.spec,
            status=self.status,
            memory=self.memory,
            look=look,
            now=self.now,
            target=self._target() if self.readable else None,
            candidate=self.candidate,
            route=route(*self.rules, accepted=1 if self.accepted else None),
            runbook=None if self.spec.runbook == RunbookUse() else self.spec.runbook,
            runbook_name="inline",
            fleet=self.fleet,
            requests=self.requests,
            jobs=self.jobs,
            fallback_ready=self.fallback_ready,
        )

    def _target(self) -> WorkloadFacts:
        facts = deployment(self.current, rolled_out=self.rolled_out, changed=self.changed)
        return dataclasses.replace(
            facts,
            desired=self.pods,
            ready=self.pods,
            last_action=self.restarted,
            gitops=self.gitops,
        )

    def _write(self, status: ModelMonitorStatus) -> None:
        # What is written is what a restart reads.
        self.status = ModelMonitorStatus.model_validate(fit(status).to_json())

    def _take(self, view: View, step: Step) -> None:
        before, after, refusal = self._plan(view, step)
        if step.kind in self.refused:
            refusal = "refused"
        subject = "HTTPRoute/fraud" if step.kind in weights.TRAFFIC_STEPS else "Deployment/fraud"
        action = journal.intent(view, step, subject=subject, before=before, after=after)
        if view.spec.mode is Mode.OBSERVE:
            self._observe(view, step, action)
        elif refusal:
            self._write(journal.failed(view, action, refusal))
        else:
            self._write(view.status.model_copy(update={"action": action}))
            self._crash_if("intent")
            self._finish(dataclasses.replace(view, status=self.status), action)

    def _observe(self, view: View, step: Step, action: Action) -> None:
        episode = under_way(view.status)
        if episode is not None:
            self._write(
                view.status.model_copy(update={"incident": journal.observed(episode, action)})
            )
        elif view.status.candidate is not None:
            trial = view.status.candidate.model_copy(update={"weight": step.candidate_weight})
            self._write(view.status.model_copy(update={"candidate": trial}))

    def _plan(self, view: View, step: Step) -> tuple[str, str, str]:
        if step.kind is StepKind.ROLLBACK:
            chosen = revisions.choose(view.status.revisions, self._available(), self.current)
            if isinstance(chosen, revisions.Refusal):
                return self.current, "", chosen.why
            return self.current, chosen.fingerprint, ""
        if step.kind is StepKind.SCALE:
            return str(self.pods), str(self.pods * 2), ""
        if step.kind not in weights.TRAFFIC_STEPS:
            return self.current, step.kind.value, ""
        assert view.route is not None
        assert view.services is not None
        live = weights.current(view.route.rules, view.services)
        wanted = wanted_weights(view, step, view.route)
        return weights.to_text(live), weights.to_text(wanted), ""

    def _available(self) -> list[RevisionFacts]:
        created = datetime.fromtimestamp(T0, tz=UTC)
        found = [RevisionFacts(name, number, created) for name, number in self.releases]
        return sorted(found, key=lambda one: -one.number)

    def _finish(self, view: View, action: Action) -> None:
        if action.step is StepKind.ROLLBACK:
            if self.current != action.after:
                self.release(action.after)
                self.rolled_out = False
        elif action.step is StepKind.SCALE:
            self.pods = int(action.after)
        elif action.step in MESSAGES:
            self.told.append(action)
        elif action.step not in weights.TRAFFIC_STEPS:
            self.restarted = action.id
        else:
            asked = weights.from_text(action.after).values()
            self.rules = [{**rule, **one} for rule, one in zip(self.rules, asked, strict=True)]
        self.done.append(action)
        self._crash_if("effect")
        self._write(journal.applied(view, action, self.now))

    def _crash_if(self, point: str) -> None:
        if self.crash == point:
            self.crash = ""
            raise Crash(point)

    # What can be seen

    def states(self, step: StepKind) -> list[ActionState]:
        """Return the states of the incident's actions of one kind."""
        episode = self.status.incident
        return [one.state for one in (episode.actions if episode else []) if one.step is step]

    def action(self, step: StepKind) -> Action:
        """Return the newest action of one kind in the incident."""
        assert self.status.incident is not None
        return [one for one in self.status.incident.actions if one.step is step][-1]

    def size(self) -> int:
        """Return the bytes of the status as it is stored."""
        return len(self.status.model_dump_json(by_alias=True, exclude_none=True))


def _warming_up(before: SignalVerdict) -> SignalVerdict:
    why = "no sample yet since the last action"
    return verdict(before.name, U, arm=before.arm, reason="WarmingUp", why=why)


def world(*, rules: list[dict[str, int]] | None = None, **changes: Any) -> World:
    """Return a world whose monitor has some fields changed."""
    made = World(spec=spec(**changes))
    if rules is not None:
        made.rules = rules
    return made


def broken(made: World, *, by_release: bool = False) -> World:
    """Return a world whose target breached after it was healthy."""
    made.look(H)
    made.after(1)
    if by_release:
        made.release("v2")
    made.look(B)
    return made
