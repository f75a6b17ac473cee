"""Telling people and other programs; nothing in the cluster changes."""

import json
from dataclasses import dataclass
from typing import Final

from backstop.api.runbook import MESSAGES
from backstop.api.status import Action, Episode
from backstop.api.words import Severity
from backstop.core.episode import under_way
from backstop.core.messages import Notification, WebhookCall
from backstop.core.runbook import steps_of
from backstop.core.view import Step, View
from backstop.ports import Notifier, Webhooks
from backstop.runtime.actions.performer import Facts, Learn, Plan

_TIMEOUT: Final = 60.0
"""Seconds that a call takes at most; the operator's configuration usually allows less."""


@dataclass(frozen=True, slots=True)
class TellPeople:
    """Hands a notification over; it is delivered in the background, at least once."""

    notifier: Notifier

    async def plan(self, view: View, step: Step) -> Plan:
        """Return whom it goes to."""
        to = step.of.notify.to if step.of and step.of.notify else ""
        return Plan(to or f"people on call for {view.name}")

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:  # noqa: ARG002 - the port's signature
        """Hand it over."""
        episode = under_way(view.status)
        if episode is not None:
            self.notifier.notify(notification(view, episode, action))
        return ""


def notification(view: View, episode: Episode, action: Action) -> Notification:
    """Return what a ``notify`` step of the runbook says."""
    asked = next((one for one in steps_of(view, episode) if one.name == action.name), None)
    notify = asked.notify if asked else None
    severity = (notify.severity if notify else None) or episode.severity
    lines = [notify.text if notify else "", episode.why, *done(episode)]
    return Notification(
        id=action.id,
        monitor=f"{view.namespace}/{view.name}",
        incident=episode.name,
        severity=severity,
        title=f"{severity} {view.name}: {episode.cause} is at fault",
        text="\n".join(filter(None, lines)),
        audience=notify.to if notify else "",
        page=severity is Severity.P0,
    )


def done(episode: Episode) -> list[str]:
    """Return what was done in the incident, a line each."""
    return [
        f"{action.state.value}: {action.step.value} on {action.subject}"
        for action in episode.actions
        if action.step not in MESSAGES
    ]


@dataclass(frozen=True, slots=True)
class CallProgram:
    """Calls a webhook that the operator's configuration allows."""

    webhooks: Webhooks

    async def plan(self, view: View, step: Step) -> Plan:  # noqa: ARG002 - the port's signature
        """Return where to."""
        asked = step.of.call_webhook if step.of else None
        if asked is None:
            return Plan("", refusal="the step names no webhook")
        # Without the query, which may hold a token: this is shown in status, Events and the log.
        return Plan(asked.url.split("?", 1)[0][:253], after=asked.payload[:1024])

    async def change(self, view: View, action: Action, learn: Learn, facts: Facts | None) -> str:  # noqa: ARG002 - the port's signature
        """Call once; a repetition carries the same idempotency key."""
        episode = under_way(view.status)
        if episode is None:
            return "the incident is over"
        asked = next((one for one in steps_of(view, episode) if one.name == action.name), None)
        if asked is None or asked.call_webhook is None:
            return "the runbook has no such step any more"
        body = {
            "id": action.id,
            "monitor": f"{view.namespace}/{view.name}",
            "incident": episode.name,
            "cause": episode.cause.value,
            "severity": episode.severity.value,
            "why": episode.why,
            "payload": asked.call_webhook.payload,
        }
        call = WebhookCall(action.id, asked.call_webhook.url, json.dumps(body), _TIMEOUT)
        await self.webhooks.call(call)
        return ""
