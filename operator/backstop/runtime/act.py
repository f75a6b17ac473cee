"""Carrying out one step: read live, write the intent, change, record what became of it.

The intent stands in the status before anything is changed and holds all that is needed to finish.
Doing a step and resuming one after a crash are the same code: the live object is compared with the
intent's ``before`` and ``after``, and written at most once per action. A conflict is never answered
by writing blindly: the object is read again, and the write is repeated only if what we want to
change is still as it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from backstop.api.modelmonitor import Mode
from backstop.api.status import MAX_CHANGE, Action, ModelMonitorStatus, StepKind, TrialPhase
from backstop.core import journal, revisions, weights
from backstop.core.facts import ObjectRef, RouteFacts, WorkloadFacts
from backstop.core.view import Step, View
from backstop.ports import (
    Clock,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    Traffic,
    Workload,
)

_LOG = structlog.get_logger(__name__)

CONFLICT_TRIES = 3
"""How often an object that keeps changing is read again before the action fails."""


class Endpoints(Protocol):
    """Who is behind a Service."""

    async def ready(self, namespace: str, service: str) -> int:
        """Return how many endpoints of the Service are ready."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """A step with what it changes: the text of before and after, and a refusal if any.

    ``facts`` are those that it was read from, so that the change need not read them again.
    """

    subject: str
    before: str = ""
    after: str = ""
    refusal: str = ""
    facts: "Facts | None" = None

    def action(self, view: View, step: Step) -> Action:
        """Return ``step`` as the intent to make this change."""
        return journal.intent(
            view, step, subject=self.subject, before=self.before, after=self.after
        )


Write = Callable[[ModelMonitorStatus], Awaitable[None]]
"""Writes the status of the monitor under way; raises ConflictError when somebody else did."""

Facts = RouteFacts | WorkloadFacts

Learn = Callable[[Facts], None]
"""Takes note of what a write returned."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Carries out steps with the adapters it is given."""

    traffic: Traffic
    workloads: Workload
    endpoints: Endpoints
    clock: Clock

    async def perform(self, view: View, step: Step, write: Write, learn: Learn) -> Action | None:
        """Carry out ``step``, and return the action as it ended; ``None`` if it is still planned.

        Raises:
            ConflictError: the monitor itself was changed; nothing was done.
            OutsideError: the API server failed; the intent, if written, is resumed later.
        """
        plan = await self.plan(view, step)
        action = plan.action(view, step)
        if plan.refusal:
            await write(journal.failed(view, action, plan.refusal))
            return None
        status = view.status.model_copy(update={"action": action})
        await write(status)
        return await self.resume(replace(view, status=status), write, learn, plan.facts)

    async def plan(self, view: View, step: Step) -> Plan:
        """Return what ``step`` changes, from the live objects."""
        if step.kind is StepKind.ROLLBACK:
            return await self._plan_rollback(view)
        return await self._plan_weights(view, step)

    async def _plan_weights(self, view: View, step: Step) -> Plan:
        services = view.services
        if services is None or view.spec.traffic is None:
            return Plan("", refusal="the monitor names no route")
        ref = ObjectRef("HTTPRoute", view.namespace, view.spec.traffic.http_route)
        try:
            facts, refusal = await asyncio.gather(
                self.traffic.read(ref, services), self._nobody_behind(view, step, services)
            )
        except (NotFoundError, InvalidError, ForbiddenError) as error:
            return Plan(str(ref), refusal=str(error))
        before = weights.to_text(weights.current(facts.rules, services))
        after = weights.to_text(wanted_weights(view, step, facts))
        if not facts.rules:
            refusal = f"{ref} has no rule that lists the monitor's Services"
        elif max(len(before), len(after)) > MAX_CHANGE:
            refusal = f"the rules of {ref} differ too much to be kept; use fewer or shorter names"
            before = after = ""
        return Plan(str(ref), before, after, refusal, facts)

    async def _nobody_behind(self, view: View, step: Step, services: weights.Services) -> str:
        service = _receiver(step, services)
        if service is None or view.spec.mode is Mode.OBSERVE:
            return ""
        try:
            ready = await self.endpoints.ready(view.namespace, service)
        except ForbiddenError:
            return ""
        return "" if ready else f"Service {service} has no ready endpoint to send traffic to"

    async def _plan_rollback(self, view: View) -> Plan:
        ref = ObjectRef(view.spec.target.kind, view.namespace, view.spec.target.name)
        try:
            facts = await self.workloads.read(ref)
            available = await self.workloads.revisions(ref)
        except (NotFoundError, ForbiddenError) as error:
            return Plan(str(ref), refusal=str(error))
        blamed = view.status.revisions.current
        if blamed is None or facts.fingerprint != blamed.fingerprint:
            return Plan(str(ref), facts.fingerprint, "", f"{ref} was changed by someone else")
        if facts.paused:
            return Plan(str(ref), facts.fingerprint, "", f"{ref} is paused; resume it")
        chosen = revisions.choose(view.status.revisions, available, facts.fingerprint)
        if isinstance(chosen, revisions.Refusal):
            return Plan(str(ref), facts.fingerprint, "", chosen.why)
        return Plan(str(ref), facts.fingerprint, chosen.fingerprint, facts=facts)

    async def resume(
        self, view: View, write: Write, learn: Learn, facts: Facts | None = None
    ) -> Action | None:
        """Finish the planned action of the status, and return it as it ended.

        ``facts`` save the first read of what is changed; a conflict reads it again.

        Raises:
            OutsideError: as in :meth:`perform`.
        """
        action = view.status.action
        if action is None:
            return None
        try:
            refusal = await self._change(view, action, learn, facts)
        except (NotFoundError, InvalidError, ForbiddenError) as error:
            refusal = str(error)
        now = self.clock.now()
        if refusal:
            _LOG.warning("action failed", monitor=view.name, step=action.step, why=refusal)
            await write(journal.failed(view, action, refusal))
            return None
        status = journal.applied(view, action, now)
        await write(status)
        return action

    async def _change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        for _ in range(CONFLICT_TRIES):
            try:
                if action.step is StepKind.ROLLBACK:
                    known = facts if isinstance(facts, WorkloadFacts) else None
                    return await self._roll_back(view, action, learn, known)
                return await self._move(
                    view, action, learn, facts if isinstance(facts, RouteFacts) else None
                )
            except ConflictError:
                _LOG.info("changed since it was read; reading again", subject=action.subject)
                facts = None
        return f"{action.subject} kept changing while it was written"

    async def _move(
        self, view: View, action: Action, learn: Learn, facts: RouteFacts | None
    ) -> str:
        services = view.services
        if services is None or view.spec.traffic is None:
            return "the monitor names no route any more"
        ref = ObjectRef("HTTPRoute", view.namespace, view.spec.traffic.http_route)
        facts = facts or await self.traffic.read(ref, services)
        live = weights.to_text(weights.current(facts.rules, services))
        if live == action.after:
            learn(facts)
            return ""
        if live != action.before:
            return f"the weights of {ref} were changed by someone else to {live}"
        learn(await self.traffic.write(facts, weights.from_text(action.after)))
        return ""

    async def _roll_back(
        self, view: View, action: Action, learn: Learn, facts: WorkloadFacts | None
    ) -> str:
        ref = ObjectRef(view.spec.target.kind, view.namespace, view.spec.target.name)
        facts = facts or await self.workloads.read(ref)
        if facts.last_action == action.id or facts.fingerprint == action.after:
            learn(facts)
            return ""
        if facts.fingerprint != action.before:
            return f"the template of {ref} was changed by someone else"
        learn(await self.workloads.rollback(facts, action.after, action.id))
        return ""


