"""Bad steps of runbooks, maintenance windows and candidates, with what is said to each."""

from typing import Any, Final

from tests.api.specs import REMOVED

_ACTIONS: Final = (
    "openCircuit, shiftTraffic, rollback, scale, restart, pauseRollout, runJob, callWebhook,"
    " notify, waitForApproval"
)
_ONE_ACTION: Final = f"a step needs exactly one of {_ACTIONS}"
_VERIFY: Final = "verify belongs to rollback, scale, restart and runJob: other steps repair nothing"
_SCALE: Final = "scale needs exactly one of by (for example 50%) and to (a number of pods)"
_JOB: Final = "runJob needs exactly one of cronJob and job"
_DURATION: Final = "a whole number and ms, s, m, h or d, for example 500ms, 30s or 5m"
_URL: Final = "http:// or https:// in front, for example https://tickets.example.com/new"
_FINDINGS: Final = (
    "FollowsRelease or ConfigurationChanged or BothFail or CandidateBetter or OnePod or Saturated"
    " or Slow or RollbackHelps"
)

_Mistake = tuple[str, dict[str, Any], str, str, str]

STEP_MISTAKES: Final[tuple[_Mistake, ...]] = (
    ("a step that does nothing", {"name": "a"}, "", _ONE_ACTION, _ONE_ACTION),
    (
        "two actions in a step",
        {"name": "a", "rollback": {}, "restart": {}},
        "",
        _ONE_ACTION,
        _ONE_ACTION,
    ),
    (
        "verify of a message",
        {"name": "a", "notify": {}, "verify": {"within": "1m"}},
        "",
        _VERIFY,
        _VERIFY,
    ),
    (
        "verify of a mitigation",
        {"name": "a", "openCircuit": {}, "verify": {}},
        "",
        _VERIFY,
        _VERIFY,
    ),
    (
        "scale with by and to",
        {"name": "a", "scale": {"by": "50%", "to": 4}},
        ".scale",
        _SCALE,
        _SCALE,
    ),
    ("scale by nothing", {"name": "a", "scale": {"max": 4}}, ".scale", _SCALE, _SCALE),
    (
        "scale to no pods",
        {"name": "a", "scale": {"to": 0}},
        ".scale.to",
        "{path}.scale.to in body should be greater than or equal to 1",
        "0 does not fit: write a whole number from 1 to 10000, without quotes",
    ),
    (
        "scale by a number",
        {"name": "a", "scale": {"by": "2"}},
        ".scale.by",
        "{path}.scale.by in body should match",
        '"2" is not a percentage; write a number from 0 to 100 and %, for example 5% or 0.25%',
    ),
    ("a job from nothing", {"name": "a", "runJob": {}}, ".runJob", _JOB, _JOB),
    (
        "a job from two templates",
        {"name": "a", "runJob": {"cronJob": "train", "job": "train"}},
        ".runJob",
        _JOB,
        _JOB,
    ),
    (
        "a URL without scheme",
        {"name": "a", "callWebhook": {"url": "tickets.example.com/new"}},
        ".callWebhook.url",
        "{path}.callWebhook.url in body should match",
        f'"tickets.example.com/new" is not a URL; write {_URL}',
    ),
    (
        "a finding that is not known",
        {"name": "a", "rollback": {}, "when": {"any": ["ReleaseBad"]}},
        ".when.any[0]",
        '{path}.when.any[0]: Unsupported value: "ReleaseBad"',
        f'"ReleaseBad" is not known; write {_FINDINGS}',
    ),
    (
        "a step without name",
        {"rollback": {}},
        ".name",
        "{path}.name: Required value",
        "is missing: Name of the step, unique in its cause: what is shown, and what is approved.",
    ),
    (
        "a step that is not known",
        {"name": "a", "rollBack": {}},
        ".rollBack",
        'unknown field "{path}.rollBack"',
        "there is no field rollBack; did you mean rollback?",
    ),
    (
        "a timeout without unit",
        {"name": "a", "rollback": {}, "timeout": "10"},
        ".timeout",
        "{path}.timeout in body should match",
        f'"10" is not a duration; write {_DURATION}',
    ),
    (
        "something else on failure",
        {"name": "a", "rollback": {}, "onFailure": "Retry"},
        ".onFailure",
        '{path}.onFailure: Unsupported value: "Retry"',
        '"Retry" is not known; write Next or Stop',
    ),
    (
        "a weight above 100",
        {"name": "a", "shiftTraffic": {"candidateWeight": 101}},
        ".shiftTraffic.candidateWeight",
        "{path}.shiftTraffic.candidateWeight in body should be less than or equal to 100",
        "101 does not fit: write a whole number from 0 to 100, without quotes",
    ),
)
"""The mistake, the step, where in the step it is told, what the API server says, and `check`."""

_TIME: Final = 'hours and minutes in quotes, for example "02:30" or "18:00"'
_WINDOW: Final = (
    "a maintenance window needs either opens and closes (each week) or begins and ends (once)"
)
_DAY: Final = {"opens": "22:00", "closes": "23:00"}
_ONCE: Final = {"begins": "2026-12-24T12:00:00Z", "ends": "2026-12-27T06:00:00Z"}

