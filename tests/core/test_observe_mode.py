"""Observe writes down what would be done, once, and changes nothing."""

from tests.core.build import spec
from tests.core.world import broken, world

from backstop.api.words import ActionState, StepKind, Verdict

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, ROLLBACK = StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT, StepKind.ROLLBACK
TO_TARGET = [{"fraud": 100, "simple": 0}]
TO_FALLBACK = [{"fraud": 0, "simple": 100}]


def test_observe_records_each_step_once():
    """What would be done is written down once; nothing changes, and nothing repeats."""
    made = broken(world(mode="Observe"), by_release=True)
    assert made.steps == [OPEN, ROLLBACK]
    for _ in range(20):
        assert made.after(30).look(B) == []
    assert (made.rules, made.current) == (TO_TARGET, "v2")
    assert made.states(OPEN) == made.states(ROLLBACK) == [ActionState.OBSERVED]
    made.look(H)
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_an_incident_that_was_only_observed_is_acted_on_after_the_switch():
    """The records of Observe do not stand in the way once the mode is Act."""
    made = broken(world(mode="Observe"), by_release=True)
    made.spec = spec()
    assert made.after(1).look(B) == [OPEN, ROLLBACK]
    assert made.states(OPEN) == [ActionState.VERIFIED]
    assert (made.rules, made.current) == (TO_FALLBACK, "v1")


def test_after_the_switch_to_observe_an_open_circuit_stays_as_it_is():
    """The next step is recorded once; the traffic is a person's from then on."""
    made = broken(world())
    made.spec = spec(mode="Observe")
    assert made.after(30).look(U) == [PROBE]
    for _ in range(5):
        assert made.after(30).look(H) == []
    assert made.rules == TO_FALLBACK
    assert made.states(PROBE) == [ActionState.OBSERVED]
