"""The page about a runbook says what each step does, when, and what follows, in plain words."""

from typing import Any

import pytest
from tests.core.build import CANDIDATE, T0, episode, spec, status

from backstop.api.runbook import RunbookSpec, RunbookStep
from backstop.api.words import Cause, Finding
from backstop.core import step_words
from backstop.core.runbook_page import Page, lines

PREDICTION = {"defaultPrediction": {"status": 203}}


def step(**fields: Any) -> RunbookStep:
    return RunbookStep.model_validate({"name": "a", **fields})


def page(*causes: Cause, **fields: Any) -> str:
    known = {"namespace": "demo", "monitor": "fraud", "spec": spec(), **fields}
    return "\n".join(lines(Page(**known), causes or tuple(Cause)))


@pytest.mark.parametrize(
    ("fields", "changes", "said"),
    [
        ({"openCircuit": {}}, {}, "give all traffic to Service `simple`"),
        (
            {"openCircuit": {}},
            {"fallback": PREDICTION},
            (
                "answer every request with the default prediction (HTTP 203), by Service"
                " `fraud-default-prediction`"
            ),
        ),
        ({"openCircuit": {}}, {"fallback": None}, "open the circuit"),
        (
            {"shiftTraffic": {}},
            {"candidate": CANDIDATE},
            "take all traffic from `fraud-next` and give it to `fraud`",
        ),
        (
            {"shiftTraffic": {"candidateWeight": 5}},
            {},
            "give the candidate 5 % of the traffic, if it is healthy",
        ),
        ({"rollback": {}}, {}, "go back to the last good revision of Deployment `fraud`"),
        (
            {"scale": {"by": "50%", "max": 8}},
            {},
            "ask for 50 % more pods of Deployment `fraud`, at most 8",
        ),
        (
            {"scale": {"to": 6}},
            {},
            (
                "ask for 6 pods of Deployment `fraud`, unless it has more, at most twice as many as"
                " when the incident began"
            ),
        ),
        ({"restart": {}}, {}, "replace all pods of Deployment `fraud`, as a rollout does"),
        (
            {"restart": {"pods": "Bad"}},
            {},
            "delete the one pod of Deployment `fraud` that carries most of the fault",
        ),
        ({"pauseRollout": {}}, {}, "stop a rollout of Deployment `fraud` that is under way"),
        ({"runJob": {"cronJob": "train"}}, {}, "run a Job made from CronJob `train`"),
        ({"runJob": {"job": "repair"}}, {}, "run a Job made from Job `repair`"),
        (
            {"callWebhook": {"url": "https://example.com/a"}},
            {},
            "POST to `https://example.com/a`, signed",
        ),
        ({"notify": {}}, {}, "tell people"),
        (
            {"notify": {"to": "the owner", "severity": "P0", "text": "Look."}},
            {},
            "tell the owner, as P0, which wakes them: Look.",
        ),
        ({"notify": {"severity": "P2"}}, {}, "tell people, as P2"),
        ({}, {}, "tell people"),
        (
            {"waitForApproval": {}},
            {},
            "go on only when a person has approved, by `backstop approve fraud -n demo`",
        ),
    ],
)
def test_what_a_step_does_is_said_with_the_names_at_hand(fields, changes, said):
    """A person on call reads what happens to which object, without looking it up."""
    made = step(**fields) if fields else RunbookStep.model_construct(name="a")
    assert said in step_words.does(made, spec(**changes), "fraud", "demo")


@pytest.mark.parametrize(
    ("fields", "changes", "why"),
    [
        ({"openCircuit": {}}, {"fallback": None}, "the monitor names no fallback"),
        ({"shiftTraffic": {}}, {}, "the monitor names no candidate"),
        ({"rollback": {}}, {"rollback": {"enabled": False}}, "spec.rollback.enabled is false"),
        ({"openCircuit": {}}, {}, ""),
        ({"shiftTraffic": {}}, {"candidate": CANDIDATE}, ""),
        ({"rollback": {}}, {}, ""),
        ({"notify": {}}, {"fallback": None}, ""),
    ],
)
def test_step_that_is_never_taken_is_told(fields, changes, why):
    """A step that this monitor always skips is found before the incident."""
    assert step_words.never(step(**fields), spec(**changes)) == why


def test_every_finding_and_cause_has_words():
    """Nothing that a condition can name is left unexplained."""
    assert step_words.FINDINGS.keys() == set(Finding)
    assert step_words.CAUSES.keys() == set(Cause)


@pytest.mark.parametrize(
    ("written", "said"),
    [("500ms", "500 ms"), ("30s", "30 s"), ("5m", "5 min"), ("6h", "6 h"), ("14d", "14 d")],
)
def test_durations_are_said_in_the_unit_they_were_written_in(written, said):
    """Four hours are not 240 minutes to a person."""
    assert step_words.duration(written) == said


REPAIR = step(name="more-pods", scale={"by": "50%"}, when={"any": ["Slow", "Saturated"]})
STEPS = [
    {"name": "circuit", "openCircuit": {}, "description": "Users get **rules**.\n\nNot good ones."},
    {
        "name": "back",
        "rollback": {},
        "timeout": "4h",
        "when": {"any": ["Slow", "OnePod"], "none": ["BothFail"], "signals": ["errors", "slow"]},
        "verify": {"signals": ["errors", "slow"], "within": "2m"},
    },
    {"name": "once-more", "restart": {}, "verify": {"signals": ["errors"]}, "onFailure": "Stop"},
    {"name": "ask", "waitForApproval": {"expireAfter": "30m"}},
    {"name": "tell", "notify": {"text": "Look at it."}},
]


