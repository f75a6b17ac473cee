"""Whatever has happened, in whatever order: once all is well again, all is as it was before.

A machine looks, crashes, refuses, edits, restarts and stops everything at random. Then the target
is healthy, nothing holds any more, and time passes.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from tests.core.build import deployment, spec
from tests.core.canary import with_steps
from tests.core.happenings import Happenings
from tests.core.world import Crash, World

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.words import CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core.episode import under_way
from backstop.core.fleet import Fleet
from backstop.core.weights import TRAFFIC_STEPS

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
START = {"fraud": 100, "fraud-next": 0, "other": 0, "simple": 0}
CIRCUIT = {"openFor": "5s", "maxOpenFor": "40s", "probeFor": "3s"}
REPAIR = {"name": "fresh", "restart": {}, "verify": {"within": "1m"}}
ASIDE = {"name": "aside", "openCircuit": {}}
OVER = {"name": "over", "shiftTraffic": {"candidateWeight": 80}}
ASK = {"name": "ask", "waitForApproval": {"expireAfter": "10m"}}
ROUNDS = 150
"""Looks until all is over at the latest, one each quarter of a minute."""

_runbooks = st.sampled_from([[], [ASIDE, REPAIR], [OVER, REPAIR, ASIDE], [ASIDE, ASK, REPAIR]])
_names = st.sampled_from([None, "simple", "simple", "other"])


class Machine(Happenings):
    """Drives one monitor, and lets everything become well in the end."""

    @initialize(steps=_runbooks)
    def begins(self, steps: list[dict[str, Any]]) -> None:
        """Begin with a fallback, a candidate that gets traffic, and some runbook."""
        self.steps, self.fallback, self.tried = steps, "simple", True
        self.world = World(spec=self._spec(), rules=[dict(START)])
        self.world.candidate = deployment("c1")

    def _spec(self) -> ModelMonitorSpec:
        plan = with_steps(25, 50, minTime="1m", promotion="Never") if self.tried else None
        fallback = {"service": self.fallback} if self.fallback else None
        causes = {"infrastructure": self.steps, "release": self.steps} if self.steps else {}
        return spec(fallback=fallback, candidate=plan, runbook=causes, circuit=CIRCUIT)

    @rule(
        found=st.sampled_from([H, B, B, U]),
        tried=st.sampled_from([H, H, B, U]),
        point=st.sampled_from(["", "", "intent", "effect"]),
    )
    def looks(self, found: Verdict, tried: Verdict, point: str) -> None:
        """Look, and crash at any point."""
        world = self.world.after(1.01)
        world.crash = point
        try:
            world.look(found, tried)
        except Crash:
            world.restart()
        world.crash = ""

    @rule(fallback=_names, tried=st.booleans(), steps=_runbooks)
    def somebody_edits(
        self,
        fallback: str | None,
        tried: bool,  # noqa: FBT001
        steps: list[dict[str, Any]],
    ) -> None:
        """Exchange or remove what the spec names."""
        self.fallback, self.tried, self.steps = fallback, tried, steps
        self.world.candidate = deployment("c1") if tried else None
        self.world.spec = self._spec().model_copy(update={"mode": self.world.spec.mode})

    @rule(stopped=st.sampled_from(["", "", "somebody works here"]))
    def the_kill_switch(self, stopped: str) -> None:
        """Turn it on or off."""
        self.world.fleet = Fleet(stopped=stopped)

    @rule(kinds=st.frozensets(st.sampled_from(sorted(TRAFFIC_STEPS))), back=st.booleans())
    def traffic_cannot_be_moved(self, kinds: frozenset[StepKind], back: bool) -> None:  # noqa: FBT001
        """Fail with a refusal of the router, and perhaps be accepted again a bit later."""
        self.world.refused = kinds
        self.looks(B, H, "")
        self.world.refused = frozenset() if back else kinds
        self.world.after(5)

    @rule(accepted=st.booleans())
    def the_fallback_dies(self, accepted: bool) -> None:  # noqa: FBT001
        """Open the circuit, and lose who answers; the gateway may be slow meanwhile."""
        self.world.accepted = accepted
        self.looks(B, H, "")
        self.world.fallback_ready = 0
        self.looks(U, H, "")
        self.world.after(15)
        self.looks(U, H, "")

    def teardown(self) -> None:
        """Let all be well, and find nothing that is left of what was done."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.spec = world.spec.model_copy(update={"mode": Mode.ACT})
        world.refused, world.fleet, world.fallback_ready = frozenset(), Fleet(), 1
        world.accepted = world.rolled_out = True
        for _ in range(ROUNDS):
            world.after(15).look(H, H)
        known, trial = world.status, world.status.candidate
        assert known.circuit.phase is CircuitPhase.CLOSED
        assert under_way(known) is None
        assert (known.action, known.shifted, known.approval, known.held) == (None, [], None, "")
        share = (trial.weight or 0) if trial is not None else 0
        assert world.rules == [{**START, "fraud": 100 - share, "fraud-next": share}]
        assert trial is None or trial.phase in {TrialPhase.TRIAL, TrialPhase.ABORTED}
        done = len(world.done)
        for _ in range(20):
            world.after(60).look(H, H)
        assert len(world.done) == done


Machine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEverythingEnds = Machine.TestCase
