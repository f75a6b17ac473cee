"""The metrics that a model service exposes, with the names that the examples and benchmarks use."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from backstop_lab.workloads.feature_store import FEATURES

LATENCY_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper edges of the latency buckets, in seconds."""

_SCORE_EDGES = tuple(edge / 10 for edge in range(1, 11))
_CODES = ("200", "500", "503")


class ModelMetrics:
    """The metrics of one process. Series that will matter exist from the start, at zero."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        self._version = version
        self._requests = Counter(
            "model_requests_total", "Predictions asked for.", ["version", "code"], registry=registry
        )
        self._by_code = {code: self._requests.labels(version, code) for code in _CODES}
        self._duration = Histogram(
            "model_request_duration_seconds",
            "Time to answer.",
            ["version"],
            buckets=LATENCY_EDGES,
            registry=registry,
        ).labels(version)
        values = Counter(
            "model_feature_values_total", "Feature values read.", ["feature"], registry=registry
        )
        missing = Counter(
            "model_feature_missing_total", "Feature values missing.", ["feature"], registry=registry
        )
        self._values = {name: values.labels(name) for name in FEATURES}
        self._missing = {name: missing.labels(name) for name in FEATURES}
        self._score = Histogram(
            "model_prediction_score", "Scores given.", buckets=_SCORE_EDGES, registry=registry
        )
        self._health: Gauge | None = None

    def answered(self, status: int, seconds: float) -> None:
        """Count one answer with its HTTP status and duration."""
        self._by_code[str(status)].inc()
        self._duration.observe(seconds)

    def read(self, features: dict[str, float | None]) -> None:
        """Count the values of one prediction; None is a missing one."""
        for name, value in features.items():
            self._values[name].inc()
            if value is None:
                self._missing[name].inc()

    def scored(self, score: float) -> None:
        """Count one prediction by its score, in [0, 1]."""
        self._score.observe(score)

    def set_health(self, value: float) -> None:
        """Set `model_health_gauge`, which exists from the first call on."""
        if self._health is None:
            self._health = Gauge(
                "model_health_gauge", "Set by /admin/fault.", registry=self._registry
            )
        self._health.set(value)

    def text(self) -> bytes:
        """Return the exposition, in the text format of Prometheus."""
        return generate_latest(self._registry)
