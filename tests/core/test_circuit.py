"""An incident on the target: open the circuit, repair, probe, close; Unknown moves nothing."""

import pytest
from tests.core.build import (
    CANDIDATE,
    ERRORS,
    T0,
    deployment,
    episode,
    spec,
    status,
    verdict,
    view,
)
from tests.core.world import broken, world

from backstop.api.words import ActionState, Arm, Cause, Severity, StepKind, Verdict
from backstop.core import breaker
from backstop.core.changes import release_context
from backstop.core.decide import decide
from backstop.core.diagnosis import ReleaseContext, diagnose

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, CLOSE, ROLLBACK, TELL = (
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
    StepKind.ROLLBACK,
    StepKind.NOTIFY,
)
TO_TARGET = [{"fraud": 100, "simple": 0}]
TO_FALLBACK = [{"fraud": 0, "simple": 100}]
PROBING = [{"fraud": 5, "simple": 95}]
DRIFT = {**ERRORS, "name": "drift", "onBreach": "Report"}
ERRS = ("errors", Arm.TARGET)


# The way through


def test_a_bad_release_is_mitigated_repaired_probed_and_over():
    """Closed, open, rollback, half-open, closed: each step once, traffic as it was before."""
    made = world()
    assert made.look(H) == []
    made.after(1).release("v2")
    assert made.look(B) == [OPEN, ROLLBACK]
    assert (made.rules, made.current) == (TO_FALLBACK, "v1")
    assert made.status.revisions.known_bad == ["v2"]
    assert made.after(60).look(U) == []  # the repair is not in effect yet
    made.rolled_out = True
    assert made.after(1).look(U) == [PROBE]
    assert made.rules == PROBING
    assert made.after(5).look(H) == []
    assert made.after(4.9).look(H) == []
    assert made.after(0.1).look(H) == [CLOSE]
    assert made.rules == TO_TARGET
    told = made.status.incident
    assert told is not None
    assert (told.cause, told.arm) == (Cause.RELEASE, Arm.TARGET)
    assert [one.step for one in told.actions] == [OPEN, ROLLBACK, TELL, PROBE, CLOSE]
    times = (told.detected, told.mitigated, told.repaired, told.resolved)
    assert [t and t.timestamp() - T0 for t in times] == [1, 1, 62, 72]
    assert made.status.circuit.openings == 0


def test_without_a_release_to_blame_the_circuit_opens_and_probes():
    """No rollback: the fallback answers until the open interval has passed."""
    made = broken(world())
    assert (made.steps, made.rules) == ([OPEN], TO_FALLBACK)
    assert made.after(29.9).look(U) == []
    assert made.after(0.1).look(U) == [PROBE]
    assert made.done[-1].why == "open for 30 s; 5 % of traffic probe the target"
    assert made.after(10).look(H) == [CLOSE]
    assert made.done[-1].why == "the target was healthy under the probe for 10 s"


def test_each_failed_probe_doubles_the_open_interval_up_to_its_limit():
    """30 s, 60 s, 120 s, and never longer than the spec allows."""
    made = broken(world(circuit={"openFor": "30s", "maxOpenFor": "100s"}))
    waited = []
    for _ in range(5):
        start = made.now
        while made.look(U) != [PROBE]:
            made.after(10)
        waited.append(made.now - start)
        assert made.after(3).look(B) == [OPEN]
        assert made.done[-1].why.startswith("the probe failed: target fails: errors 50 %")
    assert waited == [30, 60, 100, 100, 100]
    assert made.status.circuit.openings == 6
    assert made.rules == TO_FALLBACK


def test_a_circuit_that_closed_begins_with_the_short_interval_again():
    """Growing is for one incident."""
    made = broken(world())
    made.after(30).look(U)
    made.after(3).look(B)
    made.after(60).look(U)
    made.after(10).look(H)
    assert made.status.circuit.phase == "Closed"
    made.after(100).look(B)
    made.after(29).look(U)
    assert made.after(1).look(U) == [PROBE]
    assert made.status.circuit.openings == 1


