"""`backstop backtest` shows what would have been done, in a terminal, as JSON and as a picture."""

import json
import os
import pty
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.backtest.build import CANDIDATE, ERRORS, GAUGE, RATE, T0, bad_between, spec
from tests.backtest.record_server import Answer, RecordServer, rejects

from backstop.cli import backtest as command
from backstop.cli.backtest_input import moment, references
from backstop.cli.main import main
from backstop.core.measurement import Missing
from backstop.core.reference import Reference

END = "2023-11-14T22:23:20Z"
assert moment(END, "") == T0 + 600

FAULT = (300.0, 340.0)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def requests_recorded(server: RecordServer) -> RecordServer:
    """Return a record of ten minutes in which half of the requests fail for 40 seconds."""
    share = bad_between(FAULT)
    counts: dict[str, dict[int, float]] = {"200": {}, "500": {}}
    whole = dict.fromkeys(counts, 0.0)
    for second in range(-400, 601):
        bad = share(T0 + second - 1)
        whole["500"] += RATE * bad
        whole["200"] += RATE * (1 - bad)
        for code, count in whole.items():
            counts[code][second] = count
    for code, by_second in counts.items():
        server.add(
            "requests_total",
            lambda at, known=by_second: known.get(int(at - T0)),
            app="fraud",
            code=code,
        )
    return server


def write(path: Path, *manifests: object) -> str:
    path.write_text(yaml.safe_dump_all(json.loads(json.dumps(manifests))))
    return str(path)


def monitor(name: str = "fraud", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "backstop.dev/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": spec(**changes),
    }


def known(path: Path, *faults: dict[str, str]) -> str:
    path.write_text(yaml.safe_dump({"faults": list(faults)}))
    return str(path)


FAULT_THERE = {"name": "disk", "from": "2023-11-14T22:18:20Z", "to": "2023-11-14T22:19:00Z"}
FAULT_ELSEWHERE = {"from": "2023-11-14T22:14:00Z", "to": "2023-11-14T22:14:10+00:00"}


def backtest(server: RecordServer, file: str, *options: str) -> Result:
    arguments = ["backtest", file, "--prometheus", server.url, "--last", "10m", "--end", END]
    return CliRunner().invoke(main, [*arguments, *options], catch_exceptions=False)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write(tmp_path / "monitor.yaml", monitor())


def test_incident_is_shown_with_time_step_and_evidence(requests_recorded, file):
    """A person sees when, for how long, what first, on what evidence, and how much it spares."""
    result = backtest(requests_recorded, file)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == (
        "ModelMonitor demo/fraud: 2023-11-14 22:13:20 to 2023-11-14 22:23:20 UTC (10 min), 601"
        " looks, one"
    )
    (row,) = (line for line in lines if line.startswith("1   "))
    assert row.split() == [
        *("1", "2023-11-14", "22:18:23", "49", "s", "infrastructure", "openCircuit"),
        row.split()[-1],
    ]
    assert int(row.split()[-1].replace(",", "")) == pytest.approx(0.5 * RATE * 35, abs=0.5 * RATE)
    text = " ".join(result.output.split())
    assert "target fails: errors " in text
    assert "1 incident; in 1 Backstop would have acted. About 1," in text
    assert "Doubtful: 1 of 1, where the breach ended by itself within 2 min of the decision" in text
    assert "Whether an action would have been wrong is not known" in text
    assert "Not judged: releases and rollbacks" in text


