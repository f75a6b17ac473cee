"""The timeline tells each change once, in words, in a terminal and in a log."""

from __future__ import annotations

import io

from rich.console import Console
from tests.demo.build import ALL_TO_FALLBACK, action, incident, moment, snapshot

from backstop_lab.demo import narrate
from backstop_lab.demo.display import LiveDisplay, Moment, PlainDisplay, choose

BREACHED = {"verdict": "Breached", "why": "errors 30 % (150 of 500), allowed 5%"}


def test_nothing_is_told_while_nothing_changes() -> None:
    """Two equal looks make no line."""
    assert narrate.changes(snapshot(1, incident()), snapshot(2, incident())) == []


def test_a_verdict_is_told_with_its_why() -> None:
    """A person reads the numbers where the verdict changes."""
    (line,) = narrate.changes(snapshot(1), snapshot(2, **BREACHED))
    assert line == "verdict Breached: errors 30 % (150 of 500), allowed 5%"


def test_an_incident_is_told_from_its_cause_to_its_end() -> None:
    """Cause, action, weights and resolution each get a line."""
    opened = incident(actions=[action("openCircuit")])
    resolved = incident(
        actions=[action("openCircuit", state="Verified")], repaired=moment(5), resolved=moment(9)
    )
    first = narrate.changes(snapshot(1), snapshot(2, opened, weights=ALL_TO_FALLBACK))
    assert first == [
        "incident P1, cause release: errors 30 %",
        "circuit opened: the fallback answers",
        "weights: ranker 0  ranker-candidate 0  ranker-simple 100",
    ]
    assert narrate.changes(snapshot(2, opened), snapshot(3, resolved)) == [
        "repaired",
        "incident resolved",
    ]


def test_what_was_not_carried_out_or_failed_is_told_as_such() -> None:
    """Observe and failure must not read like success."""
    for state, said in (("Observed", "not carried out"), ("Failed", "failed: ")):
        seen = incident(actions=[action("rollback", state=state)])
        lines = narrate.changes(snapshot(1, incident()), snapshot(2, seen))
        assert len(lines) == 1
        assert lines[0].startswith(said)


def test_a_release_is_told_when_it_starts_and_when_it_is_complete() -> None:
    """The rollout's end matters: what follows it is what others do not watch."""
    started = snapshot(2, version="v2", rolled_out=False)
    assert narrate.changes(snapshot(1), started) == ["Deployment ranker changes to v2"]
    complete = snapshot(3, version="v2")
    assert narrate.changes(started, complete) == ["rollout of v2 complete"]


def test_a_log_gets_plain_lines_and_a_terminal_a_live_panel() -> None:
    """No control sequences in a log; brackets in a sentence are text, not markup."""
    log = io.StringIO()
    display = choose(Console(file=log, width=80))
    assert isinstance(display, PlainDisplay)
    with display:
        display.note("users see [red]30 %[/red] errors " + "x" * 80)
    assert "users see [red]30 %[/red] errors " + "x" * 80 in log.getvalue()
    assert "\x1b" not in log.getvalue()
    assert isinstance(choose(Console(file=io.StringIO(), force_terminal=True)), LiveDisplay)


def test_the_live_panel_shows_the_state_of_the_moment() -> None:
    """Stage, errors, weights, verdict, circuit, last action and why are all there."""
    screen = io.StringIO()
    seen = incident(actions=[action("openCircuit")]).status
    episode = {**dict(seen)}
    episode.pop("phase")
    now = snapshot(
        2, weights=ALL_TO_FALLBACK, circuit={"phase": "Open"}, incident=episode, **BREACHED
    )
    with LiveDisplay(Console(file=screen, force_terminal=True, width=120), 0.0) as display:
        display.show(Moment("Bad release (Act)", 0.3, now))
        display.note("circuit opened [by hand]")
    shown = screen.getvalue()
    for text in ("Bad release (Act)", "30.0%", "ranker-simple 100", "Breached", "open"):
        assert text in shown
    assert "150 of 500" in shown
    assert "[by hand]" in shown
