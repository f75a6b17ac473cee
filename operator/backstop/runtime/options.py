"""How the operator is run: what the command line says, and what follows from it alone."""

import os
import time
from dataclasses import dataclass

from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.core.shards import ALL, Shard
from backstop.runtime.config import OperatorConfig


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: where, for which namespaces (all when empty), and under which lease."""

    config: OperatorConfig
    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    lease_namespace: str = "default"
    lease_name: str = "backstop"
    shard: Shard = ALL
    health_host: str = "0.0.0.0"  # noqa: S104 - probes come from the node
    health_port: int = 8080

    @property
    def in_cluster(self) -> bool:
        """Whether it runs in a pod, by the rights of its service account."""
        named = self.kubeconfig is not None or self.context is not None
        return not named and "KUBERNETES_SERVICE_HOST" in os.environ


def sources_of(config: OperatorConfig) -> dict[str, PrometheusSource]:
    """Return the metrics sources of ``config`` by name; each is to be closed."""
    return {
        name: PrometheusSource(str(source.url), source.access)
        for name, source in config.sources.items()
    }