def test_an_open_interval_beyond_all_calendars_is_still_a_time():
    """A spec may say any duration; the next probe stays a time that can be written down."""
    made = broken(world(circuit={"openFor": "9999999d", "maxOpenFor": "9999999d"}))
    probe = made.status.circuit.next_probe
    assert probe is not None
    assert probe.timestamp() == made.now + 365 * 86_400


def test_weights_are_put_back_as_they_were():
    """Several rules, each with weights of its own: after the incident they are the same."""
    before = [{"fraud": 90, "simple": 10}, {"fraud": 7, "simple": 0}, {"fraud": 1, "simple": 1}]
    made = broken(world(rules=before))
    assert made.rules == TO_FALLBACK * 3
    made.after(30).look(U)
    assert made.rules == PROBING * 3
    made.after(10).look(H)
    assert made.rules == before


# Unknown


def test_unknown_holds_in_every_phase():
    """Nothing opens, nothing closes, nothing resolves; only the probe's timer runs."""
    made = world()
    assert made.look(U) == []
    made.after(1).look(H)
    assert made.after(3600).look(U) == []
    made.look(B)
    assert made.after(30).look(U) == [PROBE]
    assert made.after(3600).look(U) == []
    assert (made.status.circuit.phase, made.rules) == ("HalfOpen", PROBING)
    assert made.status.incident is not None
    assert made.status.incident.resolved is None


def test_one_unknown_signal_keeps_the_circuit_half_open():
    """All signals of the target must be healthy under the probe."""
    made = broken(world())
    made.after(30).look(U)
    both = {("errors", Arm.TARGET): H, ("slow", Arm.TARGET): U}
    assert made.after(10).sees(both) == []
    assert made.sees({**both, ("slow", Arm.TARGET): H}) == [CLOSE]


def test_what_only_reports_fails_no_probe():
    """Drift that nobody suffers of does not keep users with the fallback."""
    made = world(signals=[ERRORS, DRIFT])
    made.reports = frozenset({"drift"})
    made.look(H)
    made.after(1).look(B)
    made.after(30).look(U)
    assert made.rules == PROBING
    assert made.after(60).sees({ERRS: H, ("drift", Arm.TARGET): B}) == [CLOSE]
    assert made.rules == TO_TARGET


def test_signals_that_no_longer_act_close_the_circuit():
    """A false alarm that a person made report only, in the incident, moves no traffic any more."""
    made = broken(world())
    made.spec = spec(signals=[{**ERRORS, "onBreach": "Report"}])
    made.reports = frozenset({"errors"})
    made.after(30).look(U)
    assert made.rules == PROBING
    assert made.after(10).look(B) == [CLOSE]
    assert made.rules == TO_TARGET


def test_questions_that_cannot_be_asked_close_nothing():
    """Without any verdict, signals that the spec has are no healthier than Unknown."""
    made = broken(world())
    made.after(30).look(U)
    assert made.after(3600).sees({}) == []
    assert made.rules == PROBING


def test_no_probe_before_the_opening_is_in_effect():
    """A gateway that never takes it over is told as an action that failed, not forgotten."""
    made = world()
    made.accepted = False
    broken(made)
    for _ in range(9):
        assert made.after(60).look(B) == []
    assert made.status.incident is not None
    assert made.status.incident.severity == "P1"
    assert made.after(61).look(B) == [PROBE]
    assert made.states(OPEN) == [ActionState.FAILED]
    assert made.status.incident.severity == "P0"


