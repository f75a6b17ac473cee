"""Asking for more pods of the target, within limits."""

import math
from dataclasses import dataclass

from backstop.api.runbook import Scale
from backstop.api.status import Action
from backstop.core.facts import ReplicaFacts
from backstop.core.units import fraction
from backstop.core.view import Step, View
from backstop.ports import Replicas
from backstop.runtime.actions.performer import Facts, Learn, Plan, target_of


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Scales through the scale subresource, or the least number of an autoscaler."""

    replicas: Replicas

    async def plan(self, view: View, step: Step) -> Plan:
        """Return the numbers of pods before and after."""
        ref = target_of(view)
        facts = await self.replicas.read(ref)
        asked = step.of.scale if step.of else None
        wanted = facts.desired if asked is None else wanted_replicas(asked, facts.desired)
        scaler = facts.autoscaler
        subject = f"{scaler.ref} of {ref}" if scaler else str(ref)
        most = scaler.most if scaler else wanted
        refusal = ""
        if min(wanted, most) <= facts.desired:
            limit = f"{scaler.ref} allows {most}" if scaler and wanted > most else "its limit"
            refusal = f"{ref} has {facts.desired} pods already: {limit}"
        after = str(min(wanted, most))
        return Plan(subject, str(facts.desired), after, refusal, facts)

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:  # noqa: ARG002 - the port's signature
        """Ask for the pods, unless as many or more are wanted already."""
        ref = target_of(view)
        known = facts if isinstance(facts, ReplicaFacts) else await self.replicas.read(ref)
        least = known.autoscaler.least if known.autoscaler else known.desired
        if least < int(action.after):
            await self.replicas.write(known, int(action.after))
        return ""


def wanted_replicas(asked: Scale, desired: int) -> int:
    """Return how many pods ``asked`` wants where ``desired`` are wanted now."""
    if asked.to is not None:
        wanted = asked.to
    else:
        wanted = desired + max(1, math.ceil(desired * fraction(asked.by or "0%")))
    return min(wanted, 2 * desired if asked.max is None else asked.max)
