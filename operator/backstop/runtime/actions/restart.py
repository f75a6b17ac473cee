"""Replacing pods by new ones of the same revision: all of them, or the one bad pod."""

from dataclasses import dataclass

from backstop.api.runbook import Pods as Which
from backstop.api.status import Action
from backstop.core.effects import POD
from backstop.core.episode import under_way
from backstop.core.facts import PodFacts, WorkloadFacts
from backstop.core.view import Step, View
from backstop.ports import Pods, Workload
from backstop.runtime.actions.performer import Facts, Learn, Plan, target_of


@dataclass(frozen=True, slots=True)
class RestartPods:
    """Restarts as a rollout does, or deletes one pod that its controller replaces."""

    workloads: Workload
    pods: Pods

    async def plan(self, view: View, step: Step) -> Plan:
        """Return what is replaced; ``before`` holds the uid of a single pod."""
        ref = target_of(view)
        facts = await self.workloads.read(ref)
        single = step.of is not None and step.of.restart is not None
        if not (single and step.of and step.of.restart and step.of.restart.pods is Which.BAD):
            return Plan(str(ref), facts.fingerprint, "all pods", facts=facts)
        episode = under_way(view.status)
        pod = await self.pods.find(facts, episode.pod if episode else "")
        return Plan(f"{POD}{pod.name}", pod.uid, f"{POD}{pod.name}", facts=facts)

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Restart, unless the workload says that this very action was done already."""
        if action.after.startswith(POD):
            name = action.after.removeprefix(POD)
            await self.pods.delete(PodFacts(view.namespace, name, action.before))
            return ""
        ref = target_of(view)
        known = facts if isinstance(facts, WorkloadFacts) else await self.workloads.read(ref)
        if known.last_action != action.id and known.fingerprint != action.before:
            return f"the template of {ref} was changed by someone else"
        # Where it was written before, the adapter finishes what a crash may have left open.
        learn(await self.workloads.restart(known, action.id))
        return ""
