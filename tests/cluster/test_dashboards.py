"""Dashboards, alerts and pages on the samples of a real incident, in a real Prometheus."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.cluster import manifests
from tests.cluster.own_prometheus import OwnPrometheus, free_port, scraping
from tests.cluster.stage import FALLBACK, MONITOR, TARGET, Stage, until
from tests.monitoring import expressions

pytestmark = pytest.mark.cluster

FIVE_SCRAPES = 5


async def test_every_expression_shows_a_real_incident(stage: Stage) -> None:
    """A bad release is rolled back, and each expression returns numbers at some second of it.

    Of alerts this holds for what they compare, as most of them have no reason to fire. The alerts
    are loaded by that Prometheus, too, and none of them fails there.
    """
    port = free_port()
    async with scraping(port, expressions.RULES, stage.directory) as prometheus:
        begin = time.time()
        await stage.start(health_port=port)
        await stage.serve({TARGET: 100, FALLBACK: 0})
        await _watch(stage)
        await stage.until_good()
        await _scraped(prometheus)
        await stage.release(VERSION="v2", ERROR_RATE="0.6")
        await stage.until_circuit("Open")
        await stage.until_resolved()
        await _scraped(prometheus)
        end = time.time()

        silent = [
            str(one)
            for one in (*expressions.of_dashboards(), *expressions.of_pages())
            if not await prometheus.numbers(one.text, begin, end)
        ]
        assert silent == []
        for one in expressions.of_alerts():
            for part in expressions.compared(one.text):
                assert await prometheus.numbers(part, begin, end), f"{one}: {part}"
            await prometheus.numbers(one.text, begin, end)
        for one in expressions.of_descriptions():
            await prometheus.numbers(one.text, begin, end)
        await _rules_are_well(prometheus)
        await _numbers_are_right(prometheus, begin, end)
        await _deleted_is_gone(stage, prometheus)


async def _watch(stage: Stage) -> None:
    """Watch the target, with a business signal; with a brake on; and one that does not exist.

    What the brake holds is a repair of its own: the other monitor leaves nothing else to be done.
    """
    orders = manifests.errors_signal(name="orders", pillar="business")
    orders["threshold"] = {**orders["threshold"], "max": "99%"}
    await stage.watch(signals=[manifests.errors_signal(), orders])
    now = datetime.now(tz=UTC)
    window = {"begins": now - timedelta(hours=1), "ends": now + timedelta(hours=1)}
    closed = {name: moment.strftime("%Y-%m-%dT%H:%M:%SZ") for name, moment in window.items()}
    causes = ("data", "model", "infrastructure", "release")
    more = {cause: [{"name": "more", "scale": {"by": "50%"}}] for cause in causes}
    await stage.watch(name="held", maintenance=[closed], runbook=more)
    absent = manifests.arm(stage.namespace, "absent")
    await stage.watch(name="lost", target=absent, traffic=None, fallback=None)


async def _scraped(prometheus: OwnPrometheus) -> None:
    """Wait for some scrapes more."""
    since = time.time()

    async def often_enough() -> bool:
        found = await prometheus.numbers("up == 1", since, time.time())
        return len(found) > FIVE_SCRAPES

    await until("the operator is scraped", often_enough)


async def _rules_are_well(prometheus: OwnPrometheus) -> None:
    groups = (await prometheus.get("rules"))["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(rules) == {one["alert"] for one in expressions.alerts()}
    assert {name: rule["health"] for name, rule in rules.items() if rule["health"] != "ok"} == {}


async def _numbers_are_right(prometheus: OwnPrometheus, begin: float, end: float) -> None:
    """Check that what is told is what has happened."""
    model = f'{{monitor="{MONITOR}"}}'
    phases = await prometheus.numbers(f"backstop_monitor_circuit{model}", begin, end)
    assert set(phases) == {0, 1, 2}
    service = f'{{monitor="{MONITOR}",service="{FALLBACK}"}}'
    weights = await prometheus.numbers(f"backstop_monitor_weight{service}", begin, end)
    assert {weights[0], max(weights), weights[-1]} == {0.0, 1.0}
    done = await prometheus.now('sum by (step) (backstop_actions_total{mode="Act"}) > 0')
    assert done["rollback"] == done["openCircuit"] == 1
    opened = await prometheus.now('sum by (cause) (backstop_incidents_total{cause="release"})')
    assert opened["release"] >= 1
    took = await prometheus.now("sum(backstop_incident_mitigation_seconds_sum)")
    assert 0 < took[""] < end - begin
    held = await prometheus.numbers('backstop_monitor_held{brake="Maintenance"}', begin, end)
    assert set(held) == {1}


async def _deleted_is_gone(stage: Stage, prometheus: OwnPrometheus) -> None:
    """Check that the series of a monitor end with it."""
    assert await prometheus.now('backstop_monitor_info{monitor="lost"}')
    await stage.delete("ModelMonitor", "lost")

    async def gone() -> bool:
        return not await prometheus.now('{__name__=~"backstop_monitor_.*",monitor="lost"}')

    await until("the deleted monitor has no series", gone)
    assert await prometheus.now(f'backstop_monitor_info{{monitor="{MONITOR}"}}')
