"""What is told of each monitor: from the records at the moment, by who acts, and not too much."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.core.build import T0, episode
from tests.runtime.test_fleet import DONE, record

from backstop.api.words import Arm, Severity
from backstop.core.brakes import HoldKind
from backstop.core.facts import RuleWeights
from backstop.runtime import health
from backstop.runtime.fleet import FleetState
from backstop.runtime.metrics import REGISTRY
from backstop.runtime.monitor_metrics import MonitorMetrics
from backstop.runtime.record import Record

Labels = dict[str, str]


class StillClock:
    def now(self) -> float:
        return T0


def told_by(
    *records: Record, acts: bool = True, at_most: int = 500, limits: tuple[int, ...] = ()
) -> CollectorRegistry:
    """Return a registry with what is told of these monitors."""
    fleet = FleetState(*limits)
    fleet.rebuild(records)
    known = {one.key: one for one in records}
    registry = CollectorRegistry()
    registry.register(MonitorMetrics(known, fleet, StillClock(), lambda: acts, at_most))
    return registry


def values(registry: CollectorRegistry, name: str) -> list[tuple[Labels, float]]:
    """Return labels and value of each series of a metric."""
    found = [one for family in registry.collect() for one in family.samples if one.name == name]
    return [(dict(one.labels), one.value) for one in found]


def of(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return the value of the one series of monitor `a` with these labels."""
    everything = {"namespace": "demo", "monitor": "a", **labels}
    return registry.get_sample_value(f"backstop_monitor_{name}", everything)


def signal(verdict: str, name: str = "errors", arm: str = "target") -> Mapping[str, Any]:
    return {"name": name, "arm": arm, "pillar": "system", "verdict": verdict}


@pytest.mark.parametrize(("verdict", "value"), [("Healthy", 1), ("Unknown", 0), ("Breached", -1)])
def test_a_verdict_is_a_number_whose_least_is_the_worst(verdict, value):
    """So `min` over the signals of a monitor is what is wrong with it."""
    told = told_by(record(known={"signals": [signal(verdict), signal("Healthy", arm="candidate")]}))
    labels = {"signal": "errors", "pillar": "system"}
    assert of(told, "verdict", **labels, arm="target") == value
    assert of(told, "verdict", **labels, arm="candidate") == 1


def test_what_was_measured_is_told_while_there_is_a_verdict():
    """An Unknown has no value, whatever was measured before; zero is one."""
    known = [signal("Breached"), signal("Healthy", arm="candidate"), signal("Unknown", "latency")]
    one = record(known={"signals": known})
    one.values = {("errors", Arm.TARGET): 0.2, ("errors", Arm.CANDIDATE): 0.0}
    one.values |= {("latency", Arm.TARGET): 0.3}
    told = values(told_by(one), "backstop_monitor_value")
    assert [(labels["signal"], labels["arm"], value) for labels, value in told] == [
        ("errors", "target", 0.2),
        ("errors", "candidate", 0.0),
    ]


@pytest.mark.parametrize(("phase", "value"), [("Closed", 0), ("HalfOpen", 1), ("Open", 2)])
def test_the_circuit_tells_who_answers(phase, value):
    """The target, a probe, or the fallback."""
    assert of(told_by(record(known={"circuit": {"phase": phase}})), "circuit") == value


@pytest.mark.parametrize(("ready", "value"), [("True", 1), ("False", -1), ("", 0)])
def test_ready_is_that_of_the_condition(ready, value):
    """A monitor that was not looked at yet is neither."""
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": "Watching",
        "message": "",
        "lastTransitionTime": "2023-11-14T22:13:20Z",
    }
    told = told_by(record(known={"conditions": [condition] if ready else []}))
    assert of(told, "ready") == value


def test_weights_are_shares_of_all_services_of_the_monitor():
    """Whatever the route's weights sum to, and whose they are beside."""
    one = record()
    services = one.services
    assert services is not None
    names = sorted(services.named)
    one.rules = (RuleWeights(0, {names[0]: 1, names[1]: 3, "foreign": 96}),)
    shares = {labels["service"]: value for labels, value in values(told_by(one), _WEIGHT)}
    assert {name: shares[name] for name in names[:2]} == {names[0]: 0.25, names[1]: 0.75}
    assert set(shares) == set(names)


_WEIGHT = "backstop_monitor_weight"


def test_without_a_route_there_are_no_weights():
    """Neither before it was seen nor where the monitor names none."""
    assert values(told_by(record()), _WEIGHT) == []
    assert values(told_by(record(traffic=None, fallback=None)), _WEIGHT) == []


