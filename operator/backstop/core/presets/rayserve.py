"""Ray Serve 2.10 and later; each node exports what its replicas and proxies report every 10 s.

The request counter of a replica counts only what succeeded, so all requests are taken from the
histogram, which has both. An error is an exception: a status 500 that the deployment returns by
itself is none.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Preset, Queue, Sums
from backstop.core.units import TimeUnit

_LATENCY = "ray_serve_deployment_processing_latency_ms"

PRESET = Preset(
    name="rayserve",
    errors=EventCounters(
        whole=f"{_LATENCY}_count",
        part="ray_serve_deployment_error_counter_total",
    ),
    latency=Buckets(f"{_LATENCY}_bucket", TimeUnit.MILLISECONDS),
    latency_sums=Sums(f"{_LATENCY}_sum", f"{_LATENCY}_count", TimeUnit.MILLISECONDS),
    queue=Queue("ray_serve_deployment_queued_queries"),
)
"""Latency is that of the replica, without the proxy."""
