"""The steps of a runbook in words: what each does, when, and what follows.

Each function returns a part of a sentence about the monitor at hand, with the names of its objects,
so that a person on call need not look them up. Names stand in backquotes, as in Markdown.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.runbook import MESSAGES, OnFailure, Pods, RunbookStep, Scale, When
from backstop.api.words import Cause, Finding, Severity, StepKind
from backstop.core.units import Duration, Percent
from backstop.core.view import default_prediction_service

FINDINGS: Final[Mapping[Finding, str]] = {
    Finding.FOLLOWS_RELEASE: "the fault began soon after the revision changed",
    Finding.CONFIGURATION_CHANGED: "a ConfigMap or Secret of the target changed before",
    Finding.BOTH_FAIL: "target and candidate fail alike",
    Finding.CANDIDATE_BETTER: "the candidate is healthy while the target is not",
    Finding.ONE_POD: "one pod carries most of the fault",
    Finding.SATURATED: "what the pods run on is exhausted",
    Finding.SLOW: "answers are late",
    Finding.ROLLBACK_HELPS: "an earlier revision is demonstrably better",
}
"""What each finding means, as a clause."""

CAUSES: Final[Mapping[Cause, str]] = {
    Cause.DATA: "The data that reaches the model is at fault.",
    Cause.MODEL: "The model is at fault, and no release is.",
    Cause.INFRASTRUCTURE: "What the model runs on is at fault.",
    Cause.RELEASE: "The target's newest revision is at fault.",
}
"""What each cause means, as a sentence."""

_UNITS: Final = {"ms": "ms", "s": "s", "m": "min", "h": "h", "d": "d"}


def duration(written: Duration) -> str:
    """Return a duration of a spec as people say it: ``5 min``."""
    amount = written.rstrip("smhd")
    return f"{amount} {_UNITS[written[len(amount) :]]}"


def percent(written: Percent) -> str:
    """Return a percentage of a spec as people say it: ``50 %``."""
    return f"{written.removesuffix('%')} %"


def does(step: RunbookStep, spec: ModelMonitorSpec, monitor: str, namespace: str) -> str:
    """Return what ``step`` does: "ask for 50 % more pods of Deployment `fraud`, at most 8"."""
    match step.kind:
        case StepKind.OPEN_CIRCUIT:
            return _opens(spec, monitor)
        case StepKind.SHIFT_TRAFFIC:
            return _shifts(step, spec)
        case StepKind.WAIT_FOR_APPROVAL:
            return (
                "go on only when a person has approved, by"
                f" `backstop approve {monitor} -n {namespace}`"
            )
        case kind if kind in MESSAGES:
            return _tells(step)
    return _changes(step, spec)


def _opens(spec: ModelMonitorSpec, monitor: str) -> str:
    if spec.fallback is None:
        return "open the circuit"
    if spec.fallback.service is not None:
        return f"give all traffic to Service `{spec.fallback.service}`"
    prediction = spec.fallback.default_prediction
    status = prediction.status if prediction is not None else 200
    return (
        f"answer every request with the default prediction (HTTP {status}), by Service"
        f" `{default_prediction_service(monitor)}`"
    )


def _shifts(step: RunbookStep, spec: ModelMonitorSpec) -> str:
    weight = step.shift_traffic.candidate_weight if step.shift_traffic else 0
    candidate = f"`{spec.candidate.name}`" if spec.candidate else "the candidate"
    if weight == 0:
        return f"take all traffic from {candidate} and give it to `{spec.target.name}`"
    return f"give {candidate} {weight} % of the traffic, if it is healthy"


def _tells(step: RunbookStep) -> str:
    if step.call_webhook is not None:
        return f"POST to `{step.call_webhook.url}`, signed"
    told = step.notify
    if told is None:
        return "tell people"
    whom = f"tell {told.to or 'people'}"
    wakes = {None: "", Severity.P0: ", as P0, which wakes them"}
    urgency = wakes.get(told.severity, f", as {told.severity}")
    return f"{whom}{urgency}: {told.text}" if told.text else f"{whom}{urgency}"


def _changes(step: RunbookStep, spec: ModelMonitorSpec) -> str:
    target = f"{spec.target.kind} `{spec.target.name}`"
    if step.scale is not None:
        return _scales(step.scale, target)
    if step.restart is not None and step.restart.pods is Pods.BAD:
        return f"delete the one pod of {target} that carries most of the fault, for a new one"
    if step.run_job is not None:
        job = step.run_job
        template = f"CronJob `{job.cron_job}`" if job.cron_job else f"Job `{job.job}`"
        return f"run a Job made from {template}"
    return {
        StepKind.ROLLBACK: f"go back to the last good revision of {target}, if that helps",
        StepKind.RESTART: f"replace all pods of {target}, as a rollout does",
        StepKind.PAUSE_ROLLOUT: f"stop a rollout of {target} that is under way",
    }[step.kind]


def _scales(scale: Scale, target: str) -> str:
    if scale.by is not None:
        asked = f"ask for {percent(scale.by)} more pods of {target}"
    else:
        asked = f"ask for {scale.to} pods of {target}, unless it has more"
    most = f"{scale.max}" if scale.max else "twice as many as when the incident began"
    return f"{asked}, at most {most}"


def never(step: RunbookStep, spec: ModelMonitorSpec) -> str:
    """Return why ``step`` is skipped in every incident of this monitor, "" where it is not."""
    if step.kind is StepKind.OPEN_CIRCUIT and spec.fallback is None:
        return "the monitor names no fallback"
    if step.kind is StepKind.SHIFT_TRAFFIC and spec.candidate is None:
        return "the monitor names no candidate"
    if step.kind is StepKind.ROLLBACK and not spec.rollback.enabled:
        return "spec.rollback.enabled is false"
    return ""


def conditions(when: When) -> list[str]:
    """Return the conditions of a step, one clause each; none where it is always taken."""
    found = []
    if when.any:
        found.append(f"only if {' or '.join(FINDINGS[one] for one in when.any)}")
    if when.none:
        found.append(f"not if {' or '.join(FINDINGS[one] for one in when.none)}")
    if when.signals:
        found.append(f"only if {_signals(when.signals)} was breached")
    return found


def _signals(names: Sequence[str], word: str = "or") -> str:
    return f" {word} ".join(f"`{name}`" for name in names)


def helps(step: RunbookStep) -> str:
    """Return what must recover for ``step`` to have helped, "" where nothing has to."""
    wanted = step.verifies
    if wanted is None:
        return ""
    what = _signals(wanted.signals, "and") if wanted.signals else "all signals that act"
    verb = "is" if len(wanted.signals) == 1 else "are"
    return f"it has helped if {what} {verb} healthy within {duration(wanted.within)}"


def limit(step: RunbookStep) -> str:
    """Return by when ``step`` must be in effect, "" for a message."""
    if step.wait_for_approval is not None:
        return f"no answer within {duration(step.wait_for_approval.expire_after)} is a no"
    if step.kind in MESSAGES:
        return ""
    return f"it has failed if it is not in effect within {duration(step.timeout)}"


def follows(step: RunbookStep, others: Sequence[RunbookStep]) -> str:
    """Return what follows ``step`` if it fails or does not help; ``others`` come after it.

    It is "" for a message, as nothing waits for one.
    """
    if step.kind in MESSAGES:
        return ""
    what = "if it fails or does not help" if step.verifies else "if it fails"
    if step.on_failure is OnFailure.STOP:
        return f"{what}: nothing more is done, the incident is P0"
    if others:
        return f"{what}: `{others[0].name}` follows, the incident is P0"
    return f"{what}: no step is left, the incident is P0"
