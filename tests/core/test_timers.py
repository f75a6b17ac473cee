"""The timers of the circuit: told while they run, and sound in a status that was mended by hand."""

import pytest
from tests.core.build import T0, action, carried_out, deployment, episode, status, verdict, view

from backstop.api.words import ActionState, Cause, StepKind, Verdict
from backstop.core import breaker
from backstop.core.decide import decide

H, U = Verdict.HEALTHY, Verdict.UNKNOWN
PROBE, ROLLBACK = StepKind.PROBE_CIRCUIT, StepKind.ROLLBACK


@pytest.mark.parametrize(
    ("circuit", "due"),
    [
        ({}, None),
        ({"phase": "Closed", "since": T0}, None),
        ({"phase": "Open", "since": T0, "nextProbe": T0 + 30}, T0 + 30),
        ({"phase": "Open", "since": T0 - 60, "nextProbe": T0 - 30}, None),
        ({"phase": "Open", "since": T0}, None),
        ({"phase": "HalfOpen", "since": T0 - 4}, T0 + 6),
        ({"phase": "HalfOpen", "since": T0 - 40}, None),
        ({"phase": "HalfOpen"}, None),
    ],
)
def test_a_timer_is_told_until_it_has_ended(circuit, due):
    """One that ended asks for no look at once: whatever it waits for comes with a sample."""
    made = view(status=status(circuit=circuit, incident=episode()))
    assert breaker.due(made) == due
    assert decide(made).due == due


def test_a_half_open_circuit_without_a_beginning_waits():
    """A status that somebody mended by hand: the probe lasts its full time first."""
    half_open = status(circuit={"phase": "HalfOpen", "openings": 1}, incident=episode())
    assert decide(view(verdict(outcome=H), status=half_open)).step is None


def test_an_open_circuit_without_a_beginning_still_probes():
    """Then it was open for no time that could be told."""
    made = status(
        circuit={"phase": "Open", "openings": 1, "nextProbe": T0},
        incident=episode(cause="model", steps=carried_out(Cause.MODEL)),
    )
    step = decide(view(verdict(outcome=U), status=made)).step
    assert step is not None
    assert (step.kind, step.why) == (PROBE, "open for 0 ms; 5 % of traffic probe the target")


def test_a_probe_waits_for_the_repair():
    """Sending traffic to pods that are being replaced would prove nothing."""
    made = status(
        circuit={"phase": "Open", "openings": 1, "nextProbe": T0 - 1},
        incident=episode(
            actions=[action(ROLLBACK, ActionState.APPLIED, after="v1")],
            steps=carried_out(Cause.RELEASE),
        ),
    )
    waiting = view(status=made, target=deployment("v1", rolled_out=False))
    assert decide(waiting).step is None
    over = decide(view(status=made, target=deployment("v1"))).step
    assert over is not None
    assert (over.kind, over.why) == (PROBE, "repaired; 5 % of traffic probe the target")
