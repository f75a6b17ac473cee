"""Targets that are no plain Deployment: one with an autoscaler, a StatefulSet, swapped roles."""

from __future__ import annotations

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import What
from tests.cluster.stage import CANDIDATE, FALLBACK, TARGET, Stage, actions, until
from tests.cluster.test_recovery import SLOW

pytestmark = pytest.mark.cluster


async def test_an_autoscaler_is_asked_for_more_pods(stage: Stage) -> None:
    """Its least number is raised and it follows; nothing is written to the Deployment."""
    operator = await stage.start()
    stage.load.rate = 20.0
    await stage.serve({TARGET: 100}, env={TARGET: {"WORK": "0.04"}})
    await stage.apply(manifests.autoscaler(TARGET, least=2, most=4))
    await stage.watch(fallback=None, signals=[SLOW])
    await stage.until_good()
    stage.load.rate = 56.0  # two pods serve 50 in a second
    status = await stage.until_status(
        "the incident is resolved",
        lambda s: (s.get("incident") or {}).get("resolved"),
        seconds=120,
    )
    (scaled,) = actions(status["incident"], "scale")
    assert scaled["subject"] == f"HorizontalPodAutoscaler/{TARGET} of Deployment/{TARGET}"
    assert (scaled["state"], scaled["before"], scaled["after"]) == ("Verified", "2", "3")
    scaler = await stage.get("HorizontalPodAutoscaler", TARGET)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 4)
    assert (await stage.get("Deployment", TARGET))["spec"]["replicas"] == 3
    assert len(operator.proxy.wrote(What.AUTOSCALER)) == 1
    assert not operator.proxy.wrote(What.DEPLOYMENT)


async def test_a_bad_release_of_a_stateful_set_is_rolled_back(stage: Stage) -> None:
    """Traffic goes aside, its pods run the good revision again, and the traffic comes back."""
    operator = await stage.start()
    weights = {TARGET: 100, FALLBACK: 0}
    stage.kinds[TARGET] = "StatefulSet"
    await stage.serve(weights)
    await stage.watch(target=manifests.arm(stage.namespace, TARGET, kind="StatefulSet"))
    good = (await stage.until_good())["revisions"]["lastGood"]["fingerprint"]
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["cause"] == "release"
    incident = await stage.until_resolved()
    steps = [one["step"] for one in actions(incident["status"])]
    assert steps == ["openCircuit", "rollback", "notify", "probeCircuit", "closeCircuit"]
    assert await stage.weights() == weights
    await stage.until_rolled_out(TARGET)
    after = await stage.get("StatefulSet", TARGET)
    assert after["metadata"]["generation"] == bad["metadata"]["generation"] + 1
    assert after["status"]["currentRevision"] == after["status"]["updateRevision"]
    assert (await stage.status())["revisions"]["current"]["fingerprint"] == good
    assert len(operator.proxy.wrote(What.STATEFULSET)) == 1


async def test_after_swapped_roles_the_former_candidate_is_watched_as_the_target(
    stage: Stage,
) -> None:
    """Nothing but the route is written for it; a later bad release of it is rolled back."""
    operator = await stage.start()
    await stage.serve({TARGET: 100, CANDIDATE: 0, FALLBACK: 0})
    progression = {"steps": [50, 100], "minTime": "2s", "promotion": "SwapRoles"}
    begin = len(stage.load.answers)
    await stage.watch(candidate=manifests.arm(stage.namespace, CANDIDATE, progression=progression))
    await stage.until_status("the roles are swapped", lambda s: s.get("promoted") == CANDIDATE)
    swapped = {TARGET: 0, CANDIDATE: 100, FALLBACK: 0}
    assert await stage.weights() == swapped
    assert not operator.proxy.wrote(What.DEPLOYMENT)
    assert {one.status for one in stage.load.answers[begin:]} == {200}

    await stage.until_good()
    bad = await stage.release(CANDIDATE, VERSION="v2", ERROR_RATE="1.0")
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["arm"] == "target"
    assert await stage.weights() == {TARGET: 0, CANDIDATE: 0, FALLBACK: 100}
    incident = await stage.until_resolved()
    (back,) = actions(incident["status"], "rollback")
    assert back["subject"] == f"Deployment/{CANDIDATE}"
    assert await stage.weights() == swapped
    assert await stage.generation(CANDIDATE) == bad["metadata"]["generation"] + 1
    assert len(operator.proxy.wrote(What.DEPLOYMENT)) == 1

    async def answers_again() -> bool:
        newest = [(one.status, one.body) for one in stage.load.answers[-20:]]
        return newest == [(200, CANDIDATE)] * 20

    await until("all clients are answered by the good revision", answers_again)
