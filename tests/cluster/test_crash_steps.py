"""SIGKILL at any write of a promotion, and of a runbook with repairs: the same end, nothing twice.

A crash comes just before or just after one of the writes that every run has: the intent, the change
of the target, and the record of it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from tests.cluster import manifests
from tests.cluster.api_proxy import Cut, What, Write
from tests.cluster.stage import CANDIDATE, FALLBACK, TARGET, Object, Operator, Stage, until
from tests.cluster.test_crash import Moment

pytestmark = pytest.mark.cluster

LANES = 4
"""How many crashes are tried at once, each in a namespace of its own."""

Crash = tuple[Moment, str]

TARGETS = (What.ROUTE, What.DEPLOYMENT, What.JOB)


@dataclass(slots=True)
class Points:
    """Names the writes of one replica as they come, by the step that they belong to."""

    planned: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    waiting: bool = False

    def name(self, write: Write) -> str:
        """Return ``intent``, ``change`` or ``record`` of a step, or "" for another write."""
        if write.what in TARGETS:
            self.waiting = True
            return f"change {self.planned}"
        if write.what is not What.STATUS:
            return ""
        action = write.payload[-1]["value"].get("action")
        if action is not None:
            self.counts[action["step"]] += 1
            self.planned = f"{action['step']} {self.counts[action['step']]}"
            return f"intent {self.planned}"
        if self.waiting:
            self.waiting = False
            return f"record {self.planned}"
        return ""


def points(*steps: str) -> list[str]:
    """Return the points of a run with these steps."""
    return [f"{part} {step}" for step in steps for part in ("intent", "change", "record")]


@dataclass(frozen=True, slots=True)
class Golden:
    """A run that ends well: how it is set up, begun and checked, and the writes it has."""

    steps: tuple[str, ...]
    set_up: Callable[[Stage], Awaitable[None]]
    begin: Callable[[Stage, int], Awaitable[None]]
    check: Callable[[Stage, int], Awaitable[None]]
    changes: Counter[What]


# A promotion


async def _serve_candidate(stage: Stage) -> None:
    await stage.serve({TARGET: 100, CANDIDATE: 0, FALLBACK: 0})
    progression = {"steps": [50, 100], "minTime": "1s"}
    await stage.watch(
        candidate=manifests.arm(stage.namespace, CANDIDATE, progression=progression),
        fallback=None,
    )
    await stage.until_status(
        "the first candidate is promoted",
        lambda s: (s.get("candidate") or {}).get("phase") == "Promoted",
        seconds=60,
    )


async def _new_candidate(stage: Stage, run: int) -> None:
    await stage.release(CANDIDATE, VERSION=f"c{run}")


async def _is_promoted(stage: Stage, run: int) -> None:
    async def serves() -> bool:
        trial = (await stage.status()).get("candidate") or {}
        template = (await stage.get("Deployment", TARGET))["spec"]["template"]
        env = {one["name"]: one.get("value") for one in template["spec"]["containers"][0]["env"]}
        return trial.get("phase") == "Promoted" and env["VERSION"] == f"c{run}"

    await until(f"candidate c{run} is promoted", serves, seconds=60)
    weights = await stage.weights()
    assert (weights[TARGET], weights[CANDIDATE]) == (100, 0)
    assert "action" not in await stage.status()


PROMOTION = Golden(
    steps=("shiftTraffic 1", "shiftTraffic 2", "promote 1", "shiftTraffic 3"),
    set_up=_serve_candidate,
    begin=_new_candidate,
    check=_is_promoted,
    changes=Counter({What.ROUTE: 3, What.DEPLOYMENT: 1}),
)


# A repair in vain, and one that helps


async def _serve_target(stage: Stage) -> None:
    await stage.serve({TARGET: 100})
    more = {"name": "more", "scale": {"to": 3, "max": 3}, "verify": {"within": "1s"}}
    job = {"name": "job", "runJob": {"cronJob": "train"}, "verify": {"within": "1s"}}
    fresh = {"name": "fresh", "restart": {}}
    await stage.apply(manifests.cron_job("train", "true"))
    await stage.watch(fallback=None, runbook={"infrastructure": [more, job, fresh]})
    await stage.until_good()


async def _break_its_processes(stage: Stage, _: int) -> None:
    await stage.scale(TARGET, 2)
    await stage.until_rolled_out(TARGET)
    await stage.fault(1.0, TARGET)


async def _is_cured(stage: Stage, run: int) -> None:
    async def resolved() -> list[Object] | None:
        found = await stage.incidents()
        phases = [one["status"]["phase"] for one in found]
        return found if phases == ["Resolved"] * run else None

    found = await until(f"{run} resolved Incidents", resolved, seconds=90)
    newest = max(found, key=lambda one: one["metadata"]["name"])["status"]
    assert [(one["name"], one["state"]) for one in newest["steps"]] == [
        ("more", "NotHelped"),
        ("job", "NotHelped"),
        ("fresh", "Helped"),
    ]
    assert (await stage.get("Deployment", TARGET))["spec"]["replicas"] == 3


REPAIRS = Golden(
    steps=("scale 1", "runJob 1", "restart 1"),
    set_up=_serve_target,
    begin=_break_its_processes,
    check=_is_cured,
    changes=Counter({What.DEPLOYMENT: 2, What.JOB: 1}),
)


@pytest.mark.parametrize("golden", [PROMOTION, REPAIRS], ids=["promotion", "repairs"])
async def test_killed_at_any_write(
    golden: Golden, new_stage: Callable[[], Awaitable[Stage]]
) -> None:
    """Whichever write the crash comes at: each target is changed as often as without it."""
    queue: list[Crash | None] = [None, *itertools.product(Moment, points(*golden.steps))]
    lanes = [_lane(await new_stage(), golden, queue) for _ in range(LANES)]
    results = await asyncio.gather(*lanes, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException)]
    if failures:
        raise BaseExceptionGroup("not every crash ended well", failures)
    assert queue == []


async def _lane(stage: Stage, golden: Golden, queue: list[Crash | None]) -> None:
    """Take crashes from the queue, one run after the other; None is a run without one."""
    operator = await _start(stage)
    await golden.set_up(stage)
    run = 0
    while queue:
        crash = queue.pop(0)
        run += 1
        try:
            operator = await _run(stage, golden, operator, run, crash)
        except Exception as error:
            error.add_note(f"crash {crash} in run {run} of {stage.namespace}")
            raise


async def _run(
    stage: Stage,
    golden: Golden,
    operator: Operator,
    run: int,
    crash: Crash | None,
) -> Operator:
    """Carry out one run, with a SIGKILL at ``crash``; return the replica that is left.

    One without a crash has the writes of the golden run and no others.
    """
    before, begin = _changes(stage), len(operator.proxy.writes)
    if crash is not None:
        _arm(operator, *crash)
    await golden.begin(stage, run)
    if crash is not None:
        try:
            await asyncio.wait_for(operator.process.wait(), 60)
        except TimeoutError:
            raise AssertionError(f"no write was {crash[1]!r}") from None
        operator = await _start(stage)
    await golden.check(stage, run)
    assert _changes(stage) - before == golden.changes
    if crash is None:
        seen = Points()
        names = {seen.name(one) for one in operator.proxy.writes[begin:] if one.code < 300}
        assert names - {""} == set(points(*golden.steps))
    return operator


async def _start(stage: Stage) -> Operator:
    """Start a replica whose budgets allow as many runs as there are crashes."""
    sources = {"default": {"url": os.environ["LAB_PROMETHEUS_URL"]}}
    budgets = {"actionsPerHour": 1000, "actionsPerHourPerNamespace": 1000}
    return await stage.start(config={"sources": sources, "budgets": budgets})


def _arm(operator: Operator, moment: Moment, point: str) -> None:
    seen = Points()

    async def kill(write: Write) -> None:
        if seen.name(write) == point:
            operator.kill()
            raise Cut

    if moment is Moment.BEFORE:
        operator.proxy.before = kill
    else:
        operator.proxy.after = kill


def _changes(stage: Stage) -> Counter[What]:
    return Counter(
        one.what for operator in stage.operators for one in operator.proxy.wrote(*TARGETS)
    )
