"""``Runbook``: what is to be done in an incident, step by step and by cause, written when calm.

A step is exactly one action, with words for the person on call, a condition, and what must recover
for it to have helped. Rules that compare fields are CEL rules, as everywhere in the API.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from backstop.api.base import ApiModel, KeyedBy
from backstop.api.words import Cause, Finding, Severity, StepKind
from backstop.core.cel import cel
from backstop.core.units import DnsLabel, DnsName, Duration, Percent

MAX_STEPS: Final = 12
"""How many steps a cause may have."""


class OnFailure(StrEnum):
    """What follows a step that failed or did not help."""

    NEXT = "Next"
    STOP = "Stop"


class Pods(StrEnum):
    """Which pods of the target are restarted."""

    ALL = "All"
    BAD = "Bad"


class OpenCircuit(ApiModel):
    """Give all traffic to the fallback; probes and closing follow by themselves."""


class ShiftTraffic(ApiModel):
    """Change the candidate's share of the traffic."""

    candidate_weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent of the traffic for the candidate; the target gets the rest."""


class RollBack(ApiModel):
    """Go back to the last good revision of the target."""


@cel(
    "has(self.by) != has(self.to)",
    "scale needs exactly one of by (for example 50%) and to (a number of pods)",
    lambda self: (self.by is None) != (self.to is None),
)
class Scale(ApiModel):
    """Ask for more pods, of the autoscaler where there is one."""

    by: Percent | None = None
    """How many more, as a share of the pods that are wanted now; at least one."""

    to: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many in all; fewer than are wanted now is no change."""

    max: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Never more than this; without it, twice what was wanted when the incident began."""


class Restart(ApiModel):
    """Replace pods by new ones of the same revision."""

    pods: Pods = Pods.ALL
    """`All`, as a rollout does; or `Bad`: the one pod that carries most of the fault."""


class PauseRollout(ApiModel):
    """Stop a rollout of the target that is under way, and the candidate's progression."""


@cel(
    "has(self.cronJob) != has(self.job)",
    "runJob needs exactly one of cronJob and job",
    lambda self: (self.cron_job is None) != (self.job is None),
)
class RunJob(ApiModel):
    """Run a Job, for example to train anew or to repair data."""

    cron_job: DnsName | None = None
    """The CronJob whose template is used; it may be suspended."""

    job: DnsName | None = None
    """The Job that serves as the template, usually a suspended one."""


class CallWebhook(ApiModel):
    """POST to another program, signed, with the action's id as idempotency key."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512)]
    """Where to; its host must be allowed by the operator's configuration."""

    payload: Annotated[str, StringConstraints(max_length=4096)] = ""
    """Free text, sent beside monitor, incident, cause and reason."""


class Notify(ApiModel):
    """Tell people, by Events, the log and the configured webhook."""

    severity: Severity | None = None
    """How urgent it is; without it, as urgent as the incident. P0 wakes people."""

    to: Annotated[str, StringConstraints(max_length=128)] = ""
    """Whom, in words: a team, or a channel that the receiver knows."""

    text: Annotated[str, StringConstraints(max_length=1024)] = ""
    """What to say beside what happened and what was done."""


class WaitForApproval(ApiModel):
    """Go on only when a person has approved."""

    expire_after: Duration = "1h"
    """The step fails when nobody has approved by then."""


class When(ApiModel):
    """A step is skipped unless all of this holds when its turn comes."""

    any: Annotated[list[Finding], Field(max_length=8)] = Field(default_factory=list)
    """At least one of these was found."""

    none: Annotated[list[Finding], Field(max_length=8)] = Field(default_factory=list)
    """None of these was found."""

    signals: Annotated[list[DnsLabel], Field(max_length=8)] = Field(default_factory=list)
    """At least one of these signals was breached in the incident."""


class Verify(ApiModel):
    """What must recover for a step to have helped."""

    signals: Annotated[list[DnsLabel], Field(max_length=16)] = Field(default_factory=list)
    """These signals must be Healthy; without any, all that act on the arm at fault."""

    within: Duration = "5m"
    """Within this time after the step is in effect."""


_KINDS: Final = (
    "openCircuit",
    "shiftTraffic",
    "rollback",
    "scale",
    "restart",
    "pauseRollout",
    "runJob",
    "callWebhook",
    "notify",
    "waitForApproval",
)

StepAction = (
    OpenCircuit
    | ShiftTraffic
    | RollBack
    | Scale
    | Restart
    | PauseRollout
    | RunJob
    | CallWebhook
    | Notify
    | WaitForApproval
)

REPAIRS: Final = frozenset({StepKind.ROLLBACK, StepKind.SCALE, StepKind.RESTART, StepKind.RUN_JOB})
"""Steps that change a workload or its data, so that recovery is waited for before the next."""

MITIGATIONS: Final = frozenset({StepKind.OPEN_CIRCUIT, StepKind.SHIFT_TRAFFIC})
"""Steps that move traffic away from the fault."""

MESSAGES: Final = frozenset({StepKind.NOTIFY, StepKind.CALL_WEBHOOK})
"""Steps that tell somebody, and change nothing in the cluster."""

