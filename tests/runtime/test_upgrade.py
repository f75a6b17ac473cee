"""A status that an earlier release wrote: what was under way goes on where it was.

The statuses are as that release wrote them, by monitors of these tests; words and verdicts are cut.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import pytest
from tests.core.build import T0, deployment, spec
from tests.core.canary import Canary, with_steps
from tests.core.world import World, world

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import CircuitPhase, StepKind, TrialPhase, Verdict
from backstop.core.requests import requests
from backstop.runtime.record import parse_status

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
S = StepKind

EARLIER: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("earlier_statuses.json").read_text(encoding="utf-8")
)
BEFORE: Final = {"fraud": 100, "simple": 0}
OPEN: Final = {"fraud": 0, "simple": 100}
PROBED: Final = {"fraud": 5, "simple": 95}
TRIED: Final = with_steps(10, 100)
NO_TRIAL: Final = {"fraud": 100, "fraud-next": 0, "simple": 0}
TRIAL: Final = {"fraud": 90, "fraud-next": 10, "simple": 0}
ADOPTED: Final = "8d053847999cb705"
"""Id of the action by which the earlier release gave the target the candidate's template."""


def earlier(name: str) -> ModelMonitorStatus:
    """Return a status of the earlier release as it is read after the upgrade."""
    return parse_status({"status": EARLIER[name]})


def upgraded(name: str, weights: dict[str, int], seconds: float, **changes: Any) -> World:
    """Return the monitor with that status, so many seconds after it was first looked at."""
    made = world(rules=[weights], **changes)
    made.status, made.candidate = earlier(name), deployment("c1")
    return made.after(seconds)


def holds(found: Any, known: Any) -> bool:
    """Return whether all that was ``known`` is still in ``found``."""
    if isinstance(known, dict):
        return all(holds(found[name], value) for name, value in known.items())
    if isinstance(known, list):
        return len(found) == len(known) and all(map(holds, found, known))
    return bool(found == known)


@pytest.mark.parametrize("name", EARLIER)
def test_nothing_of_an_earlier_status_is_lost(name):
    """Neither by reading it nor by writing it anew."""
    assert holds(earlier(name).to_json(), EARLIER[name])


def test_an_open_circuit_stays_open_is_probed_and_closes_with_the_weights_from_before():
    """It is not opened a second time, and the time to the probe is the one that was planned."""
    made = upgraded("open", OPEN, 3)
    assert made.look(B) == []
    assert made.after(29).look(U) == [S.PROBE_CIRCUIT]
    made.after(5).look(H)
    assert made.after(6).look(H) == [S.CLOSE_CIRCUIT]
    assert (made.rules, made.status.circuit.phase) == ([BEFORE], CircuitPhase.CLOSED)


@pytest.mark.parametrize(("outcome", "ends"), [(B, S.OPEN_CIRCUIT), (H, S.CLOSE_CIRCUIT)])
def test_a_probe_is_judged_as_it_would_have_been(outcome, ends):
    """A breach opens the circuit again, health closes it."""
    made = upgraded("half-open", PROBED, 35)
    made.look(U)
    assert made.after(11).look(outcome) == [ends]
    assert made.status.circuit.openings == (2 if outcome is B else 0)


@pytest.mark.parametrize("weights", [BEFORE, OPEN])
def test_a_circuit_that_was_being_opened_is_open(weights):
    """Whether or not the write was still made, what is to be put back is known."""
    made = upgraded("opening", weights, 3)
    assert made.look(B) == []
    assert (made.rules, made.status.circuit.phase) == ([OPEN], CircuitPhase.OPEN)
    assert made.status.circuit.restore == [BEFORE]


def test_a_trial_goes_on_and_its_service_is_known_from_then_on():
    """The candidate keeps its 10 %; taken out of the spec after the upgrade, it gives them back."""
    made = upgraded("10 %", TRIAL, 6, candidate=TRIED)
    known = made.status.candidate
    assert made.look(H, H) == []
    assert made.status.candidate is not None
    assert known is not None
    assert (made.rules, made.status.candidate.since) == ([TRIAL], known.since)
    made.spec, made.candidate = spec(), None
    assert made.after(60).look(H) == [S.SHIFT_TRAFFIC]
    assert (made.rules, made.status.candidate) == ([NO_TRIAL], None)


