"""What a monitor sees and would do is told on one page, with numbers and with what to type."""

from typing import Any

import pytest
from tests.core.build import CANDIDATE, T0, action, episode, spec, status, verdict

from backstop.api.runbook import RunbookStep
from backstop.api.words import Arm, StepKind, Verdict
from backstop.core.built_in import BUILT_IN
from backstop.core.explain_page import Seen, lines
from backstop.core.view import Step

STEPS = tuple(BUILT_IN.release or ())
WIDE = 1000


def page(width: int = WIDE, **fields: Any) -> list[str]:
    known = {"namespace": "demo", "monitor": "fraud", "spec": spec(), "now": T0, **fields}
    return list(lines(Seen(**{"status": status(), **known}), width))


def section(title: str, **fields: Any) -> list[str]:
    """Return the lines below a title."""
    text = page(**fields)
    if title not in text:
        return []
    rest = text[text.index(title) + 1 :]
    return [line.strip() for line in rest[: rest.index("") if "" in rest else None]]


def step(kind: StepKind, *, weight: int = 0, of: RunbookStep | None = None) -> Step:
    return Step(kind, "id", "errors 50 %", candidate_weight=weight, of=of)


def test_head_names_the_monitor_and_how_it_was_looked_at():
    """A reader knows whether the page is of now, and that nothing was changed."""
    begin = "ModelMonitor demo/fraud, mode Act, target Deployment fraud"
    alone = "by its status alone at 2023-11-14 22:13:20 UTC, as no metrics source is named"
    assert page()[:2] == [begin, alone]
    looked = "by a look at 2023-11-14 22:13:20 UTC; nothing is changed"
    assert page(verdicts=())[:2] == [begin, looked]


def test_signals_of_a_look_have_their_numbers():
    """Both arms, with the reason of what is not known."""
    found = (
        verdict("errors", Verdict.BREACHED),
        verdict("errors", Verdict.UNKNOWN, arm=Arm.CANDIDATE, why="no series"),
    )
    assert section("Signals", verdicts=found) == [
        "errors on target: Breached: errors 50 % (5 of 10), allowed 5%",
        "errors on candidate: Unknown (NoData): no series",
    ]
    assert section("Signals") == ["nothing has been looked at yet"]


def test_signals_of_the_status_are_those_of_the_last_change():
    """Without a source, what the operator wrote is shown."""
    known = {"name": "errors", "arm": "target", "pillar": "system", "verdict": "Healthy"}
    assert section("Signals", status=status(signals=[known])) == ["errors on target: Healthy"]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("Healthy", "all signals of the target hold"),
        ("Unknown", "a signal of the target has no verdict, so nothing is blamed"),
        ("Breached", "a signal of the target is breached; nothing is blamed yet"),
    ],
)
def test_without_an_incident_nothing_is_blamed(outcome, said):
    """No cause is made up."""
    assert section("Diagnosis", status=status(verdict=outcome)) == [said]


def test_diagnosis_names_cause_findings_and_pod():
    """The sentence of the diagnosis, and what each finding means."""
    blamed = episode(findings=["FollowsRelease", "OnePod"], pod="fraud-a")
    assert section("Diagnosis", status=status(incident=blamed)) == [
        "release: target fails: errors 50 %",
        "FollowsRelease: the fault began soon after the revision changed",
        "OnePod: one pod carries most of the fault",
        "the pod at fault: fraud-a",
    ]


def test_incident_tells_its_course_and_actions():
    """An open incident lists what was done; one that is over is one line."""
    done = action(state="Failed", message="refused")
    known = episode(mitigated=T0 + 1, actions=[done])
    assert section("Incident", status=status(incident=known)) == [
        (
            "fraud-20231114-221320, P1, on the target: began 22:13:18, detected 22:13:20,"
            " mitigated 22:13:21 UTC"
        ),
        "22:13:20 openCircuit on HTTPRoute/fraud: Failed: refused",
    ]
    over = known.model_copy(update={"resolved": known.mitigated})
    (line,) = section("Incident", status=status(incident=over))
    assert line.endswith("resolved 22:13:21 UTC")
    assert section("Incident") == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "built-in"),
        ("built-in", "built-in"),
        ("inline", "written in the monitor"),
        ("team", "of Runbook team"),
    ],
)
def test_runbook_shows_which_step_is_reached(source, said):
    """Steps that are over, under way and to come."""
    steps = [
        {"name": "to-the-fallback", "step": "openCircuit", "state": "Done", "since": T0},
        {
            "name": "back-to-the-good-revision",
            "step": "rollback",
            "state": "Skipped",
            "since": T0,
            "why": "nothing to go back to",
        },
    ]
    known = status(incident=episode(steps=steps, runbook=source))
    assert section("Runbook", status=known, steps=STEPS) == [
        f"steps for release, {said}",
        "1. to-the-fallback (openCircuit): Done since 2023-11-14 22:13:20 UTC",
        (
            "2. back-to-the-good-revision (rollback): Skipped since 2023-11-14 22:13:20 UTC:"
            " nothing to go back to"
        ),
        "3. tell (notify): to come",
    ]
    assert section("Runbook", steps=STEPS) == []
    assert section("Runbook", status=known) == []


def test_circuit_tells_phase_openings_and_the_next_probe():
    """Whoever waits for the target knows until when."""
    circuit = {"phase": "Open", "since": T0, "openings": 2, "next_probe": T0 + 30}
    assert section("Circuit", status=status(circuit=circuit)) == [
        (
            "Open since 2023-11-14 22:13:20 UTC, opened 2 times in this incident, probed from"
            " 22:13:50 UTC"
        )
    ]
    assert section("Circuit") == ["Closed"]
    assert section("Circuit", spec=spec(fallback=None)) == []
    open_ = status(circuit={"phase": "Open", "openings": 1})
    assert section("Circuit", spec=spec(fallback=None), status=open_) == ["Open"]


