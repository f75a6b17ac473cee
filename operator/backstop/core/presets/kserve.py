"""KServe's Python model server (port 8080); other KServe runtimes have presets of their own."""

from backstop.core.presets.preset import Buckets, Lacks, Preset, Sums

PRESET = Preset(
    name="kserve",
    errors=Lacks(
        "KServe's Python server counts no errors: give the monitor the preset istio or envoy for"
        " the router in front of it, or write the selectors of Knative's queue-proxy"
        " (revision_app_request_count with response_code_class, up to Knative 1.18)"
    ),
    latency=Buckets("request_predict_seconds_bucket"),
    latency_sums=Sums("request_predict_seconds_sum", "request_predict_seconds_count"),
    queue=Lacks(
        "KServe's Python server has no queue: use threshold.promql with revision_queue_depth of"
        " Knative's queue-proxy (kn_serving_queue_depth from Knative 1.19)"
    ),
)
"""Latency is that of ``predict`` alone, without preprocess and postprocess."""