@pytest.mark.parametrize("weights", [NO_TRIAL, TRIAL])
def test_a_share_that_was_being_given_is_given_once(weights):
    """And the trial stands at its first step."""
    made = upgraded("giving 10 %", weights, 3, candidate=TRIED)
    assert made.look(H, U) == []
    assert made.status.candidate is not None
    assert (made.rules, made.status.candidate.weight) == ([TRIAL], 10)


def test_a_trial_behind_an_open_circuit_has_its_share_back_when_it_closes():
    """That the earlier release did not note the candidate's Service takes nothing from it."""
    made = upgraded("open in a trial", {**NO_TRIAL, **OPEN}, 12, candidate=TRIED)
    made.look(B, U)
    assert made.after(31).look(U, U) == [S.PROBE_CIRCUIT]
    made.after(5).look(H, U)
    assert made.after(12).look(H, U) == [S.CLOSE_CIRCUIT]
    assert made.rules == [TRIAL]


def test_an_aborted_trial_stays_aborted():
    """The candidate gets nothing until it has another template."""
    made = upgraded("aborted", NO_TRIAL, 22, candidate=TRIED)
    for _ in range(3):
        assert made.after(60).look(H, U) == []
    assert made.status.candidate is not None
    assert made.status.candidate.phase is TrialPhase.ABORTED


def test_a_promotion_is_finished_without_another_one():
    """The target has the template already; once its pods run it, it has the traffic back."""
    made = Canary(status=earlier("promoting"), weights={"fraud": 0, "fraud-next": 100})
    adopted = deployment("c1*", changed=T0 + 183, rolled_out=False)
    made.workloads["fraud"] = dataclasses.replace(adopted, last_action=ADOPTED)
    assert made.after(200).look() == []
    assert made.rolls_out(done=True).after(1).look() == [S.SHIFT_TRAFFIC]
    assert (made.phase, made.share) == ("Promoted", 0)


def test_a_question_counts_with_the_answer_to_it():
    """The id that a person was told is still the one to approve."""
    made = upgraded("asked", BEFORE, 5, mode="Approve")
    assert made.look(B) == []
    asked = made.status.approval
    assert asked == earlier("asked").approval
    assert asked is not None
    made.requests = requests({"backstop.dev/approve": asked.id})
    assert made.after(1).look(B) == [S.OPEN_CIRCUIT]


def test_a_question_behind_an_open_circuit_is_asked_anew():
    """Its id counted the openings; nothing is done on an answer to the one from before."""
    made = upgraded("asked while open", OPEN, 3, mode="Approve")
    made.releases, made.changed = [("v0", 1), ("v1", 2), ("v2", 3)], T0 + 1
    before = earlier("asked while open").approval
    assert before is not None
    made.requests = requests({"backstop.dev/approve": before.id})
    assert made.look(B) == []
    asked = made.status.approval
    assert asked is not None
    assert (asked.step, asked.id != before.id) == (S.ROLLBACK, True)
    made.requests = requests({"backstop.dev/approve": asked.id})
    assert made.after(1).look(B) == [S.ROLLBACK]


def test_a_revision_that_was_rolled_back_is_still_known_as_bad():
    """The incident of the rollback ends with the probe, and nothing is rolled back once more."""
    made = upgraded("rolled back", OPEN, 5)
    made.releases, made.changed = [("v0", 1), ("v2", 3), ("v1", 4)], T0 + 1
    made.look(U)
    made.after(31).look(U)
    made.after(5).look(H)
    made.after(11).look(H)
    assert made.steps == [S.PROBE_CIRCUIT, S.CLOSE_CIRCUIT]
    assert made.status.revisions.known_bad == ["v2"]
