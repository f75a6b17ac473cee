"""What a person types, on the real cluster: explain, approve, candidate, runbook."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from tests.cluster import manifests
from tests.cluster.stage import CANDIDATE, FALLBACK, MONITOR, TARGET, Stage, actions, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}


async def backstop(stage: Stage, *arguments: str) -> str:
    """Run a command against the stage's namespace, and return what it printed."""
    place = ("-n", stage.namespace, "--kubeconfig", os.environ["KUBECONFIG"])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backstop", *arguments, *place),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    said = printed.decode()
    assert process.returncode == 0, said
    return said


async def explain(stage: Stage) -> str:
    """Return a look at the stage's monitor on one line."""
    namespace = ("--lease-namespace", stage.namespace)
    source = ("--prometheus", os.environ["LAB_PROMETHEUS_URL"])
    said = await backstop(stage, "explain", MONITOR, *source, *namespace)
    return " ".join(said.split())


async def test_explanation_is_what_the_operator_then_does(stage: Stage) -> None:
    """A look without an operator names the step that an operator takes, and changes nothing."""
    await stage.serve(WEIGHTS)
    await stage.watch()

    async def healthy() -> bool:
        return "Next no action: all signals of model are healthy" in await explain(stage)

    await until("the explanation says that all is well", healthy)
    await stage.fault(1.0, TARGET)

    async def breached() -> bool:
        return "Next give all traffic to Service simple: target fails" in await explain(stage)

    before = await stage.get("ModelMonitor", MONITOR)
    await until("the explanation names the step", breached)
    assert await stage.get("ModelMonitor", MONITOR) == before
    assert await stage.weights() == WEIGHTS
    alone = await backstop(stage, "explain", MONITOR)
    assert "by its status alone" in alone

    await stage.start()
    opened = await stage.until_circuit("Open")
    assert actions(opened["incident"])[0]["step"] == "openCircuit"
    said = await explain(stage)
    assert f"Incident {opened['incident']['name']}, P" in said
    assert "1. to-the-fallback (openCircuit): Done since" in said


async def test_step_waits_until_a_person_approves(stage: Stage) -> None:
    """In mode Approve nothing moves before `backstop approve`, and then it does."""
    await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch(mode="Approve")
    await stage.until_status("the monitor is healthy", lambda s: s.get("verdict") == "Healthy")
    await stage.fault(1.0, TARGET)
    asked = await stage.until_status("a person is asked", lambda s: s.get("approval"))
    assert asked["approval"]["step"] == "openCircuit"
    assert await stage.weights() == WEIGHTS
    name = asked["approval"]["id"]
    assert f"backstop approve {MONITOR} {name} -n {stage.namespace}" in await explain(stage)
    page = await backstop(stage, "runbook", "show", MONITOR, "--cause", "infrastructure")
    assert "1. **to-the-fallback**" in page
    assert "is under way** since" in page

    said = await backstop(stage, "approve", MONITOR, name)
    assert said.startswith("approved: ")
    await stage.until_circuit("Open")
    assert await stage.weights() == {TARGET: 0, FALLBACK: 100}
    monitor = await stage.get("ModelMonitor", MONITOR)
    assert monitor["metadata"]["annotations"]["backstop.dev/approve"] == name
    assert monitor["metadata"]["generation"] == 1


async def test_candidate_does_what_a_person_says(stage: Stage) -> None:
    """Pause, resume, promote and abort show the phase before and after, and move the traffic."""
    await stage.start()
    await stage.serve({TARGET: 100, CANDIDATE: 0, FALLBACK: 0})
    plan = {"steps": [10, 30], "minTime": "1h", "maxTime": "2h", "promotion": "Never"}
    await stage.watch(candidate=manifests.arm(stage.namespace, CANDIDATE, progression=plan))
    await stage.until_status(
        "the candidate is at its first step", lambda s: (s.get("candidate") or {}).get("stepSince")
    )
    said = await backstop(stage, "candidate", "pause", MONITOR)
    assert said.startswith("next: Trial at 10 % (")
    assert "-> Paused at 10 % (at 10 %: paused by a person)" in said
    said = await backstop(stage, "candidate", "resume", MONITOR)
    assert said.startswith("next: Paused at 10 %")
    assert "-> Trial at 10 % (" in said
    said = await backstop(stage, "candidate", "promote", MONITOR)
    assert "-> Trial at 30 %" in said
    assert await stage.weights() == {TARGET: 70, CANDIDATE: 30, FALLBACK: 0}
    said = await backstop(stage, "candidate", "abort", MONITOR)
    assert "-> Aborted" in said
    assert await stage.weights() == {TARGET: 100, CANDIDATE: 0, FALLBACK: 0}
