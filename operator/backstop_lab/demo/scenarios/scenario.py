"""What every scenario is: a fault, how to cause and undo it, and what Backstop must show."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from backstop.api.words import CircuitPhase, Verdict
from backstop_lab.demo.cluster import Cluster
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Check, Story

TARGET, CANDIDATE, FALLBACK = "ranker", "ranker-candidate", "ranker-simple"
ALL_TO_TARGET = {TARGET: 100, CANDIDATE: 0, FALLBACK: 0}


class Scenario(ABC):
    """One fault. The times in it are the same in both modes, so that the runs can be compared."""

    name: ClassVar[str]
    """The scenario on the command line."""
    title: ClassVar[str]
    """The fault in a few words, for tables and headings."""
    deadline: ClassVar[float]
    """Seconds after the injection by which all checks must be met."""

    async def prepare(self, cluster: Cluster) -> None:  # noqa: B027 (optional)
        """Bring the cluster into the state in which the fault will strike."""

    @abstractmethod
    async def inject(self, cluster: Cluster) -> None:
        """Cause the fault."""

    async def during(self, cluster: Cluster, elapsed: float) -> None:  # noqa: B027 (optional)
        """Do what the outside world does `elapsed` seconds after the injection; called often."""

    @abstractmethod
    async def repair(self, cluster: Cluster, now: Snapshot) -> None:
        """Undo by hand what is left of the fault in `now`, without waiting for the rollout."""

    @abstractmethod
    def checks(self, story: Story) -> list[Check]:
        """Return what must be seen by the deadline, judged by what has been seen so far."""

    def detected_at(self, story: Story) -> float | None:
        """Return the Unix time at which Backstop knew of the fault."""
        incident = story.incident
        return None if incident is None else incident.detected.timestamp()


def not_ready(now: Snapshot) -> str:
    """Return why a fault should not be injected yet, or an empty text when all is well."""
    status = now.monitor
    good, current = status.revisions.last_good, status.revisions.current
    if not now.rolled_out:
        return "waiting for the rollout"
    if status.verdict is not Verdict.HEALTHY:
        return f"waiting for a Healthy verdict: {status.why}"
    if status.circuit.phase is not CircuitPhase.CLOSED:
        return "waiting for the circuit to close"
    if good is None or current is None or good.fingerprint != current.fingerprint:
        return "waiting until the revision has been healthy long enough to be recorded as good"
    return ""
