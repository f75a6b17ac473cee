"""A bad release whose errors begin only after its rollout has finished."""

from __future__ import annotations

from typing import ClassVar

from backstop.api.words import Cause, CircuitPhase, StepKind
from backstop_lab.demo.cluster import Cluster
from backstop_lab.demo.scenarios.scenario import FALLBACK, TARGET, Scenario
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Check, Story, invariant

_BAD = "v2"


class BadRelease(Scenario):
    """v2 rolls out cleanly, and starts to fail 30 % of the requests when the rollout is over."""

    name: ClassVar[str] = "bad-release"
    title: ClassVar[str] = "Bad release, after its rollout"
    deadline: ClassVar[float] = 60.0

    async def inject(self, cluster: Cluster) -> None:
        """Release v2."""
        await cluster.set_environment(
            TARGET, f"VERSION={_BAD}", "ERROR_RATE=0.3", "FAIL_AFTER_SECONDS=7"
        )

    async def repair(self, cluster: Cluster, now: Snapshot) -> None:
        """Release v1 again, unless Backstop has done so."""
        if now.version == _BAD:
            await cluster.set_environment(
                TARGET, "VERSION=v1", "ERROR_RATE-", "FAIL_AFTER_SECONDS-"
            )

    def checks(self, story: Story) -> list[Check]:
        """Ask that the circuit opens, the release is rolled back and the traffic returns."""
        incident, now = story.incident, story.now
        return [
            Check("the fault began after the rollout had finished", _after_rollout(story)),
            Check(
                "the release is blamed", incident is not None and incident.cause is Cause.RELEASE
            ),
            Check("the circuit was opened", story.has_done(StepKind.OPEN_CIRCUIT)),
            Check("the release was rolled back", story.has_done(StepKind.ROLLBACK)),
            Check(
                f"the Deployment runs the template that it ran before {_BAD}",
                now.template == story.before.template and now.rolled_out,
            ),
            Check("the circuit was probed half-open", story.has_done(StepKind.PROBE_CIRCUIT)),
            Check("the circuit is closed", now.monitor.circuit.phase is CircuitPhase.CLOSED),
            Check(
                "the weights are what they were before the fault",
                now.weights == story.before.weights,
            ),
            Check(
                "the incident is resolved", incident is not None and incident.resolved is not None
            ),
            invariant("the fallback stays in the route", holds=FALLBACK in now.weights),
        ]


def _after_rollout(story: Story) -> bool:
    incident = story.incident
    finished = [s.at for s in story.since if s.version == _BAD and s.rolled_out]
    return incident is not None and bool(finished) and finished[0] < incident.detected.timestamp()
