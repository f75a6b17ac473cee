"""Istio's standard metrics, for whatever server is behind it.

Each request is reported by the proxy at its source and by the one at its destination; only the
latter is taken, which in ambient mode is the waypoint. A gRPC error travels in a response with
status 200 and is no error here.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Lacks, Preset, Sums
from backstop.core.units import TimeUnit

_ONCE = 'reporter=~"destination|waypoint"'
_LATENCY = "istio_request_duration_milliseconds"

PRESET = Preset(
    name="istio",
    errors=EventCounters(
        whole=f"istio_requests_total{{{_ONCE}}}",
        part=f'istio_requests_total{{{_ONCE},response_code=~"5.."}}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket{{{_ONCE}}}", TimeUnit.MILLISECONDS),
    latency_sums=Sums(
        f"{_LATENCY}_sum{{{_ONCE}}}", f"{_LATENCY}_count{{{_ONCE}}}", TimeUnit.MILLISECONDS
    ),
    queue=Lacks(
        "Istio's standard metrics have no queue: use the gauge of the model server with"
        " threshold.promql"
    ),
)
