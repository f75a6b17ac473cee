"""Runbooks as the watch shows them, or as they are read where it has shown nothing yet."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from tests.core.build import spec
from tests.runtime.test_watch import monitor

from backstop.core.facts import ObjectRef
from backstop.ports import KubeApi, NotFoundError
from backstop.runtime.record import record_of
from backstop.runtime.runbooks import Runbooks

REF = ObjectRef("Runbook", "demo", "ours")
BODY = {"spec": {"data": [{"name": "tell", "notify": {"to": "data owner"}}]}}


class Slow:
    """An API server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.is_there = False

    async def get(self, _: str) -> Mapping[str, Any]:
        self.asked.set()
        there = self.is_there
        await self.go.wait()
        if not there:
            raise NotFoundError("not found")
        return BODY


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_runbook_that_is_watched_while_it_is_read_is_kept(is_there):
    """It was made, or deleted, a moment after the API server answered the read."""
    api = Slow()
    api.is_there = is_there
    runbooks = Runbooks(cast("KubeApi", api))
    body = monitor("m") | {"spec": spec(runbook={"name": "ours"}).to_json()}
    record = record_of(body, {})
    reading = asyncio.create_task(runbooks.of(record))
    await api.asked.wait()
    runbooks.saw(REF, None if is_there else BODY)
    api.go.set()
    for known in (await reading, await runbooks.of(record)):
        assert (known.problem is None) is not is_there
        assert (known.steps is not None) is not is_there