def test_a_brake_is_told_while_it_holds():
    """And which one."""
    one = record()
    assert values(told_by(one), "backstop_monitor_held") == []
    one.brake = HoldKind.COOL_DOWN
    assert of(told_by(one), "held", brake="CoolDown") == 1


def test_an_incident_is_told_until_it_is_resolved():
    """With its onset as a Unix time, and once among those of its severity and mode."""
    begun = episode()
    told = told_by(record(known={"incident": begun.to_json()}))
    labels = {"cause": begun.cause, "severity": begun.severity, "mode": "Act", "arm": begun.arm}
    assert of(told, "incident_onset_seconds", **labels) == begun.onset.timestamp()
    counts = values(told, "backstop_incidents_under_way")
    assert sum(value for _, value in counts) == 1
    assert ({"severity": begun.severity, "mode": "Act"}, 1) in counts
    assert {labels["severity"] for labels, _ in counts} == set(Severity)
    over = {**begun.to_json(), "resolved": "2023-11-14T22:13:20Z"}
    told = told_by(record(known={"incident": over}))
    assert values(told, "backstop_monitor_incident_onset_seconds") == []
    assert sum(value for _, value in values(told, "backstop_incidents_under_way")) == 0


def test_an_incident_of_an_invalid_monitor_asks_for_somebody():
    """Nobody carries it on, so it is not one that is only observed."""
    broken = record(known={"incident": episode().to_json()}, mode="Observe")
    broken.spec = None
    told = told_by(broken)
    assert [labels["mode"] for labels, v in values(told, "backstop_incidents_under_way") if v] == [
        "Act"
    ]
    assert values(told, "backstop_monitor_info") == []


def test_series_of_a_deleted_monitor_end():
    """The next scrape does not know it any more."""
    one, other = record("a"), record("b")
    known = {one.key: one, other.key: other}
    registry = CollectorRegistry()
    registry.register(MonitorMetrics(known, FleetState(), StillClock(), lambda: True, 500))
    assert b'monitor="b"' in generate_latest(registry)
    del known[other.key]
    text = generate_latest(registry)
    assert b'monitor="a"' in text
    assert b'monitor="b"' not in text


def test_only_who_acts_tells():
    """A standby knows the same monitors and does not double them."""
    assert list(told_by(record(), acts=False).collect()) == []


@pytest.mark.parametrize(("at_most", "each"), [(2, True), (1, False), (0, False)])
def test_too_many_monitors_have_no_series_of_their_own(at_most, each):
    """What is told of all together stays."""
    told = told_by(record("a"), record("b"), at_most=at_most)
    labelled = [f.name for f in told.collect() if f.name.startswith("backstop_monitor_")]
    assert bool(labelled) is each
    assert values(told, "backstop_actions_left")
    assert bool(values(told, "backstop_namespace_actions_left")) is each


def test_budgets_count_down():
    """What is left, for all and for a namespace, and whether others may still begin to act."""
    counted = {"recentActions": [{"last": "2023-11-14T22:13:20Z", "count": 3}]}
    told = told_by(
        record("a", known={**counted, "incident": DONE}),
        record("b", namespace="other"),
        limits=(4, 10, 0.2, 1),
    )
    assert values(told, "backstop_actions_left") == [({}, 7)]
    left = values(told, "backstop_namespace_actions_left")
    assert left == [({"namespace": "demo"}, 1), ({"namespace": "other"}, 4)]
    assert values(told, "backstop_acting_monitors") == [({}, 1)]
    assert values(told, "backstop_acting_monitors_limit") == [({}, 1)]
    assert values(told, "backstop_frozen") == [({}, 1)]
    assert values(told_by(record("a")), "backstop_frozen") == [({}, 0)]


async def test_the_endpoint_tells_everything_at_once():
    """As Prometheus reads it, also what is only made when it asks."""
    one = record()
    told = MonitorMetrics({one.key: one}, FleetState(), StillClock(), lambda: True, 500)
    REGISTRY.register(told)
    runner = await health.serve("127.0.0.1", 0, alive=lambda: True, ready=lambda: True)
    try:
        port = runner.addresses[0][1]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as response,
        ):
            text = await response.text()
    finally:
        await runner.cleanup()
        REGISTRY.unregister(told)
    found = {one.name for one in text_string_to_metric_families(text)}
    assert {"backstop_build_info", "backstop_leader", "backstop_monitor_circuit"} <= found
    assert 'backstop_monitor_circuit{monitor="a",namespace="demo"} 0.0' in text
    assert "_created" not in text
