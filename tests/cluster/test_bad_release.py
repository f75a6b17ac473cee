"""A bad revision of the target, long after its rollout was called a success."""

from __future__ import annotations

import pytest
from tests.cluster.api_proxy import What
from tests.cluster.stage import FALLBACK, TARGET, Stage, actions, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


async def test_bad_release_is_mitigated_rolled_back_and_resolved(stage: Stage) -> None:
    """Traffic goes to the fallback, the Deployment back to the good revision, the weights back.

    The revision is changed exactly once; the Incident tells the times in their order, and Events
    tell each action with a typed reason.
    """
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    good = (await stage.until_good())["revisions"]["lastGood"]["fingerprint"]
    bad = await stage.release(VERSION="v2", ERROR_RATE="0.6")
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["cause"] == "release"
    incident = await stage.until_resolved()

    assert await stage.weights() == WEIGHTS
    after = await stage.get("Deployment", TARGET)
    assert after["metadata"]["generation"] == bad["metadata"]["generation"] + 1
    assert after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len(operator.proxy.wrote(What.DEPLOYMENT)) == 1
    env = {e["name"]: e.get("value") for e in _container(after)["env"]}
    assert (env["VERSION"], "ERROR_RATE" in env) == (TARGET, False)

    status = await stage.status()
    assert status["revisions"]["current"]["fingerprint"] == good
    assert status["circuit"]["phase"] == "Closed"
    told = incident["status"]
    assert told["cause"] == "release"
    times = [told[key] for key in ("onset", "detected", "mitigated", "repaired", "resolved")]
    assert times == sorted(times)
    steps = [one["step"] for one in actions(told)]
    assert steps == ["openCircuit", "rollback", "notify", "probeCircuit", "closeCircuit"]
    expected = {
        "IncidentDetected",
        "CircuitOpened",
        "RolledBack",
        "Notified",
        "CircuitHalfOpen",
        "CircuitClosed",
        "IncidentResolved",
    }

    async def told_all() -> bool:
        return expected <= await stage.event_reasons()

    await until(f"Events with the reasons {sorted(expected)}", told_all)


def _container(deployment: dict) -> dict:
    return deployment["spec"]["template"]["spec"]["containers"][0]


async def test_mitigation_needs_no_complete_target(stage: Stage) -> None:
    """With one of three pods never ready, a fault of the other two still moves the traffic."""
    await stage.start()
    await stage.serve(WEIGHTS, replicas=3)
    await stage.post_to_pod((await stage.pods(TARGET))[0], "/unready")

    async def two_ready() -> bool:
        return (await stage.get("Deployment", TARGET))["status"].get("readyReplicas") == 2

    await until("two of three pods are ready", two_ready)
    await stage.watch()
    await stage.until_status("the monitor is healthy", lambda s: s.get("verdict") == "Healthy")
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")
    assert await stage.weights() == {TARGET: 0, FALLBACK: 100}
    assert await two_ready()
