"""Seldon Core 2: the agent beside each inference server.

A code is an HTTP status over REST, and the name of a gRPC status over gRPC. Of the latter those
are errors that OpenTelemetry's conventions call errors of a server.
"""

from backstop.core.presets.preset import EventCounters, Lacks, Preset, Sums

PRESET = Preset(
    name="seldon2",
    errors=EventCounters(
        whole="seldon_model_infer_total",
        part='seldon_model_infer_total{code=~"5..|Unknown|DeadlineExceeded|Unimplemented|Internal'
        '|Unavailable|DataLoss"}',
    ),
    latency=Lacks(
        "Seldon's histogram does not tell the models of a server apart: use threshold.latencyMean,"
        " or write seldon_model_infer_api_seconds_bucket if the server has this model alone"
    ),
    latency_sums=Sums("seldon_model_infer_seconds_total", "seldon_model_infer_total"),
    queue=Lacks(
        "Seldon's agent exports no queue: use the gauge of the inference server behind it with"
        " threshold.promql, such as nv_inference_pending_request_count of Triton"
    ),
)
