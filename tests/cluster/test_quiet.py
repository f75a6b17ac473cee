"""While nothing changes, nothing is written."""

from __future__ import annotations

import asyncio

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import CANDIDATE, FALLBACK, TARGET, Stage, condition

pytestmark = pytest.mark.cluster

QUIET_SECONDS = 10


async def test_healthy_traffic_causes_no_writes_but_the_lease(stage: Stage) -> None:
    """Ten seconds of looks at a healthy target and candidate leave the API server alone."""
    operator = await stage.start()
    await stage.serve({TARGET: 80, CANDIDATE: 20, FALLBACK: 0})
    await stage.watch(candidate=manifests.arm(stage.namespace, CANDIDATE))
    await stage.until_good()
    await stage.until_status(
        "every signal is healthy",
        lambda s: (
            condition(s, "Ready").get("status") == "True"
            and [one["verdict"] for one in s["signals"]] == ["Healthy"] * 2
        ),
    )
    begin = len(operator.proxy.writes)
    await asyncio.sleep(QUIET_SECONDS)
    writes = operator.proxy.writes[begin:]
    assert [str(one) for one in writes if one.what is not What.LEASE] == []
    assert len(writes) >= 3, "the lease was renewed, so the operator was alive"
