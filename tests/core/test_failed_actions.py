"""What could not be done is tried again, later and not for ever, and holds up nothing else."""

from itertools import pairwise

from tests.core.build import CANDIDATE, T0, deployment
from tests.core.world import broken, world

from backstop.api.words import ActionState, Progress, StepKind, Verdict

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, ROLLBACK = StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT, StepKind.ROLLBACK
TO_TARGET = [{"fraud": 100, "simple": 0}]
TO_FALLBACK = [{"fraud": 0, "simple": 100}]


def test_failed_actions_are_retried_later_and_at_most_five_times():
    """After 1, 2, 5 and 15 seconds; then a person has to act, and the severity says so."""
    made = world()
    made.refused = frozenset({OPEN})
    tried = []
    made.look(H)
    for _ in range(1000):
        made.after(0.5)
        if made.look(B):
            tried.append(made.now - T0 - 0.5)
    assert tried == [0, 1, 3, 8, 23]
    assert made.rules == TO_TARGET
    assert made.status.incident is not None
    assert made.status.incident.severity == "P0"
    ids = [one.id for one in made.status.incident.actions if one.step is OPEN]
    assert len(set(ids)) == 5


def test_a_failed_mitigation_does_not_hold_up_the_repair():
    """While the circuit cannot be opened, the rollback goes ahead."""
    made = world()
    made.refused = frozenset({OPEN})
    assert broken(made, by_release=True).steps == [OPEN, ROLLBACK]
    assert made.current == "v1"


def test_a_failed_repair_is_retried_with_the_circuit_open():
    """The evidence is from before the circuit opened; the repair still follows from it."""
    made = world()
    made.refused = frozenset({ROLLBACK})
    broken(made, by_release=True)
    assert made.steps == [OPEN, ROLLBACK]
    made.refused = frozenset()
    assert made.after(0.9).look(U) == []
    assert made.after(0.1).look(U) == [ROLLBACK]
    assert made.current == "v1"


def test_a_rollback_without_a_revision_to_go_to_says_so():
    """The refusal stands in the incident; the circuit stays open and probes."""
    made = world()
    made.look(H)
    made.after(1).release("v2")
    made.releases = made.releases[-1:]
    made.look(B)
    assert made.states(ROLLBACK) == [ActionState.FAILED]
    assert made.status.incident is not None
    assert made.action(ROLLBACK).message == (
        "no earlier revision is left that was not rolled back before; the workload keeps 1 in its"
        " history"
    )


def test_giving_the_traffic_back_is_never_given_up():
    """A probe that is refused for hours is still tried each minute, and works in the end."""
    made = broken(world(), by_release=False)
    made.refused = frozenset({PROBE})
    tried = []
    made.after(30)
    for _ in range(2000):
        made.after(5)
        if made.look(U):
            tried.append(made.now)
    assert len(tried) > 100
    assert all(55 <= later - one <= 65 for one, later in pairwise(tried[5:]))
    made.refused = frozenset()
    assert made.after(60).look(U) == [PROBE]


def test_taking_the_traffic_of_a_failed_candidate_away_is_never_given_up():
    """However long the router refuses it: its users suffer until then."""
    made = world(candidate=CANDIDATE, rules=[{"fraud": 95, "fraud-next": 5, "simple": 0}])
    made.candidate = deployment("c1")
    made.look(H, H)
    made.refused = frozenset({StepKind.SHIFT_TRAFFIC})
    for _ in range(300):
        made.after(2).look(H, B)
    made.refused = frozenset()
    assert made.after(60).look(H, B) == [StepKind.SHIFT_TRAFFIC]
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]


def test_ending_a_probe_is_never_given_up():
    """A fallback that was away for minutes gets the users of the probe once it is back."""
    made = broken(world())
    made.after(30).look(U)
    made.refused = frozenset({OPEN})
    for _ in range(300):
        made.after(2).look(B)
    made.refused = frozenset()
    assert made.after(60).look(B) == [OPEN]
    assert made.rules == TO_FALLBACK


def test_messages_that_fail_push_no_repair_out_of_memory():
    """A list that is full forgets what was tried again, and what became of the rollback is kept."""
    hook = {"callWebhook": {"url": "https://hooks.example.com/x"}}
    steps = [
        {"name": "open", "openCircuit": {}},
        {"name": "first", "notify": {}},
        {"name": "second", "notify": {}},
        {"name": "back", "rollback": {}},
        *({"name": f"hook-{number}", **hook} for number in range(3)),
    ]
    made = world(runbook={"release": steps})
    made.refused = frozenset({StepKind.CALL_WEBHOOK})
    broken(made, by_release=True)
    made.after(5).look(U)
    made.rolled_out = True
    for _ in range(25):
        made.after(1).look(U)
    assert made.states(ROLLBACK) == [ActionState.VERIFIED]
    assert made.status.incident is not None
    assert len(made.status.incident.actions) == 10
    (back,) = [one for one in made.status.incident.steps if one.name == "back"]
    assert back.state is Progress.RUNNING
    for _ in range(600):
        made.after(1).look(U)
    hooks = [one for one in made.status.incident.steps if one.name.startswith("hook")]
    assert [one.state for one in hooks] == [Progress.FAILED] * 3