def test_candidate_tells_its_step_and_why():
    """The share, the step of how many, and what it waits for."""
    trial = {"phase": "Trial", "weight": 5, "step": 1, "why": "at 5 %: paused by a person"}
    stepped = spec(candidate={**CANDIDATE, "progression": {"steps": [1, 5, 25]}})
    assert section("Candidate", spec=stepped, status=status(candidate=trial)) == [
        "fraud-next: Trial at 5 %, step 2 of 3: at 5 %: paused by a person"
    ]
    bare = spec(candidate=CANDIDATE)
    assert section("Candidate", spec=bare, status=status(candidate={})) == ["fraud-next: Trial"]
    assert section("Candidate", spec=bare) == []
    gone = {"phase": "Removed", "service": "next", "weight": 5, "why": "its traffic goes back"}
    assert section("Candidate", status=status(candidate=gone)) == [
        "next: Removed at 5 %: its traffic goes back"
    ]
    assert section("Candidate", status=status(candidate={})) == []


def test_revisions_tell_what_a_rollback_would_go_to():
    """The current one, the last good one, and what is never gone back to."""
    known = {
        "current": {"fingerprint": "v2", "since": T0},
        "last_good": {"fingerprint": "v1", "since": T0 - 60},
        "known_bad": ["v3", "v4"],
    }
    assert section("Revisions", status=status(revisions=known)) == [
        "current v2 since 2023-11-14 22:13:20 UTC",
        "last good v1 since 2023-11-14 22:12:20 UTC",
        "known bad, never rolled back to: v3, v4",
    ]
    assert section("Revisions") == []


def test_what_is_held_is_told_with_what_to_type():
    """A brake, a suspension, and an approval with the exact command."""
    waiting = {"id": "9c", "step": "rollback", "asked": T0, "expires": T0 + 60, "why": "it is bad"}
    held = status(held="maintenance: Sat", approval=waiting)
    assert section("Brakes", spec=spec(suspend=True), status=held) == [
        "spec.suspend is true: nothing is looked at, and traffic stays as it is",
        "held: maintenance: Sat",
        (
            "rollback waits for approval since 2023-11-14 22:13:20 UTC, until 2023-11-14 22:14:20"
            " UTC: it is bad"
        ),
        "approve it by: backstop approve fraud 9c -n demo",
    ]
    assert section("Brakes") == []


def test_action_under_way_is_told():
    """What was planned and is not verified yet."""
    assert section("Under way", status=status(action=action())) == [
        "22:13:20 openCircuit on HTTPRoute/fraud: Planned"
    ]
    assert section("Under way") == []


def test_problems_come_first():
    """What keeps Backstop from seeing or acting is read before anything else."""
    assert page(problems=("TargetFound: no Deployment",))[2:5] == [
        "",
        "Problems",
        "  TargetFound: no Deployment",
    ]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (
            step(StepKind.ROLLBACK, of=STEPS[1]),
            "go back to the last good revision of Deployment fraud, if that helps",
        ),
        (step(StepKind.PROBE_CIRCUIT), "give fraud 5 % of the traffic, as a probe"),
        (step(StepKind.CLOSE_CIRCUIT), "close the circuit, and put the traffic back as it was"),
        (step(StepKind.SHIFT_TRAFFIC), "take all traffic from fraud-next"),
        (step(StepKind.SHIFT_TRAFFIC, weight=25), "give fraud-next 25 % of the traffic"),
        (step(StepKind.SCALE), "scale"),
    ],
)
def test_next_step_is_said_in_words(taken, said):
    """Steps of the runbook, of the circuit and of the progression."""
    with_candidate = spec(candidate=CANDIDATE)
    next_ = section("Next", spec=with_candidate, verdicts=(), step=taken)
    assert next_ == [f"{said}: errors 50 %"]


def test_shift_without_a_candidate_is_still_said():
    """The candidate was taken out of the spec."""
    taken = step(StepKind.SHIFT_TRAFFIC)
    assert section("Next", verdicts=(), step=taken) == [
        "take all traffic from the candidate: errors 50 %"
    ]


def test_next_in_mode_observe_is_a_condition():
    """Nobody takes what would be done for what is done."""
    taken = step(StepKind.CLOSE_CIRCUIT)
    (said,) = section("Next", spec=spec(mode="Observe"), verdicts=(), step=taken)
    assert said.startswith("if the mode were not Observe, would close the circuit")


def test_next_without_a_step_is_the_operators_sentence():
    """A look without a step says what the operator would write."""
    known = status(why="no action: all signals of fraud are healthy")
    assert section("Next", status=known, verdicts=()) == [known.why]


def test_next_without_a_look_is_not_made_up():
    """By the status alone, what is next is not known, and the page says how to know it."""
    advice = (
        "not known: name the metrics source with --prometheus or --config to see what it would do"
        " now."
    )
    assert section("Next") == [advice]
    known = status(why="no action")
    assert section("Next", status=known) == [f"{advice} Backstop said last: no action"]


def test_long_lines_are_wrapped_with_an_indent():
    """A narrow terminal shows all of it, and names are not torn apart."""
    text = page(60, status=status(why="very " * 40))
    assert max(map(len, text)) <= 60
    assert text[-1].startswith("      very")
