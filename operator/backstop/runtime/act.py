"""Carrying out one step: read live, write the intent, change, record what became of it.

The intent stands in the status before anything is changed and holds all that is needed to finish.
A conflict is never answered by writing blindly: the object is read again, and the write is repeated
only if what we want to change is still as it was. The kill switch is read before each write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from backstop.api.runbook import MESSAGES
from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import StepKind
from backstop.core import journal
from backstop.core.view import Step, View
from backstop.ports import (
    Clock,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KillSwitch,
    NotFoundError,
    OutsideError,
    UnavailableError,
)
from backstop.runtime import metrics
from backstop.runtime.actions.performer import Facts, Learn, Performer, Plan

_LOG = structlog.get_logger(__name__)

CONFLICT_TRIES = 3
"""How often an object that keeps changing is read again before the action fails."""

Write = Callable[[ModelMonitorStatus], Awaitable[None]]
"""Writes the status of the monitor under way; raises ConflictError when somebody else did."""


class StoppedError(OutsideError):
    """The kill switch holds all actions, or nobody can tell; the message says which."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Carries out steps, each kind by its performer."""

    performers: Mapping[StepKind, Performer]
    kill_switch: KillSwitch
    clock: Clock

    async def perform(self, view: View, step: Step, write: Write, learn: Learn) -> Action | None:
        """Carry out ``step``, and return the action as it ended; ``None`` if it is still planned.

        Raises:
            ConflictError: the monitor itself was changed; nothing was done.
            StoppedError: the kill switch is on; nothing was done.
            OutsideError: the API server failed; the intent, if written, is resumed later.
        """
        _, plan = await asyncio.gather(self._unless_stopped(step.kind), self.plan(view, step))
        action = plan.action(view, step)
        if plan.refusal:
            await write(journal.failed(view, action, plan.refusal))
            metrics.ACTIONS_FAILED.labels(action.step, "refused").inc()
            return None
        status = view.status.model_copy(update={"action": action})
        await write(status)
        return await self.resume(replace(view, status=status), write, learn, plan.facts)

    async def plan(self, view: View, step: Step) -> Plan:
        """Return what ``step`` changes, from the live objects."""
        try:
            return await self.performers[step.kind].plan(view, step)
        except (NotFoundError, InvalidError, ForbiddenError) as error:
            return Plan(view.spec.target.name, refusal=str(error))

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
        await self._unless_stopped(action.step)
        try:
            refusal = await self._change(view, action, learn, facts)
        except (NotFoundError, InvalidError, ForbiddenError) as error:
            refusal = str(error)
        except UnavailableError as error:
            # Whoever is to be told must not keep the monitor from its next look.
            if action.step not in MESSAGES:
                raise
            refusal = str(error)
        now = self.clock.now()
        if refusal:
            _LOG.warning("action failed", monitor=view.name, step=action.step, why=refusal)
            await write(journal.failed(view, action, refusal))
            metrics.ACTIONS_FAILED.labels(action.step, "refused").inc()
            return None
        status = journal.applied(view, action, now)
        await write(status)
        metrics.ACTIONS.labels(action.step, view.spec.mode).inc()
        return action

    async def _unless_stopped(self, kind: StepKind) -> None:
        if kind is StepKind.NOTIFY:
            return
        try:
            stopped = await self.kill_switch.engaged()
        except OutsideError as error:
            raise StoppedError(f"the kill switch cannot be read: {error}") from None
        if stopped:
            raise StoppedError(stopped)

    async def _change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:
        for _ in range(CONFLICT_TRIES):
            try:
                return await self.performers[action.step].change(view, action, learn, facts)
            except ConflictError:
                _LOG.info("changed since it was read; reading again", subject=action.subject)
                facts = None
        return f"{action.subject} kept changing while it was written"