def test_chart_has_a_row_for_each_signal_and_marks_the_incident(requests_recorded, file, tmp_path):
    """Without colours: the breach stands above the incident's number and the known fault."""
    faults = known(tmp_path / "faults.yaml", FAULT_THERE)
    lines = backtest(requests_recorded, file, "--known", faults).output.splitlines()
    (errors,) = (line for line in lines if line.startswith("errors "))
    (incidents,) = (line for line in lines if line.startswith("incidents "))
    (fault,) = (line for line in lines if line.startswith("known faults "))
    assert set(errors[14:]) == {".", "#"}
    assert len(errors) == 100
    assert abs(incidents.index("1") - errors.index("#")) <= 1
    assert abs(fault.index("x") - errors.index("#")) <= 1
    assert ". healthy   # breached   ? unknown" in "\n".join(lines)


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(requests_recorded, tmp_path, monkeypatch, width):
    """At 80 and at 120 columns nothing is cut or wrapped, and the chart uses all there is."""
    long = {**ERRORS, "name": "errors-with-a-name-that-is-long"}
    file = write(tmp_path / "monitor.yaml", monitor(signals=[long, ERRORS]))
    monkeypatch.setattr(command, "_WIDTH_OF_A_FILE", width)
    lines = backtest(requests_recorded, file).output.splitlines()
    table = [line for line in lines if line.startswith(("1   ", "#"))]
    assert max(map(len, (line for line in lines if line not in table))) == width
    assert max(map(len, table)) <= 80
    assert any(line.startswith("errors-with-a-name-tha..  ") for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_shows_progress_and_uses_its_width(requests_recorded, file, width):
    """A person who waits sees how far it is; the report then fits the terminal."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    where = ["--prometheus", requests_recorded.url, "--last", "10m", "--end", END]
    done = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "backstop", "backtest", file, *where],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": str(width), "LINES": "40", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    assert done.wait(timeout=60) == 0
    assert "replaying" in shown
    report = shown[shown.index("ModelMonitor demo/fraud") :]
    assert max(map(len, report.splitlines())) == width


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # the other side was closed


def test_output_is_plain_ascii(requests_recorded, file):
    """A log file or a screen reader loses nothing: no colours, no drawing characters."""
    output = backtest(requests_recorded, file).output
    assert output.isascii()
    assert "\x1b" not in output


def test_json_holds_all_that_was_found(requests_recorded, file, tmp_path):
    """The JSON has the documented form."""
    out = tmp_path / "out.json"
    assert backtest(requests_recorded, file, "--json", str(out)).exit_code == 0
    found = json.loads(out.read_text())
    assert found["schema"] == "backstop.dev/backtest/v1"
    assert found["monitor"] == {"namespace": "demo", "name": "fraud"}
    assert (found["begin"], found["end"]) == (
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:23:20.000Z",
    )
    assert (found["stepSeconds"], found["looks"]) == (1.0, 601)
    (one,) = found["incidents"]
    assert (one["number"], one["cause"], one["severity"], one["arm"], one["step"]) == (
        *(1, "infrastructure", "P1", "target", "openCircuit"),
    )
    assert (one["assessment"], one["signals"]) == ("Doubtful", ["errors"])
    assert one["onset"] < one["detected"] == one["decided"] < one["ended"]
    assert found["summary"] == {
        "incidents": 1,
        "acting": 1,
        "wrong": None,
        "doubtful": 1,
        "missed": None,
        "saved": one["saved"],
    }
    (signal,) = found["signals"]
    assert (signal["unit"], signal["min"], signal["max"]) == ("percentage", None, 0.05)
    bins = signal["bins"]
    assert {len(bins[name]) for name in ("healthy", "breached", "unknown", "low", "high")} == {601}
    assert bins["seconds"] == 1.0
    assert (found["knownFaults"], found["gaps"]) == (None, [])


def test_fields_of_the_json_are_documented(requests_recorded, file, tmp_path):
    """Every field that is written has a row in docs/backtest.md."""
    out, faults = tmp_path / "out.json", known(tmp_path / "faults.yaml", FAULT_THERE)
    requests_recorded.override = lambda asked: (
        Answer(500, b"") if asked.begin < T0 + 100 < asked.end else None
    )
    backtest(requests_recorded, file, "--json", str(out), "--known", faults)
    page = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
    missing = [name for name in _names(json.loads(out.read_text())) if f"`{name}`" not in page]
    assert missing == []


def _names(value: object, prefix: str = "") -> list[str]:
    if isinstance(value, list):
        return _names(value[0], f"{prefix}[]") if value else []
    if not isinstance(value, dict) or prefix.endswith("unknownReasons"):
        return [prefix]
    return [
        name for key, one in value.items() for name in _names(one, f"{prefix}.{key}".strip("."))
    ]


def test_known_faults_tell_wrong_from_right(requests_recorded, file, tmp_path):
    """With the truth at hand there are confirmed, wrong and missed, and nothing is doubtful."""
    faults = known(tmp_path / "faults.yaml", FAULT_THERE, FAULT_ELSEWHERE)
    text = " ".join(backtest(requests_recorded, file, "--known", faults).output.split())
    assert "Known fault: disk." in text
    assert "Wrong: 0 times. Known faults: 2, acted on 1, only noticed 0, missed 1." in text
    assert "Missed: fault 2 at 2023-11-14 22:14:00 UTC." in text
    assert "oubtful" not in text
    faults = known(tmp_path / "faults.yaml")
    text = " ".join(backtest(requests_recorded, file, "--known", faults).output.split())
    assert "WRONG: no known fault at this time." in text
    assert "Wrong: 1 times. Known faults: 0" in text


def test_picture_is_drawn(requests_recorded, tmp_path):
    """The picture is a PNG, also where nothing has a limit or a number."""
    signals = [ERRORS, {**GAUGE, "threshold": {"promql": {"expr": "sum(drift)"}, "min": "1"}}]
    file = write(tmp_path / "monitor.yaml", monitor(signals=signals))
    out = tmp_path / "out.png"
    faults = known(tmp_path / "faults.yaml", FAULT_THERE)
    for options in ((), ("--known", faults)):
        assert backtest(requests_recorded, file, "--png", str(out), *options).exit_code == 0
        assert out.read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_is_told_before_anything_is_read(server, file, tmp_path, monkeypatch):
    """Nobody waits for a backtest whose picture cannot be drawn."""
    for name in [*sys.modules, "matplotlib"]:
        if name.partition(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "backstop.cli.backtest_png", raising=False)
    result = backtest(server, file, "--png", str(tmp_path / "out.png"))
    assert result.exit_code == 1
    assert "install backstop with its extra, backstop[charts]" in result.output
    assert server.asked == []


def test_bad_monitor_has_the_sentences_of_check(server, tmp_path):
    """What `backstop check` says about a file, `backstop backtest` says as well."""
    file = write(tmp_path / "monitor.yaml", monitor(interval="x", mode="act"))
    checked = CliRunner().invoke(main, ["check", file])
    result = backtest(server, file)
    assert (result.output, result.exit_code) == (checked.output, 1)
    assert server.asked == []


def test_file_without_a_monitor_is_refused(server, tmp_path):
    """There is nothing to replay."""
    file = write(tmp_path / "other.yaml", {"kind": "ConfigMap"})
    result = backtest(server, file)
    assert (result.output, result.exit_code) == (
        "Error: no ModelMonitor found: is this the right file?\n",
        1,
    )


def test_one_of_several_monitors_is_chosen(requests_recorded, tmp_path):
    """A file may hold several; which one is meant has to be said."""
    file = write(tmp_path / "monitor.yaml", monitor(), monitor("other", fallback=None))
    result = backtest(requests_recorded, file)
    assert result.exit_code == 1
    assert "the file has the monitors fraud, other: choose one with --monitor" in result.output
    assert backtest(requests_recorded, file, "--monitor", "third").exit_code == 1
    result = backtest(requests_recorded, file, "--monitor", "other", "-n", "there")
    assert result.output.startswith("ModelMonitor there/other: ")
    assert " nothing " in next(one for one in result.output.splitlines() if one.startswith("1   "))


def test_unreachable_prometheus_is_one_sentence(file):
    """Not a traceback, and not a report without numbers."""
    arguments = ["backtest", file, "--prometheus", "http://127.0.0.1:1"]
    result = CliRunner().invoke(main, arguments)
    assert (result.output, result.exit_code) == (
        "Error: cannot read Prometheus: connection refused\n",
        1,
    )
    result = CliRunner().invoke(main, [*arguments[:-1], "localhost:9090"])
    assert result.exit_code == 1
    assert "a Prometheus URL starts with http:// or https://" in result.output


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": {"result": 3}}'])
def test_something_else_than_prometheus_is_told(server, file, body):
    """Whatever answers there, it is said that it is no Prometheus."""
    server.override = lambda _: Answer(200, body)
    result = backtest(server, file)
    assert result.exit_code == 1
    assert result.output.startswith("Error: cannot read Prometheus: the answer is not ")
    assert len(result.output.splitlines()) == 1


def test_empty_history_is_no_clean_bill(server, file, tmp_path):
    """A record without the target's series is not a monitor that found nothing."""
    out = tmp_path / "out.json"
    result = backtest(server, file, "--json", str(out))
    assert result.exit_code == 1
    assert "nothing was judged: there is no sample of any signal in this time" in result.output
    assert json.loads(out.read_text())["firstSample"] is None


def test_rejected_query_is_told(requests_recorded, tmp_path):
    """What Prometheus says about an expression stands in the report."""
    bad = {**GAUGE, "threshold": {"promql": {"expr": "sum(drift)"}, "max": "1"}}
    file = write(tmp_path / "monitor.yaml", monitor(signals=[ERRORS, bad]))
    requests_recorded.override = lambda asked: (
        rejects("found duplicate series") if "drift" in asked.query else None
    )
    text = " ".join(backtest(requests_recorded, file).output.split())
    assert "drift: no verdict in 100 % of looks (BadQuery 601)." in text
    assert "the query is rejected: found duplicate series" in text


def test_gap_is_counted_and_told(requests_recorded, file):
    """What could not be read is said, with its length and why, and is no incident."""
    requests_recorded.override = lambda asked: (
        Answer(500, b"") if asked.begin < T0 + 100 < asked.end else None
    )
    text = " ".join(backtest(requests_recorded, file).output.split())
    assert "Could not be read: " in text
    assert "the first because the source answered HTTP 500." in text
    assert "1 incident; in 1 " in text


def test_candidate_that_was_never_there_is_told(requests_recorded, tmp_path):
    """A candidate without a series has no row in the chart, and one sentence instead."""
    file = write(tmp_path / "monitor.yaml", monitor(candidate=CANDIDATE))
    output = backtest(requests_recorded, file).output
    assert "errors (candidate): never measured (NoData 601)." in output
    assert not any(line.startswith("errors (candidate)  ") for line in output.splitlines())


def test_record_that_begins_late_is_told(server, file):
    """A record shorter than what was asked for is not taken for the whole."""
    server.add("requests_total", lambda at: at - T0 if at > T0 + 300 else None, app="fraud")
    text = " ".join(backtest(server, file).output.split())
    assert "The record begins at 2023-11-14 22:18:21 UTC." in text
    assert "No incident: the monitor would have done nothing." in text


def test_step_is_the_interval_of_the_monitor_unless_written(requests_recorded, tmp_path):
    """A backtest looks as often as the operator would."""
    file = write(tmp_path / "monitor.yaml", monitor(interval="15s"))
    assert ", 41 looks, one" in backtest(requests_recorded, file).output
    assert ", 121 looks, one" in backtest(requests_recorded, file, "--step", "5s").output


DRIFT = {"name": "scores", "drift": {"scores": {}, "reference": {"configMap": "training"}}}


def config_map(text: str) -> dict[str, Any]:
    metadata = {"name": "training"}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"reference.json": text}}


