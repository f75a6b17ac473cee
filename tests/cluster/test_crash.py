"""SIGKILL at any write: after a restart the same end is reached, and nothing is done twice.

The golden run shows which writes an incident consists of; `POINTS` names each of them, and a test
holds the two equal. A crash before a write means that the API server never saw it, a crash after it
that the operator never learnt of it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import pytest
from tests.cluster.api_proxy import Cut, What, Write
from tests.cluster.stage import FALLBACK, TARGET, Operator, Stage, actions

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}
STEPS = ["openCircuit", "rollback", "probeCircuit", "closeCircuit"]
WATCHED = (What.STATUS, What.ROUTE, What.DEPLOYMENT, What.INCIDENT)
LANES = 4
"""How many crashes are tried at once, each in a namespace of its own."""


async def test_golden(stage: Stage) -> None:
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    begin = len(operator.proxy.writes)
    await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await stage.until_resolved()
    for w in operator.proxy.writes[begin:]:
        p = w.payload
        extra = ""
        if w.what is What.STATUS:
            st = p[-1]["value"]
            a = st.get("action")
            i = st.get("incident") or {}
            extra = (
                a and (a["step"], a["state"]),
                st["circuit"]["phase"],
                [(x["step"], x["state"]) for x in i.get("actions", [])],
                i.get("resolved"),
                st["verdict"],
            )
        if w.what is What.INCIDENT and w.method == "PATCH":
            i = p[-1]["value"]
            extra = (i["phase"], [(x["step"], x["state"]) for x in i.get("actions", [])])
        print(w, extra)
    assert 0
