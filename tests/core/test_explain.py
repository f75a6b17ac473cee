"""One sentence that says what Backstop sees and does, and that stands still while nothing moves."""

import pytest
from tests.core.build import CANDIDATE, T0, deployment, status, verdict, view
from tests.core.build import route as routed
from tests.core.world import World, world

from backstop.api.words import Arm, Verdict
from backstop.core.decide import decide

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
FAILS = "target fails: errors 50 % (5 of 10), allowed 5%"


def sentences(made: World) -> list[str]:
    """Return the sentences of a bad release from the first healthy look to the last."""
    told = []

    def note() -> None:
        assert made.decision is not None
        told.append(made.decision.status.why)

    made.look(H)
    note()
    made.after(1).release("v2")
    made.look(B)
    note()
    made.rolled_out = True
    made.after(1).look(U)
    note()
    made.after(10).look(H)
    note()
    made.after(1).look(H)
    note()
    return told


def test_the_sentence_of_each_phase():
    """What is going on, and since the incident what happened and what is blamed."""
    blame = f"{FAILS}; began 0 ms after the revision changed: the release is to blame"
    assert sentences(world()) == [
        "no action: all signals of fraud are healthy",
        f"circuit open, rollback under way; {blame}",
        f"circuit half-open, the target is being probed; {blame}",
        "no action: errors is unknown (WarmingUp): no sample yet since the last action",
        "no action: all signals of fraud are healthy",
    ]


def test_a_step_about_to_be_taken_is_the_sentence():
    """What is done and why, in one breath; in Observe what would be done."""
    found = decide(view(verdict(outcome=B)))
    because = f"{FAILS}; the revision is not new, so what it runs on is the first suspect"
    assert found.status.why == f"opening the circuit to the fallback: {because}"
    made = world(mode="Observe")
    made.look(B)
    assert made.decision is not None
    assert made.decision.status.why == (
        f"incident under way, nothing is changed because the mode is Observe; {because}"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "Observe"}, "mode is Observe, would be opening the circuit to the fallback: "),
        ({"mode": "Act"}, "opening the circuit to the fallback: "),
    ],
)
def test_observe_says_would(changes, said):
    """Nobody may think that something was done."""
    made = world(**changes)
    found = decide(view(verdict(outcome=B), spec=made.spec))
    assert found.status.why.startswith(said)


def test_without_a_fallback_an_incident_is_watched():
    """Nothing can be done, and that is said."""
    made = world(fallback=None, rules=[{"fraud": 100}])
    made.look(B)
    assert made.status.why == (
        f"incident under way, watching; {FAILS}; the revision is not new, so what it runs on is"
        " the first suspect"
    )


def test_an_open_circuit_says_who_answers():
    """Without a rollback under way it is the fallback, and that is all."""
    made = world()
    made.look(B)
    assert made.status.why.startswith(f"circuit open, fallback answers; {FAILS}; ")


def test_unknown_says_which_signal_and_why():
    """The first of the target's signals; the candidate's do not matter here."""
    found = decide(
        view(
            verdict("slow", U, arm=Arm.CANDIDATE, why="other"),
            verdict("errors", H),
            verdict("drift", U, reason="NoData", why="the expression returned NaN"),
        )
    )
    assert found.status.why == "no action: drift is unknown (NoData): the expression returned NaN"


def test_before_anything_was_measured_it_says_so():
    """A monitor without a single look."""
    assert decide(view()).status.why == "no action: nothing has been measured yet"


@pytest.mark.parametrize("outcome", [H, B, U])
@pytest.mark.parametrize("mode", ["Act", "Observe"])
@pytest.mark.parametrize("route", [None, "fraud"])
def test_the_status_stands_still_while_nothing_changes(outcome, mode, route):
    """Other numbers at every look, the same verdict: not one word of the status changes."""
    changes = {} if route else {"traffic": None, "fallback": None}
    made = world(mode=mode, circuit={"openFor": "6h", "maxOpenFor": "6h"}, **changes)
    made.look(outcome)
    made.after(1).look(outcome)
    known = status()
    for number in range(20):
        numbered = verdict(outcome=outcome, why=f"errors {number} %", reason=None)
        found = decide(
            view(
                numbered,
                now=made.now + number,
                status=made.status if number == 0 else known,
                spec=made.spec,
                memory=made.memory,
                target=deployment("v1", changed=T0 - 86_400),
                route=routed(*made.rules),
            )
        )
        assert number == 0 or found.status == known
        known = found.status


def test_a_sentence_is_never_too_long_to_store():
    """It is cut, not refused."""
    made = world(candidate=CANDIDATE, rules=[{"fraud": 100, "fraud-next": 0, "simple": 0}])
    long = verdict(outcome=B, why="x" * 5000)
    found = decide(view(long, spec=made.spec))
    assert len(found.status.why) == 1024
    assert found.status.incident is not None
    after = decide(view(long, spec=made.spec, status=found.status, now=T0 + 99))
    assert len(after.status.why) == 1024


def test_new_numbers_are_shown_when_the_verdict_changes():
    """They are those of the moment it changed."""
    first = decide(view(verdict(outcome=H, why="errors 1 %"))).status
    same = decide(view(verdict(outcome=H, why="errors 2 %"), status=first)).status
    other = decide(view(verdict(outcome=U, why="gone", reason="NoData"), status=same)).status
    reason = decide(view(verdict(outcome=U, why="few", reason="Few"), status=other)).status
    assert [one.signals[0].why for one in (first, same, other, reason)] == [
        "errors 1 %",
        "errors 1 %",
        "gone",
        "few",
    ]


@pytest.mark.parametrize(("wait", "phase"), [(1, "open"), (30, "half-open")])
def test_a_circuit_that_is_left_alone_says_why(wait: float, phase: str):
    """Somebody switched to Observe in the incident: nothing probes, and nothing closes."""
    made = world()
    made.look(H)
    made.after(1).look(B)
    made.after(wait).look(U)
    made.spec = world(mode="Observe").spec
    for _ in range(3):
        made.after(600).look(U)
    begins = f"circuit {phase} and left so because the mode is Observe; {FAILS}"
    assert made.status.why.startswith(begins)
