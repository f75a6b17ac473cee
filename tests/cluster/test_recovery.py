"""From fault to recovery, by the cause: what is done, in which order, and what is left alone."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import (
    CANDIDATE,
    FALLBACK,
    STORE,
    TARGET,
    Object,
    Stage,
    actions,
    remains,
    until,
)
from tests.cluster.webhook_receiver import Receiver

from backstop.adapters.webhooks import verify

pytestmark = pytest.mark.cluster

AT_ONCE = {"persistence": {"breaches": 1, "looks": 1}}
SLOW = {
    "name": "slow",
    "window": "5s",
    "minSamples": 20,
    **AT_ONCE,
    "threshold": {
        "latency": {"buckets": "request_seconds_bucket", "above": "500ms"},
        "max": "20%",
    },
}
NULLS = {
    "name": "nulls",
    "window": "5s",
    "minSamples": 20,
    **AT_ONCE,
    "dataQuality": {
        "features": {
            "buckets": "feature_value_bucket",
            "missing": "feature_missing_total",
            "invalid": "feature_invalid_total",
            "label": "feature",
        },
        "missing": "8%",
    },
}
SCORES = {
    "name": "scores",
    "window": "40s",
    "minSamples": 20,
    "onBreach": "Act",
    "pillar": "model",
    **AT_ONCE,
    "drift": {
        "scores": {"buckets": "score_bucket"},
        "reference": {"stable": True},
        "by": "ks",
        "max": "0.3",
    },
}


async def _resolved(stage: Stage, seconds: float) -> Object:
    status = await stage.until_status(
        "the incident is resolved",
        lambda s: (s.get("incident") or {}).get("resolved"),
        seconds=seconds,
    )
    told: Object = status["incident"]
    return told


async def test_more_load_than_the_pods_can_serve_is_scaled_out(stage: Stage) -> None:
    """Latency climbs from 50 ms to seconds; with more pods it is good again, and nothing else is
    done: no rollback, no restart.
    """
    operator = await stage.start()
    stage.load.rate = 20.0
    await stage.serve({TARGET: 100}, env={TARGET: {"WORK": "0.04"}})
    await stage.watch(fallback=None, signals=[SLOW])
    await stage.until_good()
    before = await stage.get("Deployment", TARGET)
    stage.load.rate = 56.0  # two pods serve 50 in a second
    told = await _resolved(stage, 120)
    assert told["cause"] == "infrastructure"
    assert "Slow" in told["findings"]
    assert {one["step"] for one in actions(told)} == {"scale", "notify"}
    (scaled,) = actions(told, "scale")
    assert (scaled["state"], scaled["before"], scaled["after"]) == ("Verified", "2", "3")
    after = await stage.get("Deployment", TARGET)
    assert after["spec"]["replicas"] == 3
    assert after["spec"]["template"] == before["spec"]["template"]
    progress = {one["name"]: one["state"] for one in told["steps"]}
    assert progress["scale-out"] == "Helped"
    assert len(operator.proxy.wrote(What.DEPLOYMENT)) == 1


async def test_broken_data_on_both_versions_opens_the_circuit_and_rolls_nothing_back(
    stage: Stage,
) -> None:
    """20 % nulls from upstream, right after a release: neither version is to blame."""
    await stage.start()
    weights = {TARGET: 60, CANDIDATE: 40, FALLBACK: 0}
    await stage.serve(weights)
    await stage.watch(
        candidate=manifests.arm(stage.namespace, CANDIDATE),
        signals=[manifests.errors_signal(), NULLS],
    )
    await stage.until_good()
    await stage.release(VERSION="v2")
    await stage.until_rolled_out(TARGET)
    released = await stage.generation()
    await stage.fault(0.2, TARGET, CANDIDATE, what="nulls")
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["cause"] == "data"
    assert opened["candidate"]["phase"] == "Trial"

    async def nothing_else() -> bool:
        told = (await stage.status())["incident"]
        steps = {one["step"] for one in actions(told)}
        return not steps & {"rollback", "restart", "scale"}

    await remains("no version is changed", nothing_else, seconds=6)
    await stage.fault(0.0, TARGET, CANDIDATE, what="nulls")
    await _resolved(stage, 60)
    assert await stage.weights() == weights
    assert await stage.generation() == released


async def test_a_candidate_with_other_scores_is_sent_back_at_one_percent(stage: Stage) -> None:
    """It answers fast and without errors, and is wrong: 1 % of the traffic shows it."""
    await stage.start()
    stage.load.rate = 120.0
    env = {CANDIDATE: {"SCORE_POWER": "9"}}
    await stage.serve({TARGET: 100, CANDIDATE: 0, FALLBACK: 0}, env=env)
    target = await stage.generation()
    progression = {"steps": [1, 50, 100], "minTime": "90s", "maxTime": "10m"}
    await stage.watch(
        candidate=manifests.arm(stage.namespace, CANDIDATE, progression=progression),
        signals=[manifests.errors_signal(), SCORES],
    )
    seen: set[int] = set()

    async def aborted() -> Object | None:
        seen.add((await stage.weights())[CANDIDATE])
        status = await stage.status()
        return status if (status.get("candidate") or {}).get("phase") == "Aborted" else None

    status = await until("the candidate is aborted", aborted, seconds=110)
    assert seen <= {0, 1}
    assert 1 in seen
    assert await stage.weights() == {TARGET: 100, CANDIDATE: 0, FALLBACK: 0}
    assert status["incident"]["cause"] == "release"
    assert status["incident"]["arm"] == "candidate"
    assert await stage.generation() == target


async def test_a_good_candidate_gets_all_of_the_traffic_and_is_promoted(stage: Stage) -> None:
    """Step by step, over a SIGKILL in between; the target then runs its version, and no request
    fails.
    """
    operator = await stage.start()
    weights = {TARGET: 100, CANDIDATE: 0, FALLBACK: 0}
    await stage.serve(weights, env={CANDIDATE: {"FLAVOUR": "new"}})
    progression = {"steps": [20, 60, 100], "minTime": "4s"}
    begin = len(stage.load.answers)
    await stage.watch(candidate=manifests.arm(stage.namespace, CANDIDATE, progression=progression))
    seen: list[int] = []

    async def at(share: int) -> bool:
        now = (await stage.weights())[CANDIDATE]
        if not seen or seen[-1] != now:
            seen.append(now)
        return now == share

    await until("it has 60 %", lambda: at(60), seconds=60)
    await operator.killed()
    await stage.start()
    await until("it has all of it", lambda: at(100), seconds=60)

    async def promoted() -> bool:
        await at(0)
        status = await stage.status()
        return bool((status.get("candidate") or {}).get("phase") == "Promoted")

    await until("it is promoted", promoted, seconds=60)
    assert [one for one in seen if one] == [20, 60, 100]
    assert await stage.weights() == weights
    template = (await stage.get("Deployment", TARGET))["spec"]["template"]
    env = {one["name"]: one.get("value") for one in template["spec"]["containers"][0]["env"]}
    assert (env["VERSION"], env["FLAVOUR"]) == (CANDIDATE, "new")
    assert template["metadata"]["labels"] == {"app": TARGET}
    failed = [one for one in stage.load.answers[begin:] if one.status != 200]
    assert failed == []


async def test_a_rollback_that_does_not_help_escalates_and_wakes_somebody(
    stage: Stage, tmp_path: Path
) -> None:
    """What the model needs is gone: back to the old version, in vain; then the circuit, then the
    page.
    """
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    async with Receiver() as receiver:
        operator = await stage.start(
            config={
                "sources": {"default": {"url": os.environ["LAB_PROMETHEUS_URL"]}},
                "notifications": {"url": receiver.url, "secretFile": str(key)},
            }
        )
        await stage.serve({TARGET: 100, FALLBACK: 0}, store=True)
        back = {"name": "back", "rollback": {}, "verify": {"within": "6s"}}
        aside = {"name": "aside", "openCircuit": {}}
        word = {"name": "page", "notify": {"severity": "P0", "to": "on call"}}
        await stage.watch(runbook={"release": [back, aside, word]})
        await stage.until_good()
        await stage.release(VERSION="v2")
        await stage.until_rolled_out(TARGET)
        await stage.scale(STORE, 0)
        opened = await stage.until_status(
            "the circuit is open", lambda s: s["circuit"].get("phase") == "Open", seconds=90
        )
        told = opened["incident"]
        assert (told["cause"], told["severity"]) == ("release", "P0")
        progress = {one["name"]: one["state"] for one in told["steps"]}
        assert progress["back"] == "NotHelped"

        async def paged() -> list[Any]:
            return [one for one in receiver.bodies if one[1].get("audience") == "on call"]

        (at, body, headers, raw), *_ = await until("somebody is paged", paged)
        assert (body["page"], body["severity"]) == (True, "P0")
        assert verify(key.read_bytes(), headers, raw, at)
        moved = datetime.fromisoformat(actions(told, "openCircuit")[0]["appliedAt"])
        assert moved.timestamp() < at
        assert len(operator.proxy.wrote(What.DEPLOYMENT)) == 1
        await stage.scale(STORE, 1)
        await _resolved(stage, 90)
        assert await stage.weights() == {TARGET: 100, FALLBACK: 0}
