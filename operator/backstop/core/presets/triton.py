"""NVIDIA Triton Inference Server, as it exports metrics by default (port 8002).

Its counters have no ``_total``, and successes and failures are two of them. A request that its
client gave up is no error of the model, so ``CANCELED`` is neither an error nor a request here.
Failures have had their ``reason`` since July 2024; before that all of them count.
"""

from backstop.core.presets.preset import EventCounters, Lacks, Preset, Queue, Sums
from backstop.core.units import TimeUnit

PRESET = Preset(
    name="triton",
    errors=EventCounters(
        whole='{__name__=~"nv_inference_request_success|nv_inference_request_failure",'
        'reason!="CANCELED"}',
        part='nv_inference_request_failure{reason!="CANCELED"}',
    ),
    latency=Lacks(
        "Triton exports only sums of latency: use threshold.latencyMean, or an istio or envoy"
        " monitor of the router in front of it"
    ),
    latency_sums=Sums(
        "nv_inference_request_duration_us", "nv_inference_request_success", TimeUnit.MICROSECONDS
    ),
    queue=Queue("nv_inference_pending_request_count"),
)
"""The time of failed requests is not summed, so the mean is that of successful ones."""
