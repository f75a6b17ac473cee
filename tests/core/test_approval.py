"""What a person is asked, and what counts as an answer."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, spec, status, view

from backstop.api.status import Approval
from backstop.api.words import StepKind
from backstop.core.approval import Answer, Answered, answer, ask, is_needed
from backstop.core.requests import Requests
from backstop.core.view import Step

S = StepKind
APPROVE = spec(mode="Approve")
FREE = {S.PROBE_CIRCUIT, S.CLOSE_CIRCUIT, S.NOTIFY}
STEP = Step(S.ROLLBACK, "abc", "errors 50 %")


def question(**changes: object) -> Approval:
    """Return a question about the action `abc`, asked at `T0` for 30 minutes."""
    return Approval.model_validate(
        {
            "id": "abc",
            "step": S.ROLLBACK,
            "asked": T0,
            "expires": T0 + 1800,
            "why": "errors 50 %",
            **changes,
        }
    )


@pytest.mark.parametrize("kind", list(S))
@pytest.mark.parametrize("mode", ["Act", "Approve", "Observe"])
def test_a_person_is_asked_where_the_mode_or_the_step_says_so(kind, mode):
    """In Approve before each change; what only goes on with an open circuit needs no second one."""
    asks = kind is S.WAIT_FOR_APPROVAL or (mode == "Approve" and kind not in FREE)
    needed = is_needed(view(spec=spec(mode=mode)), Step(kind, "abc", "because"))
    assert needed is (asks and mode != "Observe")


@pytest.mark.parametrize(("phase", "needed"), [("Closed", True), ("HalfOpen", False)])
def test_ending_a_probe_needs_no_second_approval(phase, needed):
    """The circuit was opened with one, and the probe has just failed."""
    made = view(spec=APPROVE, status=status(circuit={"phase": phase}))
    assert is_needed(made, Step(S.OPEN_CIRCUIT, "abc", "because")) is needed


def test_a_question_names_one_action_and_its_time():
    """What would be done, why, and until when the answer is waited for."""
    assert ask(view(), STEP, "30m") == question()


def test_a_question_that_waits_is_not_asked_anew():
    """Its time goes on, also when its words have changed."""
    asked = question(asked=T0 - 60, expires=T0 + 60, why="errors 40 %")
    assert ask(view(status=status(approval=asked.to_json())), STEP, "30m") == asked


def test_another_action_is_another_question():
    """It begins with its full time."""
    other = question(id="other", expires=T0 + 1)
    assert ask(view(status=status(approval=other.to_json())), STEP, "30m") == question()


def test_the_longest_question_still_has_an_end_that_can_be_written():
    """Whatever a spec allows, it is a year."""
    assert ask(view(), STEP, "9999999d").expires == datetime.fromtimestamp(
        T0 + 365 * 86_400, tz=UTC
    )


WAITS = Answered(
    Answer.WAITING,
    "rollback waits until 2023-11-14 22:43:20 UTC for approval; whoever may edit the monitor can"
    " approve it by the annotation backstop.dev/approve=abc, or refuse it by backstop.dev/deny=abc",
)
APPROVED = Answered(Answer.APPROVED, "rollback was approved by backstop.dev/approve")
DENIED = Answered(
    Answer.DENIED, "rollback was denied by the annotation backstop.dev/deny; it is not taken"
)
EXPIRED = Answered(
    Answer.EXPIRED,
    "rollback was not approved within 30 min, which counts as a refusal; take the step yourself, or"
    " allow more time the next time",
)


@pytest.mark.parametrize(
    ("approved", "denied", "later", "expected"),
    [
        ((), (), 0, WAITS),
        ((), (), 1799, WAITS),
        ((), (), 1800, EXPIRED),
        (("abc",), (), 0, APPROVED),
        (("other", "abc"), (), 1799, APPROVED),
        (("abc",), (), 1800, EXPIRED),
        ((), ("abc",), 0, DENIED),
        (("abc",), ("abc",), 0, DENIED),
        ((), ("abc",), 1800, DENIED),
        (("other", "ab", "abcd"), ("other", "ABC"), 0, WAITS),
    ],
)
def test_an_answer_is_for_exactly_one_action(approved, denied, later, expected):
    """A refusal counts more than an approval, and one that is seen too late counts as none."""
    wishes = Requests(approved=frozenset(approved), denied=frozenset(denied))
    found = answer(view(now=T0 + later, requests=wishes), question())
    assert found == expected
    assert found.refused is (expected in (DENIED, EXPIRED))


@given(
    ids=st.sets(st.text(min_size=1, max_size=16)),
    later=st.floats(0.0, 4000.0),
    denies=st.booleans(),
)
def test_answers_to_other_questions_change_nothing(ids, later, denies):
    """Neither an approval nor a refusal of any other action."""
    others = frozenset(ids - {"abc"})
    wishes = Requests(denied=others) if denies else Requests(approved=others)
    made = view(now=T0 + later)
    assert answer(replace(made, requests=wishes), question()) == answer(made, question())
    assert answer(made, question()).answer is not Answer.APPROVED