def test_a_circuit_that_somebody_keeps_closed_is_closed_once_the_target_is_healthy():
    """A tool that puts the weights back leaves no incident that never ends."""
    made = broken(world())
    for _ in range(10):
        made.rules = TO_TARGET
        made.after(6).look(B)
    assert made.steps == [OPEN] * 3
    assert made.status.circuit.phase == "Open"
    assert made.after(600).look(U) == []
    assert made.sees({ERRS: H}) == [CLOSE]
    assert made.rules == TO_TARGET
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_health_of_a_moment_concedes_nothing():
    """What was undone must do well for as long as a probe takes."""
    made = broken(world())
    for _ in range(2):
        made.rules = TO_TARGET
        made.after(6).look(B)
    made.rules = TO_TARGET
    assert made.after(6).look(H) == []
    assert made.after(3).look(H) == []
    assert made.after(1).look(H) == [CLOSE]


@pytest.mark.parametrize("limits", [{"actionsPerHour": 1}, {}])
def test_a_repair_that_is_held_keeps_no_users_with_the_fallback(limits):
    """A rate or a GitOps tool holds the scale-out, perhaps for ever; the circuit goes its way."""
    steps = [{"name": "aside", "openCircuit": {}}, {"name": "more", "scale": {"by": "50%"}}]
    made = world(runbook={"infrastructure": steps}, limits=limits)
    made.gitops = "" if limits else "Argo CD"
    broken(made)
    assert made.steps == [OPEN]
    held = made.status.held
    assert held.startswith("this monitor took 1 actions" if limits else "Argo CD owns Deployment")
    assert made.after(30).look(U) == [PROBE]
    assert made.after(1).look(B) == [OPEN]
    assert made.status.held == held
    assert made.after(60).look(U) == [PROBE]
    assert made.after(10).look(H) == [CLOSE]
    assert made.rules == TO_TARGET


def test_there_is_nothing_to_concede_where_no_circuit_is_open():
    """The bad revision came back, and goes back once more."""
    made = broken(world(fallback=None, rules=[{"fraud": 100}]), by_release=True)
    made.rolled_out = True
    made.after(1).look(U)
    made.after(60).release("v2")
    assert made.look(B) == [ROLLBACK]
    assert made.current == "v1"


@pytest.mark.parametrize("half_open", [False, True])
def test_a_fallback_that_nobody_is_behind_is_given_up(half_open):
    """A target that fails in part is better than nobody; somebody is woken, and nothing flaps."""
    made = broken(world(circuit={"openFor": "2m"}))
    if half_open:
        assert made.after(120).look(U) == [PROBE]
    made.fallback_ready = 0
    assert made.after(1).look(U) == []
    assert made.after(14.9).look(U) == []
    assert made.after(0.1).look(U) == [CLOSE]
    assert made.rules == TO_TARGET
    told = made.status.incident
    assert told is not None
    assert (told.severity, told.resolved) == (Severity.P0, None)
    assert "nobody is behind the fallback for 15 s" in made.action(CLOSE).why
    for _ in range(60):
        assert made.after(5).look(B) == []
    made.after(5).look(H)
    assert made.status.incident.resolved is not None


def test_an_opening_that_was_overtaken_before_it_was_in_effect_holds_nothing_up():
    """The gateway never took it over: the next repair has its turn, and the incident its end."""
    repair = {"name": "fresh", "restart": {}, "verify": {"within": "1m"}}
    steps = {"infrastructure": [{"name": "aside", "openCircuit": {}}, repair]}
    made = world(circuit={"openFor": "2m"}, runbook=steps)
    made.accepted, made.fallback_ready = False, 0
    broken(made)
    assert made.after(1).look(U) == []
    assert made.after(16).look(U) == [CLOSE]
    made.after(1).look(U)
    assert made.states(OPEN) == [ActionState.APPLIED]  # whether the close will be is not known
    made.accepted = True
    assert made.after(1).look(B) == []
    assert made.after(1).look(B) == [StepKind.RESTART]
    assert made.states(OPEN) == [ActionState.VERIFIED]
    assert made.action(OPEN).message == "closeCircuit took its place before it was seen in effect"
    made.after(5).look(H)
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


