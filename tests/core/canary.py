"""A candidate on its way to promotion, and the little around it: two workloads, a route, requests.

Driven as the runtime drives the real thing: what is unfinished is finished first, the intent stands
in the status before anything changes, and what is written is what a restart reads.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Final

from tests.core.build import CANDIDATE, ERRORS, T0, deployment, route, spec, verdict

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import Arm, StepKind, Verdict
from backstop.core import journal, weights
from backstop.core.decide import decide
from backstop.core.episode import under_way
from backstop.core.evidence import evidence_from, without_answered
from backstop.core.facts import WorkloadFacts
from backstop.core.promotion import effective_spec, settled
from backstop.core.requests import Requests, requests
from backstop.core.routing import wanted_weights
from backstop.core.verdicts import Look, SignalVerdict
from backstop.core.view import Memory, Step, View

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN

STEPS_PER_PASS: Final = 3
COMPARED: Final = "against-stable"
COMPARISON: Final = {"name": COMPARED, "comparison": {"errors": ERRORS["threshold"]["errors"]}}
PLAN: Final = {"steps": [1, 50, 100], "minTime": "1m", "maxTime": "10m"}


class Crash(Exception):  # noqa: N818 - what happens, not an error
    """The process ends here."""


def with_steps(*steps: int, **more: Any) -> dict[str, Any]:
    """Return the candidate with a progression of these percentages."""
    return {**CANDIDATE, "progression": {"steps": list(steps), **more}}


def canary_spec(*, compared: bool = True, changes: Any = None, **plan: Any) -> ModelMonitorSpec:
    """Return a monitor whose candidate goes to 100 % in three steps, and is compared."""
    candidate = {**CANDIDATE, "progression": {**PLAN, **plan}}
    signals = [ERRORS, COMPARISON] if compared else [ERRORS]
    return spec(candidate=candidate, signals=signals, fallback=None, **(changes or {}))


@dataclass
class Canary:
    """One monitor with a candidate; `look` is one pass."""

    spec: ModelMonitorSpec = field(default_factory=canary_spec)
    status: ModelMonitorStatus = field(default_factory=ModelMonitorStatus)
    now: float = T0
    weights: dict[str, int] = field(default_factory=lambda: {"fraud": 100, "fraud-next": 0})
    workloads: dict[str, WorkloadFacts | None] = field(
        default_factory=lambda: {
            "fraud": deployment("v1", changed=T0 - 86_400),
            "fraud-next": deployment("c1", changed=T0 - 86_400),
        }
    )
    asked: Requests = field(default_factory=Requests)
    in_effect: bool = True
    refused: frozenset[StepKind] = frozenset()
    crash: str = ""
    memory: Memory = field(default_factory=Memory)
    done: list[Action] = field(default_factory=list)
    due: float | None = None
    broken: dict[tuple[str, Arm], float] = field(default_factory=dict)

    # What happens

    def after(self, seconds: float) -> "Canary":
        """Let time pass."""
        self.now += seconds
        return self

    def asks(self, wish: str) -> "Canary":
        """Set the annotation, or remove it with an empty one."""
        self.asked = requests({"backstop.dev/candidate": wish})
        return self

    def release(self, fingerprint: str, *, workload: str = "fraud-next") -> "Canary":
        """Give a workload another template; it is rolled out at once."""
        self.workloads[workload] = deployment(fingerprint, changed=self.now)
        return self

    def rolls_out(self, *, done: bool, workload: str = "fraud") -> "Canary":
        """Begin or end the rollout of a workload."""
        known = self.workloads[workload]
        assert known is not None
        self.workloads[workload] = dataclasses.replace(known, rolled_out=done)
        return self

    def restart(self) -> "Canary":
        """Lose what may be lost."""
        self.memory = Memory()
        return self

    # What the operator does

    def look(
        self,
        target: Verdict = H,
        candidate: Verdict = H,
        *,
        compared: Verdict = H,
        proven: bool = True,
        samples: float = math.inf,
    ) -> list[StepKind]:
        """Look at all signals once, and return the steps that were asked for."""
        asked = {one.name for one in self.spec.signals}
        found = {
            ("errors", Arm.TARGET): target,
            ("errors", Arm.CANDIDATE): candidate,
            (COMPARED, Arm.CANDIDATE): compared,
        }
        if self.status.action is not None:
            self._finish(self._view(Look()), self.status.action)
        verdicts = tuple(
            self._verdict(*key, outcome)._replace(
                proven=proven and key[0] == COMPARED and outcome is H, samples=samples
            )
            for key, outcome in found.items()
            if key[0] in asked
        )
        return self._pass(verdicts)

    def _pass(self, verdicts: tuple[SignalVerdict, ...]) -> list[StepKind]:
        asked: list[StepKind] = []
        for _ in range(STEPS_PER_PASS):
            view = self._view(Look(verdicts=verdicts))
            decision = decide(view)
            self.memory, self.due = decision.memory, decision.due
            step = decision.step
            if step is None:
                self._write(decision.status)
                break
            asked.append(step.kind)
            self._take(dataclasses.replace(view, status=decision.status), step)
            verdicts = tuple(_warming_up(one) for one in verdicts)
        return asked

    def _verdict(self, name: str, arm: Arm, outcome: Verdict) -> SignalVerdict:
        if self.now < evidence_from(self.status)[arm]:
            return _warming_up(verdict(name, arm=arm))
        if outcome is not B:
            self.broken.pop((name, arm), None)
            return verdict(name, outcome, arm=arm, clean_at=self.now)
        seen = self.broken.setdefault((name, arm), self.now)
        return verdict(name, B, arm=arm, onset=seen - 1, seen=seen)

    def _view(self, look: Look) -> View:
        self.status = settled(self.spec, self.status)
        self.memory = without_answered(self.memory, self.status)
        known = effective_spec(self.spec, self.status)
        return View(
            namespace="demo",
            name="fraud",
            uid="u",
            generation=1,
            spec=known,
            status=self.status,
            memory=self.memory,
            look=look,
            now=self.now,
            target=self.workloads[known.target.name],
            candidate=self.workloads[known.candidate.name] if known.candidate else None,
            route=route(dict(self.weights), accepted=1 if self.in_effect else None),
            requests=self.asked,
        )

    def _write(self, status: ModelMonitorStatus) -> None:
        self.status = ModelMonitorStatus.model_validate(status.to_json())

    def _take(self, view: View, step: Step) -> None:
        before = after = refusal = ""
        if step.kind in weights.TRAFFIC_STEPS:
            assert view.route is not None
            assert view.services is not None
            before = weights.to_text(weights.current(view.route.rules, view.services))
            after = weights.to_text(wanted_weights(view, step, view.route))
        elif step.kind is not StepKind.PROMOTE:
            refusal = "nothing but traffic and templates is changed here"
        if step.kind in self.refused:
            refusal = "refused"
        action = journal.intent(view, step, subject="x", before=before, after=after)
        if view.spec.mode is Mode.OBSERVE:
            told = under_way(view.status)
            assert told is not None
            known = {"incident": journal.observed(told, action)}
            self._write(view.status.model_copy(update=known))
            return
        if refusal:
            self._write(journal.failed(view, action, refusal))
            return
        self._write(view.status.model_copy(update={"action": action}))
        self._crash_if("intent")
        self._finish(dataclasses.replace(view, status=self.status), action)

    def _finish(self, view: View, action: Action) -> None:
        if action.step is StepKind.PROMOTE:
            self._adopt(view, action)
        else:
            self.weights = {**self.weights, **weights.from_text(action.after)[0]}
        self.done.append(action)
        self._crash_if("effect")
        self._write(journal.applied(view, action, self.now))

    def _adopt(self, view: View, action: Action) -> None:
        target, source = self.workloads[view.spec.target.name], view.candidate
        assert target is not None
        assert source is not None
        if target.last_action != action.id:
            adopted = deployment(f"{source.fingerprint}*", changed=self.now, rolled_out=False)
            self.workloads[view.spec.target.name] = dataclasses.replace(
                adopted, last_action=action.id
            )

    def _crash_if(self, point: str) -> None:
        if self.crash == point:
            self.crash = ""
            raise Crash(point)

    # What can be seen

    @property
    def share(self) -> int:
        """The percentage that the candidate's Service has."""
        return self.weights["fraud-next"]

    @property
    def phase(self) -> str:
        """The phase of the trial."""
        assert self.status.candidate is not None
        return self.status.candidate.phase.value

    @property
    def why(self) -> str:
        """Why the trial is where it is."""
        assert self.status.candidate is not None
        return self.status.candidate.why


def _warming_up(before: SignalVerdict) -> SignalVerdict:
    why = "no sample yet since the last action"
    return verdict(before.name, U, arm=before.arm, reason="WarmingUp", why=why)


def at(*steps: int, **changes: Any) -> Canary:
    """Return a candidate that has just been given the traffic of the last of `steps`."""
    made = Canary(**changes)
    made.look(H, U, compared=U)
    for step in steps[1:]:
        made.look()
        made.after(61).look()
        assert made.share == step
    made.look(H, U, compared=U)
    assert made.share == (steps or [1])[-1]
    return made
