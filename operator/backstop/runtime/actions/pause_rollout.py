"""Stopping a rollout of the target that is under way."""

from dataclasses import dataclass

from backstop.api.status import Action
from backstop.core.facts import WorkloadFacts
from backstop.core.view import Step, View
from backstop.ports import Workload
from backstop.runtime.actions.performer import Facts, Learn, Plan, target_of


@dataclass(frozen=True, slots=True)
class PauseRollout:
    """Pauses; resuming is for a person, who knows when the data is good again."""

    workloads: Workload

    async def plan(self, view: View, step: Step) -> Plan:  # noqa: ARG002 - the port's signature
        """Return what is paused."""
        ref = target_of(view)
        facts = await self.workloads.read(ref)
        refusal = f"{ref} is paused already" if facts.paused else ""
        return Plan(str(ref), facts.fingerprint, "paused", refusal, facts)

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Pause, unless it is paused."""
        ref = target_of(view)
        known = facts if isinstance(facts, WorkloadFacts) else await self.workloads.read(ref)
        if not known.paused and known.last_action != action.id:
            known = await self.workloads.pause(known, action.id)
        learn(known)
        return ""
