"""A status that holds more than may be stored: what is left out, and what never is."""

import json

from tests.core.build import T0, action, episode, status
from tests.core.world import world

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import ActionState, Arm, CircuitPhase, StepKind, Verdict
from backstop.core.weights import from_text
from backstop.runtime.journal import MAX_BYTES, fit

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
TARGET, FALLBACK = "fraud-detector-in-production", "fraud-detector-by-simple-rules"
S = StepKind


def size(one: ModelMonitorStatus) -> int:
    """Return the bytes that are stored."""
    return len(json.dumps(one.to_json()))


def test_a_monitor_of_many_signals_goes_through_its_incident():
    """Names are long and the status is full; the circuit opens, probes and closes all the same."""
    threshold = {"errors": {"requests": "r", "errors": "e"}, "max": "5%"}
    signals = [{"name": f"errors-of-the-route-{n}", "threshold": threshold} for n in range(32)]
    made = world(
        target={"name": "fraud", "service": TARGET, "metricLabels": {"app": "fraud"}},
        fallback={"service": FALLBACK},
        signals=signals,
        rules=[{TARGET: 100, FALLBACK: 0}],
    )
    keys = [(one["name"], Arm.TARGET) for one in signals]
    made.sees(dict.fromkeys(keys, H))
    made.after(1).sees(dict.fromkeys(keys, B))
    for _ in range(60):
        made.after(30).sees(dict.fromkeys(keys, B if made.rules[0][TARGET] else U))
        assert size(made.status) <= MAX_BYTES
    assert made.status.circuit.openings > 3
    for _ in range(60):
        made.after(30).sees(dict.fromkeys(keys, H if made.rules[0][TARGET] else U))
    assert made.status.circuit.phase is CircuitPhase.CLOSED
    assert made.rules == [{TARGET: 100, FALLBACK: 0}]


def full(**changes: object) -> ModelMonitorStatus:
    """Return a status in which everything is said at length."""
    steps = [
        {
            "name": f"step-{n}",
            "step": "restart",
            "state": "NotHelped",
            "since": T0,
            "why": "x" * 300,
        }
        for n in range(12)
    ]
    said = {"message": "m" * 500, "why": "w" * 500, "verified_at": T0}
    verified, values = ActionState.VERIFIED, {"before": "v" * 64, "after": "all pods"}
    moved = json.dumps({"0": {TARGET: 0, FALLBACK: 100}})
    actions = [
        action(S.RESTART, verified, id=f"{n:016}", name=f"s-{n}", **values, **said)
        for n in range(8)
    ]
    move = {"before": moved, "after": moved, "name": "open", **said}
    actions.insert(0, action(S.OPEN_CIRCUIT, verified, id="first", **move))
    actions.append(action(S.OPEN_CIRCUIT, verified, id="last", **move))
    conditions = [
        {
            "type": f"T{n}",
            "status": "True",
            "reason": "R",
            "message": "m" * 600,
            "lastTransitionTime": "2023-11-14T22:13:20Z",
        }
        for n in range(6)
    ]
    signals = [
        {"name": f"signal-{n}", "arm": "target", "pillar": "system", "verdict": "Breached"}
        for n in range(64)
    ]
    told = episode(
        why="y" * 1000,
        evidence=[f"signal-{n} on target: {'e' * 200}" for n in range(12)],
        steps=steps,
        actions=actions,
    )
    known = {"why": "w" * 1000, "incident": told, "conditions": conditions, "signals": signals}
    return status(**known, **changes)


def test_a_long_incident_fits_a_status():
    """With a runbook of twelve steps and twelve signals that are breached, each at length."""
    small = fit(full())
    assert size(small) <= MAX_BYTES
    assert ModelMonitorStatus.model_validate(small.to_json()) == small


def test_what_is_left_out_is_asked_for_by_nobody():
    """Weights are kept whole or not at all, and the names of the signals that are breached."""
    small = fit(full(circuit={"phase": "Open", "since": T0}))
    assert small.incident is not None
    first, *_, last = small.incident.actions
    assert first.after == ""
    assert from_text(last.after) == {0: {TARGET: 0, FALLBACK: 100}}
    assert [one.split(" on ")[0] for one in small.incident.evidence] == [
        f"signal-{n}" for n in range(12)
    ]


def test_a_status_without_an_incident_fits_as_well():
    """What is left is one sentence, and the conditions in short."""
    small = fit(full().model_copy(update={"incident": None, "tests": [], "why": "w" * 1000}))
    assert size(small) <= MAX_BYTES
