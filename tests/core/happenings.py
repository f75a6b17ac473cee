"""What happens around a monitor, at random: time, releases, refusals, restarts."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.core.build import deployment
from tests.core.world import World

from backstop.api.modelmonitor import Mode
from backstop.api.words import StepKind


class Happenings(RuleBasedStateMachine):
    """Changes the world; looks and what must hold are added to it."""

    world: World
    releases = 0

    @rule(wait=st.sampled_from([0.2, 1, 5, 30, 700]))
    def time_passes(self, wait: float) -> None:
        """Wait."""
        self.world.after(wait)

    @rule(again=st.booleans())
    def somebody_releases(self, again: bool) -> None:  # noqa: FBT001
        """Release a new template, or the old one again."""
        self.releases += 1
        self.world.release("v0" if again else f"n{self.releases}")

    @precondition(lambda self: self.world.candidate is not None)
    @rule()
    def another_candidate_comes(self) -> None:
        """Change the candidate's template."""
        self.releases += 1
        self.world.candidate = deployment(f"c{self.releases}")

    @rule(done=st.booleans())
    def rollout(self, done: bool) -> None:  # noqa: FBT001
        """Finish the rollout, or have one of another pod."""
        self.world.rolled_out = done

    @rule(refused=st.just(frozenset()) | st.frozensets(st.sampled_from(StepKind), max_size=3))
    def something_is_refused(self, refused: frozenset[StepKind]) -> None:
        """Refuse some kinds of steps from now on."""
        self.world.refused = refused

    @rule(accepted=st.booleans())
    def the_gateway(self, accepted: bool) -> None:  # noqa: FBT001
        """Accept the newest weights, or do not."""
        self.world.accepted = accepted

    @rule(ready=st.sampled_from([0, 0, 1, None]))
    def the_fallback(self, ready: int | None) -> None:
        """Lose all endpoints, have some, or be out of sight."""
        self.world.fallback_ready = ready

    @rule()
    def the_operator_restarts(self) -> None:
        """Lose the memory."""
        self.world.restart()

    @rule()
    def the_mode_changes(self) -> None:
        """Switch between Observe and Act."""
        observed = self.world.spec.mode is Mode.OBSERVE
        mode = Mode.ACT if observed else Mode.OBSERVE
        self.world.spec = self.world.spec.model_copy(update={"mode": mode})
