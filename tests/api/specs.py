"""Good monitors and runbooks, for the tests of the API server and of `backstop check`."""

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
STEPS: Final[list[dict[str, Any]]] = [
    {"name": "to-the-fallback", "openCircuit": {}},
    {"name": "none-for-the-candidate", "shiftTraffic": {}},
    {
        "name": "back",
        "description": "Back where that *helps*.",
        "when": {"any": ["RollbackHelps"], "none": ["BothFail"], "signals": ["errors"]},
        "rollback": {},
        "timeout": "5m",
        "verify": {"signals": ["errors"], "within": "2m"},
        "onFailure": "Stop",
    },
    {"name": "half-more", "scale": {"by": "50%", "max": 8}},
    {"name": "eight", "scale": {"to": 8}},
    {"name": "bad-pod", "restart": {"pods": "Bad"}},
    {"name": "freeze", "pauseRollout": {}},
    {"name": "train", "runJob": {"cronJob": "train"}, "verify": {"within": "1d"}},
    {"name": "repair", "runJob": {"job": "repair"}},
    {"name": "ticket", "callWebhook": {"url": "https://tickets.example.com/new", "payload": "a"}},
    {"name": "tell", "notify": {"severity": "P0", "to": "owner", "text": "look at the source"}},
    {"name": "ask", "waitForApproval": {"expireAfter": "30m"}},
]
"""A step of each kind, as many as a cause may have."""
RUNBOOK: Final[dict[str, Any]] = {
    "description": "For all models of the team.",
    **dict.fromkeys(("data", "model", "infrastructure", "release"), STEPS),
}
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
        "progression": {
            "steps": [1, 5, 25, 50, 100],
            "minTime": "2m",
            "minSamples": 100,
            "maxTime": "1h",
            "onTimeout": "Hold",
            "promotion": "Template",
        },
    },
    "traffic": {"httpRoute": "fraud"},
    "fallback": {"service": "fraud-rules"},
    "circuit": {"openFor": "30s", "maxOpenFor": "10m", "probeWeight": 5, "probeFor": "10s"},
    "rollback": {
        "enabled": True,
        "goodAfter": "5m",
        "blameReleaseWithin": "30m",
        "warmUp": "2m",
    },
    "runbook": {"data": STEPS},
    "limits": {
        "coolDown": "1m",
        "actionsPerHour": 20,
        "maxReverts": 2,
        "approvalExpiresAfter": "30m",
    },
    "gitops": "TrafficOnly",
    "maintenance": [
        {"days": ["Sat", "Sun"], "opens": "22:00", "closes": "02:30", "timezone": "Europe/Berlin"},
        {"begins": "2026-12-24T12:00:00Z", "ends": "2026-12-27T06:00:00Z"},
    ],
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


def monitor(
    spec: dict[str, Any], *, name: str = "fraud", kind: str = "ModelMonitor"
) -> dict[str, Any]:
    """Return a ModelMonitor, or an object of another ``kind``."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def runbook(spec: dict[str, Any], *, name: str = "fraud") -> dict[str, Any]:
    """Return a Runbook."""
    return monitor(spec, name=name, kind="Runbook")


GOOD: Final = {
    "minimal": MINIMAL,
    "full": FULL,
    "default prediction": changed(FULL, {"fallback": PREDICTION}),
    "no candidate": changed(FULL, {"candidate": REMOVED}),
    "a runbook by name": changed(FULL, {"runbook": {"name": "team.fraud"}}),
    "nothing to be done for a cause": changed(FULL, {"runbook": {"model": []}}),
    "a canary within the target": changed(
        FULL,
        {
            "target.kind": "InferenceService",
            "candidate.kind": "InferenceService",
            "candidate.name": "fraud",
            "traffic": {"inferenceService": "fraud"},
            "fallback": REMOVED,
        },
    ),
    **{
        f"a router: {kind}": changed(
            FULL, {"traffic": {kind: value}, "fallback": fallback, "mode": "Approve"}
        )
        for kind, value, fallback in (
            ("grpcRoute", "fraud", {"service": "fraud-rules"}),
            ("virtualService", "fraud", {"service": "fraud-rules"}),
            ("ingress", "fraud", {"service": "fraud-rules"}),
            ("service", "fraud-front", {"service": "fraud-rules"}),
            ("replicaRatio", {}, REMOVED),
        )
    },
    "two Deployments behind one Service": changed(
        FULL,
        {
            "traffic": {"replicaRatio": {}},
            "fallback": REMOVED,
            "target.service": "fraud",
            "candidate.service": "fraud",
        },
    ),
    **{
        f"a target: {kind}": changed(MINIMAL, {"target.kind": kind})
        for kind in ("StatefulSet", "InferenceService", "Rollout", "Canary")
    },
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

GOOD_RUNBOOKS: Final = {
    "a step of each kind, for each cause": RUNBOOK,
    "no cause": {},
    "one cause": {"release": STEPS[:1]},
}


def signal_monitor(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a monitor with these signals, for examples that show signals alone."""
    changes = {"preset": "backstop", "runbook": {}, "signals": signals}
    return monitor(changed(FULL, changes))
