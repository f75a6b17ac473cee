"""Two versions at once: a candidate that fails alone, and a fault that both share."""

from __future__ import annotations

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import CANDIDATE, FALLBACK, STORE, TARGET, Stage, actions, remains, until

pytestmark = pytest.mark.cluster


async def test_bad_candidate_loses_its_traffic_until_another_template_comes(stage: Stage) -> None:
    """The trial is aborted, its weight stays 0, and only a new template starts a new trial."""
    operator = await stage.start()
    await stage.serve({TARGET: 100, CANDIDATE: 0, FALLBACK: 0})
    await stage.watch(
        candidate=manifests.arm(stage.namespace, CANDIDATE, progression={"steps": [30]})
    )

    async def on_trial() -> bool:
        return await stage.weights() == {TARGET: 70, CANDIDATE: 30, FALLBACK: 0}

    async def without_candidate() -> bool:
        return await stage.weights() == {TARGET: 100, CANDIDATE: 0, FALLBACK: 0}

    await until("the candidate has its share", on_trial)
    await stage.fault(1.0, CANDIDATE)
    aborted = await stage.until_status(
        "the trial is aborted", lambda s: (s.get("candidate") or {}).get("phase") == "Aborted"
    )
    assert aborted["incident"]["arm"] == "candidate"
    assert await without_candidate()
    await remains("the weight of an aborted candidate is 0", without_candidate, seconds=4)
    assert (await stage.status())["candidate"]["phase"] == "Aborted"
    assert (await stage.status())["circuit"]["phase"] == "Closed"

    await stage.release(CANDIDATE, VERSION="next-2")
    await until("the new candidate has its share", on_trial)
    assert (await stage.status())["candidate"]["phase"] == "Trial"
    assert not operator.proxy.wrote(What.DEPLOYMENT)


async def test_fault_of_both_versions_is_not_blamed_on_a_release(stage: Stage) -> None:
    """Without their store both fail: circuit to the fallback, no rollback, and back afterwards."""
    weights = {TARGET: 60, CANDIDATE: 40, FALLBACK: 0}
    operator = await stage.start()
    await stage.serve(weights, store=True)
    await stage.watch(
        candidate=manifests.arm(stage.namespace, CANDIDATE),
        signals=[manifests.errors_signal(persistence={"breaches": 2, "looks": 2})],
    )
    await stage.until_good()
    before = await stage.generation()
    await stage.scale(STORE, 0)
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["arm"] == "target"
    assert opened["incident"]["cause"] == "infrastructure"
    assert (await stage.weights())[FALLBACK] == 100
    await stage.scale(STORE, 1)
    incident = await stage.until_resolved()

    assert actions(incident["status"], "rollback") == []
    assert await stage.generation() == before
    assert not operator.proxy.wrote(What.DEPLOYMENT)
    assert await stage.weights() == weights
