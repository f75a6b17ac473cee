"""Envoy as a gateway, such as that of Contour or Envoy Gateway, for whatever server is behind it.

It counts by its upstream clusters. A gRPC error travels in a response with status 200 and is no
error here.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Preset, Queue, Sums
from backstop.core.units import TimeUnit

_LATENCY = "envoy_cluster_upstream_rq_time"

PRESET = Preset(
    name="envoy",
    errors=EventCounters(
        whole="envoy_cluster_upstream_rq_xx",
        part='envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket", TimeUnit.MILLISECONDS),
    latency_sums=Sums(f"{_LATENCY}_sum", f"{_LATENCY}_count", TimeUnit.MILLISECONDS),
    queue=Queue("envoy_cluster_upstream_rq_pending_active"),
)
