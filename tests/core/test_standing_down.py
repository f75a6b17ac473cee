"""After an uninstall the status says so, and nothing of what was under way is left."""

import pytest
from tests.core.build import T0, action, status

from backstop.api.conditions import ConditionType
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import CircuitPhase, StepKind
from backstop.core import shifts
from backstop.core.standing_down import stood_down

EPISODE = {
    "name": "fraud-1",
    "cause": "release",
    "severity": "P1",
    "arm": "target",
    "onset": T0 - 20,
    "detected": T0 - 10,
    "why": "errors",
}
BUSY = ModelMonitorStatus.model_validate(
    {
        "incident": EPISODE,
        "circuit": {"phase": "Open", "since": T0 - 10, "restore": [{"fraud": 100}]},
        "held": "cool-down",
    }
)


@pytest.mark.parametrize("before", [BUSY, status()])
def test_whatever_was_under_way_is_at_an_end(before: ModelMonitorStatus) -> None:
    """So that the next Backstop does not go on with what it does not see."""
    after = stood_down(before, monitor="fraud", generation=3, has_route=True, note="", now=T0)
    assert after.circuit.phase is CircuitPhase.CLOSED
    assert not after.circuit.restore
    assert (after.action, after.approval, after.held) == (None, None, "")
    assert after.incident is None or after.incident.resolved is not None
    assert after.observed_generation == 3


def test_the_status_says_what_was_put_back_and_that_nobody_watches() -> None:
    """Ready is False, so that a dashboard or a pipeline notices."""
    after = stood_down(
        BUSY, monitor="fraud", generation=1, has_route=True, note="weights put back", now=T0
    )
    assert after.why == "Backstop was uninstalled: nobody watches this model; weights put back"
    (ready,) = [one for one in after.conditions if one.type == ConditionType.READY]
    assert (ready.status, ready.reason, ready.message) == ("False", "StoodDown", after.why)


BEFORE = [{"fraud": 75, "fraud-next": 25}]
GIVEN = '{"0": {"fraud": 75, "fraud-next": 25}}'


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, None),
        ({"circuit": {"phase": "Open", "restore": BEFORE}}, BEFORE),
        ({"circuit": {"phase": "Open"}}, []),
        ({"shifted": BEFORE}, BEFORE),
        ({"action": action(StepKind.OPEN_CIRCUIT, before=GIVEN)}, BEFORE),
        ({"action": action(StepKind.SHIFT_TRAFFIC, before=GIVEN, name="over")}, BEFORE),
        ({"action": action(StepKind.SHIFT_TRAFFIC, before=GIVEN)}, None),
        ({"action": action(StepKind.OPEN_CIRCUIT, before="{}"), "shifted": BEFORE}, BEFORE),
    ],
)
def test_all_that_was_moved_for_mitigation_is_put_back(known, found) -> None:
    """Also what is only about to be moved, but not the share of a trial."""
    assert shifts.saved(status(**known)) == found
