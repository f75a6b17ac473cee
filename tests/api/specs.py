"""Good ModelMonitors, shared by the tests of the API server and of `backstop check`."""

from copy import deepcopy
from typing import Any, Final

from backstop.api import API_VERSION

REMOVED: Final = object()

ERROR_RATIO: Final = {
    "requests": "model_requests_total",
    "errors": 'model_requests_total{code=~"5.."}',
    "max": "5%",
}
MINIMAL: Final[dict[str, Any]] = {
    "target": {"name": "fraud", "metricLabels": {"app": "fraud"}},
    "signals": [{"name": "errors", "errorRatio": ERROR_RATIO}],
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
            "minRequests": 50,
            "persistence": {"breaches": 2, "looks": 3},
            "errorRatio": ERROR_RATIO,
        },
        {
            "name": "fraud-share",
            "pillar": "model",
            "promql": {"expr": "avg(model_score_mean)", "min": "0.01", "max": "0.2"},
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
    "partly given persistence": changed(FULL, {"signals.0.persistence": {"breaches": 3}}),
    "only a lower bound": changed(FULL, {"signals.1.promql.max": REMOVED}),
    "32 signals": changed(
        MINIMAL, {"signals": [{"name": f"e{i}", "errorRatio": ERROR_RATIO} for i in range(32)]}
    ),
}


def signal_monitor(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a monitor with these signals, for examples that show signals alone."""
    return monitor(changed(MINIMAL, {"signals": signals}))
