"""Prometheus is stopped for half a minute, while the model is well."""

from __future__ import annotations

from typing import ClassVar

from backstop.api.words import Verdict
from backstop_lab.demo.cluster import Cluster
from backstop_lab.demo.scenarios.scenario import Scenario
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Check, Story, invariant

_OUTAGE_SECONDS = 30.0
_PROMETHEUS, _MONITORING = "prometheus", "monitoring"


class PrometheusOutage(Scenario):
    """A missing number is never a verdict: nothing may move."""

    name: ClassVar[str] = "prometheus-outage"
    title: ClassVar[str] = "Prometheus down for 30 s"
    deadline: ClassVar[float] = 75.0

    def __init__(self) -> None:
        self._is_back = False

    async def inject(self, cluster: Cluster) -> None:
        """Stop Prometheus."""
        await cluster.scale(_PROMETHEUS, 0, namespace=_MONITORING)

    async def during(self, cluster: Cluster, elapsed: float) -> None:
        """Start Prometheus again after the outage."""
        if elapsed >= _OUTAGE_SECONDS and not self._is_back:
            self._is_back = True
            await cluster.scale(_PROMETHEUS, 1, namespace=_MONITORING)

    async def repair(self, cluster: Cluster, now: Snapshot) -> None:  # noqa: ARG002
        """Start Prometheus."""
        if not self._is_back:
            await cluster.scale(_PROMETHEUS, 1, namespace=_MONITORING)

    def detected_at(self, story: Story) -> float | None:
        """Return when the status first said Unknown; there is no incident in this scenario."""
        unknown = (s.at for s in story.since if s.monitor.verdict is Verdict.UNKNOWN)
        return next(unknown, None)

    def checks(self, story: Story) -> list[Check]:
        """Ask that the status says Unknown and why, and that nothing moves."""
        now = story.now
        said = [s.monitor.why for s in story.since if s.monitor.verdict is Verdict.UNKNOWN]
        return [
            Check("the status said Unknown, and why", any(said)),
            Check("Prometheus is back", self._is_back),
            Check(
                "the verdict is Healthy again",
                self._is_back and now.monitor.verdict is Verdict.HEALTHY,
            ),
            invariant("no weight moves", holds=now.weights == story.before.weights),
            invariant("no workload changes", holds=now.template == story.before.template),
            invariant("no incident is opened", holds=story.incident is None),
        ]
