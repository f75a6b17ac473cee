"""The report says what was recorded, and says so when something is missing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from tests.demo.build import ALL_TO_TARGET, INJECTED, incident, moment, result, snapshot

from backstop_lab.demo import charts, report, results, run
from backstop_lab.demo.records import Record, Tally
from backstop_lab.demo.results import Moments
from backstop_lab.demo.story import Story

OBSERVED = result(mode="Observe", requests=Tally(2010, 340), moments=Moments(began=8.2))


def test_times_in_the_table_count_from_the_first_failed_request() -> None:
    """A release that fails 8 s after its injection and is mitigated 9.6 s after it took 1.6 s."""
    (pair,) = report.pairs([result(), OBSERVED])
    assert report.row(pair) == (
        "Bad release",
        "1.5 s",
        "1.6 s",
        "6.0 s",
        "10.0 s",
        "40 of 2,000",
        "340 of 2,010",
    )


def test_a_fault_that_no_user_felt_is_timed_from_its_injection() -> None:
    """Where nothing failed there is no onset; moments that did not happen are a dash."""
    quiet = result(moments=Moments(detected=2.0), requests=Tally(3600, 0))
    (pair,) = report.pairs([quiet])
    assert report.row(pair)[1:] == ("2.0 s", "-", "-", "-", "0 of 3,600", "not measured")


def test_each_scenario_is_paired_with_its_own_observed_run() -> None:
    """The order is that of the Act run, and no number comes from another scenario."""
    canary = result(scenario="bad-canary", title="Bad canary")
    observed = result(scenario="bad-canary", mode="Observe", requests=Tally(1300, 7))
    found = report.pairs([result(), canary, observed, OBSERVED])
    assert [(pair.acted.scenario, pair.observed) for pair in found] == [
        ("bad-release", OBSERVED),
        ("bad-canary", observed),
    ]


def test_the_report_shows_the_chart_the_sentence_and_an_intact_table() -> None:
    """A bar in a text must not break a row of the Markdown table."""
    text = report.markdown([result(), OBSERVED], {"bad-release": "bad-release.png"})
    assert "![Bad release](bad-release.png)" in text
    assert "> errors 30 %" in text
    assert "| 9.6 s | circuit opened \\| weights moved |" in text
    assert "Did not end well" not in text


def test_the_report_names_what_was_not_seen() -> None:
    """A scenario that did not end well says so above its chart."""
    failed = result(unmet=["the circuit is closed"])
    assert not failed.ended_well
    text = report.markdown([failed], {})
    assert "**Did not end well.**" in text
    assert "- not seen: the circuit is closed" in text


def test_the_demo_fails_if_one_scenario_did_and_says_which_and_why() -> None:
    """The exit code is what a build relies on."""
    console = Console(width=110)
    with console.capture() as capture:
        codes = [
            run.exit_code(played, console)
            for played in ([result(), OBSERVED], [result(), result(unmet=["a rollback"])])
        ]
    assert codes == [0, 1]
    assert capture.get() == "Bad release did not end well, not seen: a rollback\n"


def test_the_terminal_shows_every_heading_and_cell() -> None:
    """Nothing is cut off in a terminal of usual width."""
    console = Console(width=110)
    with console.capture() as capture:
        console.print(report.terminal_table([result(), OBSERVED]))
    shown = capture.get()
    assert "340 of 2,010" in shown
    assert "Bad release" in shown


def test_results_survive_their_file(tmp_path: Path) -> None:
    """The report can be made again from the file that the demo writes."""
    played = [result(), OBSERVED]
    results.dump(played, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == played


def test_each_scenario_gets_a_chart(tmp_path: Path) -> None:
    """With and without an observed run, and where nothing failed at all."""
    quiet = result(scenario="outage", moments=Moments(), error_ratio=[], requests=Tally(0, 0))
    drawn = charts.draw_all([result(), OBSERVED, quiet], tmp_path)
    assert drawn == {"bad-release": "bad-release.png", "outage": "outage.png"}
    for name in drawn.values():
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_story_is_summed_up_from_the_incident_and_the_requests() -> None:
    """Times come from the Incident, counts from the requests since the injection."""
    seen = incident(mitigated=moment(9.6), resolved=moment(18))
    told = Story(INJECTED, snapshot(-1), [snapshot(9.7, seen, weights={}), snapshot(19, seen)])
    requests = [Record(INJECTED + at, 500, 0.1) for at in (-0.5, 8.0, 9.0, 25.0)]
    summed = results.conclude(
        scenario="bad-release",
        title="Bad release",
        mode="Act",
        story=told,
        records=requests,
        detected=INJECTED + 9.5,
        unmet=[],
        notes=[(INJECTED + 9.6, "circuit opened")],
    )
    assert summed.moments == Moments(8.0, 9.5, moment(9.6).timestamp() - INJECTED, None, 18.0)
    assert summed.requests == Tally(2, 2)
    assert summed.lasted == 19.0
    assert [at for at, _ in summed.weights[1:]] == [moment(9.7).timestamp() - INJECTED, 19.0]
    assert summed.weights[-1][1] == ALL_TO_TARGET
    assert [verdict for _, verdict in summed.verdicts] == ["Healthy"]
    assert [(round(at, 6), text) for at, text in summed.notes] == [(9.6, "circuit opened")]
