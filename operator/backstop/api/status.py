"""What Backstop knows and has done, as it stands in a monitor's status.

The status is the journal: an action stands here as ``Planned`` before it happens, and everything
that must survive a restart is here and nowhere else. It is written on change only; lists are
bounded so that it stays under 8 KB.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from backstop.api.base import ApiModel, KeyedBy, MicroTime
from backstop.api.conditions import Condition
from backstop.api.words import (
    ActionState,
    Arm,
    Cause,
    CircuitPhase,
    Finding,
    Progress,
    Severity,
    StepKind,
    TrialPhase,
    Verdict,
)
from backstop.core.measurement import Pillar

MAX_CHANGE: Final = 1024
"""How many characters the values before and after an action may take."""

Sentence = Annotated[str, StringConstraints(max_length=1024)]
Name = Annotated[str, StringConstraints(max_length=253)]
Fingerprint = Annotated[str, StringConstraints(max_length=64)]
Weights = Annotated[dict[Name, int], Field(max_length=16)]
RuleWeightList = Annotated[list[Weights], Field(max_length=16)]


class SignalStatus(ApiModel):
    """The verdict on one signal of one arm, as of its last change."""

    name: Name
    """Name of the signal."""

    arm: Arm
    """Which workload was measured."""

    pillar: Pillar
    """Which kind of health the signal speaks of."""

    verdict: Verdict
    """Whether the bound holds."""

    reason: Annotated[str, StringConstraints(max_length=64)] = ""
    """Why the verdict is Unknown: NoData, SourceDown and so on, as the documentation lists them."""

    why: Annotated[str, StringConstraints(max_length=300)] = ""
    """The numbers behind the verdict."""


class Action(ApiModel):
    """One change, from intent to verification."""

    id: Annotated[str, StringConstraints(max_length=64)]
    """Deterministic: the same decision in the same incident has the same id."""

    step: StepKind
    """What is changed, and to what end."""

    name: Name = ""
    """Name of the runbook's step that asked for it."""

    state: ActionState
    """How far the action has come; `Observed` was decided in mode Observe and not carried out."""

    subject: Name
    """Kind and name of what is changed."""

    before: Annotated[str, StringConstraints(max_length=MAX_CHANGE)] = ""
    """What was there, read just before the change."""

    after: Annotated[str, StringConstraints(max_length=MAX_CHANGE)] = ""
    """What is to be there."""

    planned_at: MicroTime
    """When the intent was written down."""

    applied_at: MicroTime | None = None
    """When the change was acknowledged."""

    verified_at: MicroTime | None = None
    """When the change was seen to be in effect."""

    why: Sentence = ""
    """Why the action was taken."""

    message: Sentence = ""
    """What became of it, if anything is worth saying."""


class StepProgress(ApiModel):
    """How far a step of the runbook has come in this incident."""

    name: Name
    """Name of the step."""

    step: StepKind
    """What the step does."""

    state: Progress
    """`Waiting` for approval, `Running` until it helped or did not, `Done` where nothing is to
    recover, `Skipped` where it was not needed."""

    since: MicroTime
    """When it came to this."""

    why: Annotated[str, StringConstraints(max_length=300)] = ""
    """Why."""


class Approval(ApiModel):
    """What a person is asked to approve."""

    id: Annotated[str, StringConstraints(max_length=64)]
    """Id of the action; `backstop approve` or the annotation `backstop.dev/approve` names it."""

    step: StepKind
    """What would be done."""

    asked: MicroTime
    """Since when it waits."""

    expires: MicroTime
    """When it counts as refused."""

    why: Sentence = ""
    """Why it would be done."""


class ActionCount(ApiModel):
    """How many actions there were close together; what matters is how many in the last hour."""

    last: MicroTime
    """When the last of them was applied; the others were within ten minutes of it."""

    count: Annotated[int, Field(ge=1)] = 1
    """How many."""


class CircuitStatus(ApiModel):
    """The circuit breaker."""

    phase: CircuitPhase = CircuitPhase.CLOSED
    """Where traffic goes."""

    since: MicroTime | None = None
    """When the phase began."""

    openings: Annotated[int, Field(ge=0)] = 0
    """How often the circuit opened in this incident; each doubles the time to the next probe."""

    next_probe: MicroTime | None = None
    """When the circuit may become half-open."""

    restore: RuleWeightList = Field(default_factory=list)
    """The weights before the circuit opened, per matching rule, by Service."""

    fallback_lost: MicroTime | None = None
    """Since when the fallback that answers has had no ready endpoint, where that is too long."""


class CandidateStatus(ApiModel):
    """The trial of the candidate."""

    phase: TrialPhase = TrialPhase.TRIAL
    """Whether the trial runs or was ended."""

    fingerprint: Fingerprint = ""
    """The pod template under trial; another template starts another trial."""

    service: Name = ""
    """The Service that leads to it, or the Deployment where replicas are the split; once another
    one takes its place in the spec, the traffic that Backstop gave it is put back."""

    since: MicroTime | None = None
    """When its rollout was seen to be complete; what was measured before is no evidence."""

    weight: Annotated[int, Field(ge=0, le=100)] | None = None
    """The percentage that Backstop last gave the candidate, if it did."""

    step: Annotated[int, Field(ge=0, le=20)] = 0
    """Which step of the progression it is at, counted from 0."""

    step_since: MicroTime | None = None
    """When the step began; what was measured before says nothing about it."""

    why: Annotated[str, StringConstraints(max_length=300)] = ""
    """Why the trial is where it is."""

    answered: Name = ""
    """The request in the annotation `backstop.dev/candidate` that was answered last."""


