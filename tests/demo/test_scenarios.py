"""A scenario ends well only if everything that it stands for was seen."""

from __future__ import annotations

from typing import Any

import pytest
from tests.demo.build import (
    ALL_TO_FALLBACK,
    ALL_TO_TARGET,
    INJECTED,
    action,
    incident,
    moment,
    snapshot,
)

from backstop_lab.demo.scenarios import ALL
from backstop_lab.demo.scenarios.bad_canary import BadCanary
from backstop_lab.demo.scenarios.bad_release import BadRelease
from backstop_lab.demo.scenarios.dependency import Dependency
from backstop_lab.demo.scenarios.prometheus_outage import PrometheusOutage
from backstop_lab.demo.scenarios.scenario import Scenario, not_ready
from backstop_lab.demo.snapshot import IncidentSeen, Snapshot
from backstop_lab.demo.story import Story, unmet

CIRCUIT_STEPS = ("openCircuit", "probeCircuit", "closeCircuit")


def story(*since: Snapshot, before: Snapshot | None = None) -> Story:
    return Story(INJECTED, before or snapshot(-1), list(since))


def missing(scenario: Scenario, told: Story) -> list[str]:
    return unmet(scenario.checks(told))


def broken(scenario: Scenario, told: Story) -> list[str]:
    return [check.says for check in scenario.checks(told) if check.broken]


def rolled_back(**changes: Any) -> IncidentSeen:
    actions = [action(step) for step in (*CIRCUIT_STEPS, "rollback")]
    return incident(**{"actions": actions, "detected": moment(8), "resolved": moment(18)} | changes)


def caught_release(seen: IncidentSeen) -> Story:
    return story(snapshot(3, version="v2"), snapshot(19, seen))


def test_a_caught_release_ends_well() -> None:
    """Opened, rolled back, probed, closed and resolved, after the rollout had finished."""
    assert missing(BadRelease(), caught_release(rolled_back())) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cause": "infrastructure"}, "the release is blamed"),
        ({"resolved": None}, "the incident is resolved"),
        ({"actions": [action("rollback")]}, "the circuit was opened"),
        ({"actions": [action(step) for step in CIRCUIT_STEPS]}, "the release was rolled back"),
        ({"detected": moment(1)}, "the fault began after the rollout had finished"),
    ],
)
def test_a_release_that_was_not_fully_caught_is_said_to_lack_it(
    changes: dict[str, Any], says: str
) -> None:
    """Each part of the promise is checked by itself and named when it is missing."""
    assert says in missing(BadRelease(), caught_release(rolled_back(**changes)))


def test_an_observed_action_is_not_one_that_was_carried_out() -> None:
    """What Backstop would have done in Observe does not count as done."""
    actions = [action(step, state="Observed") for step in (*CIRCUIT_STEPS, "rollback")]
    lacking = missing(BadRelease(), caught_release(rolled_back(actions=actions)))
    assert {"the circuit was opened", "the release was rolled back"} <= set(lacking)


@pytest.mark.parametrize(
    "end",
    [
        snapshot(19, rolled_back(), version="v2"),
        snapshot(19, rolled_back(), rolled_out=False),
        snapshot(19, rolled_back(), weights=ALL_TO_FALLBACK),
        snapshot(19, rolled_back(), circuit={"phase": "HalfOpen"}),
    ],
    ids=["still v2", "rollout under way", "traffic still on the fallback", "still half-open"],
)
def test_a_release_has_not_ended_before_the_cluster_is_as_it_was(end: Snapshot) -> None:
    """The incident alone does not prove anything: the cluster itself is looked at."""
    assert missing(BadRelease(), story(snapshot(3, version="v2"), end)) != []


def test_an_older_incident_is_not_taken_for_the_one_that_was_caused() -> None:
    """What was detected before the injection belongs to an earlier scenario."""
    old = rolled_back(detected=moment(-30))
    assert story(snapshot(19, old)).incident is None


def aborted(**changes: Any) -> IncidentSeen:
    values = {"arm": "candidate", "detected": moment(11), "resolved": moment(11)}
    return incident(**values | changes)


def canary(*since: Snapshot) -> Story:
    return story(
        snapshot(1, weights={**ALL_TO_TARGET, "ranker": 99, "ranker-candidate": 1}), *since
    )


def test_an_aborted_canary_ends_well_once_it_has_stayed_without_traffic() -> None:
    """The weight must be 0 for some seconds, not only at one look."""
    trial = {"phase": "Aborted"}
    early = snapshot(2, aborted(detected=moment(2)), candidate=trial)
    late = snapshot(15, aborted(), candidate=trial)
    assert any(
        "all traffic is the target's" in text for text in missing(BadCanary(), canary(early))
    )
    assert missing(BadCanary(), canary(early, late)) == []


def test_a_canary_that_gets_its_traffic_back_has_not_ended_well() -> None:
    """A weight that returns after the abort is found, although it is 0 at the last look."""
    trial = {"phase": "Aborted"}
    back = snapshot(14, weights={**ALL_TO_TARGET, "ranker-candidate": 1}, candidate=trial)
    end = snapshot(15, aborted(), candidate=trial)
    assert missing(BadCanary(), canary(back, end)) != []


