"""A runbook that asks a person, runs a Job and calls a program, on the real cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import TARGET, Stage, remains, until
from tests.cluster.test_brakes import annotate
from tests.cluster.test_recovery import NULLS
from tests.cluster.webhook_receiver import Receiver

from backstop.adapters.webhooks import verify

pytestmark = pytest.mark.cluster

_REPAIR = (
    "import os, urllib.request as r;"
    "r.urlopen(r.Request('http://' + os.environ['MODEL_SERVICE_HOST'] + '/nulls?0', b''))"
)


async def test_a_job_repairs_the_data_once_a_person_agrees(stage: Stage, tmp_path: Path) -> None:
    """Question, then Job, then what the Job repaired is checked, and no step more is taken.

    A question that nobody answers in time is followed by the next step.
    """
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    async with Receiver() as receiver:
        operator = await stage.start(config=_config(receiver, key))
        await stage.serve({TARGET: 100}, replicas=1)
        await stage.apply(manifests.cron_job("repair", sys.executable, "-c", _REPAIR))
        await stage.watch(
            fallback=None,
            signals=[manifests.errors_signal(), NULLS],
            runbook={
                "data": [
                    {"name": "nobody", "waitForApproval": {"expireAfter": "2s"}},
                    {"name": "call", "callWebhook": {"url": receiver.url, "payload": "age"}},
                    {"name": "ask", "waitForApproval": {"expireAfter": "5m"}},
                    {"name": "repair", "runJob": {"cronJob": "repair"}, "verify": {"within": "1m"}},
                    {"name": "restart", "restart": {}},
                ]
            },
        )
        await stage.until_good()
        before = await stage.generation()
        await stage.fault(0.5, TARGET, what="nulls")
        asked = await stage.until_status("it asks", lambda s: _states(s).get("ask") == "Waiting")
        assert asked["incident"]["cause"] == "data"
        assert _states(asked)["nobody"] == "Failed"

        async def waits() -> bool:
            return not operator.proxy.wrote(What.JOB)

        await remains("no Job is started", waits, seconds=2)
        await annotate(stage, approve=asked["approval"]["id"])
        status = await stage.until_status(
            "the incident is resolved", lambda s: (s.get("incident") or {}).get("resolved")
        )
        states = _states(status)
        assert states.pop("restart", "Skipped") == "Skipped"
        assert states == {"nobody": "Failed", "call": "Done", "ask": "Done", "repair": "Helped"}
        assert len(operator.proxy.wrote(What.JOB)) == 1
        assert await stage.generation() == before

        async def called() -> list[Any]:
            return [one for one in receiver.bodies if one[1].get("payload") == "age"]

        ((at, body, headers, raw),) = await until("the program is called", called)
        assert body["cause"] == "data"
        assert headers["Idempotency-Key"] == body["id"]
        assert verify(key.read_bytes(), headers, raw, at)


def _config(receiver: Receiver, key: Path) -> dict[str, Any]:
    host = receiver.url.removeprefix("http://").partition("/")[0]
    return {
        "sources": {"default": {"url": os.environ["LAB_PROMETHEUS_URL"]}},
        "webhooks": {"allowedHosts": [host], "secretFile": str(key)},
    }


def _states(status: dict[str, Any]) -> dict[str, str]:
    steps = (status.get("incident") or {}).get("steps", [])
    return {one["name"]: one["state"] for one in steps}
