"""Bad ModelMonitors, shared by the tests of the API server and of `backstop check`."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.api.specs import ERROR_RATIO, FULL, MINIMAL, PREDICTION, REMOVED, changed, monitor

from backstop.core.signals.registry import kinds


@dataclass(frozen=True)
class Bad:
    """A mistake, what the API server says to it, and the line of `backstop check`.

    `check` is the whole line after the monitor's name.
    """

    mistake: str
    changes: dict[str, Any]
    server: str
    check: str
    base: dict[str, Any] = field(default_factory=lambda: FULL)
    name: str = "fraud"

    @property
    def manifest(self) -> dict[str, Any]:
        """The monitor with the mistake."""
        return monitor(changed(self.base, self.changes), name=self.name)


_KINDS: Final = ", ".join(kinds())
_DURATION: Final = "a whole number and ms, s, m, h or d, for example 500ms, 30s or 5m"
_PERCENTAGE: Final = "a number from 0 to 100 and %, for example 5% or 0.25%"
_RULES: Final = (
    Bad(
        "two kinds in a signal",
        {"signals.0.promql": {"expr": "up", "min": "1"}, "signals.0.pillar": "system"},
        f"a signal needs exactly one of {_KINDS}",
        f"spec.signals[0]: a signal needs exactly one of {_KINDS}",
    ),
    Bad(
        "no kind in a signal",
        {"signals.0.errorRatio": REMOVED},
        f"a signal needs exactly one of {_KINDS}",
        f"spec.signals[0]: a signal needs exactly one of {_KINDS}",
    ),
    Bad(
        "promql without pillar",
        {"signals.1.pillar": REMOVED},
        "a promql signal needs pillar: data, model, system or business",
        "spec.signals[1]: a promql signal needs pillar: data, model, system or business",
    ),
    Bad(
        "promql without bounds",
        {"signals.1.promql": {"expr": "up"}},
        "promql needs min, max or both",
        "spec.signals[1].promql: promql needs min, max or both",
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
        "fallback needs traffic.httpRoute: without a route there is no traffic to move",
        "spec: fallback needs traffic.httpRoute: without a route there is no traffic to move",
    ),
    Bad(
        "candidate without traffic",
        {"traffic": REMOVED, "fallback": REMOVED},
        "candidate needs traffic.httpRoute: without a route it has no traffic to watch",
        "spec: candidate needs traffic.httpRoute: without a route it has no traffic to watch",
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
        {"signals.0.errorRatio.max": 5},
        "spec.signals[0].errorRatio.max in body must be of type string",
        f"spec.signals[0].errorRatio.max: 5 is not a percentage; write {_PERCENTAGE}",
    ),
    Bad(
        "a percentage above 100",
        {"signals.0.errorRatio.max": "101%"},
        "spec.signals[0].errorRatio.max in body should match",
        f'spec.signals[0].errorRatio.max: "101%" is not a percentage; write {_PERCENTAGE}',
    ),
    Bad(
        "a bound as a number",
        {"signals.1.promql.max": 0.2},
        "spec.signals[1].promql.max in body must be of type string",
        "spec.signals[1].promql.max: 0.2 is not a number in quotes;"
        ' write for example "0.8", "-12" or "1e-3"',
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
        'spec.mode: Unsupported value: "act": supported values: "Observe", "Act"',
        'spec.mode: "act" is not known; write Observe or Act',
    ),
    Bad(
        "a kind that is not supported",
        {"target.kind": "DaemonSet"},
        'spec.target.kind: Unsupported value: "DaemonSet"',
        'spec.target.kind: "DaemonSet" is not known; write Deployment',
    ),
    Bad(
        "a weight out of range",
        {"candidate.weight": 80},
        "spec.candidate.weight in body should be less than or equal to 50",
        "spec.candidate.weight: 80 does not fit: write a whole number from 1 to 50, without quotes",
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
        "spec.traffic.gateway: there is no field gateway; remove it, or use one of httpRoute",
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
        {"signals": [{"name": f"e{i}", "errorRatio": ERROR_RATIO} for i in range(33)]},
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
BAD: Final = (*_RULES, *_TYPES)
"""One for each CEL rule, and for each way in which a newcomer gets a type wrong."""