WORDS: Final = MESSAGES | {StepKind.WAIT_FOR_APPROVAL}
"""Steps that change nothing: they tell somebody, or ask."""


@cel(
    f"{' + '.join(f'(has(self.{kind}) ? 1 : 0)' for kind in _KINDS)} == 1",
    f"a step needs exactly one of {', '.join(_KINDS)}",
    lambda self: len(self.actions) == 1,
)
@cel(
    "!has(self.verify) || has(self.rollback) || has(self.scale) || has(self.restart)"
    " || has(self.runJob)",
    "verify belongs to rollback, scale, restart and runJob: other steps repair nothing",
    lambda self: self.verify is None or self.kind in REPAIRS,
)
class RunbookStep(ApiModel):
    """One step: exactly one action."""

    name: DnsLabel
    """Name of the step, unique in its cause: what is shown, and what is approved."""

    description: Annotated[str, StringConstraints(max_length=2048)] = ""
    """Markdown for the person on call: what the step does, and what to look at."""

    when: When = When()
    """When the step is taken; without it, always."""

    timeout: Duration = "10m"
    """The step fails when it is not in effect by then."""

    verify: Verify | None = None
    """What must recover for the step to have helped; repairs without it wait for 5 minutes."""

    on_failure: OnFailure = OnFailure.NEXT
    """What follows when the step failed or did not help: the next one, or nothing."""

    open_circuit: OpenCircuit | None = None
    """Give all traffic to the fallback."""

    shift_traffic: ShiftTraffic | None = None
    """Change the candidate's share of the traffic."""

    rollback: RollBack | None = None
    """Go back to the last good revision of the target."""

    scale: Scale | None = None
    """Ask for more pods."""

    restart: Restart | None = None
    """Replace pods by new ones of the same revision."""

    pause_rollout: PauseRollout | None = None
    """Stop a rollout that is under way."""

    run_job: RunJob | None = None
    """Run a Job, for example to train anew or to repair data."""

    call_webhook: CallWebhook | None = None
    """POST to another program."""

    notify: Notify | None = None
    """Tell people."""

    wait_for_approval: WaitForApproval | None = None
    """Go on only when a person has approved."""

    @property
    def actions(self) -> dict[StepKind, StepAction]:
        """The actions that are set, by kind; exactly one in a valid step."""
        found: dict[StepKind, StepAction | None] = {
            StepKind.OPEN_CIRCUIT: self.open_circuit,
            StepKind.SHIFT_TRAFFIC: self.shift_traffic,
            StepKind.ROLLBACK: self.rollback,
            StepKind.SCALE: self.scale,
            StepKind.RESTART: self.restart,
            StepKind.PAUSE_ROLLOUT: self.pause_rollout,
            StepKind.RUN_JOB: self.run_job,
            StepKind.CALL_WEBHOOK: self.call_webhook,
            StepKind.NOTIFY: self.notify,
            StepKind.WAIT_FOR_APPROVAL: self.wait_for_approval,
        }
        return {kind: action for kind, action in found.items() if action is not None}

    @property
    def kind(self) -> StepKind:
        """Which action the step is."""
        return next(iter(self.actions), StepKind.NOTIFY)

    @property
    def verifies(self) -> Verify | None:
        """What must recover: from the spec, or the default of a repair."""
        if self.verify is None and self.kind in REPAIRS:
            return Verify()
        return self.verify


Steps = Annotated[list[RunbookStep], Field(max_length=MAX_STEPS), KeyedBy(("name",))]


class Causes(ApiModel):
    """Steps by cause; a cause that is left out has the built-in steps."""

    data: Steps | None = None
    """Steps when the data is at fault."""

    model: Steps | None = None
    """Steps when the model is at fault and no release is."""

    infrastructure: Steps | None = None
    """Steps when what the model runs on is at fault."""

    release: Steps | None = None
    """Steps when the target's newest revision is at fault."""

    def steps(self, cause: Cause) -> list[RunbookStep] | None:
        """Return the steps for ``cause``, ``None`` where the runbook has none of its own."""
        return {
            Cause.DATA: self.data,
            Cause.MODEL: self.model,
            Cause.INFRASTRUCTURE: self.infrastructure,
            Cause.RELEASE: self.release,
        }[cause]


class RunbookSpec(Causes):
    """What is to be done, by cause."""

    description: Annotated[str, StringConstraints(max_length=4096)] = ""
    """Markdown for the person on call, shown above the steps."""


class RunbookStatus(ApiModel):
    """Backstop writes nothing here; monitors say in their own status what a runbook did."""


@cel(
    "!has(self.name) || !(has(self.data) || has(self.model) || has(self.infrastructure)"
    " || has(self.release))",
    "runbook needs either name (a Runbook in this namespace) or steps by cause, not both",
    lambda self: (
        self.name is None
        or all(one is None for one in (self.data, self.model, self.infrastructure, self.release))
    ),
)
class RunbookUse(Causes):
    """The runbook of a monitor: one by name, or its own steps by cause."""

    name: DnsName | None = None
    """Name of a Runbook in the monitor's namespace."""
