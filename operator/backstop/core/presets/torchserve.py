"""TorchServe with ``metrics_mode=prometheus`` (port 8082).

Requests are counted by model, but statuses only by host, so the shares are those of a pod.
"""

from backstop.core.presets.preset import EventCounters, Lacks, Preset, Sums
from backstop.core.units import TimeUnit

PRESET = Preset(
    name="torchserve",
    errors=EventCounters(whole="ts_inference_requests_total", part="Requests5XX"),
    latency=Lacks(
        "TorchServe exports only sums of latency: use threshold.latencyMean, or an istio or envoy"
        " monitor of the router in front of it"
    ),
    latency_sums=Sums(
        "ts_inference_latency_microseconds", "ts_inference_requests_total", TimeUnit.MICROSECONDS
    ),
    queue=Lacks(
        "TorchServe exports how long the last request waited and not how many wait: use"
        " threshold.promql with max(QueueTime), in milliseconds"
    ),
)
"""Health checks are not inference requests, so they do not dilute the errors."""
