"""Bad monitors and runbooks, shared by the tests of the API server and of `backstop check`."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.api.kind_mistakes import KIND_MISTAKES, PART_MISTAKES
from tests.api.runbook_mistakes import CANDIDATE_MISTAKES, MAINTENANCE_MISTAKES, STEP_MISTAKES
from tests.api.specs import ERRORS, FULL, MINIMAL, PREDICTION, REMOVED, RUNBOOK, changed, monitor
from tests.api.specs import MEASURES as THRESHOLDS

from backstop.core.presets.registry import presets
from backstop.core.signals.registry import kinds
from backstop.core.signals.threshold import MEASURES


@dataclass(frozen=True)
class Bad:
    """A mistake, what the API server says to it, and the line of `backstop check`.

    `check` is the whole line after the object's name.
    """

    mistake: str
    changes: dict[str, Any]
    server: str
    check: str
    base: dict[str, Any] = field(default_factory=lambda: FULL)
    name: str = "fraud"
    kind: str = "ModelMonitor"

    @property
    def manifest(self) -> dict[str, Any]:
        """The object with the mistake."""
        return monitor(changed(self.base, self.changes), name=self.name, kind=self.kind)


_KINDS: Final = ", ".join(kinds())
_ONE_MEASURE: Final = f"a threshold needs exactly one of {', '.join(MEASURES)}"
_PILLAR: Final = (
    "a signal on ratio, mean, rate or promql needs pillar: data, model, system or business"
)
_SHARES: Final = "limits of errors, latency, success and ratio are percentages, for example max: 5%"
_TIMES: Final = "limits of latencyQuantile and latencyMean are durations, for example max: 250ms"
_NUMBERS: Final = 'limits of mean, rate and promql are numbers in quotes, for example max: "0.8"'
_DURATION: Final = "a whole number and ms, s, m, h or d, for example 500ms, 30s or 5m"
_LIMIT: Final = 'a percentage (5%), a duration (250ms), or a number in quotes ("0.8")'
_RULES: Final = (
    Bad(
        "no kind in a signal",
        {"signals.0.threshold": REMOVED},
        f"a signal needs exactly one of {_KINDS}",
        f"spec.signals[0]: a signal needs exactly one of {_KINDS}",
    ),
    Bad(
        "two measures in a threshold",
        {"signals.0.threshold.success": THRESHOLDS["success"]["success"]},
        _ONE_MEASURE,
        f"spec.signals[0].threshold: {_ONE_MEASURE}",
    ),
    Bad(
        "no measure in a threshold",
        {"signals.0.threshold": {"max": "5%"}},
        _ONE_MEASURE,
        f"spec.signals[0].threshold: {_ONE_MEASURE}",
    ),
    *(
        Bad(
            f"{name} without pillar",
            {"signals.1.pillar": REMOVED, "signals.1.threshold": THRESHOLDS[name]},
            _PILLAR,
            f"spec.signals[1]: {_PILLAR}",
        )
        for name in ("ratio", "mean", "rate", "promql")
    ),
    Bad(
        "no limit",
        {"signals.1.threshold": {"promql": {"expr": "up"}}},
        "a threshold needs min, max or both",
        "spec.signals[1].threshold: a threshold needs min, max or both",
    ),
    *(
        Bad(
            f"{name} with {limit}: {value}",
            {
                "signals.1.threshold": {name: THRESHOLDS[name][name], limit: value},
                "signals.1.pillar": "model",
            },
            said,
            f"spec.signals[1].threshold: {said}",
        )
        for name, limit, value, said in (
            ("errors", "max", "0.05", _SHARES),
            ("latency", "max", "250ms", _SHARES),
            ("success", "min", "0.9", _SHARES),
            ("ratio", "min", "1s", _SHARES),
            ("latencyQuantile", "max", "0.25", _TIMES),
            ("latencyQuantile", "min", "5%", _TIMES),
            ("latencyMean", "max", "1%", _TIMES),
            ("mean", "min", "5%", _NUMBERS),
            ("rate", "min", "5s", _NUMBERS),
            ("promql", "max", "20%", _NUMBERS),
        )
    ),
    Bad(
        "more breaches than looks",
        {"signals.0.persistence.breaches": 4},
        "breaches must not be larger than looks",
        "spec.signals[0].persistence: breaches must not be larger than looks",
    ),
    Bad(
        "fallback without traffic",
        {"traffic": REMOVED, "candidate": REMOVED},
        "fallback needs traffic: without a route there is no traffic to move",
        "spec: fallback needs traffic: without a route there is no traffic to move",
    ),
    Bad(
        "candidate without traffic",
        {"traffic": REMOVED, "fallback": REMOVED},
        "candidate needs traffic: without a route it has no traffic to watch",
        "spec: candidate needs traffic: without a route it has no traffic to watch",
    ),
    Bad(
        "traffic without the target's service",
        {"target.service": REMOVED},
        "traffic needs target.service: the Service in the route that the target answers for",
        "spec: traffic needs target.service: the Service in the route that the target answers for",
    ),
    Bad(
        "one service for candidate and target",
        {"candidate.service": "fraud"},
        "candidate.service and target.service must differ",
        "spec: candidate.service and target.service must differ",
    ),
    Bad(
        "one service for fallback and target",
        {"fallback.service": "fraud"},
        "fallback.service and target.service must differ",
        "spec: fallback.service and target.service must differ",
    ),
    Bad(
        "one service for fallback and candidate",
        {"fallback.service": "fraud-next"},
        "fallback.service and candidate.service must differ",
        "spec: fallback.service and candidate.service must differ",
    ),
    Bad(
        "one workload for candidate and target",
        {"candidate.name": "fraud"},
        "candidate.name and target.name must differ",
        "spec: candidate.name and target.name must differ",
    ),
    Bad(
        "two fallbacks",
        {"fallback.defaultPrediction": {}},
        "fallback needs exactly one of service (a simpler model) and defaultPrediction",
        "spec.fallback: fallback needs exactly one of service (a simpler model)"
        " and defaultPrediction (a fixed answer)",
    ),
    Bad(
        "an empty fallback",
        {"fallback": {}},
        "fallback needs exactly one of service (a simpler model) and defaultPrediction",
        "spec.fallback: fallback needs exactly one of service (a simpler model)"
        " and defaultPrediction (a fixed answer)",
    ),
    Bad(
        "a name too long for the default prediction's Service",
        {"fallback": PREDICTION},
        "fallback.defaultPrediction needs a monitor name of at most 44 characters",
        "metadata.name: fallback.defaultPrediction needs a monitor name of at most 44 characters"
        " that starts with a letter and has no dot: its Service is named"
        " <monitor>-default-prediction",
        name="a" * 45,
    ),
)
_TYPES: Final = (
    Bad(
        "a duration without unit",
        {"interval": "15"},
        "spec.interval in body should match",
        f'spec.interval: "15" is not a duration; write {_DURATION}',
    ),
    Bad(
        "a duration as a number",
        {"interval": 15},
        "spec.interval in body must be of type string",
        f"spec.interval: 15 is not a duration; write {_DURATION}",
    ),
    Bad(
        "a broken duration",
        {"signals.0.window": "0.5m"},
        "spec.signals[0].window in body should match",
        f'spec.signals[0].window: "0.5m" is not a duration; write {_DURATION}',
    ),
    Bad(
        "a percentage as a number",
        {"signals.0.threshold.max": 5},
        "spec.signals[0].threshold.max in body must be of type string",
        f"spec.signals[0].threshold.max: 5 is not a limit; write {_LIMIT}",
    ),
    Bad(
        "a percentage above 100",
        {"signals.0.threshold.max": "101%"},
        "spec.signals[0].threshold.max in body should match",
        f'spec.signals[0].threshold.max: "101%" is not a limit; write {_LIMIT}',
    ),
    Bad(
        "a limit as a number",
        {"signals.1.threshold.max": 0.2},
        "spec.signals[1].threshold.max in body must be of type string",
        f"spec.signals[1].threshold.max: 0.2 is not a limit; write {_LIMIT}",
    ),
    Bad(
        "a latency that is no duration",
        {"signals.0.threshold": {"latency": {"above": "0.25"}, "max": "5%"}},
        "spec.signals[0].threshold.latency.above in body should match",
        f'spec.signals[0].threshold.latency.above: "0.25" is not a duration; write {_DURATION}',
    ),
    Bad(
        "a quantile as a percentage",
        {"signals.0.threshold": {"latencyQuantile": {"quantile": "99%"}, "max": "1s"}},
        "spec.signals[0].threshold.latencyQuantile.quantile in body should match",
        'spec.signals[0].threshold.latencyQuantile.quantile: "99%" is not a quantile;'
        " write p and a number below 100, for example p50, p95 or p99.9",
    ),
    Bad(
        "a unit that is not known",
        {"signals.0.threshold": {"latency": {"above": "1s", "unit": "min"}, "max": "5%"}},
        'spec.signals[0].threshold.latency.unit: Unsupported value: "min"',
        'spec.signals[0].threshold.latency.unit: "min" is not known; write s or ms or us',
    ),
    Bad(
        "a server that has no preset",
        {"preset": "abacus"},
        'spec.preset: Unsupported value: "abacus"',
        f'spec.preset: "abacus" is not known; write {" or ".join(presets())}',
    ),
    Bad(
        "a breach that leads to something else",
        {"signals.0.onBreach": "Page"},
        'spec.signals[0].onBreach: Unsupported value: "Page"',
        'spec.signals[0].onBreach: "Page" is not known; write Act or Report',
    ),
    Bad(
        "a label value as a number",
        {"target.metricLabels": {"version": 2}},
        "spec.target.metricLabels.version in body must be of type string",
        'spec.target.metricLabels.version: 2 is not text; put it in quotes: "2"',
    ),
    Bad(
        "a label name that Prometheus does not know",
        {"target.metricLabels": {"app.kubernetes.io/name": "fraud"}},
        "a name must match ^[a-zA-Z_][a-zA-Z0-9_]*$",
        'spec.target.metricLabels.app.kubernetes.io/name: "app.kubernetes.io/name" is not a label'
        " name; write letters, digits and _, without a digit in front",
    ),
    Bad(
        "a label name too long",
        {"target.metricLabels": {"a" * 64: "fraud"}},
        "a name must have at most 63 characters",
        f"spec.target.metricLabels.{'a' * 64}: is too long: at most 63 characters are allowed",
    ),
    Bad(
        "no labels",
        {"target.metricLabels": {}},
        "spec.target.metricLabels in body should have at least 1 properties",
        "spec.target.metricLabels: has too few entries: at least 1 must be there",
    ),
    Bad(
        "an upper-case name",
        {"signals.0.name": "Errors"},
        "spec.signals[0].name in body should match",
        'spec.signals[0].name: "Errors" is not a name; write lower-case letters, digits and -,'
        " with a letter or digit at both ends, at most 63 characters",
    ),
    Bad(
        "a mode in lower case",
        {"mode": "act"},
        'spec.mode: Unsupported value: "act": supported values: "Observe", "Approve", "Act"',
        'spec.mode: "act" is not known; write Observe or Approve or Act',
    ),
    Bad(
        "a kind that is not supported",
        {"target.kind": "DaemonSet"},
        'spec.target.kind: Unsupported value: "DaemonSet"',
        'spec.target.kind: "DaemonSet" is not known; write Deployment or StatefulSet or'
        " InferenceService or Rollout or Canary",
    ),
    Bad(
        "a weight out of range",
        {"circuit.probeWeight": 80},
        "spec.circuit.probeWeight in body should be less than or equal to 50",
        "spec.circuit.probeWeight: 80 does not fit: write a whole number from 1 to 50,"
        " without quotes",
    ),
    Bad(
        "a number in quotes",
        {"circuit.probeWeight": "5"},
        "spec.circuit.probeWeight in body must be of type integer",
        'spec.circuit.probeWeight: "5" does not fit: write a whole number from 1 to 50,'
        " without quotes",
    ),
    Bad(
        "a truth value in quotes",
        {"suspend": "yes"},
        "spec.suspend in body must be of type boolean",
        "spec.suspend: must be true or false, without quotes",
    ),
    Bad(
        "a misspelt field",
        {"intervall": "15s"},
        'unknown field "spec.intervall"',
        "spec.intervall: there is no field intervall; did you mean interval?",
    ),
    Bad(
        "a field that belongs elsewhere",
        {"traffic.gateway": "edge"},
        'unknown field "spec.traffic.gateway"',
        "spec.traffic.gateway: there is no field gateway; remove it, or use one of grpcRoute,"
        " httpRoute, inferenceService, ingress, replicaRatio, service, virtualService",
    ),
    Bad(
        "no target",
        {"target": REMOVED},
        "spec.target: Required value",
        "spec.target: is missing: The workload that serves production.",
        base=MINIMAL,
    ),
    Bad(
        "no signals",
        {"signals": []},
        "spec.signals in body should have at least 1 items",
        "spec.signals: has too few entries: at least 1 must be there",
    ),
    Bad(
        "too many signals",
        {"signals": [{"name": f"e{i}", "threshold": ERRORS} for i in range(33)]},
        "spec.signals: Too many: 33: must have at most 32 items",
        "spec.signals: has too many entries: at most 32 are allowed",
    ),
    Bad(
        "duplicated signal names",
        {"signals": MINIMAL["signals"] * 2},
        'spec.signals[1]: Duplicate value: {"name":"errors"}',
        "spec.signals: two entries have the name 'errors': give each its own",
    ),
    Bad(
        "signals that are no list",
        {"signals": {"name": "errors"}},
        'unknown field "spec.signals.name"',
        "spec.signals: must be a list: begin each entry with -",
    ),
    Bad(
        "a body too long",
        {"fallback": {"defaultPrediction": {"body": "x" * 16385}}},
        "spec.fallback.defaultPrediction.body: Too long",
        "spec.fallback.defaultPrediction.body: is too long: at most 16384 characters are allowed",
    ),
)
_IN_KINDS: Final = (
    *(
        Bad(
            f"{kind} of {', '.join(map(str, fields.values()))}",
            {"signals.0": {"name": "bad", "pillar": "model", kind: fields}},
            said,
            f"spec.signals[0].{kind}: {said}",
        )
        for kind, fields, said in KIND_MISTAKES
    ),
    *(
        Bad(
            f"{where} of {', '.join(map(str, fields.values()))}",
            {"signals.0": {"name": "bad", "pillar": "model", where.split(".")[0]: fields}},
            said,
            f"spec.signals[0].{where}: {said}",
        )
        for where, fields, said in PART_MISTAKES
    ),
)
_IN_RUNBOOKS: Final = tuple(
    Bad(
        f"{mistake}, {where}",
        {path: [step]},
        server.format(path=f"spec.{path}[0]"),
        f"spec.{path}[0]{inner}: {said}",
        kind=kind,
        base=base,
    )
    for mistake, step, inner, server, said in STEP_MISTAKES
    for where, kind, base, path in (
        ("in a Runbook", "Runbook", RUNBOOK, "data"),
        ("in the monitor", "ModelMonitor", FULL, "runbook.data"),
    )
)
_IN_MAINTENANCE: Final = tuple(
    Bad(mistake, {"maintenance": [window]}, server, f"spec.maintenance[0]{inner}: {said}")
    for mistake, window, inner, server, said in MAINTENANCE_MISTAKES
)
_OF_CANDIDATES: Final = tuple(
    Bad(mistake, changes, server, said) for mistake, changes, server, said in CANDIDATE_MISTAKES
)
BAD: Final = (*_RULES, *_IN_KINDS, *_TYPES, *_IN_RUNBOOKS, *_IN_MAINTENANCE, *_OF_CANDIDATES)
"""One for each CEL rule, and for each way in which a newcomer gets a type wrong."""
