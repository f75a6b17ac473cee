"""What a person must approve before it happens, and what became of the question.

An approval is for exactly one action: it is asked by the id of the action and answered by it, so
an old answer, or one to another question, approves nothing. No answer is a refusal.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backstop.api.modelmonitor import Mode
from backstop.api.status import Approval
from backstop.api.words import StepKind
from backstop.core.brakes import ends_probe
from backstop.core.requests import APPROVE, DENY
from backstop.core.units import Duration, say_seconds, seconds
from backstop.core.view import Step, View

LONGEST: Final = 365 * 86_400.0
"""No question waits for more than this many seconds, whatever a spec says: times end somewhere."""

_FREE: Final = frozenset({StepKind.PROBE_CIRCUIT, StepKind.CLOSE_CIRCUIT, StepKind.NOTIFY})
"""Steps that follow from what was approved, or only tell people."""


class Answer(StrEnum):
    """What became of the question."""

    APPROVED = "Approved"
    DENIED = "Denied"
    EXPIRED = "Expired"
    WAITING = "Waiting"


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer so far, and a sentence that says who can do what now."""

    answer: Answer
    why: str

    @property
    def refused(self) -> bool:
        """Whether the step must not be taken: somebody said no, or nobody said anything."""
        return self.answer in {Answer.DENIED, Answer.EXPIRED}


def is_needed(view: View, step: Step) -> bool:
    """Return whether a person must approve ``step`` first.

    In mode Observe nothing is done, so nothing is asked. The step waitForApproval is one in any
    other mode. In mode Approve so is each that changes something, but for what a person has asked
    for, and for those that only go on with what was approved: a probe, its end, closing, and
    putting back what was shifted.
    """
    if view.spec.mode is Mode.OBSERVE:
        return False
    if step.kind is StepKind.WAIT_FOR_APPROVAL:
        return True
    free = step.asked or step.back or step.kind in _FREE or ends_probe(view, step.kind)
    return view.spec.mode is Mode.APPROVE and not free


def ask(view: View, step: Step, expires_after: Duration) -> Approval:
    """Return the question whether ``step`` may be taken.

    One that is already asked about the very same action goes on waiting; its time does not begin
    anew.
    """
    asked = view.status.approval
    if asked is not None and asked.id == step.action_id:
        return asked
    return Approval.model_validate(
        {
            "id": step.action_id,
            "step": step.kind,
            "asked": view.now,
            "expires": view.now + min(seconds(expires_after), LONGEST),
            "why": step.why[:1024],
        }
    )


def answer(view: View, approval: Approval) -> Answered:
    """Return what people have answered to ``approval`` by now.

    A refusal counts more than an approval of the same action, and an approval that is seen only
    after its time has no effect: what it was given for may be over.
    """
    if approval.id in view.requests.denied:
        why = f"{approval.step} was denied by the annotation {DENY}; it is not taken"
        return Answered(Answer.DENIED, why)
    wait = approval.expires.timestamp() - approval.asked.timestamp()
    if view.now >= approval.expires.timestamp():
        why = (
            f"{approval.step} was not approved within {say_seconds(wait)}, which counts as a"
            " refusal; take the step yourself, or allow more time the next time"
        )
        return Answered(Answer.EXPIRED, why)
    if approval.id in view.requests.approved:
        return Answered(Answer.APPROVED, f"{approval.step} was approved by {APPROVE}")
    why = (
        f"{approval.step} waits until {approval.expires:%Y-%m-%d %H:%M:%S} UTC for approval;"
        f" whoever may edit the monitor can approve it by the annotation {APPROVE}={approval.id},"
        f" or refuse it by {DENY}={approval.id}"
    )
    return Answered(Answer.WAITING, why)