def test_a_canary_must_not_touch_production() -> None:
    """A change of the target, or traffic on the fallback, ends the scenario at once."""
    assert broken(BadCanary(), canary(snapshot(5, version="v2"))) == ["the target is left alone"]
    moved = snapshot(5, weights=ALL_TO_FALLBACK)
    assert broken(BadCanary(), canary(moved)) == ["the fallback gets no traffic"]


SHARED = {"ranker": 80, "ranker-candidate": 20, "ranker-simple": 0}


async def dependency_after(end: Snapshot, *, elapsed: float) -> list[str]:
    scenario, hands = Dependency(), Hands()
    await scenario.during(hands, elapsed)  # type: ignore[arg-type]
    return missing(scenario, story(end, before=snapshot(-1, weights=SHARED)))


class Hands:
    """Stands in for the cluster's hands, which scale the store."""

    def __init__(self) -> None:
        self.scaled: list[tuple[str, int]] = []

    async def scale(self, deployment: str, replicas: int, *, namespace: str = "demo") -> None:
        self.scaled.append((f"{namespace}/{deployment}", replicas))


def shared_fault(**changes: Any) -> IncidentSeen:
    actions = [action(step) for step in CIRCUIT_STEPS]
    return incident(**{"cause": "data", "actions": actions, "resolved": moment(14)} | changes)


async def test_a_dependency_that_returns_ends_well() -> None:
    """Circuit to the fallback and back to the weights of the trial, with the store running."""
    end = snapshot(15, shared_fault(), weights=SHARED)
    assert await dependency_after(end, elapsed=8.0) == []
    assert await dependency_after(end, elapsed=3.0) == ["the store is back"]


async def test_a_shared_fault_must_not_be_blamed_on_the_release() -> None:
    """Blaming the release for what both versions suffer is a failure of the demo."""
    end = snapshot(15, shared_fault(cause="release"), weights=SHARED)
    assert await dependency_after(end, elapsed=8.0) == ["what both versions share is blamed"]


def test_a_rollback_of_a_shared_fault_ends_the_scenario_at_once() -> None:
    """No rollback helps where the release is not to blame."""
    told = story(snapshot(4, version="v0"), before=snapshot(-1, weights=SHARED))
    assert broken(Dependency(), told) == ["nothing is rolled back"]


@pytest.mark.parametrize("scenario", [Dependency(), PrometheusOutage()], ids=lambda one: one.name)
async def test_what_was_stopped_is_started_again_once(scenario: Scenario) -> None:
    """The outside world's part happens at its time, and only once."""
    hands = Hands()
    for elapsed in (1.0, 31.0, 32.0):
        await scenario.during(hands, elapsed)  # type: ignore[arg-type]
    assert [replicas for _, replicas in hands.scaled] == [1]


UNKNOWN = {"verdict": "Unknown", "why": "Prometheus does not answer"}


async def test_an_outage_ends_well_when_it_was_said_and_nothing_moved() -> None:
    """Unknown with its reason during the outage, Healthy afterwards."""
    scenario = PrometheusOutage()
    told = story(snapshot(3, **UNKNOWN), snapshot(33))
    assert missing(scenario, told) == ["Prometheus is back", "the verdict is Healthy again"]
    await scenario.during(Hands(), 31.0)  # type: ignore[arg-type]
    assert missing(scenario, told) == []
    assert scenario.detected_at(told) == INJECTED + 3


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (snapshot(3, weights=ALL_TO_FALLBACK, **UNKNOWN), "no weight moves"),
        (snapshot(3, version="v0", **UNKNOWN), "no workload changes"),
        (snapshot(3, incident(), **UNKNOWN), "no incident is opened"),
    ],
)
def test_any_action_during_an_outage_ends_the_scenario_at_once(seen: Snapshot, says: str) -> None:
    """A missing number must move nothing."""
    assert broken(PrometheusOutage(), story(seen)) == [says]


def test_an_outage_that_nobody_noticed_has_not_ended_well() -> None:
    """A status that stays Healthy without any number is a failure."""
    assert "the status said Unknown, and why" in missing(PrometheusOutage(), story(snapshot(33)))


REVISION = {"fingerprint": "a", "since": moment(-60)}
GOOD = {"revisions": {"current": REVISION, "lastGood": REVISION}}


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (snapshot(0, **GOOD), ""),
        (snapshot(0, rolled_out=False, **GOOD), "waiting for the rollout"),
        (snapshot(0, verdict="Unknown", why="no data", **GOOD), "no data"),
        (snapshot(0, circuit={"phase": "Open"}, **GOOD), "circuit"),
        (snapshot(0, revisions={"current": REVISION}), "recorded as good"),
    ],
)
def test_a_fault_waits_until_all_is_well(now: Snapshot, why: str) -> None:
    """Nothing is broken before the monitor is healthy and its revision recorded as good."""
    found = not_ready(now)
    assert (found == "") if why == "" else (why in found)


def test_scenarios_are_found_by_the_names_that_they_have() -> None:
    """The command line offers each scenario under its own name, in the demo's order."""
    expected = ["bad-release", "bad-canary", "dependency", "prometheus-outage"]
    assert [one.name for one in ALL.values()] == list(ALL) == expected
