"""Whatever happens to a candidate, in whatever order: what its progression must never do.

A machine looks, crashes, refuses, asks, releases, edits and waits at random, and checks each pass
against what was known before it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.build import status
from tests.core.canary import B, Canary, Crash, H, U, canary_spec

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.status import Action, CandidateStatus, Episode, ModelMonitorStatus
from backstop.api.words import Severity, StepKind, TrialPhase
from backstop.core.episode import under_way
from backstop.core.promotion import effective_spec
from backstop.core.requests import CandidateRequest
from backstop.core.units import seconds

SHIFT, PROMOTE = StepKind.SHIFT_TRAFFIC, StepKind.PROMOTE
ALL = 100

_steps = st.sampled_from([[1, 50, ALL], [1, 5, 20, 50, ALL], [5, 50, ALL], [1, 20, 50], [ALL]])
_plans = st.fixed_dictionaries(
    {
        "steps": _steps,
        "minTime": st.just("1m"),
        "maxTime": st.just("10m"),
        "onTimeout": st.sampled_from(["Hold", "Abort"]),
        "promotion": st.sampled_from(["Template", "Template", "SwapRoles", "SwapRoles", "Never"]),
        "minSamples": st.sampled_from([0, 100]),
        "compared": st.sampled_from([True, True, False]),
    }
)
_outcomes = st.sampled_from([H, H, H, U, B])
_seen = st.fixed_dictionaries(
    {
        "target": st.sampled_from([H, H, H, H, U, B]),
        "candidate": _outcomes,
        "compared": _outcomes,
        "proven": st.booleans(),
        "samples": st.sampled_from([10.0, 100.0]),
    }
)
_good = {"target": H, "candidate": H, "compared": H, "proven": True, "samples": 1000.0}
_DOUBTS: Final = ({"proven": False}, {"compared": U}, {"candidate": U}, {"samples": 10.0})
_crashes = st.sampled_from(["", "", "", "intent", "effect"])


class Machine(RuleBasedStateMachine):
    """Drives one candidate through everything that can happen to it."""

    @initialize(plan=_plans)
    def begins(self, plan: Mapping[str, Any]) -> None:
        """Begin with some progression, and no traffic on the candidate."""
        self.made = Canary(spec=canary_spec(**plan))
        self.releases = 0
        self.effects: dict[str, str] = {}

    # What happens

    @rule(seen=_seen, crash=_crashes)
    def looks(self, seen: dict[str, Any], crash: str) -> None:
        """Look at any verdicts, and crash at any point."""
        self._pass(seen, crash)

    @rule(rounds=st.integers(1, 5), crash=_crashes)
    def a_good_spell(self, rounds: int, crash: str) -> None:
        """Let the candidate prove itself for some steps."""
        for _ in range(rounds):
            self.made.rolls_out(done=True).rolls_out(done=True, workload="fraud-next")
            self._pass(_good, crash)
            self.made.after(61)
        self._pass(_good, "")

    @rule(rounds=st.integers(0, 2), wait=st.sampled_from([30, 61, 61]))
    def doubtful_looks(self, rounds: int, wait: float) -> None:
        """Miss one thing of what a step is left for, with nothing else in the way."""
        self._calm()
        for _ in range(rounds):
            self._pass(_good, "")
            self.made.after(61)
        self._pass(_good, "")
        self.made.after(wait)
        for doubt in _DOUBTS:
            self._pass(_good | doubt, "")

    @rule(wait=st.sampled_from([1, 20, 61, 700]))
    def time_passes(self, wait: float) -> None:
        """Wait."""
        self.made.after(wait)

    @rule(wish=st.sampled_from(["", "", "pause", "promote", "abort", "nonsense"]))
    def somebody_asks(self, wish: str) -> None:
        """Set or remove the annotation."""
        self.made.asks(wish)

    @rule(workload=st.sampled_from(["fraud", "fraud-next", "fraud-next"]), done=st.booleans())
    def another_template_comes(self, workload: str, done: bool) -> None:  # noqa: FBT001
        """Release, of the candidate or of the target."""
        self.releases += 1
        self.made.release(f"n{self.releases}", workload=workload)
        self.made.rolls_out(done=done, workload=workload)

    @rule(done=st.booleans(), workload=st.sampled_from(["fraud", "fraud-next"]))
    def a_rollout(self, done: bool, workload: str) -> None:  # noqa: FBT001
        """Begin or end one."""
        self.made.rolls_out(done=done, workload=workload)

    @rule(plan=_plans)
    def the_spec_is_edited(self, plan: Mapping[str, Any]) -> None:
        """Choose another progression; the roles stay as they are written."""
        swapped = self.made.spec.target.name == "fraud-next"
        promoted = status(promoted="fraud-next" if swapped else "")
        self.made.spec = effective_spec(canary_spec(**plan), promoted)

    @rule()
    def the_spec_takes_the_roles_over(self) -> None:
        """Write down the roles as they are by now."""
        self.made.spec = effective_spec(self.made.spec, self.made.status)

    @rule(mode=st.sampled_from(["Act", "Act", "Act", "Observe"]))
    def the_mode_changes(self, mode: str) -> None:
        """Act or observe."""
        wanted = self.made.spec.to_json() | {"mode": mode}
        self.made.spec = ModelMonitorSpec.model_validate(wanted)

    @rule(refused=st.frozensets(st.sampled_from([SHIFT, PROMOTE])))
    def the_api_refuses(self, refused: frozenset[StepKind]) -> None:
        """Refuse some steps from now on."""
        self.made.refused = refused

    @rule(accepted=st.booleans())
    def the_gateway(self, accepted: bool) -> None:  # noqa: FBT001
        """Accept the newest weights, or do not."""
        self.made.in_effect = accepted

    @rule()
    def the_operator_restarts(self) -> None:
        """Lose the memory."""
        self.made.restart()

    def _calm(self) -> None:
        """Take everything out of the candidate's way, and begin a trial where none is on."""
        made = self.made.asks("")
        made.refused, made.in_effect = frozenset(), True
        made.spec = ModelMonitorSpec.model_validate(made.spec.to_json() | {"mode": "Act"})
        made.rolls_out(done=True).rolls_out(done=True, workload="fraud-next")
        if self._trial().phase in {TrialPhase.ABORTED, TrialPhase.PROMOTED}:
            self.releases += 1
            made.release(f"n{self.releases}", workload=self._candidate(made))
            self._pass(_good, "")

    # One pass, and what it may do

    def _pass(self, seen: Mapping[str, Any], crash: str) -> None:
        made = self.made.after(0.001)
        before = dataclasses.replace(made, weights=dict(made.weights), done=list(made.done))
        made.crash = crash
        try:
            made.look(**seen)
        except Crash:
            made.restart()
        made.crash = ""
        new = made.done[len(before.done) :]
        resumed = before.status.action.id if before.status.action else ""
        for action in new:
            self._did(action)
            if action.id != resumed:
                self._decided(action, before, seen)
        if before.status.promoted != made.status.promoted:
            self._swapped(before, seen)

    def _did(self, action: Action) -> None:
        """Check that an action is one and the same thing, each time that it is finished."""
        assert self.effects.setdefault(action.id, action.after) == action.after

    def _decided(self, action: Action, before: Canary, seen: Mapping[str, Any]) -> None:
        made = self.made
        assert made.spec.mode == "Act"
        if action.step not in {SHIFT, PROMOTE}:
            return
        share, had = self._share(action), before.weights[self._candidate(before)]
        asked = made.asked.candidate
        if action.step is PROMOTE or share > had:
            assert asked is not CandidateRequest.PAUSE
            assert _acting_incident(made.status) is None
            assert seen["target"] is not B
        if action.step is PROMOTE:
            assert before.weights[self._candidate(before)] == ALL
            self._left(before, seen)
        elif share > had > 0 and self._same_trial(before):
            self._left(before, seen)

    def _left(self, before: Canary, seen: Mapping[str, Any]) -> None:
        """Check that the step was left on evidence, or because a person asked for it."""
        assert seen["candidate"] is not B
        if self.made.asked.candidate is CandidateRequest.PROMOTE:
            return
        trial = before.status.candidate
        assert trial is not None
        candidate = before.spec.candidate
        assert candidate is not None
        assert candidate.progression is not None
        first = candidate.progression.steps[0]
        if (trial.weight or 0) < first:
            return  # the spec asks for more before anything else
        assert seen["candidate"] is H
        assert trial.step_since is not None
        at_least = seconds(candidate.progression.min_time)
        assert self.made.now - trial.step_since.timestamp() >= at_least
        compared = len(before.spec.signals) > 1 and (trial.weight or 0) < ALL
        if compared:
            assert seen["compared"] is H
            assert seen["proven"]
        elif candidate.progression.min_samples:
            assert seen["samples"] >= candidate.progression.min_samples

    def _swapped(self, before: Canary, seen: Mapping[str, Any]) -> None:
        """Check that roles are swapped, or written down, where the candidate has it all."""
        if self.made.spec.target.name == before.status.promoted:
            return
        assert before.weights[self._candidate(before)] == ALL
        assert seen["target"] is not B
        assert self.made.asked.candidate is not CandidateRequest.PAUSE
        self._left(before, seen)

    def _same_trial(self, before: Canary) -> bool:
        known, now = before.status.candidate, self.made.status.candidate
        assert now is not None
        return known is not None and known.fingerprint == now.fingerprint

    def _share(self, action: Action) -> int:
        return self.made.weights[self._candidate(self.made)] if action.step is SHIFT else ALL

    def _candidate(self, made: Canary) -> str:
        known = effective_spec(made.spec, made.status)
        assert known.candidate is not None
        return known.candidate.service

    # What always holds

    @invariant()
    def an_aborted_candidate_has_no_traffic(self) -> None:
        """Until its template changes."""
        trial = self._trial()
        if trial.phase is TrialPhase.ABORTED and self.made.status.action is None:
            assert self.made.weights[self._candidate(self.made)] == 0

    @invariant()
    def a_promoted_candidate_has_no_traffic(self) -> None:
        """Either it is the target by now, or the target runs its version."""
        trial = self._trial()
        if trial.phase is TrialPhase.PROMOTED and self.made.status.action is None:
            assert self.made.weights[self._candidate(self.made)] == 0

    @invariant()
    def all_the_traffic_is_somewhere(self) -> None:
        """Weights sum to 100."""
        assert sum(self.made.weights.values()) == ALL

    @invariant()
    def the_weight_that_is_known_is_that_of_the_route(self) -> None:
        """Know in the status what was written to the route."""
        trial = self._trial()
        if trial.weight is not None and self.made.status.action is None:
            assert self.made.weights[self._candidate(self.made)] == trial.weight

    @invariant()
    def the_status_is_small(self) -> None:
        """Below 8 KB."""
        assert len(self.made.status.model_dump_json(by_alias=True, exclude_none=True)) < 8000

    def _trial(self) -> CandidateStatus:
        return self.made.status.candidate or CandidateStatus()


def _acting_incident(known: ModelMonitorStatus) -> Episode | None:
    episode = under_way(known)
    return None if episode is None or episode.severity is Severity.P2 else episode


Machine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestProgression = Machine.TestCase
