"""Any runbook, any course of an incident: what the engine must never do.

A machine draws steps at random; it looks, crashes, refuses, releases, restarts and edits at random.
"""

import itertools
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from tests.core.build import spec
from tests.core.happenings import Happenings
from tests.core.world import Crash, World

from backstop.api.runbook import MESSAGES, MITIGATIONS, REPAIRS
from backstop.api.status import Action
from backstop.api.words import ActionState, CircuitPhase, Progress, StepKind, Verdict
from backstop.core import runbook
from backstop.core.episode import under_way
from backstop.core.verdicts import Look

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
ACTIONS: list[dict[str, Any]] = [
    {"openCircuit": {}},
    {"rollback": {}},
    {"scale": {"by": "50%"}},
    {"restart": {}},
    {"runJob": {"cronJob": "train"}},
    {"pauseRollout": {}},
    {"notify": {}},
    {"callWebhook": {"url": "https://hooks.example.com/x"}},
]
_WHEN = st.sampled_from(
    [{}, {}, {"any": ["FollowsRelease"]}, {"none": ["FollowsRelease"]}, {"signals": ["errors"]}]
)
_FAILURE = st.sampled_from(["Next", "Next", "Stop"])


@st.composite
def _steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    drawn = draw(st.lists(st.sampled_from(ACTIONS), max_size=6))
    return [
        {"name": f"s{number}", "when": draw(_WHEN), "onFailure": draw(_FAILURE), **one}
        for number, one in enumerate(drawn)
    ]


_CAUSES = st.fixed_dictionaries({"infrastructure": _steps(), "release": _steps()})


class Machine(Happenings):
    """Drives one monitor with a runbook of its own."""

    @initialize(causes=_CAUSES, fallback=st.booleans())
    def begins(self, causes: dict[str, Any], fallback: bool) -> None:  # noqa: FBT001
        """Begin with any runbook."""
        self.fallback = {"service": "simple"} if fallback else None
        names = {"fraud": 100, "simple": 0} if fallback else {"fraud": 100}
        self.world = World(spec=self._spec(causes), rules=[names])
        self.releases = 0
        self.edited = False
        self.crashes = 0
        self.seen: Counter[str] = Counter()

    def _spec(self, causes: dict[str, Any]):
        circuit = {"openFor": "5s", "maxOpenFor": "40s", "probeFor": "3s"}
        return spec(runbook=causes, fallback=self.fallback, circuit=circuit)

    @rule(found=st.sampled_from([H, B, B, U]), point=st.sampled_from(["", "", "intent", "effect"]))
    def looks(self, found: Verdict, point: str) -> None:
        """Look, and crash at any point."""
        world = self.world.after(1.01)
        before, done, known = world.status, len(world.done), under_way(world.status)
        world.crash = point
        try:
            world.look(found)
        except Crash:
            world.restart()
            self.crashes += 1
        world.crash = ""
        for action in world.done[done:]:
            resumed = before.action is not None and before.action.id == action.id
            self._was_right(action, found, resumed=resumed)
        if known is not None and known.resolved is None:
            self._went_on(known.name)

    @rule(causes=_CAUSES)
    def somebody_edits_the_runbook(self, causes: dict[str, Any]) -> None:
        """Other steps from now on, also in the middle of an incident."""
        self.edited = True
        edited = self._spec(causes).runbook
        self.world.spec = self.world.spec.model_copy(update={"runbook": edited})

    def _was_right(self, action: Action, found: Verdict, *, resumed: bool) -> None:
        self.seen[action.id] += 1
        # A crash between the effect and its record finishes the same action once more.
        assert self.seen[action.id] <= 1 + self.crashes
        if resumed or not action.name:
            return
        closed = self.world.status.circuit.phase is CircuitPhase.CLOSED
        if action.step in REPAIRS and closed:
            assert found is B

    def _went_on(self, name: str) -> None:
        told = self.world.status.incident
        assert told is not None
        if told.name != name:
            return
        rollbacks = [
            one.id for one in told.actions if one.step is StepKind.ROLLBACK and one.applied_at
        ]
        assert len(set(rollbacks)) <= 1

    @invariant()
    def one_repair_at_a_time(self) -> None:
        """Begin the next one only when the last was judged."""
        told = under_way(self.world.status)
        running = [
            one
            for one in (told.steps if told else [])
            if one.state is Progress.RUNNING and one.step in REPAIRS
        ]
        applied = {one.name for one in (told.actions if told else []) if one.applied_at}
        assert len([one for one in running if one.name in applied]) <= 1

    @invariant()
    def no_word_goes_before_the_mitigation_right_behind_it(self) -> None:
        """Where a runbook begins with messages and then opens the circuit, that comes first."""
        told = under_way(self.world.status)
        if told is None or self.edited:
            return
        steps = list(runbook.steps_of(self.world._view(Look()), told))
        leading = list(itertools.takewhile(lambda one: one.kind in MESSAGES, steps))
        behind = steps[len(leading) : len(leading) + 1]
        if not behind or behind[0].kind not in MITIGATIONS:
            return
        order = [one.name for one in told.actions]
        if behind[0].name in order and told.actions[0].state is not ActionState.OBSERVED:
            before = set(order[: order.index(behind[0].name)])
            assert not before & {one.name for one in leading}

    @invariant()
    def the_status_is_small(self) -> None:
        """Whatever a runbook holds."""
        assert self.world.size() < 8_000


Machine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestRunbooks = Machine.TestCase
