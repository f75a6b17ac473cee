"""BentoML 1.2 and later (path ``/metrics`` of the service's own port).

Probes are requests too in its counters, so their endpoints are left out.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Preset, Queue, Sums

_SERVED = 'endpoint!~"/(livez|readyz|healthz|metrics)"'
_LATENCY = "bentoml_service_request_duration_seconds"

PRESET = Preset(
    name="bentoml",
    errors=EventCounters(
        whole=f"bentoml_service_request_total{{{_SERVED}}}",
        part=f'bentoml_service_request_total{{{_SERVED},http_response_code=~"5.."}}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket{{{_SERVED}}}"),
    latency_sums=Sums(f"{_LATENCY}_sum{{{_SERVED}}}", f"{_LATENCY}_count{{{_SERVED}}}"),
    queue=Queue(f"bentoml_service_request_in_progress{{{_SERVED}}}", waiting=False),
)