def test_page_of_a_runbook():
    """Each step is a numbered item with its conditions, its limits and what follows."""
    own = RunbookSpec.model_validate({"data": STEPS})
    shown = page(Cause.DATA, runbook=own, source="team", description="For all.\n")
    assert (
        shown
        == """\
# Runbook of ModelMonitor demo/fraud

The mode is Act: Backstop takes these steps by itself.

For all.

## data

The data that reaches the model is at fault. These steps are those of Runbook `team`.

1. **circuit**: give all traffic to Service `simple`.
   - it has failed if it is not in effect within 10 min
   - if it fails: `back` follows, the incident is P0

   Users get **rules**.

   Not good ones.

2. **back**: go back to the last good revision of Deployment `fraud`, if that helps.
   - only if answers are late or one pod carries most of the fault
   - not if target and candidate fail alike
   - only if `errors` or `slow` was breached
   - it has failed if it is not in effect within 4 h
   - it has helped if `errors` and `slow` are healthy within 2 min
   - if it fails or does not help: `once-more` follows, the incident is P0

3. **once-more**: replace all pods of Deployment `fraud`, as a rollout does.
   - it has failed if it is not in effect within 10 min
   - it has helped if `errors` is healthy within 5 min
   - if it fails or does not help: nothing more is done, the incident is P0

4. **ask**: go on only when a person has approved, by `backstop approve fraud -n demo`.
   - no answer within 30 min is a no
   - if it fails: `tell` follows, the incident is P0

5. **tell**: tell people: Look at it."""
    )


def test_last_repair_has_nothing_after_it():
    """What a person must do is clear where the steps end."""
    own = RunbookSpec.model_validate({"model": [{"name": "back", "rollback": {}}]})
    said = "if it fails or does not help: no step is left, the incident is P0"
    assert said in page(Cause.MODEL, runbook=own, source="inline")


def test_each_cause_says_whose_steps_it_has():
    """A runbook with steps for one cause leaves the others built-in."""
    own = RunbookSpec.model_validate({"data": [], "model": STEPS})
    shown = page(runbook=own, source="inline")
    assert [line for line in shown.splitlines() if line.startswith("##")] == [
        f"## {cause}" for cause in Cause
    ]
    parts = {part.split("\n")[0]: part for part in shown.split("\n## ")[1:]}
    assert "Nothing is done: the list of steps is empty." in parts["data"]
    assert "These steps are written in the monitor." in parts["model"]
    assert "These steps are built-in." in parts["release"]
    assert "1. **to-the-fallback**" in parts["infrastructure"]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("Observe", "nothing is changed"),
        ("Approve", "each change waits for a person's approval"),
        ("Act", "Backstop takes these steps by itself"),
    ],
)
def test_mode_decides_who_takes_the_steps(mode, said):
    """The page says whether anything of it would really happen."""
    assert said in page(spec=spec(mode=mode))


def test_step_that_is_never_taken_is_marked_on_the_page():
    """The built-in runbook opens no circuit without a fallback, and says so."""
    shown = page(Cause.DATA, spec=spec(fallback=None))
    assert "   - always skipped, as the monitor names no fallback\n" in shown


def test_runbook_that_is_missing_is_told():
    """The built-in steps hold meanwhile, and the page says why."""
    shown = page(Cause.DATA, problem="Runbook/team does not exist")
    assert "**The built-in steps hold: Runbook/team does not exist**" in shown


PROGRESS = [
    {"name": "to-the-fallback", "step": "openCircuit", "state": "Done", "since": T0 + 1},
    {
        "name": "back-to-the-good-revision",
        "step": "rollback",
        "state": "Failed",
        "since": T0 + 2,
        "why": "it is paused",
    },
]


def test_open_incident_shows_where_it_stands():
    """A person who joins late sees what was done, what failed, and what is asked of them."""
    waiting = {"id": "9c1d", "step": "scale", "asked": T0, "expires": T0 + 60}
    shown = page(status=status(incident=episode(steps=PROGRESS), approval=waiting))
    assert (
        "**Incident fraud-20231114-221320 is under way** since 2023-11-14 22:13:18 UTC, P1, cause"
        " release: target fails: errors 50 %"
    ) in shown
    assert (
        "scale waits for approval until 22:14:20 UTC: `backstop approve fraud 9c1d -n demo`"
    ) in shown
    release = shown.split("## release")[1]
    assert "1. **to-the-fallback** (done since 22:13:21 UTC): give" in release
    assert (
        "2. **back-to-the-good-revision** (has failed since 22:13:22 UTC, it is paused): go back"
    ) in release
    assert "3. **tell**: tell" in release
    assert "1. **to-the-fallback**: give" in shown.split("## data")[1].split("## model")[0]


@pytest.mark.parametrize("changes", [{"resolved": T0 + 9}, {"severity": "P2"}])
def test_other_incidents_are_not_on_the_page(changes):
    """One that is over, or is only reported, takes no steps."""
    assert "Incident" not in page(status=status(incident=episode(steps=PROGRESS, **changes)))


def test_open_incident_asks_for_nothing_by_itself():
    """Where no approval is pending, no command to approve is shown."""
    assert "approve" not in page(Cause.RELEASE, status=status(incident=episode()))
