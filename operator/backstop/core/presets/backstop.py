"""Backstop's own convention, for models that export their metrics themselves."""

from backstop.core.presets.preset import (
    Buckets,
    Categories,
    EventCounters,
    Features,
    Lacks,
    Preset,
    Sums,
)

PRESET = Preset(
    name="backstop",
    errors=EventCounters(whole="model_requests_total", part='model_requests_total{code=~"5.."}'),
    latency=Buckets("model_request_duration_seconds_bucket"),
    latency_sums=Sums("model_request_duration_seconds_sum", "model_request_duration_seconds_count"),
    queue=Lacks("the convention has no queue: use threshold.promql with a gauge of your own"),
    features=Features(
        buckets="model_feature_value_bucket",
        missing="model_feature_missing_total",
        invalid="model_feature_invalid_total",
    ),
    scores=Buckets("model_prediction_score_bucket"),
    predictions=Categories("model_prediction_total", "class"),
    feedback=Categories("model_feedback_total", "outcome"),
)
"""The convention that docs/metrics.md describes."""
