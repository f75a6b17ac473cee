"""Prometheus does not answer while users really suffer."""

from __future__ import annotations

import os
import time

import pytest
from tests.cluster.api_proxy import What
from tests.cluster.source_gate import Gate, SourceGate
from tests.cluster.stage import FALLBACK, TARGET, Stage, condition, remains

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


@pytest.mark.parametrize("gate", [Gate.REFUSING, Gate.HANGING])
async def test_without_metrics_nothing_moves_and_the_status_says_why(
    stage: Stage, gate: Gate
) -> None:
    """No numbers, no action, although errors go on; when the numbers are back, it acts."""
    async with SourceGate(os.environ["LAB_PROMETHEUS_URL"]) as source:
        operator = await stage.start(source=source.url)
        await stage.serve(WEIGHTS)
        await stage.watch()
        await stage.until_good()
        before = await stage.generation()
        await source.set(gate)
        began = time.time()
        await stage.fault(1.0, TARGET)
        status = await stage.until_status(
            "the source is down",
            lambda s: condition(s, "MetricsAvailable").get("reason") == "SourceDown",
        )
        assert condition(status, "MetricsAvailable")["status"] == "False"
        assert condition(status, "Ready")["status"] == "False"
        assert condition(status, "Ready")["reason"] == "SourceDown"
        assert status["verdict"] == "Unknown"
        assert "SourceDown" in status["why"]

        async def untouched() -> bool:
            return (await stage.weights(), await stage.generation()) == (WEIGHTS, before)

        await remains("nothing is changed without metrics", untouched, seconds=4)
        assert not operator.proxy.wrote(What.ROUTE, What.DEPLOYMENT)
        assert stage.load.since(began)[500, TARGET] > 50
        await source.set(Gate.OPEN)
        await stage.until_circuit("Open")
        await stage.until_status(
            "the source is back", lambda s: condition(s, "MetricsAvailable")["status"] == "True"
        )
