"""What is told of a call of another program."""

from typing import Any, cast

import pytest

from backstop.adapters.destinations import Allowed
from backstop.adapters.webhooks import SignedWebhooks
from backstop.api.runbook import RunbookStep
from backstop.core.view import Step, View
from backstop.runtime.actions.tell import CallProgram


class Access:
    allowed = Allowed.of(["hooks.example.com"])
    secret_file = None
    deadline = 1.0


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/new?token=hunter2", "https://hooks.example.com/new"]
)
async def test_the_query_of_a_webhook_is_not_told(url: str):
    """Status, Events and log name the program; what stands behind ? may be a token."""
    asked = {"name": "call", "callWebhook": {"url": url}}
    step: Any = RunbookStep.model_validate(asked)
    kind = next(iter(step.actions))
    plan = await CallProgram(SignedWebhooks(Access())).plan(
        cast("View", None), Step(kind, "id", "why", of=step)
    )
    assert plan.subject == "https://hooks.example.com/new"
