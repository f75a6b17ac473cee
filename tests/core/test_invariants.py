"""Whatever happens, in whatever order: what Backstop must never do, and what it must put back.

A machine looks, releases, crashes, restarts, refuses and waits at random, and checks the invariants
of the design after every pass.
"""

import dataclasses
from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from tests.core.build import CANDIDATE, deployment, spec
from tests.core.happenings import Happenings
from tests.core.world import Crash, World

from backstop.api.modelmonitor import Mode
from backstop.api.status import Action, CandidateStatus, ModelMonitorStatus
from backstop.api.words import ActionState, Arm, CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core import weights
from backstop.core.episode import under_way
from backstop.core.units import seconds

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, CLOSE, SHIFT, ROLLBACK = (
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
    StepKind.SHIFT_TRAFFIC,
    StepKind.ROLLBACK,
)
SIGNALS = ("errors", "drift")
KEYS = [(name, arm) for arm in Arm for name in SIGNALS]

_outcomes = st.fixed_dictionaries({key: st.sampled_from([H, H, B, U]) for key in KEYS})
_worlds = st.fixed_dictionaries(
    {
        "mode": st.sampled_from([Mode.ACT, Mode.ACT, Mode.ACT, Mode.OBSERVE]),
        "fallback": st.sampled_from([{"service": "simple"}, {"service": "simple"}, None]),
        "rollback": st.fixed_dictionaries(
            {"enabled": st.sampled_from([True, True, False]), "goodAfter": st.just("20s")}
        ),
        "candidate": st.sampled_from(
            [
                None,
                CANDIDATE,
                {**CANDIDATE, "progression": {"steps": [10]}},
                {**CANDIDATE, "progression": {"steps": [10]}},
            ]
        ),
        "circuit": st.just({"openFor": "5s", "maxOpenFor": "40s", "probeFor": "3s"}),
    }
)


