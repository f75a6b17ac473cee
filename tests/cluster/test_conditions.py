"""What is wrong with a monitor is said in its conditions, and stays its own problem."""

from __future__ import annotations

import asyncio

import pytest
from tests.cluster import manifests
from tests.cluster.stage import FALLBACK, MONITOR, ROUTE, TARGET, Stage, condition

pytestmark = pytest.mark.cluster

SEVERAL = {
    "name": "several",
    "pillar": "system",
    "window": "4s",
    "threshold": {"promql": {"expr": "sum by (code) (requests_total)"}, "max": "10"},
}
BROKEN: dict[str, tuple[dict, str, str, str, bool]] = {
    "no-target": (
        {"target": {"name": "absent", "metricLabels": {"app": "absent"}}},
        "TargetFound",
        "TargetNotFound",
        "Deployment/absent does not exist",
        False,
    ),
    "no-route": (
        {"traffic": {"httpRoute": "absent"}, "fallback": {"service": FALLBACK}},
        "RouteReady",
        "RouteNotFound",
        "HTTPRoute/absent does not exist",
        False,
    ),
    "other-services": (
        {"traffic": {"httpRoute": ROUTE}, "fallback": {"service": "elsewhere"}},
        "RouteReady",
        "RouteHasNoRule",
        "elsewhere",
        True,
    ),
    "wrong-port": (
        {"traffic": {"httpRoute": "wrong-port"}, "fallback": {"service": FALLBACK}},
        "RouteReady",
        "RouteNotResolved",
        "correct the Service or its port",
        False,
    ),
    "several-series": (
        {"signals": [SEVERAL]},
        "MetricsAvailable",
        "InvalidQuery",
        "aggregate them to one",
        True,
    ),
    "suspended": ({"suspend": True}, "Ready", "Suspended", "spec.suspend is true", False),
}
"""Changes of a spec, and the condition, reason, words and whether only a person can help."""


async def _kubectl(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "kubectl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_each_broken_monitor_says_what_to_change_and_disturbs_no_other(stage: Stage) -> None:
    """`kubectl wait` sees Ready where all is well, and the reason where it is not."""
    await stage.start()
    await stage.serve({TARGET: 100, FALLBACK: 0})
    wrong = manifests.route(f"wrong.{stage.host}", {TARGET: 100, FALLBACK: 0}, {FALLBACK: 81})
    await stage.apply({**wrong, "metadata": {"name": "wrong-port"}})
    for name, (change, *_) in BROKEN.items():
        await stage.watch(name=name, **{"traffic": None, "fallback": None, **change})
    await stage.watch()
    waiting = ("wait", f"modelmonitor/{MONITOR}", "-n", stage.namespace, "--timeout=20s")
    code, said = await _kubectl(*waiting, "--for=condition=Ready")
    assert code == 0, said
    for name, (_, kind, reason, words, stalled) in BROKEN.items():
        status = await stage.until_status(
            f"{name} has {reason}",
            lambda s, kind=kind, reason=reason: condition(s, kind).get("reason") == reason,
            name=name,
            seconds=15,
        )
        ready = condition(status, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", reason), name
        assert words in condition(status, kind)["message"], name
        assert condition(status, kind)["status"] == "False", name
        assert condition(status, "Stalled").get("status") == ("True" if stalled else None), name
        assert ready["observedGeneration"] == status["observedGeneration"] == 1, name
    await stage.until_good()
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")


async def test_monitor_becomes_ready_when_what_was_missing_comes(stage: Stage) -> None:
    """A monitor that was applied before everything it names needs no second apply."""
    await stage.start()
    await stage.watch()
    await stage.until_status(
        "the target is missing",
        lambda s: condition(s, "TargetFound").get("reason") == "TargetNotFound",
    )
    await stage.apply(
        manifests.service(TARGET),
        manifests.deployment(TARGET),
        manifests.service(FALLBACK),
        manifests.deployment(FALLBACK),
        manifests.route(stage.host, {TARGET: 100, FALLBACK: 0}),
    )
    await stage.until_status(
        "the monitor is ready", lambda s: condition(s, "Ready").get("status") == "True"
    )
