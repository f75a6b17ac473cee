"""A bad candidate that gets one percent of the traffic."""

from __future__ import annotations

from typing import ClassVar

from backstop.api.words import Arm, TrialPhase
from backstop_lab.demo.cluster import Cluster
from backstop_lab.demo.scenarios.scenario import (
    ALL_TO_TARGET,
    CANDIDATE,
    FALLBACK,
    TARGET,
    Scenario,
)
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Check, Story, invariant

_STAYS_SECONDS = 8.0


class BadCanary(Scenario):
    """The candidate is slower and fails nine of ten requests; it sees one request a second."""

    name: ClassVar[str] = "bad-canary"
    title: ClassVar[str] = "Bad canary at 1 %"
    deadline: ClassVar[float] = 60.0

    async def prepare(self, cluster: Cluster) -> None:
        """Deploy the bad candidate, which gets no traffic yet."""
        await cluster.set_environment(
            CANDIDATE, "VERSION=v2-rc1", "ERROR_RATE=0.9", "EXTRA_LATENCY_MS=400"
        )
        await cluster.wait_rolled_out(CANDIDATE)

    async def inject(self, cluster: Cluster) -> None:
        """Give the candidate one percent."""
        await cluster.set_weights({TARGET: 99, CANDIDATE: 1, FALLBACK: 0})

    async def repair(self, cluster: Cluster, now: Snapshot) -> None:
        """Take the traffic from the candidate, and deploy a better one."""
        if now.weights != ALL_TO_TARGET:
            await cluster.set_weights(ALL_TO_TARGET)
        await cluster.set_environment(
            CANDIDATE, "VERSION=v2-rc2", "ERROR_RATE-", "EXTRA_LATENCY_MS-"
        )

    def checks(self, story: Story) -> list[Check]:
        """Ask that the candidate loses its traffic for good, and production is left alone."""
        incident, now = story.incident, story.now
        trial = now.monitor.candidate
        return [
            Check(
                "the candidate is blamed", incident is not None and incident.arm is Arm.CANDIDATE
            ),
            Check("the trial is aborted", trial is not None and trial.phase is TrialPhase.ABORTED),
            Check(
                f"all traffic is the target's, and has been for {_STAYS_SECONDS:.0f} s",
                _stays_at_target(story),
            ),
            Check(
                "the incident is resolved", incident is not None and incident.resolved is not None
            ),
            invariant("the target is left alone", holds=now.template == story.before.template),
            invariant("the fallback gets no traffic", holds=now.weights[FALLBACK] == 0),
        ]


def _stays_at_target(story: Story) -> bool:
    last_other = max(
        (s.at for s in story.since if s.weights != ALL_TO_TARGET), default=story.injected
    )
    return story.now.at - last_other >= _STAYS_SECONDS
