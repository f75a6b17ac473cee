"""After an uninstall the status says so, and nothing of what was under way is left."""

import pytest
from tests.core.build import T0, status

from backstop.api.conditions import ConditionType
from backstop.api.status import CircuitPhase, ModelMonitorStatus
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
