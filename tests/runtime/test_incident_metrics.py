"""Each event of an incident counts once, on the replica that saw it happen."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from tests.core.build import T0, action, episode, status
from tests.runtime.test_fleet import record

from backstop.api.words import ActionState, StepKind
from backstop.core.brakes import HoldKind
from backstop.runtime import incident_metrics
from backstop.runtime.metrics import REGISTRY
from backstop.runtime.record import Record

S, A = StepKind, ActionState


class Counts:
    """What rose since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> dict[tuple[Any, ...], float]:
        return {
            (one.name, *sorted(one.labels.items())): one.value
            for family in REGISTRY.collect()
            if family.name.startswith(("backstop_incident", "backstop_actions"))
            for one in family.samples
            if one.name.endswith(("_total", "_count", "_sum"))
        }

    def rose(self) -> dict[str, float]:
        """Return by how much each series rose, by its name and the values of its labels."""
        return {
            " ".join((key[0].removeprefix("backstop_"), *(value for _, value in key[1:]))): round(
                value - self._before.get(key, 0.0), 3
            )
            for key, value in self._now().items()
            if value != self._before.get(key, 0.0)
        }


@pytest.fixture
def counts() -> Counts:
    return Counts()


def told(one: Record, incident: Mapping[str, Any] | None) -> None:
    """Let the status of a monitor tell this incident, and count it."""
    one.status = status(incident=incident)
    incident_metrics.count(one)


def incident(*actions: Any, **changes: Any) -> dict[str, Any]:
    """Return an incident that was detected 2 s after its onset."""
    whole = {"onset": T0, "detected": T0 + 2, "severity": "P1", "cause": "release", **changes}
    whole["actions"] = [one.to_json() for one in actions]
    return episode(**whole).to_json()


def test_an_incident_counts_when_it_is_opened(counts):
    """With the time from its onset to the verdict; looking again changes nothing."""
    one = record()
    told(one, incident())
    incident_metrics.count(one)
    told(one, copy.deepcopy(incident()))
    assert counts.rose() == {
        "incidents_total release P1": 1,
        "incident_detection_seconds_count P1": 1,
        "incident_detection_seconds_sum P1": 2,
    }


def test_mitigation_and_recovery_count_from_the_onset(counts):
    """Each once, and with the severity that the incident had by then."""
    one = record(known={"incident": incident()})
    told(one, incident(mitigated=T0 + 3))
    told(one, incident(mitigated=T0 + 3, severity="P0"))
    told(one, incident(mitigated=T0 + 3, severity="P0", resolved=T0 + 60))
    told(one, incident(mitigated=T0 + 3, severity="P0", resolved=T0 + 60, why="in other words"))
    assert counts.rose() == {
        "incident_mitigation_seconds_count P1": 1,
        "incident_mitigation_seconds_sum P1": 3,
        "incident_recovery_seconds_count P0": 1,
        "incident_recovery_seconds_sum P0": 60,
    }


def test_another_incident_counts_anew(counts):
    """One that takes the place of another is known by its name."""
    one = record(known={"incident": incident(mitigated=T0 + 3)})
    told(one, incident(name="later", mitigated=T0 + 4, cause="data"))
    assert counts.rose() == {
        "incidents_total data P1": 1,
        "incident_detection_seconds_count P1": 1,
        "incident_detection_seconds_sum P1": 2,
        "incident_mitigation_seconds_count P1": 1,
        "incident_mitigation_seconds_sum P1": 4,
    }


def test_what_the_status_tells_at_first_is_not_counted_again(counts):
    """Neither after a restart nor by the replica that takes over; what comes after it is."""
    restarted = record(known={"incident": incident(mitigated=T0 + 3)})
    incident_metrics.count(restarted)
    standby = record()
    standby.status = status(incident=incident(mitigated=T0 + 3))
    incident_metrics.begin([standby])
    incident_metrics.count(standby)
    assert counts.rose() == {}
    told(standby, incident(mitigated=T0 + 3, resolved=T0 + 9))
    assert counts.rose() == {
        "incident_recovery_seconds_count P1": 1,
        "incident_recovery_seconds_sum P1": 9,
    }


def test_a_monitor_without_incident_counts_nothing(counts):
    """As nearly all of them, nearly always."""
    told(record(), None)
    assert counts.rose() == {}


def test_steps_that_are_only_observed_count(counts):
    """Once; those that are carried out are counted where that happens."""
    one = record(known={"incident": incident()}, mode="Observe")
    for _ in range(2):
        told(one, incident(action(S.ROLLBACK, A.OBSERVED), action(S.OPEN_CIRCUIT, A.APPLIED)))
    assert counts.rose() == {"actions_total Observe rollback": 1}


def test_an_action_that_is_not_in_effect_counts_as_failed(counts):
    """One that was refused is counted where that happens."""
    one = record(known={"incident": incident(action(S.ROLLBACK, A.APPLIED))})
    refused = action(S.OPEN_CIRCUIT, A.FAILED, applied_at=None)
    told(one, incident(action(S.ROLLBACK, A.FAILED), refused))
    assert counts.rose() == {"actions_failed_total ineffective rollback": 1}


def test_a_brake_counts_when_it_begins_to_hold(counts):
    """Not at each look while it does."""
    one = record()
    for brake in (HoldKind.COOL_DOWN, HoldKind.COOL_DOWN, "", HoldKind.COOL_DOWN, HoldKind.GITOPS):
        incident_metrics.held(one, brake)
    assert one.brake == "Gitops"
    assert counts.rose() == {
        "actions_held_total CoolDown": 2,
        "actions_held_total Gitops": 1,
    }
