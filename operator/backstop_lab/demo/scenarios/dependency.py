"""Both versions fail, because the feature store behind them is gone."""

from __future__ import annotations

from typing import ClassVar

from backstop.api.words import Cause, CircuitPhase, StepKind
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

_STORE = "feature-store"
_STORE_RETURNS_AFTER = 5.0


class Dependency(Scenario):
    """The feature store is scaled to 0 while a candidate is on trial, and returns later."""

    name: ClassVar[str] = "dependency"
    title: ClassVar[str] = "Feature store down, both versions fail"
    deadline: ClassVar[float] = 75.0

    def __init__(self) -> None:
        self._store_is_back = False

    async def prepare(self, cluster: Cluster) -> None:
        """Give a healthy candidate a fifth of the traffic."""
        await cluster.wait_rolled_out(CANDIDATE)
        await cluster.set_weights({TARGET: 80, CANDIDATE: 20, FALLBACK: 0})

    async def inject(self, cluster: Cluster) -> None:
        """Stop the feature store."""
        await cluster.scale(_STORE, 0)

    async def during(self, cluster: Cluster, elapsed: float) -> None:
        """Start the store again when its time has come."""
        if elapsed >= _STORE_RETURNS_AFTER and not self._store_is_back:
            self._store_is_back = True
            await cluster.scale(_STORE, 1)

    async def repair(self, cluster: Cluster, now: Snapshot) -> None:  # noqa: ARG002
        """Start the store, and end the trial."""
        if not self._store_is_back:
            await cluster.scale(_STORE, 1)
        await cluster.set_weights(ALL_TO_TARGET)

    def checks(self, story: Story) -> list[Check]:
        """Ask that the circuit opens and closes again, and nothing is rolled back."""
        incident, now = story.incident, story.now
        shared = (Cause.DATA, Cause.INFRASTRUCTURE)
        return [
            Check(
                "what both versions share is blamed",
                incident is not None and incident.cause in shared,
            ),
            Check("the circuit was opened", story.has_done(StepKind.OPEN_CIRCUIT)),
            Check("the store is back", self._store_is_back),
            Check("the circuit is closed", now.monitor.circuit.phase is CircuitPhase.CLOSED),
            Check(
                "the weights are what they were before the fault",
                now.weights == story.before.weights,
            ),
            Check(
                "the incident is resolved", incident is not None and incident.resolved is not None
            ),
            invariant("nothing is rolled back", holds=now.template == story.before.template),
        ]