def test_nobody_is_fought_about_a_fallback_that_is_lost():
    """Who gave the traffic back did what is right: the circuit closes, and repairs go on."""
    repair = {"name": "fresh", "restart": {}, "verify": {"within": "1m"}}
    asked = {"name": "ask", "waitForApproval": {"expireAfter": "1h"}}
    steps = {"infrastructure": [{"name": "aside", "openCircuit": {}}, asked, repair]}
    made = broken(world(circuit={"openFor": "2m"}, runbook=steps))
    made.after(1).look(U)
    made.fallback_ready, made.refused = 0, frozenset({OPEN})
    made.rules = [dict(one) for one in TO_TARGET]
    for _ in range(15):
        made.after(1).look(B)
    assert made.after(1).look(B) == [CLOSE]
    assert made.rules == TO_TARGET
    made.after(1).look(B)
    assert made.status.approval is not None
    assert made.status.incident is not None
    assert made.status.incident.resolved is None


def test_no_circuit_is_opened_once_the_spec_names_no_fallback():
    """Tried again as before, it would leave the traffic of the target to nobody at all."""
    made = world()
    made.refused = frozenset({OPEN})
    broken(made)
    assert made.states(OPEN) == [ActionState.FAILED]
    made.spec, made.refused = spec(fallback=None), frozenset()
    for _ in range(10):
        assert made.after(10).look(B) == []
    assert made.rules == TO_TARGET
    assert made.status.incident is not None
    why = {one.name: one.why for one in made.status.incident.steps}
    assert why["to-the-fallback"] == "the monitor names no fallback"


@pytest.mark.parametrize("ready", [1, None])
def test_a_fallback_that_is_replaced_pod_by_pod_stays(ready):
    """Nobody for a moment is not nobody; and nothing is done about what cannot be seen."""
    made = broken(world(circuit={"openFor": "2m"}))
    for _ in range(4):
        made.fallback_ready = ready
        assert made.after(1).look(U) == []
        made.fallback_ready = 0 if ready else None
        assert made.after(10).look(U) == []
    assert made.rules == TO_FALLBACK
    assert made.status.incident.severity is Severity.P1


def test_a_breached_candidate_opens_nothing():
    """While the target's own breach is unknown again, the candidate's does not stand in for it."""
    made = world(candidate=CANDIDATE, rules=[{"fraud": 90, "fraud-next": 10, "simple": 0}])
    made.refused = frozenset({OPEN})
    made.candidate = deployment("c1")
    made.look(B, H)
    assert made.states(OPEN) == [ActionState.FAILED]
    assert made.after(10).look(U, B) == []
    made.after(1).look(B, B)
    assert made.states(OPEN) == [ActionState.FAILED] * 2


# What is not there


def test_without_a_fallback_a_bad_release_is_rolled_back():
    """No traffic to move: the repair is all there is, and it ends the incident when it helped."""
    made = broken(world(fallback=None, rules=[{"fraud": 100}]), by_release=True)
    assert (made.steps, made.current) == ([ROLLBACK], "v1")
    assert made.after(5).look(H) == []
    assert made.status.incident is not None
    assert made.status.incident.resolved is None  # the rollback is not in effect yet
    made.rolled_out = True
    made.after(5).look(U)
    assert made.status.incident.resolved is None
    made.after(1).look(H)
    assert made.status.incident.resolved is not None
    assert made.status.incident.repaired is not None


def test_without_a_route_a_bad_release_is_rolled_back():
    """A monitor of a workload alone can still repair."""
    made = broken(world(fallback=None, traffic=None), by_release=True)
    assert made.steps == [ROLLBACK]


def test_without_a_fallback_and_without_a_release_nothing_can_be_done():
    """The incident stands, and ends by itself when the target is healthy again."""
    made = broken(world(fallback=None, rules=[{"fraud": 100}]))
    assert made.steps == []
    assert made.status.incident is not None
    made.after(5).look(U)
    assert made.status.incident.resolved is None
    made.after(5).look(H)
    assert made.status.incident.resolved is not None