def wanted_weights(view: View, step: Step, facts: RouteFacts) -> weights.RuleMap:
    """Return the weights that ``step`` asks of the rules in ``facts``."""
    services = view.services
    if services is None:
        return {}
    if step.kind is StepKind.OPEN_CIRCUIT:
        return weights.open_circuit(facts.rules, services)
    if step.kind is StepKind.PROBE_CIRCUIT:
        return weights.probe(facts.rules, services, view.spec.circuit.probe_weight)
    if step.kind is StepKind.CLOSE_CIRCUIT:
        trial = view.status.candidate
        return weights.close_circuit(
            facts.rules,
            services,
            view.status.circuit.restore,
            without_candidate=trial is not None and trial.phase is TrialPhase.ABORTED,
        )
    if step.candidate_weight:
        return weights.start_trial(facts.rules, services, step.candidate_weight)
    return weights.end_trial(facts.rules, services)


def _receiver(step: Step, services: weights.Services) -> str | None:
    return {
        StepKind.OPEN_CIRCUIT: services.fallback,
        StepKind.PROBE_CIRCUIT: services.target,
        StepKind.CLOSE_CIRCUIT: services.target,
        StepKind.SHIFT_TRAFFIC: services.candidate if step.candidate_weight else services.target,
    }.get(step.kind)
