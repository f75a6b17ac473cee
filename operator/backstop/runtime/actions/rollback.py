"""Going back to an earlier revision of the target."""

from dataclasses import dataclass

from backstop.api.status import Action
from backstop.core import revisions
from backstop.core.facts import WorkloadFacts
from backstop.core.view import Step, View
from backstop.ports import Workload
from backstop.runtime.actions.performer import Facts, Learn, Plan, target_of


@dataclass(frozen=True, slots=True)
class RollBackTarget:
    """Goes to the last good revision, and only from the very one that is blamed."""

    workloads: Workload

    async def plan(self, view: View, step: Step) -> Plan:  # noqa: ARG002 - the port's signature
        """Return the revisions before and after, by fingerprint."""
        ref = target_of(view)
        facts = await self.workloads.read(ref)
        blamed = view.status.revisions.current
        if blamed is None or facts.fingerprint != blamed.fingerprint:
            return Plan(str(ref), facts.fingerprint, "", f"{ref} was changed by someone else")
        if facts.paused:
            return Plan(str(ref), facts.fingerprint, "", f"{ref} is paused; resume it")
        available = await self.workloads.revisions(ref)
        chosen = revisions.choose(view.status.revisions, available, facts.fingerprint)
        if isinstance(chosen, revisions.Refusal):
            return Plan(str(ref), facts.fingerprint, "", chosen.why)
        return Plan(str(ref), facts.fingerprint, chosen.fingerprint, facts=facts)

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Write the template of the revision, unless it is there or another one came meanwhile."""
        ref = target_of(view)
        known = facts if isinstance(facts, WorkloadFacts) else await self.workloads.read(ref)
        done = known.last_action == action.id
        if known.fingerprint == action.after and not done:
            learn(known)
            return ""
        if known.fingerprint not in {action.before, action.after}:
            if done:
                learn(known)
                return ""
            return f"the template of {ref} was changed by someone else"
        # Where it was written before, the adapter finishes what a crash may have left open.
        learn(await self.workloads.rollback(known, action.after, action.id))
        return ""