def test_a_rollback_that_is_not_allowed_is_not_done():
    """With `rollback.enabled` false the release is blamed, and only traffic moves."""
    made = broken(world(rollback={"enabled": False}), by_release=True)
    assert (made.steps, made.current) == ([OPEN], "v2")
    assert made.after(30).look(U) == [PROBE]


def test_a_target_that_cannot_be_read_is_not_rolled_back():
    """What it runs now is not known; traffic moves all the same."""
    blamed = status(
        incident=episode(), revisions={"current": {"fingerprint": "v2", "since": T0 - 5}}
    )
    assert decide(view(verdict(outcome=B), status=blamed)).step is not None
    made = view(
        verdict(outcome=B), status=blamed, target=None, spec=spec(fallback=None), route=None
    )
    step = decide(made).step
    assert step is not None
    assert step.kind is TELL


def test_a_target_that_could_not_be_read_for_a_moment_is_rolled_back_then():
    """One answer that failed costs no repair."""
    made = world(fallback=None, rules=[{"fraud": 100}])
    made.look(H)
    made.after(1).release("v2")
    made.look(H)
    made.readable = False
    assert made.after(1).look(B) == []
    made.readable = True
    assert made.after(1).look(B) == [ROLLBACK]
    assert made.current == "v1"


def test_without_a_known_revision_nothing_is_rolled_back():
    """An incident without any record of revisions cannot say what to go back from."""
    made = view(status=status(incident=episode()), spec=spec(fallback=None))
    blamed = diagnose((verdict(outcome=B),), ReleaseContext(T0, proven_good=False, blame_within=1))
    assert breaker.next_step(made, episode(), blamed) is None


# At most one rollback


def test_a_fix_that_somebody_released_is_not_rolled_back():
    """The revision that was blamed is gone; the new one is not to blame for it."""
    made = world(rollback={"enabled": False})
    broken(made, by_release=True)
    made.after(1).release("v3")
    made.look(U)
    made.spec = spec()
    made.after(30)
    assert made.look(U) == [PROBE]
    assert made.after(1).look(B) == [OPEN]
    assert made.current == "v3"


def test_a_rollback_that_did_not_help_is_not_repeated():
    """After one rollback the release is no longer to blame in this incident."""
    made = broken(world(), by_release=True)
    made.rolled_out = True
    made.after(1).look(U)
    for _ in range(5):
        made.after(600).look(U)
        made.after(1).look(B)
    assert made.steps.count(ROLLBACK) == 1
    assert made.status.circuit.phase == "Open"


def test_a_rollback_that_never_came_into_effect_is_not_repeated():
    """It failed after it was applied: a person has to look, and the target is probed."""
    made = broken(world(), by_release=True)
    assert made.after(599).look(U) == []
    assert made.after(2).look(U) == [PROBE]
    assert made.states(ROLLBACK) == [ActionState.FAILED]
    assert made.status.incident is not None
    assert made.status.incident.severity == "P0"


def test_a_fault_of_both_versions_is_not_rolled_back():
    """The candidate fails too, so an older version would not help."""
    made = world(candidate=CANDIDATE, rules=[{"fraud": 90, "fraud-next": 10, "simple": 0}])
    made.candidate = deployment("c1")
    made.look(H, H)
    made.after(1).release("v2")
    assert made.look(B, B) == [OPEN]
    assert made.rules == [{"fraud": 0, "fraud-next": 0, "simple": 100}]


def test_a_fallback_that_was_taken_away_cannot_be_opened_to_again():
    """The probe fails, and there is nowhere to send the traffic."""
    probing = status(
        circuit={"phase": "HalfOpen", "since": T0 - 1, "openings": 1}, incident=episode()
    )
    seen = view(verdict(outcome=B), status=probing, spec=spec(fallback=None))
    found = breaker.next_step(seen, episode(), diagnose(seen.look.verdicts, release_context(seen)))
    assert found is None