class TestReference:
    """A signal may be compared with training data that a ConfigMap holds."""

    GOOD = json.dumps({"scores": {"edges": [0.5], "counts": [3, 4]}})

    @pytest.fixture
    def drifting(self, tmp_path: Path) -> str:
        signals = [ERRORS, DRIFT]
        return write(tmp_path / "drift.yaml", monitor(preset="backstop", signals=signals))

    def test_missing_config_map_is_unknown(self, requests_recorded, drifting):
        """Without the training data there is no verdict, and the others are judged."""
        text = " ".join(backtest(requests_recorded, drifting).output.split())
        assert "scores: no verdict in 100 % of looks (" in text
        assert "1 incident; " in text

    def test_config_map_is_found_in_either_file(self, tmp_path):
        """It may stand beside the monitor or in a file of its own; others are passed over."""
        other = {"kind": "ConfigMap", "metadata": {"name": "other"}}
        file = write(tmp_path / "maps.yaml", other, {"metadata": 3}, config_map(self.GOOD))
        found = references([file], {"training", "gone", None})
        assert isinstance(found["training"], Reference)
        assert found["training"].scores is not None
        gone = found["gone"]
        assert isinstance(gone, Missing)
        assert gone.why.startswith("ConfigMap gone is not at hand")

    def test_damaged_config_map_is_told(self, requests_recorded, drifting, tmp_path):
        """What cannot be read is said before anything is replayed."""
        damaged = write(tmp_path / "map.yaml", config_map("{"))
        result = backtest(requests_recorded, drifting, "--reference", damaged)
        assert result.exit_code == 1
        assert "map.yaml: ConfigMap training: reference.json is damaged" in result.output
        (tmp_path / "map.yaml").write_text("a: [")
        result = backtest(requests_recorded, drifting, "--reference", damaged)
        assert "map.yaml: line 2 is not valid YAML: " in result.output
        assert requests_recorded.asked == []


