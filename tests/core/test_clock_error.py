"""Times that a wrong clock left in a status stop nothing, and change no order."""

from typing import Any

import pytest
from tests.core.build import T0, action, carried_out, episode, route, status, verdict, view

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Cause, StepKind, Verdict
from backstop.core.clock_error import corrected
from backstop.core.decide import decide
from backstop.core.evidence import evidence_from
from backstop.core.verdicts import Look

H, B = Verdict.HEALTHY, Verdict.BREACHED
LATER = T0 + 7200
ANSWERED = Look(verdicts=(verdict(outcome=H),), answered=True)


def mended(known: ModelMonitorStatus, look: Look = ANSWERED) -> ModelMonitorStatus:
    """Return the status as it is decided by, once the clock shows T0."""
    return corrected(view(status=known, look=look))


def opened(**circuit: Any) -> ModelMonitorStatus:
    """Return a status of which all was written by a clock that was two hours ahead."""
    steps = [{**one, "since": LATER} for one in carried_out(Cause.MODEL)]
    return status(
        circuit={"openings": 1, "restore": [{"fraud": 100, "simple": 0}], **circuit},
        incident=episode(cause="model", onset=LATER - 2, detected=LATER, steps=steps),
        evidence_from=LATER,
    )


def test_a_circuit_probes_and_closes_though_it_opened_in_the_future():
    """Each wait begins anew, and lasts as long as it was meant to."""
    known = opened(phase="Open", since=LATER, next_probe=LATER + 30)
    for now, kind in ((T0, None), (T0 + 29, None), (T0 + 31, StepKind.PROBE_CIRCUIT)):
        served = route({"fraud": 0, "simple": 100})
        found = decide(view(status=known, look=ANSWERED, now=now, route=served))
        known = found.status
        assert (found.step and found.step.kind) == kind
    half_open = opened(phase="HalfOpen", since=LATER)
    known = decide(view(status=half_open, look=ANSWERED)).status
    step = decide(view(status=known, look=ANSWERED, now=T0 + 60)).step
    assert step is not None
    assert step.kind is StepKind.CLOSE_CIRCUIT


def test_samples_of_now_are_evidence():
    """What was done in the future was done by now; so samples from now on count."""
    trial = {"fingerprint": "a", "since": LATER + 9}
    known = mended(status(evidence_from=LATER, candidate=trial))
    assert list(evidence_from(known).values()) == pytest.approx([T0, T0])


def test_order_is_kept():
    """A target that was changed after its incident began was so by a right clock, too."""
    known = mended(
        status(
            incident=episode(detected=LATER, actions=[action(planned_at=LATER + 7)]),
            revisions={
                "current": {"fingerprint": "v2", "since": LATER + 5},
                "last_good": {"fingerprint": "v1", "since": T0 - 60},
            },
        )
    )
    incident, revisions = known.incident, known.revisions
    assert incident is not None
    assert revisions.current is not None
    assert revisions.last_good is not None
    planned = incident.actions[0].planned_at
    assert incident.onset < incident.detected < revisions.current.since < planned
    assert planned.timestamp() == T0
    assert incident.detected.timestamp() == pytest.approx(T0, abs=1e-3)
    assert revisions.last_good.since.timestamp() == T0 - 60


def test_a_question_expires_after_the_time_that_it_has():
    """A person is neither given hours more nor refused at once."""
    asked = {"id": "a", "step": "rollback", "asked": LATER, "expires": LATER + 600}
    approval = mended(status(approval=asked)).approval
    assert approval is not None
    assert approval.asked.timestamp() == T0
    assert approval.expires.timestamp() == T0 + 600


@pytest.mark.parametrize(
    "known",
    [
        status(cool_down_from=LATER),
        status(recent_actions=[{"last": LATER, "count": 5}]),
        status(incident=episode(detected=LATER, steps=[]), evidence_from=LATER),
    ],
)
def test_no_brake_holds_for_longer_than_it_may(known: ModelMonitorStatus):
    """Cool-down, limits and retries end as long after now as they were to end after the future."""
    later = mended(known)
    assert later != known
    assert "2023-11-15" not in later.model_dump_json(), "T0 is on the day before"
    assert mended(later) is later


def test_without_an_answer_nothing_is_known_about_the_clock():
    """A clock that is behind is not answered; by it old evidence would be taken for new."""
    known = opened(phase="Open", since=LATER, next_probe=LATER + 30)
    assert mended(known, Look()) is known


def test_what_is_under_way_is_known_by_its_times():
    """The id of an action follows from the time of its trial; so does that of a promotion."""
    acting = status(evidence_from=LATER, action=action())
    assert mended(acting) is acting
    promoting = status(candidate={"phase": "Promoting", "fingerprint": "a", "since": LATER})
    assert mended(promoting) is promoting


def test_a_clock_that_is_a_little_ahead_is_waited_for():
    """Clocks of two machines are never quite equal."""
    near = status(evidence_from=T0 + 4)
    assert mended(near) is near


def test_an_end_without_a_beginning_stays():
    """A status that somebody mended by hand."""
    known = mended(status(circuit={"phase": "Open", "next_probe": LATER}, evidence_from=LATER))
    assert known.circuit.next_probe is not None
    assert known.circuit.next_probe.timestamp() == LATER
