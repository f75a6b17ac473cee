"""SIGKILL at any write: after a restart the same end is reached, and nothing is done twice.

A crash before a write means that the API server never saw it; a crash after it, that the operator
never learnt what became of it. The first test here holds `POINTS` equal to what an incident really
writes.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from tests.cluster.api_proxy import Cut, What, Write
from tests.cluster.stage import FALLBACK, TARGET, Object, Operator, Stage, actions, until

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}
STEPS = ["openCircuit", "rollback", "notify", "probeCircuit", "closeCircuit"]
CHANGES = [step for step in STEPS if step != "notify"]
POINTS = [
    *(f"{state} {step}" for step in CHANGES for state in ("Planned", "target of", "Applied")),
    "Planned notify",
    "Verified notify",
    "create Incident",
    "Incident is Mitigated",
    "Incident is Repaired",
    "Incident is Resolved",
]
"""Writes that every incident after a bad release has, in order of step."""

BETWEEN = {f"Verified {step}" for step in CHANGES}
"""Writes that a look between two steps may add: they show what the next step's write also holds."""

LANES = 6
"""How many crashes are tried at once, each in a namespace of its own."""


class Moment(StrEnum):
    """When the operator is killed, seen from the write."""

    BEFORE = "before"
    AFTER = "after"


def _point(write: Write) -> str:
    """Return the name of a write of an incident, or "" for a write that is not part of one."""
    match write.what:
        case What.STATUS:
            return _point_in_status(write.payload[-1]["value"])
        case What.INCIDENT if write.method == "POST":
            return "create Incident"
        case What.INCIDENT:
            return f"Incident is {write.payload[-1]['value']['phase']}"
    return ""


def _point_in_status(status: Object) -> str:
    planned, incident = status.get("action"), status.get("incident") or {}
    if planned:
        return f"Planned {planned['step']}"
    done = actions(incident)
    return f"{done[-1]['state']} {done[-1]['step']}" if done else ""


@dataclass(slots=True)
class Points:
    """Names the writes of one replica as they come: those to a target by the step before them."""

    step: str = ""
    seen: list[str] = field(default_factory=list)

    def name(self, write: Write) -> str:
        """Return the name of the next write."""
        if write.what in {What.ROUTE, What.DEPLOYMENT}:
            point = f"target of {self.step}"
        else:
            point = _point(write)
        if point.startswith("Planned "):
            self.step = point.removeprefix("Planned ")
        self.seen.append(point)
        return point


async def test_every_write_of_an_incident_is_a_crash_point(stage: Stage) -> None:
    """An undisturbed run has the writes in `POINTS`, and no others but those `BETWEEN`."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    begin = len(operator.proxy.writes)
    await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await stage.until_resolved()
    points = Points()
    seen = {points.name(write) for write in operator.proxy.writes[begin:]}
    assert seen - BETWEEN - {""} == set(POINTS)


async def test_killed_between_mitigation_and_repair(stage: Stage) -> None:
    """While Backstop is dead the fallback answers; restarted, it repairs once and puts all back."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    points = Points()
    operator.proxy.before = _killer(operator, points, "target of rollback")
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    await asyncio.wait_for(operator.process.wait(), 90)
    dead = time.time()
    assert (await stage.status())["circuit"]["phase"] == "Open"
    assert await stage.generation() == bad["metadata"]["generation"]

    async def fallback_answers() -> bool:
        newest = [(one.status, one.body) for one in stage.load.answers[-20:] if one.at > dead]
        return newest == [(200, FALLBACK)] * 20

    await until("all clients are answered by the fallback", fallback_answers)
    await stage.start()
    await _check(stage, released=bad, targets_before=0, incidents=1)


async def test_killed_at_any_write(new_stage: Callable[[], Awaitable[Stage]]) -> None:
    """Whichever write the crash comes at: one rollback, three route writes, weights as before."""
    queue = list(itertools.product(Moment, POINTS))
    stages = [await new_stage() for _ in range(LANES)]
    lanes = (_lane(stage, queue) for stage in stages)
    results = await asyncio.gather(*lanes, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException)]
    if failures:
        raise BaseExceptionGroup("not every crash ended well", failures)
    assert queue == []


async def _lane(stage: Stage, queue: list[tuple[Moment, str]]) -> None:
    """Take crashes from the queue, one release after the other."""
    operator = await stage.start()
    await stage.serve(WEIGHTS)
    await stage.watch()
    await stage.until_good()
    incidents = 0
    while queue:
        moment, point = queue.pop(0)
        incidents += 1
        try:
            operator = await _crash(stage, operator, point, moment, incidents)
        except Exception as error:
            error.add_note(f"crash {moment} {point!r} in {stage.namespace}")
            raise


async def _crash(
    stage: Stage, operator: Operator, point: str, moment: Moment, incidents: int
) -> Operator:
    """Kill at `point` of a new incident, start again, check the end, and return the new replica."""
    points = Points()
    killer = _killer(operator, points, point)
    if moment is Moment.BEFORE:
        operator.proxy.before = killer
    else:
        operator.proxy.after = killer
    before = _targets_written(stage)
    bad = await stage.release(VERSION=f"bad-{incidents}", ERROR_RATE="1.0")
    try:
        await asyncio.wait_for(operator.process.wait(), 90)
    except TimeoutError:
        raise AssertionError(f"no write was {point!r}; seen {points.seen}") from None
    again = await stage.start()
    await _check(stage, released=bad, targets_before=before, incidents=incidents)
    return again


def _killer(operator: Operator, points: Points, point: str) -> Callable[[Write], Awaitable[None]]:
    async def kill(write: Write) -> None:
        if points.name(write) == point:
            operator.kill()
            raise Cut

    return kill


def _targets_written(stage: Stage) -> int:
    kinds = (What.ROUTE, What.DEPLOYMENT)
    return sum(len(one.proxy.wrote(*kinds)) for one in stage.operators)


async def _check(stage: Stage, *, released: Object, targets_before: int, incidents: int) -> None:
    """Check the end of the incident after the bad revision `released`."""

    async def all_resolved() -> list[Object] | None:
        found = await stage.incidents()
        phases = [one["status"]["phase"] for one in found]
        return found if phases == ["Resolved"] * incidents else None

    found = await until(f"{incidents} resolved Incidents", all_resolved)
    newest = max(found, key=lambda one: one["metadata"]["name"])
    assert [one["step"] for one in actions(newest["status"])] == STEPS
    assert {one["state"] for one in actions(newest["status"])} <= {"Applied", "Verified"}
    assert await stage.weights() == WEIGHTS
    assert await stage.generation() == released["metadata"]["generation"] + 1
    assert _targets_written(stage) - targets_before == len(CHANGES)
    status = await stage.status()
    assert status["circuit"]["phase"] == "Closed"
    assert status["revisions"]["current"]["fingerprint"] == _good(status)
    assert "action" not in status


def _good(status: Object) -> str:
    fingerprint: str = status["revisions"]["lastGood"]["fingerprint"]
    return fingerprint
