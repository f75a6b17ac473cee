"""A FastAPI application with prometheus-fastapi-instrumentator and its default metrics.

Scrapes of the metrics are requests too in its counters, so they are left out. The histogram with
usable buckets has no labels: it holds all paths, scrapes and probes as well.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Lacks, Preset, Sums

_LATENCY = "http_request_duration_highr_seconds"

PRESET = Preset(
    name="fastapi",
    errors=EventCounters(
        whole='http_requests_total{handler!="/metrics"}',
        part='http_requests_total{handler!="/metrics",status=~"5.."}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket"),
    latency_sums=Sums(f"{_LATENCY}_sum", f"{_LATENCY}_count"),
    queue=Lacks(
        "the instrumentator counts requests in progress only on demand: switch on"
        " should_instrument_requests_inprogress and use threshold.promql with"
        " http_requests_inprogress"
    ),
)