class Machine(Happenings):
    """Drives one monitor through everything that can happen to it."""

    @initialize(changes=_worlds, share=st.integers(0, 30), rules=st.integers(1, 3))
    def begins(self, changes, share: int, rules: int) -> None:
        """Begin with a monitor of some spec and a route of some rules."""
        self.world = World(spec=spec(**changes))
        names = {"fraud": 100 - share}
        if changes["candidate"]:
            names["fraud-next"] = share
            self.world.candidate = deployment("c1")
        if changes["fallback"]:
            names["simple"] = 0
        self.world.rules = [dict(names) for _ in range(rules)]
        self.releases = 0
        self.before_opening: list[dict[str, int]] = []
        self.opened_with = ""
        self.opening = ""
        self.rollbacks: dict[str, set[str]] = {}
        self.blamed: dict[str, str] = {}

    # Looks

    @rule(outcomes=_outcomes, point=st.sampled_from(["", "", "", "intent", "effect"]))
    def looks(self, outcomes, point: str) -> None:
        """Look at any verdicts, and crash at any point."""
        self._pass(outcomes, point)

    @rule(stable=st.sampled_from([H, B]), trial=st.sampled_from([H, B, U]))
    def looks_clearly(self, stable: Verdict, trial: Verdict) -> None:
        """Look at arms that are altogether healthy or broken."""
        self._pass({key: stable if key[1] is Arm.TARGET else trial for key in KEYS}, "")

    @rule(candidate=st.sampled_from([H, U]), crash=st.sampled_from(["", "", "intent", "effect"]))
    def a_quiet_spell(self, candidate: Verdict, crash: str) -> None:
        """Let everything recover: long enough for a probe, and for the circuit to close."""
        healthy = {key: H if key[1] is Arm.TARGET else candidate for key in KEYS}
        self.world.rolled_out = self.world.accepted = True
        for wait, outcomes in ((45, dict.fromkeys(KEYS, U)), (4, healthy), (1, healthy)):
            self.world.after(wait)
            self._pass(outcomes, crash)

    @rule()
    def the_source_is_down(self) -> None:
        """Look at nothing but Unknown: it starts no incident, ends none, and moves no traffic."""
        world = self.world
        under, circuit = under_way(world.status), world.status.circuit
        finished = world.status.action
        steps = self._pass(dict.fromkeys(KEYS, U), "")
        if under is None and finished is None:
            assert set(steps) <= {SHIFT}  # a trial that begins does so on readiness alone
            assert under_way(world.status) is None
        if under is not None and finished is None:
            still = world.status.incident
            assert still is not None
            assert still.name == under.name
            if under.arm is Arm.TARGET:
                assert still.resolved is None
                left = {CLOSE} if world.fallback_ready != 1 else set()
                assert not ({OPEN, CLOSE} - left) & set(steps)
        lost = CLOSE in steps
        if circuit.phase is CircuitPhase.HALF_OPEN and finished is None and not lost:
            # A rollback that somebody undid is no matter of verdicts: the bad revision is back.
            told = world.status.incident
            undone = under is not None and told is not None and told.reverts > under.reverts
            assert steps == ([ROLLBACK] if undone else [])
            # What is to be put back may change, as the candidate may be another one since.
            noted = {"restore": circuit.restore, "fallback_lost": circuit.fallback_lost}
            assert world.status.circuit.model_copy(update=noted) == circuit

    def _pass(self, outcomes: dict[tuple[str, Arm], Verdict], point: str) -> list[StepKind]:
        world = self.world.after(0.001)
        if world.spec.candidate is None:
            outcomes = {key: found for key, found in outcomes.items() if key[1] is Arm.TARGET}
        before = dataclasses.replace(
            world, rules=[dict(one) for one in world.rules], done=list(world.done)
        )
        world.crash = point
        steps: list[StepKind] = []
        try:
            steps = world.sees(outcomes)
        except Crash:
            world.restart()
        world.crash = ""
        told = under_way(world.status)
        if told is not None and world.candidate is not None:
            self.blamed.setdefault(told.name, world.candidate.fingerprint)
        self._follows(before, world.done[len(before.done) :], outcomes, steps)
        return steps

    def _follows(
        self,
        before: World,
        done: Iterable[Action],
        outcomes: dict[tuple[str, Arm], Verdict],
        steps: list[StepKind],
    ) -> None:
        """Check what a pass has done against what it knew."""
        known = before.status
        resumed = known.action.id if known.action else ""
        for action in done:
            self._did(action, before)
        target = {found for (_, arm), found in outcomes.items() if arm is Arm.TARGET}
        if OPEN in steps:
            assert B in target
        if CLOSE in steps:
            assert target == {H} or before.fallback_ready != 1
        if before.spec.mode is Mode.OBSERVE:
            assert all(action.id == resumed for action in done)

    def _did(self, action: Action, before: World) -> None:
        known = before.status
        if action.step is ROLLBACK:
            assert action.after not in known.revisions.known_bad
            assert action.before != action.after
            assert self.world.status.incident is not None
            # A crash between the effect and its record finishes the same action once more.
            ids = self.rollbacks.setdefault(self.world.status.incident.name, set())
            ids.add(action.id)
            # Only what somebody else has undone is done again, and only so often.
            assert len(ids) <= 1 + self.world.status.incident.reverts <= 3
        if action.step is SHIFT:
            self._did_shift(known)
        if action.step is OPEN and known.circuit.phase is CircuitPhase.CLOSED:
            self.before_opening = list(weights.from_text(action.before).values())
            if action.id != self.opening:  # one that is resumed was begun with another, perhaps
                trial = known.candidate
                self.opening, self.opened_with = action.id, trial.fingerprint if trial else ""
        if action.step is CLOSE:
            planned = known if known.action else self.world.status
            put_back = list(weights.from_text(action.after).values())
            assert put_back in self._as_before(planned.candidate)

    def _did_shift(self, known: ModelMonitorStatus) -> None:
        """Check that a candidate is aborted for its own fault, not for that of another template."""
        trial, candidate = self.world.status.candidate, self.world.candidate
        over = trial is not None and trial.phase not in {TrialPhase.TRIAL, TrialPhase.REMOVED}
        if trial is None or not over or known.action is not None:
            return
        assert known.candidate is not None
        assert candidate is not None
        assert trial.fingerprint == known.candidate.fingerprint == candidate.fingerprint
        told = under_way(known)
        if told is not None and told.arm is Arm.CANDIDATE:
            assert self.blamed[told.name] == candidate.fingerprint

    def _as_before(self, trial: CandidateStatus | None) -> list[list[dict[str, int]]]:
        """Return what may be put back: nothing to a candidate aborted or of another template."""
        if trial is None:
            return [self.before_opening]
        without = [
            {**one, "fraud": one["fraud"] + one["fraud-next"], "fraud-next": 0}
            for one in self.before_opening
        ]
        if trial.phase is TrialPhase.ABORTED:
            return [without]
        candidate = self.world.candidate
        other = candidate is None or self.opened_with != candidate.fingerprint
        return [self.before_opening, without] if other else [self.before_opening]

    # What always holds

    @invariant()
    def somebody_answers(self) -> None:
        """Every rule has weights that sum to more than zero."""
        assert all(sum(one.values()) > 0 for one in self.world.rules)

    @invariant()
    def an_aborted_candidate_has_no_traffic(self) -> None:
        """Until its template changes, however the circuit opens and closes."""
        trial = self.world.status.candidate
        if trial is not None and trial.phase is TrialPhase.ABORTED:
            assert all(one["fraud-next"] == 0 for one in self.world.rules)

    @invariant()
    def the_open_interval_has_a_limit(self) -> None:
        """However often it opened."""
        circuit = self.world.status.circuit
        if circuit.phase is CircuitPhase.OPEN:
            assert circuit.since is not None
            assert circuit.next_probe is not None
            limit = seconds(self.world.spec.circuit.max_open_for)
            waits = (circuit.next_probe - circuit.since).total_seconds()
            episode = under_way(self.world.status)
            repaired = episode is not None and episode.repaired is not None
            assert waits <= limit + 1e-3 or repaired

    @invariant()
    def traffic_follows_the_phase(self) -> None:
        """Open: the fallback answers. Half-open: the probe's share and the rest. No other mix."""
        circuit, world = self.world.status.circuit, self.world
        if world.status.action is not None:
            return
        if circuit.phase is CircuitPhase.OPEN:
            assert all(one["simple"] == 100 and one["fraud"] == 0 for one in world.rules)
        if circuit.phase is CircuitPhase.HALF_OPEN:
            assert all((one["simple"], one["fraud"]) == (95, 5) for one in world.rules)

    @invariant()
    def an_open_circuit_has_an_incident(self) -> None:
        """Somebody can read why, and it is not forgotten."""
        if self.world.status.circuit.phase is not CircuitPhase.CLOSED:
            episode = under_way(self.world.status)
            assert episode is not None
            assert episode.arm is Arm.TARGET

    @invariant()
    def the_status_is_small(self) -> None:
        """Below 8 KB, with a bounded number of actions, all in a state that means something."""
        assert self.world.size() < 8_000
        episode = self.world.status.incident
        if episode is not None:
            assert len(episode.actions) <= 10
            assert all(one.state is not ActionState.PLANNED for one in episode.actions)


Machine.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestInvariants = Machine.TestCase
