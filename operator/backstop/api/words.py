"""The words of a status: what each part of it can be."""

from enum import StrEnum


class Verdict(StrEnum):
    """Whether a bound holds. Unknown is neither good nor bad."""

    HEALTHY = "Healthy"
    BREACHED = "Breached"
    UNKNOWN = "Unknown"


class Arm(StrEnum):
    """Which workload a verdict is about."""

    # That of an enumeration is a function in Python; arms are part of keys that are hashed a lot.
    __hash__ = str.__hash__

    TARGET = "target"
    CANDIDATE = "candidate"


class Cause(StrEnum):
    """What the diagnosis blames."""

    DATA = "data"
    MODEL = "model"
    INFRASTRUCTURE = "infrastructure"
    RELEASE = "release"


class Severity(StrEnum):
    """P0: users suffer now; P1: automation acted, fix today; P2: a cause without a symptom yet."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"


class CircuitPhase(StrEnum):
    """Where traffic goes: to the target, to the fallback, or a probe to the target."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


class TrialPhase(StrEnum):
    """The state of the candidate's trial; `Promoting` lasts until the target runs its version.

    `Removed` lasts until traffic is put back: of a candidate that is not in the spec any more, has
    another template, or no ready pod.
    """

    TRIAL = "Trial"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    ABORTED = "Aborted"
    REMOVED = "Removed"


class Finding(StrEnum):
    """What the diagnosis found beside the cause; the steps of a runbook can depend on it."""

    FOLLOWS_RELEASE = "FollowsRelease"
    CONFIGURATION_CHANGED = "ConfigurationChanged"
    BOTH_FAIL = "BothFail"
    CANDIDATE_BETTER = "CandidateBetter"
    ONE_POD = "OnePod"
    SATURATED = "Saturated"
    SLOW = "Slow"
    ROLLBACK_HELPS = "RollbackHelps"


class StepKind(StrEnum):
    """What an action does."""

    OPEN_CIRCUIT = "openCircuit"
    PROBE_CIRCUIT = "probeCircuit"
    CLOSE_CIRCUIT = "closeCircuit"
    SHIFT_TRAFFIC = "shiftTraffic"
    ROLLBACK = "rollback"
    SCALE = "scale"
    RESTART = "restart"
    PAUSE_ROLLOUT = "pauseRollout"
    RUN_JOB = "runJob"
    CALL_WEBHOOK = "callWebhook"
    NOTIFY = "notify"
    WAIT_FOR_APPROVAL = "waitForApproval"
    PROMOTE = "promote"


class ActionState(StrEnum):
    """How far an action has come."""

    PLANNED = "Planned"
    APPLIED = "Applied"
    VERIFIED = "Verified"
    FAILED = "Failed"
    OBSERVED = "Observed"


class Progress(StrEnum):
    """How far a step of the runbook has come."""

    WAITING = "Waiting"
    RUNNING = "Running"
    DONE = "Done"
    HELPED = "Helped"
    NOT_HELPED = "NotHelped"
    FAILED = "Failed"
    SKIPPED = "Skipped"
