"""vLLM's OpenAI-compatible server (0.9 and later, port 8000).

``vllm:request_success_total`` counts requests that the engine finished, for whatever reason, so
errors are taken from the HTTP layer, which leaves out health checks and the metrics themselves.
Its series have no ``model_name``.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Preset, Queue, Sums

_LATENCY = "vllm:e2e_request_latency_seconds"

PRESET = Preset(
    name="vllm",
    errors=EventCounters(
        whole="http_requests_total",
        part='http_requests_total{status=~"5.."}',
    ),
    latency=Buckets(f"{_LATENCY}_bucket"),
    latency_sums=Sums(f"{_LATENCY}_sum", f"{_LATENCY}_count"),
    queue=Queue("vllm:num_requests_waiting"),
)
"""Latency ends with the last token; write ``vllm:time_to_first_token_seconds_bucket`` for the
first."""
