"""Values that the tests of decisions are made from. Time starts at `T0`."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from backstop.api.modelmonitor import ModelMonitorSpec, Signal
from backstop.api.status import Action, Episode, ModelMonitorStatus
from backstop.api.words import ActionState, Arm, Cause, Severity, StepKind, Verdict
from backstop.core.built_in import BUILT_IN
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights, WorkloadFacts
from backstop.core.inquiry import Inquiry, inquire
from backstop.core.measurement import Measurement, Missing, Pillar
from backstop.core.samples import Series
from backstop.core.signals.rule import Asked, Rule, Subject
from backstop.core.tally import tally
from backstop.core.verdicts import Look, SignalVerdict
from backstop.core.view import Memory, View

T0 = 1_700_000_000.0

ERRORS = {
    "name": "errors",
    "window": "10s",
    "threshold": {
        "errors": {"requests": "requests_total", "errors": 'requests_total{code="500"}'},
        "max": "5%",
    },
}
LATENCY = {
    "name": "slow",
    "window": "10s",
    "threshold": {
        "latencyQuantile": {"buckets": "seconds_bucket", "quantile": "p90"},
        "max": "250ms",
    },
}

BASE: dict[str, Any] = {
    "mode": "Act",
    "interval": "1s",
    "target": {"name": "fraud", "service": "fraud", "metricLabels": {"app": "fraud"}},
    "traffic": {"httpRoute": "fraud"},
    "fallback": {"service": "simple"},
    "signals": [ERRORS],
}
CANDIDATE = {"name": "fraud-next", "service": "fraud-next", "metricLabels": {"app": "next"}}


def spec(**changes: Any) -> ModelMonitorSpec:
    """Return a monitor's spec; a field set to None is left out."""
    merged = {**BASE, **changes}
    return ModelMonitorSpec.model_validate({k: v for k, v in merged.items() if v is not None})


def signal(**changes: Any) -> Signal:
    """Return a signal on errors, at most 5 %, judged without a minimum of requests."""
    return Signal.model_validate({**ERRORS, "minSamples": 1, **changes})


def asked(one: Signal, arm: Arm = Arm.TARGET, **labels: str) -> Inquiry:
    """Return the signal as it is put to an arm that these labels select."""
    return inquire(one, arm, Subject(labels))


def series(
    values: Sequence[float], *, start: float = T0, every: float = 1.0, **labels: str
) -> Series:
    """One time series, of the pod `a` unless said otherwise."""
    times = start + every * np.arange(len(values), dtype=np.float64)
    return Series({"pod": "a", **labels}, times, np.array(values, dtype=np.float64))


def measure(
    rule: Rule, since: float = -math.inf, **answers: Sequence[Series]
) -> Measurement | Missing:
    """Return what `rule` measures in these answers by role."""
    raw = any(question.raw for question in rule.questions(Subject({}), 10.0).values())
    place = 0 if raw else -1
    one = Asked(answers, place, since, now=T0, window=10.0, subject=Subject({}))
    return rule.measure(one, tally([answers], [since]))


def verdict(
    name: str = "errors",
    outcome: Verdict = Verdict.HEALTHY,
    *,
    arm: Arm = Arm.TARGET,
    pillar: Pillar = Pillar.SYSTEM,
    onset: float | None = None,
    seen: float | None = None,
    clean_at: float | None = None,
    why: str = "errors 50 % (5 of 10), allowed 5%",
    reason: str | None = None,
) -> SignalVerdict:
    """Return a verdict; an Unknown one has the reason NoData unless said otherwise."""
    if reason is None:
        reason = "NoData" if outcome is Verdict.UNKNOWN else ""
    if outcome is Verdict.BREACHED:
        onset = T0 if onset is None else onset
        seen = onset if seen is None else seen
    if outcome is Verdict.HEALTHY and clean_at is None:
        clean_at = T0
    return SignalVerdict(name, arm, pillar, outcome, why, reason, onset, seen, clean_at)


def deployment(
    fingerprint: str = "v1",
    *,
    ready: int = 2,
    rolled_out: bool = True,
    changed: float | None = None,
) -> WorkloadFacts:
    """Return the target, or by its place in a view the candidate, as it is reported."""
    return WorkloadFacts(
        ref=ObjectRef("Deployment", "demo", "fraud"),
        uid="d",
        resource_version="1",
        fingerprint=fingerprint,
        desired=2,
        ready=ready,
        rolled_out=rolled_out,
        changed=None if changed is None else datetime.fromtimestamp(changed, tz=UTC),
    )


def route(*rules: dict[str, int], accepted: int | None = 1, generation: int = 1) -> RouteFacts:
    """Return a route with the weights of each rule."""
    return RouteFacts(
        ref=ObjectRef("HTTPRoute", "demo", "fraud"),
        uid="r",
        resource_version="1",
        generation=generation,
        accepted_generation=accepted,
        rules=tuple(RuleWeights(index, weights) for index, weights in enumerate(rules)),
    )


def episode(**changes: Any) -> Episode:
    """Return an open incident on the target, detected at `T0` and blamed on the release."""
    return Episode.model_validate(
        {
            "name": "fraud-20231114-221320",
            "cause": Cause.RELEASE,
            "severity": Severity.P1,
            "arm": Arm.TARGET,
            "onset": T0 - 2,
            "detected": T0,
            "why": "target fails: errors 50 %",
            **changes,
        }
    )


def carried_out(cause: Cause) -> list[dict[str, Any]]:
    """Return the progress of an incident whose built-in runbook is done."""
    return [
        {"name": one.name, "step": one.kind, "state": "Done", "since": T0}
        for one in BUILT_IN.steps(cause) or ()
    ]


def action(
    step: StepKind = StepKind.OPEN_CIRCUIT,
    state: ActionState = ActionState.PLANNED,
    **changes: Any,
) -> Action:
    """Return an action of an incident."""
    return Action.model_validate(
        {
            "id": f"{step}-1",
            "step": step,
            "state": state,
            "subject": "HTTPRoute/fraud",
            "planned_at": T0,
            "applied_at": T0 if state is not ActionState.PLANNED else None,
            **changes,
        }
    )


def status(**changes: Any) -> ModelMonitorStatus:
    """Return a status with some fields set."""
    return ModelMonitorStatus.model_validate(changes)


def view(*verdicts: SignalVerdict, now: float = T0, **changes: Any) -> View:
    """Return a monitor as it stands at `now`, after a look with these verdicts."""
    known: dict[str, Any] = {
        "namespace": "demo",
        "name": "fraud",
        "uid": "u",
        "generation": 1,
        "spec": spec(),
        "status": ModelMonitorStatus(),
        "memory": Memory(),
        "look": Look(verdicts=verdicts),
        "target": deployment(changed=T0 - 86_400),
        "route": route({"fraud": 100, "simple": 0}),
        "now": now,
    }
    return View(**{**known, **changes})