class SequentialTest(ApiModel):
    """How far a sequential test has come, so that it goes on after a restart where it was."""

    signal: Name
    """Name of the signal."""

    arm: Arm
    """Which workload is tested."""

    since: MicroTime | None = None
    """From when on samples are evidence; with another time the test begins anew."""

    until: MicroTime
    """Up to when samples are counted."""

    state: Annotated[str, StringConstraints(max_length=2048)] = ""
    """The evidence so far, as the kind of the signal packs it."""


class Revision(ApiModel):
    """A revision of the target by the fingerprint of its pod template."""

    fingerprint: Fingerprint
    """Hash of the pod template."""

    since: MicroTime
    """When it became the current one."""


class RevisionsStatus(ApiModel):
    """Which revisions of the target are known to be what."""

    current: Revision | None = None
    """The revision that the target runs."""

    last_good: Revision | None = None
    """The revision that a rollback goes to."""

    known_bad: Annotated[list[Fingerprint], Field(max_length=10)] = Field(default_factory=list)
    """Revisions that were rolled back; never rolled back to."""

    restored: Fingerprint = ""
    """The revision that the last rollback went to, until another one is current: nobody released
    it, so what it suffers is not blamed on a release."""


class Episode(ApiModel):
    """An incident as far as it goes: what the Incident object shows, and the state of it."""

    name: Name
    """Name of the Incident object."""

    cause: Cause
    """What the diagnosis blames."""

    severity: Severity
    """P0: users suffer now; P1: automation acted, fix today; P2: a cause without a symptom yet."""

    arm: Arm
    """Which workload is at fault."""

    onset: MicroTime
    """When the evidence began: the first sample of the window that broke a bound."""

    detected: MicroTime
    """When the evidence sufficed for a verdict."""

    mitigated: MicroTime | None = None
    """When traffic had been moved away from the fault."""

    repaired: MicroTime | None = None
    """When the workload had been changed to remove the fault."""

    resolved: MicroTime | None = None
    """When all was healthy again."""

    why: Sentence
    """One sentence: what happened, with numbers, and what that is blamed on."""

    evidence: Annotated[
        list[Annotated[str, StringConstraints(max_length=300)]], Field(max_length=12)
    ] = Field(default_factory=list)
    """What each breached signal showed."""

    actions: Annotated[list[Action], Field(max_length=24)] = Field(default_factory=list)
    """What was done, oldest first."""

    findings: Annotated[list[Finding], Field(max_length=8)] = Field(default_factory=list)
    """What was found beside the cause."""

    pod: Name = ""
    """The one pod that carries most of the fault, if one does."""

    runbook: Name = ""
    """Which runbook is carried out: the name of a Runbook, `inline` or `built-in`."""

    steps: Annotated[list[StepProgress], Field(max_length=12), KeyedBy(("name",))] = Field(
        default_factory=list
    )
    """How far the runbook has come; steps that are not listed are still to come."""

    reverts: Annotated[int, Field(ge=0)] = 0
    """How often somebody else undid what was done in this incident."""


class ModelMonitorStatus(ApiModel):
    """What Backstop knows and has done."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The generation of the spec that this status is about."""

    verdict: Verdict = Verdict.UNKNOWN
    """The target: Breached if any signal is, else Unknown if any is, else Healthy."""

    why: Sentence = ""
    """One sentence: what Backstop sees, and what it does about it."""

    conditions: Annotated[list[Condition], Field(max_length=8), KeyedBy(("type",))] = Field(
        default_factory=list
    )
    """Ready, Healthy and the rest; each type is listed in the documentation of this kind."""

    signals: Annotated[list[SignalStatus], Field(max_length=64), KeyedBy(("name", "arm"))] = Field(
        default_factory=list
    )
    """The verdict on each signal of each arm."""

    tests: Annotated[list[SequentialTest], Field(max_length=16), KeyedBy(("signal", "arm"))] = (
        Field(default_factory=list)
    )
    """How far the sequential tests have come."""

    circuit: CircuitStatus = CircuitStatus()
    """The circuit breaker."""

    candidate: CandidateStatus | None = None
    """The trial of the candidate, if the spec names one."""

    revisions: RevisionsStatus = RevisionsStatus()
    """Which revisions of the target are known to be what."""

    shifted: RuleWeightList = Field(default_factory=list)
    """The weights before a runbook gave the candidate more in an incident of the target, per
    matching rule, by Service; they are put back once the target has recovered."""

    evidence_from: MicroTime | None = None
    """Only samples after this are evidence: the last action was taken on what came before."""

    approval: Approval | None = None
    """What a person is asked to approve."""

    held: Annotated[str, StringConstraints(max_length=300)] = ""
    """Why actions are held back, if they are."""

    recent_actions: Annotated[list[ActionCount], Field(max_length=7)] = Field(default_factory=list)
    """The actions of the last hour that `spec.limits.actionsPerHour` counts."""

    cool_down_from: MicroTime | None = None
    """When the last incident ended in which a workload was changed; `spec.limits.coolDown` counts
    from then."""

    promoted: Name = ""
    """Name of the candidate that has the target's role since its promotion by SwapRoles."""

    action: Action | None = None
    """The action under way, from its intent until it is verified or has failed."""

    incident: Episode | None = None
    """The incident that is open, or the last one."""
