"""A candidate held against the target beside it: small differences, shared faults, a restart."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster import manifests
from tests.cluster.stage import CANDIDATE, FALLBACK, TARGET, Stage, remains

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 70, CANDIDATE: 30, FALLBACK: 0}


def signals() -> list[dict[str, Any]]:
    """Return a comparison, and a limit that is too high to be broken by what the tests inject."""
    counters = {"requests": "requests_total", "errors": 'requests_total{code=~"5.."}'}
    against = {"errors": counters, "warmupSeconds": 0, "alpha": "0.1%"}
    return [
        {"name": "against-stable", "window": "1m", "minSamples": 20, "comparison": against},
        manifests.errors_signal(threshold={"errors": counters, "max": "60%"}),
    ]


def verdict_of(status: dict[str, Any], name: str, arm: str) -> dict[str, Any]:
    """Return what the status shows of one signal of one arm; empty before it was judged."""
    found = (one for one in status.get("signals", ()) if (one["name"], one["arm"]) == (name, arm))
    return next(found, {})


async def compare(stage: Stage) -> None:
    """Serve both versions, and wait until the comparison has a verdict on the candidate."""
    await stage.serve(WEIGHTS)
    await stage.watch(candidate=manifests.arm(stage.namespace, CANDIDATE), signals=signals())
    await stage.until_status(
        "the comparison is healthy",
        lambda s: verdict_of(s, "against-stable", "candidate").get("verdict") == "Healthy",
    )


async def test_a_candidate_that_is_only_worse_than_the_target_loses_its_traffic(
    stage: Stage,
) -> None:
    """No limit is broken; the evidence against the version beside it ends the trial, and is told.

    A replica that is killed meanwhile goes on with the evidence that the status holds.
    """
    operator = await stage.start()
    await compare(stage)
    before = (await stage.status())["tests"]
    operator.kill()
    await stage.start()
    await stage.fault(0.25, CANDIDATE)
    aborted = await stage.until_status(
        "the trial is aborted", lambda s: (s.get("candidate") or {}).get("phase") == "Aborted"
    )
    assert [(one["signal"], one["arm"]) for one in before] == [("against-stable", "candidate")]
    assert aborted["incident"]["cause"] == "release"
    assert "on stable" in aborted["incident"]["why"]
    assert "evidence 1:" in aborted["incident"]["why"]
    assert (await stage.weights())[CANDIDATE] == 0


async def test_a_fault_of_both_versions_is_no_evidence_against_one(stage: Stage) -> None:
    """Both answer as many errors: the comparison stays healthy, and the weights as they are."""
    await stage.start()
    await compare(stage)
    await stage.fault(0.3, TARGET, CANDIDATE)

    async def untouched() -> bool:
        found = verdict_of(await stage.status(), "against-stable", "candidate")
        return await stage.weights() == WEIGHTS and found["verdict"] == "Healthy"

    await remains("neither version is blamed", untouched, seconds=20)
