"""What all ways to act have in common: a plan with its text of before and after, then the change.

Doing a step and finishing one after a crash are the same code: the live object is compared with the
intent's ``before`` and ``after``, and written at most once per action.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from backstop.api.status import Action
from backstop.core import journal
from backstop.core.facts import ObjectRef, ReplicaFacts, RouteFacts, WorkloadFacts
from backstop.core.view import Step, View

Facts = RouteFacts | WorkloadFacts | ReplicaFacts

Learn = Callable[[RouteFacts | WorkloadFacts], None]
"""Takes note of what a write returned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A step with what it changes: the text of before and after, and a refusal if any.

    ``facts`` are those that it was read from, so that the change need not read them again.
    """

    subject: str
    before: str = ""
    after: str = ""
    refusal: str = ""
    facts: Facts | None = None

    def action(self, view: View, step: Step) -> Action:
        """Return ``step`` as the intent to make this change."""
        return journal.intent(
            view, step, subject=self.subject, before=self.before, after=self.after
        )


class Performer(Protocol):
    """One way to act.

    Both may raise NotFoundError, InvalidError and ForbiddenError, which refuse the action, and
    UnavailableError, after which it is done later.
    """

    async def plan(self, view: View, step: Step) -> Plan:
        """Return what ``step`` changes, from the live objects; nothing is written."""
        ...

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Make the change, and return why it is refused, "" when it is done.

        ``facts`` are those of the plan, or ``None`` where they must be read again.

        Raises:
            ConflictError: the object changed since it was read; call again without facts.
        """
        ...


def target_of(view: View) -> ObjectRef:
    """Return the target."""
    return ObjectRef(view.spec.target.kind, view.namespace, view.spec.target.name)
