"""A status of another release, or one that was mended by hand: what can be read of it is."""

from typing import Any

import pytest
from tests.core.build import T0, action, episode, status

from backstop.api.status import ModelMonitorStatus
from backstop.runtime.record import parse_status

OPEN = {"phase": "Open", "since": T0, "openings": 1, "restore": [{"fraud": 100, "simple": 0}]}
KNOWN = status(
    circuit=OPEN,
    revisions={"known_bad": ["v2"]},
    incident=episode(actions=[action(), action(id="2")], findings=["Slow", "OnePod"]),
)


def damaged(*place: int | str, value: Any) -> ModelMonitorStatus:
    """Return the status as it is read with another value at this place."""
    stored = KNOWN.to_json()
    part: Any = stored
    for one in place[:-1]:
        part = part[one]
    part[place[-1]] = value
    return parse_status({"status": stored})


@pytest.mark.parametrize("place", [("new",), ("circuit", "new"), ("incident", "actions", 0, "new")])
def test_fields_of_a_newer_release_are_left_aside(place):
    """After a downgrade an open circuit is still known, and what to restore."""
    assert damaged(*place, value={"a": 1}) == KNOWN


@pytest.mark.parametrize(
    ("place", "value", "lost"),
    [
        (("incident", "findings"), ["Slow", "New", "OnePod", "Newer"], {}),
        (("incident", "findings", 0), "New", {"findings": ["OnePod"]}),
        (
            ("incident", "actions", 0),
            {"id": "1"},
            {"actions": KNOWN.to_json()["incident"]["actions"][1:]},
        ),
        (("incident", "steps"), "none", {}),
    ],
)
def test_values_of_a_newer_release_are_left_out(place, value, lost):
    """Of a list the items that are not known, of an item without what it needs all of it."""
    found = damaged(*place, value=value)
    wanted = KNOWN.to_json()
    wanted["incident"] |= lost
    assert found == ModelMonitorStatus.model_validate(wanted)


def test_an_incident_that_cannot_be_read_loses_no_circuit():
    """Each part stands for itself."""
    found = damaged("incident", "onset", value="yesterday")
    assert (found.incident, found.circuit, found.revisions) == (
        None,
        KNOWN.circuit,
        KNOWN.revisions,
    )


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": {"circuit": 5}}])
def test_without_anything_to_read_nothing_is_known(body):
    """As of a monitor that was never looked at."""
    assert parse_status(body) == ModelMonitorStatus()
