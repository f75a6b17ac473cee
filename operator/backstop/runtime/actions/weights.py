"""Moving traffic: one write of weights, whichever step asks for it."""

import asyncio
from dataclasses import dataclass

from backstop.api.modelmonitor import Mode
from backstop.api.status import MAX_CHANGE, Action
from backstop.api.words import CircuitPhase, StepKind
from backstop.core import weights
from backstop.core.facts import RouteFacts
from backstop.core.routing import gives_to_services, route_of, wanted_weights
from backstop.core.view import Step, View, fallback_of
from backstop.ports import Endpoints, ForbiddenError, InvalidError, NotFoundError, Traffic
from backstop.runtime.actions.performer import Facts, Learn, Plan

_NO_ROUTER = "the monitor names no router"


@dataclass(frozen=True, slots=True)
class MoveTraffic:
    """Sets weights; only a Service with ready endpoints is given traffic."""

    traffic: Traffic
    endpoints: Endpoints

    async def plan(self, view: View, step: Step) -> Plan:
        """Return the weights before and after."""
        services, ref = view.services, route_of(view.spec, view.namespace)
        if services is None or ref is None:
            return Plan("", refusal=_NO_ROUTER)
        if step.kind is StepKind.OPEN_CIRCUIT and services.fallback is None:
            return Plan(str(ref), refusal="the monitor names no fallback")
        try:
            facts, refusal = await asyncio.gather(
                self.traffic.read(ref, services), self._nobody_behind(view, step, services)
            )
        except (NotFoundError, InvalidError, ForbiddenError) as error:
            return Plan(str(ref), refusal=str(error))
        if not facts.rules:
            said = facts.message or f"{ref} has no rule that lists the monitor's Services"
            return Plan(str(ref), refusal=said)
        before = weights.to_text(weights.current(facts.rules, services))
        after = weights.to_text(wanted_weights(view, step, facts))
        if max(len(before), len(after)) > MAX_CHANGE:
            said = f"the rules of {ref} differ too much to be kept; use fewer or shorter names"
            return Plan(str(ref), refusal=said)
        return Plan(str(ref), before, after, refusal, facts)

    async def _nobody_behind(self, view: View, step: Step, services: weights.Services) -> str:
        service = _receiver(step, services)
        if service is None or not gives_to_services(view.spec) or view.spec.mode is Mode.OBSERVE:
            return ""
        try:
            ready = await self.endpoints.ready(view.namespace, service)
        except ForbiddenError:
            return ""
        return "" if ready else f"Service {service} has no ready endpoint to send traffic to"

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        """Write the weights of the intent, unless somebody else has changed them meanwhile."""
        services, ref = view.services, route_of(view.spec, view.namespace)
        if services is None or ref is None:
            return f"{_NO_ROUTER} any more"
        known = facts if isinstance(facts, RouteFacts) else None
        known = known or await self.traffic.read(ref, services)
        split = weights.current(known.rules, services)
        live, after = weights.to_text(split), weights.from_text(action.after)
        if weights.is_set(split, after):
            learn(known)
            return ""
        if _is_opening(view, action) and services.fallback != fallback_of(view.name, view.spec):
            return f"{services.fallback} is not the monitor's fallback any more"
        begun = known.piecemeal and weights.is_between(
            split, weights.from_text(action.before), after
        )
        if live != action.before and not begun:
            return f"the weights of {ref} were changed by someone else to {live}"
        learn(await self.traffic.write(known, after))
        return ""


def _is_opening(view: View, action: Action) -> bool:
    closed = view.status.circuit.phase is CircuitPhase.CLOSED
    return closed and action.step is StepKind.OPEN_CIRCUIT


def _receiver(step: Step, services: weights.Services) -> str | None:
    return {
        StepKind.OPEN_CIRCUIT: services.fallback,
        StepKind.PROBE_CIRCUIT: services.target,
        StepKind.CLOSE_CIRCUIT: services.target,
        StepKind.SHIFT_TRAFFIC: services.candidate if step.candidate_weight else services.target,
    }.get(step.kind)
