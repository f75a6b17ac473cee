"""Good ModelMonitors, shared by the tests of the API server and of `backstop check`."""

from copy import deepcopy
from typing import Any, Final

from backstop.api import API_VERSION

REMOVED: Final = object()

ERRORS: Final = {
    "errors": {
        "requests": "model_requests_total",
        "errors": 'model_requests_total{code=~"5.."}',
    },
    "max": "5%",
}
SCORE: Final = {"promql": {"expr": "avg(model_score_mean)"}, "min": "0.01", "max": "0.2"}
BUCKETS: Final = {"buckets": "model_request_duration_seconds_bucket"}
SUMS: Final = {"total": "score_sum", "count": "score_count"}
MEASURES: Final[dict[str, dict[str, Any]]] = {
    "errors": ERRORS,
    "latency": {"latency": {"above": "250ms", **BUCKETS}, "max": "1%"},
    "success": {"success": {"attempts": "visits", "successes": "orders"}, "min": "2.5%"},
    "ratio": {"ratio": {"part": "nulls", "whole": "values"}, "min": "0%", "max": "100%"},
    "latencyQuantile": {"latencyQuantile": {"quantile": "p99", **BUCKETS}, "max": "1s"},
    "latencyMean": {"latencyMean": {**SUMS, "unit": "ms"}, "max": "250ms"},
    "mean": {"mean": SUMS, "min": "-1", "max": "1e-3"},
    "rate": {"rate": {"counter": "approvals"}, "min": "0.5"},
    "promql": SCORE,
}
"""A threshold on each measure."""
MINIMAL: Final[dict[str, Any]] = {
    "target": {"name": "fraud", "metricLabels": {"app": "fraud"}},
    "signals": [{"name": "errors", "threshold": ERRORS}],
}
FULL: Final[dict[str, Any]] = {
    "mode": "Act",
    "suspend": False,
    "source": "default",
    "interval": "15s",
    "target": {
        "kind": "Deployment",
        "name": "fraud",
        "service": "fraud",
        "metricLabels": {"app": "fraud"},
    },
    "candidate": {
        "kind": "Deployment",
        "name": "fraud-next",
        "service": "fraud-next",
        "metricLabels": {"app": "fraud-next"},
        "weight": 5,
    },
    "traffic": {"httpRoute": "fraud"},
    "fallback": {"service": "fraud-rules"},
    "circuit": {"openFor": "30s", "maxOpenFor": "10m", "probeWeight": 5, "probeFor": "10s"},
    "rollback": {"enabled": True, "goodAfter": "5m", "blameReleaseWithin": "30m"},
    "signals": [
        {
            "name": "errors",
            "window": "30s",
            "minSamples": 50,
            "persistence": {"breaches": 2, "looks": 3},
            "onBreach": "Act",
            "threshold": ERRORS,
        },
        {
            "name": "fraud-share",
            "pillar": "model",
            "threshold": SCORE,
        },
    ],
    "onDelete": "Restore",
    "historyLimit": 20,
}
PREDICTION: Final = {"defaultPrediction": {"body": '{"fraud": false}', "headers": {"X-A": "b"}}}


def changed(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `spec` with values set, or REMOVED, at dotted paths."""
    result = deepcopy(spec)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = result
        for parent in parents:
            node = node[parent]
        if value is REMOVED:
            del node[last]
        else:
            node[last] = deepcopy(value)
    return result


def monitor(spec: dict[str, Any], *, name: str = "fraud") -> dict[str, Any]:
    """Return a ModelMonitor."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelMonitor",
        "metadata": {"name": name},
        "spec": spec,
    }


GOOD: Final = {
    "minimal": MINIMAL,
    "full": FULL,
    "default prediction": changed(FULL, {"fallback": PREDICTION}),
    "no candidate": changed(FULL, {"candidate": REMOVED}),
    "a breach that is only reported": changed(FULL, {"signals.0.onBreach": "Report"}),
    "partly given persistence": changed(FULL, {"signals.0.persistence": {"breaches": 3}}),
    "only a lower bound": changed(FULL, {"signals.1.threshold.max": REMOVED}),
    "32 signals": changed(
        MINIMAL, {"signals": [{"name": f"e{i}", "threshold": ERRORS} for i in range(32)]}
    ),
    "selectors from a preset": changed(
        MINIMAL,
        {
            "preset": "backstop",
            "signals": [
                {"name": "errors", "threshold": {"errors": {}, "max": "5%"}},
                {"name": "slow", "threshold": {"latency": {"above": "1s"}, "max": "5%"}},
                {"name": "p9", "threshold": {"latencyQuantile": {"quantile": "p9"}, "max": "1s"}},
                {"name": "mean", "threshold": {"latencyMean": {}, "min": "1ms", "max": "1s"}},
            ],
        },
    ),
    "each measure": changed(
        MINIMAL,
        {
            "signals": [
                {"name": name.lower(), "pillar": "model", "threshold": threshold}
                for name, threshold in MEASURES.items()
            ]
        },
    ),
    "a pillar where the measure has one": changed(
        MINIMAL,
        {
            "signals": [
                {"name": name.lower(), "threshold": MEASURES[name]}
                for name in ("errors", "latency", "success", "latencyQuantile", "latencyMean")
            ]
        },
    ),
}


def signal_monitor(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a monitor with these signals, for examples that show signals alone."""
    return monitor(changed(FULL, {"preset": "backstop", "signals": signals}))
