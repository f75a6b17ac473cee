"""Running a Job, for example to train anew or to repair data."""

from dataclasses import dataclass
from typing import Final

from backstop.api.status import Action
from backstop.core.facts import ObjectRef
from backstop.core.view import Step, View
from backstop.ports import Jobs
from backstop.runtime.actions.performer import Facts, Learn, Plan

_LONGEST_NAME: Final = 63


@dataclass(frozen=True, slots=True)
class StartJob:
    """Starts a Job whose name holds the action's id, so that it is started once."""

    jobs: Jobs

    async def plan(self, view: View, step: Step) -> Plan:
        """Return the template, and the Job that is made from it."""
        asked = step.of.run_job if step.of else None
        if asked is None:
            return Plan("", refusal="the step names no Job")
        kind = "CronJob" if asked.cron_job else "Job"
        template = ObjectRef(kind, view.namespace, asked.cron_job or asked.job or "")
        return Plan(str(template), after=job_name(view, step.action_id))

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:  # noqa: ARG002 - the port's signature
        """Start the Job; one that this action has started before is left alone."""
        kind, _, name = action.subject.partition("/")
        template = ObjectRef(kind, view.namespace, name)
        await self.jobs.start(template, action.after, action.id)
        return ""


def job_name(view: View, action_id: str) -> str:
    """Return the name of the Job of an action: at most 63 characters."""
    room = _LONGEST_NAME - len(action_id) - 1
    return f"{view.name.replace('.', '-')[:room].rstrip('-')}-{action_id}"
