"""TensorFlow Serving (path ``/monitoring/prometheus/metrics``, with a monitoring config).

Its metric names begin with a colon, and its histogram is in microseconds: 33 buckets from 10 us,
each 1.8 times the one before.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Lacks, Preset, Sums
from backstop.core.units import TimeUnit

_LATENCY = ":tensorflow:serving:request_latency"

PRESET = Preset(
    name="tfserving",
    errors=EventCounters(
        whole=':tensorflow:serving:request_count{status!="CANCELLED"}',
        part=':tensorflow:serving:request_count{status!~"OK|CANCELLED"}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket", TimeUnit.MICROSECONDS),
    latency_sums=Sums(f"{_LATENCY}_sum", f"{_LATENCY}_count", TimeUnit.MICROSECONDS),
    queue=Lacks(
        "TensorFlow Serving exports no queue length: hold latency against a limit, which rises"
        " with the queue"
    ),
)
"""``INVALID_ARGUMENT`` is an error here: it is what a model with another signature answers."""
