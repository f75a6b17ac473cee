"""Giving the target the version that the candidate has proven."""

from dataclasses import dataclass

from backstop.api.status import Action
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.core.view import Step, View
from backstop.ports import Workload
from backstop.runtime.actions.performer import Facts, Learn, Plan, target_of


@dataclass(frozen=True, slots=True)
class PromoteCandidate:
    """Copies the candidate's template, and only the one that was on trial."""

    workloads: Workload

    async def plan(self, view: View, step: Step) -> Plan:  # noqa: ARG002 - the port's signature
        """Return the target's revision before, and the candidate's, which it is to have."""
        ref, source = target_of(view), candidate_of(view)
        facts = await self.workloads.read(ref)
        if source is None:
            return Plan(str(ref), refusal="the monitor names no candidate")
        found = await self.workloads.read(source)
        trial = view.status.candidate
        if trial is None or found.fingerprint != trial.fingerprint:
            return Plan(str(ref), refusal=f"{source} was changed by someone else")
        return Plan(str(ref), facts.fingerprint, found.fingerprint, facts=facts)

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Adopt the version, unless the target says that this very action was done already."""
        ref, source = target_of(view), candidate_of(view)
        known = facts if isinstance(facts, WorkloadFacts) else await self.workloads.read(ref)
        if source is None:
            return "the monitor names no candidate any more"
        done = known.last_action == action.id
        if known.fingerprint != action.before and not done:
            return f"the template of {ref} was changed by someone else"
        found = await self.workloads.read(source)
        if found.fingerprint != action.after:
            return "" if done else f"{source} was changed by someone else"
        # Where it was written before, the adapter finishes what a crash may have left open.
        learn(await self.workloads.adopt(known, found, action.id))
        return ""


def candidate_of(view: View) -> ObjectRef | None:
    """Return the candidate, if the monitor names one."""
    candidate = view.spec.candidate
    return ObjectRef(candidate.kind, view.namespace, candidate.name) if candidate else None
