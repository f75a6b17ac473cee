"""MLServer (port 8082).

Requests are counted by model, over REST and gRPC, whether they fail or not; the only histogram is
that of the REST server, whose series name the path and not the model.
"""

from backstop.core.presets.preset import Buckets, EventCounters, Preset, Queue, Sums

PRESET = Preset(
    name="mlserver",
    errors=EventCounters(
        whole="model_infer_request_duration_count",
        part="model_infer_request_failure_total",
    ),
    latency=Buckets('rest_server_request_duration_seconds_bucket{path=~".*/infer"}'),
    latency_sums=Sums("model_infer_request_duration_sum", "model_infer_request_duration_count"),
    queue=Queue("rest_server_requests_in_progress", waiting=False),
)
"""A request that the model refuses as malformed counts as a failure."""