MAINTENANCE_MISTAKES: Final[tuple[_Mistake, ...]] = (
    ("a window of both forms", {**_DAY, **_ONCE}, "", _WINDOW, _WINDOW),
    ("a window of no form", {"days": ["Mon"]}, "", _WINDOW, _WINDOW),
    ("a window that never closes", {"opens": "22:00"}, "", _WINDOW, _WINDOW),
    ("a window that never ends", {"begins": _ONCE["begins"]}, "", _WINDOW, _WINDOW),
    (
        "an hour that YAML takes for a number",
        {"opens": 1320, "closes": "23:00"},
        ".opens",
        "spec.maintenance[0].opens in body must be of type string",
        f"1320 is not a time of day; write {_TIME}",
    ),
    (
        "a time without a zone",
        {**_ONCE, "begins": "2026-12-24T12:00:00"},
        ".begins",
        "spec.maintenance[0].begins in body must be of type date-time",
        '"2026-12-24T12:00:00" is not a time; write for example 2026-11-23T07:30:00Z',
    ),
    (
        "an hour that no day has",
        {"opens": "24:00", "closes": "02:00"},
        ".opens",
        "spec.maintenance[0].opens in body should match",
        f'"24:00" is not a time of day; write {_TIME}',
    ),
    (
        "an offset as a time zone",
        {**_DAY, "timezone": "+02:00"},
        ".timezone",
        "spec.maintenance[0].timezone in body should match",
        '"+02:00" is not a time zone; write UTC, or a place, for example Europe/Berlin',
    ),
    (
        "a day by its whole name",
        {**_DAY, "days": ["Monday"]},
        ".days[0]",
        'spec.maintenance[0].days[0]: Unsupported value: "Monday"',
        '"Monday" is not known; write Mon or Tue or Wed or Thu or Fri or Sat or Sun',
    ),
    (
        "a time in words",
        {**_ONCE, "begins": "tomorrow"},
        ".begins",
        "spec.maintenance[0].begins in body must be of type date-time",
        '"tomorrow" is not a time; write for example 2026-11-23T07:30:00Z',
    ),
)
"""The mistake, the window, where in it it is told, what the API server says, and `check`."""

_WHOLE, _UNQUOTED = "write a whole number", "without quotes"
_GROW: Final = (
    "steps must grow: write percentages such as 1, 5, 25, 50, 100, each larger than the last"
)
_ROUTERS: Final = (
    "traffic needs exactly one of httpRoute, grpcRoute, virtualService, ingress, service,"
    " replicaRatio, inferenceService"
)
_NO_CIRCUIT: Final = (
    "fallback needs a router that knows it: neither replicaRatio nor inferenceService can open a"
    " circuit; name an httpRoute, a virtualService or a service"
)
_NO_DEPLOYMENTS: Final = (
    "traffic.replicaRatio needs Deployments: write kind Deployment for target and candidate, or"
    " name a router"
)
_RATIO: Final[dict[str, Any]] = {"traffic": {"replicaRatio": {}}, "fallback": REMOVED}
_BOTH_RUNBOOKS: Final = (
    "runbook needs either name (a Runbook in this namespace) or steps by cause, not both"
)

CANDIDATE_MISTAKES: Final[tuple[tuple[str, dict[str, Any], str, str], ...]] = (
    *(
        (
            f"steps that {what}",
            {"candidate.progression.steps": steps},
            _GROW,
            f"spec.candidate.progression: {_GROW}",
        )
        for what, steps in (("fall", [25, 5]), ("stand still", [5, 5, 25]))
    ),
    (
        "a step of nothing",
        {"candidate.progression.steps": [0, 5]},
        "spec.candidate.progression.steps[0] in body should be greater than or equal to 1",
        f"spec.candidate.progression.steps[0]: 0 does not fit: {_WHOLE} from 1 to 100, {_UNQUOTED}",
    ),
    (
        "no steps",
        {"candidate.progression.steps": []},
        "spec.candidate.progression.steps in body should have at least 1 items",
        "spec.candidate.progression.steps: has too few entries: at least 1 must be there",
    ),
    ("two routers", {"traffic.ingress": "fraud"}, _ROUTERS, f"spec.traffic: {_ROUTERS}"),
    ("no router", {"traffic": {}}, _ROUTERS, f"spec.traffic: {_ROUTERS}"),
    (
        "a fallback without a router",
        {"traffic": {"replicaRatio": {}}},
        _NO_CIRCUIT,
        f"spec: {_NO_CIRCUIT}",
    ),
    (
        "a fallback with the router of KServe",
        {"traffic": {"inferenceService": "fraud"}},
        _NO_CIRCUIT,
        f"spec: {_NO_CIRCUIT}",
    ),
    *(
        (
            f"a ratio of replicas with a {role} of another kind",
            {**_RATIO, f"{role}.kind": "StatefulSet"},
            _NO_DEPLOYMENTS,
            f"spec: {_NO_DEPLOYMENTS}",
        )
        for role in ("target", "candidate")
    ),
    (
        "a runbook by name and steps",
        {"runbook": {"name": "team", "data": []}},
        _BOTH_RUNBOOKS,
        f"spec.runbook: {_BOTH_RUNBOOKS}",
    ),
    (
        "two steps of one name",
        {"runbook": {"data": [{"name": "a", "rollback": {}}, {"name": "a", "restart": {}}]}},
        'spec.runbook.data[1]: Duplicate value: {"name":"a"}',
        "spec.runbook.data: two entries have the name 'a': give each its own",
    ),
    (
        "too many steps",
        {"runbook": {"data": [{"name": f"s{i}", "rollback": {}} for i in range(13)]}},
        "spec.runbook.data: Too many: 13: must have at most 12 items",
        "spec.runbook.data: has too many entries: at most 12 are allowed",
    ),
)
"""The mistake, the changes of a full spec, what the API server says, and the line of `check`."""