@pytest.mark.parametrize(
    ("option", "value"), [("--last", "2 weeks"), ("--step", "0s"), ("--brief", "x")]
)
def test_bad_duration_is_refused(server, file, option, value):
    """A duration is written as in a spec."""
    result = backtest(server, file, option, value)
    assert result.exit_code != 0
    assert option in result.output or "positive step" in result.output
    assert server.asked == []


class TestTime:
    """`--end` and the times of known faults."""

    @pytest.fixture(autouse=True)
    def zone(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
        monkeypatch.undo()
        time.tzset()

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2023-11-14T22:13:20Z", T0),
            ("2023-11-14T23:13:20", T0),
            ("2023-11-14 23:13:20", T0),
            ("2023-11-14T17:13:20-05:00", T0),
            ("2023-07-14T00:00:00", 1689285600.0),
            ("2023-10-29T02:30:00+02:00", 1698539400.0),
            ("2023-10-29T02:30:00+01:00", 1698543000.0),
        ],
    )
    def test_time_without_an_offset_is_local(self, text, expected):
        """Summer time counts, and an offset always wins."""
        assert moment(text, "--end") == expected

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("2023-10-29T02:30:00", "the local clock shows 2023-10-29T02:30:00 twice"),
            ("2023-03-26T02:30:00", "the local clock shows 2023-03-26T02:30:00 never"),
            ("yesterday", "'yesterday' is not a time: write for example 2026-11-23T10:00:00Z"),
        ],
    )
    def test_time_that_is_not_one_is_refused(self, server, file, text, said):
        """What the local clock shows never or twice needs an offset; nothing is guessed."""
        result = backtest(server, file, "--end", text)
        assert result.exit_code == 1
        assert f"Error: --end: {said}" in result.output

    def test_future_has_no_record(self, server, file):
        """A backtest of tomorrow is a mistake in the year, most likely."""
        result = backtest(server, file, "--end", "2999-01-01T00:00:00Z")
        assert result.exit_code == 1
        assert "--end 2999-01-01T00:00:00Z is in the future" in result.output

    def test_span_may_cross_a_change_of_the_clock(self, server, file):
        """Looks are evenly spaced when the local clock jumps."""
        result = backtest(
            server, file, "--end", "2023-10-29T04:00:00", "--last", "3h", "--step", "15s"
        )
        assert "2023-10-29 00:00:00 to 2023-10-29 03:00:00 UTC (180 min), 721" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faults: 3", "must hold a list `faults` with name, from and to"),
        ("[1]", "must hold a list `faults` with name, from and to"),
        ("faults: [{name: a}]", "faults[0] needs from and to, and may have a name"),
        ("faults: [{from: x, to: y}]", "faults[0].from: 'x' is not a time"),
        ("faults: [{from: 2023-01-02T00:00:00Z, to: 2023-01-01T00:00:00Z}]", "ends before it"),
        ("faults: [", "is not valid YAML"),
    ],
)
def test_bad_file_of_faults_is_told(server, file, tmp_path, text, said):
    """The mistake is named, before anything is read."""
    faults = tmp_path / "faults.yaml"
    faults.write_text(text)
    result = backtest(server, file, "--known", str(faults))
    assert result.exit_code == 1
    assert said in result.output
    assert server.asked == []


@pytest.mark.parametrize("option", ["--json", "--png"])
def test_place_that_cannot_be_written_is_told_before_the_replay(server, tmp_path, option):
    """Not after weeks were replayed."""
    file = write(tmp_path / "monitor.yaml", {})
    result = backtest(server, file, option, str(tmp_path / "absent" / "out"))
    assert f"'{option}': there is no directory {tmp_path / 'absent'}: make it first" in (
        result.output
    )
    assert result.exit_code == 2
