"""The past is read in pieces, and every look gets what the source would have answered then."""

import json
import tracemalloc

import pytest
from tests.backtest.conftest import MAX_BODY
from tests.backtest.record_server import Answer, Asked, RecordServer, rejects

from backstop.adapters.metrics import history as reading_module
from backstop.adapters.metrics.answer import MAX_SERIES
from backstop.adapters.metrics.history import History
from backstop.adapters.metrics.past import Past
from backstop.adapters.metrics.pieces import GIVE_UP, LONGEST, SHORTEST
from backstop.core.backtest_report import Span
from backstop.core.samples import Reading

T0 = 1_700_000_000.0
RAW = 'hits_total{app="a"}[30000ms]'


class Sleeper:
    """Notes for how long somebody would have slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def counting(server: RecordServer, **labels: str) -> None:
    server.add("hits_total", lambda at: at - T0 + 1e6, app="a", **labels)


def history(past: Past, questions: dict[str, float], span: Span) -> History:
    return History(past, questions, span, wait=Sleeper())


def answers(one: History, query: str) -> list[tuple[float, Reading]]:
    return [(now, readings[query]) for now, readings in one.looks()]


def values(reading: Reading) -> list[list[float]]:
    assert reading.failure == ""
    return [[*series.times.tolist(), *series.values.tolist()] for series in reading.series]


def test_slices_are_what_the_source_would_have_answered(server: RecordServer, past: Past):
    """At each time the samples of (time - window, time], with pieces of an hour in between."""
    counting(server, pod="a")
    server.every = 15.0
    span = Span(T0, T0 + 3 * LONGEST, 45.0)
    for now, reading in answers(history(past, {RAW: 0.0}, span), RAW):
        times = server.scrapes(now - 30.0, now)
        assert values(reading) == [[*times, *(at - T0 + 1e6 for at in times)]]
    assert len(server.asked) == 4


@pytest.mark.parametrize("phase", [0.0, 0.001, 0.999])
def test_samples_at_the_edge_of_a_window_and_of_a_piece(
    server: RecordServer, past: Past, phase: float
):
    """A sample at the end of a window counts and one at its beginning does not; none is lost."""
    counting(server)
    server.every, server.phase = 1.0, phase
    span = Span(T0 + LONGEST - 40, T0 + LONGEST + 40, 1.0)
    for now, reading in answers(history(past, {RAW: 0.0}, span), RAW):
        assert reading.series[0].times.tolist() == server.scrapes(now - 30.0, now)


def test_one_selector_is_read_once_for_all_its_windows(server: RecordServer, past: Past):
    """Two windows of one selector share the samples, and each gets its own slice."""
    counting(server)
    short = 'hits_total{app="a"}[5000ms]'
    for now, readings in history(past, {RAW: 0.0, short: 0.0}, Span(T0, T0 + 60, 1.0)).looks():
        assert readings[RAW].series[0].times.size == 30
        assert readings[short].series[0].times.tolist() == server.scrapes(now - 5.0, now)
    assert len(server.asked) == 1


def test_series_that_appears_later_appears_then(server: RecordServer, past: Past):
    """Before its first sample a series is not in any answer, and after its last it vanishes."""
    counting(server, pod="old")
    born, dead = T0 + 100, T0 + 200
    server.add("hits_total", lambda at: at if born <= at <= dead else None, app="a", pod="new")
    for now, reading in answers(history(past, {RAW: 0.0}, Span(T0, T0 + 300, 5.0)), RAW):
        pods = {one.labels["pod"] for one in reading.series}
        alive = any(born <= at <= dead for at in server.scrapes(now - 30.0, now))
        assert pods == ({"old", "new"} if alive else {"old"})


def test_too_large_an_answer_is_asked_for_in_halves(server: RecordServer, past: Past):
    """What does not fit into the limit of an answer arrives complete, in smaller pieces."""
    for number in range(20):
        counting(server, pod=str(number))
    span = Span(T0, T0 + LONGEST, 60.0)
    one = history(past, {RAW: 0.0}, span)
    for now, reading in answers(one, RAW):
        assert len(reading.series) == 20
        assert reading.series[7].times.tolist() == server.scrapes(now - 30.0, now)
    assert one.gaps == ()
    assert min(asked.end - asked.begin for asked in server.asked) < LONGEST


def test_query_that_loads_too_many_samples_is_asked_in_halves(server: RecordServer, past: Past):
    """A limit of the source itself is met in the same way."""
    counting(server)

    def limited(asked: Asked) -> Answer | None:
        too_long = asked.end - asked.begin > 1000
        return rejects("query processing would load too many samples") if too_long else None

    server.override = limited
    one = history(past, {RAW: 0.0}, Span(T0, T0 + LONGEST, 60.0))
    assert all(reading.series for _, reading in answers(one, RAW))
    assert one.gaps == ()


def test_what_cannot_be_read_is_a_failure_for_each_window_that_needs_it(
    server: RecordServer, past: Past
):
    """A stretch that fails is Unknown, never empty; everything around it is as it was."""
    counting(server)
    begin, end = T0 + 1000, T0 + 1100

    def broken(asked: Asked) -> Answer | None:
        return Answer(500, b"boom") if asked.begin < end and asked.end > begin else None

    server.override = broken
    one = history(past, {RAW: 0.0}, Span(T0, T0 + 2 * LONGEST, 5.0))
    found = answers(one, RAW)
    failed = [now for now, reading in found if reading.failure]
    assert {reading.failure for _, reading in found} == {"", "the source answered HTTP 500"}
    assert all(reading.series or reading.failure for _, reading in found)
    (gap,) = one.gaps
    assert gap.begin <= begin
    assert gap.end >= end
    assert gap.end - gap.begin < 10 * SHORTEST
    assert all(gap.begin < now and now - 30 < gap.end for now in failed)
    assert set(failed) == {now for now, _ in found if gap.begin < now and now - 30 < gap.end}


def test_a_hiccup_leaves_no_gap(server: RecordServer, past: Past):
    """A server that fails now and then is asked again, and nothing is missing."""
    counting(server)
    seen: list[Asked] = []

    def hiccup(asked: Asked) -> Answer | None:
        seen.append(asked)
        return Answer(503, b"") if len(seen) % 3 == 1 else None

    server.override = hiccup
    one = history(past, {RAW: 0.0}, Span(T0, T0 + LONGEST, 60.0))
    assert all(reading.series for _, reading in answers(one, RAW))
    assert one.gaps == ()


def test_server_that_is_gone_ends_the_reading(past: Past, server: RecordServer):
    """After some gaps the rest of the record is one gap, and is not asked for."""
    server.override = lambda _: Answer(500, b"")
    sleeper = Sleeper()
    span = Span(T0, T0 + 100 * LONGEST, 30.0)
    one = History(past, {RAW: 0.0}, span, wait=sleeper)
    assert all(reading.failure for _, reading in answers(one, RAW))
    (gap,) = one.gaps
    assert (gap.begin, gap.end) == (T0 - 30.0, span.end)
    assert len(server.asked) < 4 * GIVE_UP
    assert len(sleeper.slept) == 3


def test_refused_connection_is_tried_again_as_it_is():
    """A server that restarts is waited for, and its answers are not asked for in small pieces."""
    sleeper = Sleeper()
    gone = Past("http://127.0.0.1:1")
    one = History(gone, {RAW: 0.0}, Span(T0, T0 + 60, 60.0), wait=sleeper)
    ((_, first), (_, second)) = answers(one, RAW)
    gone.close()
    assert {first.failure, second.failure} == {"connection refused"}
    assert sleeper.slept == [1.0, 5.0, 15.0]


def test_rejected_query_is_told_as_such(server: RecordServer, past: Past):
    """A query that the source will never accept is a bad query, and is not waited for."""
    server.override = lambda _: rejects("unknown function")
    sleeper = Sleeper()
    one = History(past, {RAW: 0.0}, Span(T0, T0 + LONGEST, 600.0), wait=sleeper)
    for _, reading in answers(one, RAW):
        assert reading.bad_query
        assert reading.failure == "the query is rejected: unknown function"
    assert sleeper.slept == []


HOSTILE = {
    "not JSON": (b"<html>", "the answer is not JSON"),
    "nesting": (b"[" * 100_000, "the answer is not JSON"),
    "a list": (b"[1, 2]", "the answer is not one of Prometheus"),
    "no data": (b'{"status": "success"}', "the answer is not one of Prometheus"),
    "a warning": (
        b'{"warnings": ["x"], "data": {"result": []}}',
        "the answer may be incomplete",
    ),
    "times that go back": (
        b'{"data": {"result": [{"metric": {}, "values": [[2, "1"], [1, "1"]]}]}}',
        "the answer holds samples without ascending times",
    ),
    "too many series": (
        json.dumps(
            {"data": {"result": [{"metric": {}, "values": []}] * (MAX_SERIES + 1)}}
        ).encode(),
        f"the answer has {MAX_SERIES + 1} series, more than {MAX_SERIES}: aggregate or narrow it",
    ),
    "too much": (b" " * (MAX_BODY + 1), "the answer is larger than"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_answer_is_a_failure(server: RecordServer, past: Past, hostile: str):
    """Nothing that a server can answer becomes an empty answer or an error of ours."""
    body, said = HOSTILE[hostile]
    server.override = lambda _: Answer(200, body)
    one = history(past, {RAW: 0.0}, Span(T0, T0 + 60, 30.0))
    assert all(reading.failure.startswith(said) for _, reading in answers(one, RAW))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_answer_to_an_expression_is_a_failure(
    server: RecordServer, past: Past, hostile: str
):
    """The same holds for ranges."""
    body, said = HOSTILE[hostile]
    server.override = lambda _: Answer(200, body)
    one = history(past, {"sum(x)": 0.0}, Span(T0, T0 + 60, 30.0))
    assert all(reading.failure.startswith(said) for _, reading in answers(one, "sum(x)"))


def test_what_is_not_promql_is_left_to_the_source(server: RecordServer, past: Past):
    """The source says what is wrong with a query that looks like one for raw samples."""
    server.override = lambda _: rejects("parse error")
    for query in ("hits_total{[5000ms]", "sum(x)[5000ms]"):
        one = history(past, {query: 0.0}, Span(T0, T0 + 60, 30.0))
        assert all(reading.bad_query for _, reading in answers(one, query))


def test_window_with_too_many_samples_is_refused(
    server: RecordServer, past: Past, monkeypatch: pytest.MonkeyPatch
):
    """Memory stays bounded where a window is too long for raw samples."""
    monkeypatch.setattr(reading_module, "MAX_SAMPLES", 20)
    counting(server)
    one = history(past, {RAW: 0.0}, Span(T0, T0 + 60, 30.0))
    assert {reading.failure for _, reading in answers(one, RAW)} == {
        "the window holds more than 20 samples: narrow the selector"
    }


def test_samples_outside_of_what_was_asked_do_not_count(server: RecordServer, past: Past):
    """A server that sends a series twice, or samples of other times, adds nothing."""
    far = [[T0 - 1e6, "1"], [T0 + 1, "2"], [T0 + 1e6, "3"]]
    series = [{"metric": {"pod": "a"}, "values": far}, {"metric": {"pod": "a"}, "values": far}]
    body = json.dumps({"data": {"result": series}}).encode()
    server.override = lambda _: Answer(200, body)
    one = history(past, {RAW: 0.0}, Span(T0, T0 + 2, 1.0))
    found = [values(reading) for _, reading in answers(one, RAW)]
    assert found == [[], [[T0 + 1, 2.0]], [[T0 + 1, 2.0]]]


def test_expression_has_its_value_at_each_look(server: RecordServer, past: Past):
    """An expression is read as a range, and is there only where it has a value."""
    query = "sum(x)"
    server.expressions[query] = lambda at: None if T0 + 50 <= at < T0 + 60 else at
    one = history(past, {query: 0.0}, Span(T0, T0 + 2 * LONGEST, 5.0))
    for now, reading in answers(one, query):
        gone = T0 + 50 <= now < T0 + 60
        assert values(reading) == ([] if gone else [[now, now]])
    assert len(server.asked) == 3


def test_expression_that_cannot_be_read_is_a_failure(server: RecordServer, past: Past):
    """A failing stretch of a range is a gap as for raw samples."""
    query = "sum(x)"
    server.expressions[query] = lambda at: at
    server.override = lambda asked: (
        Answer(500, b"") if asked.begin <= T0 + 500 <= asked.end else None
    )
    one = history(past, {query: 0.0}, Span(T0, T0 + LONGEST, 5.0))
    found = dict(answers(one, query))
    assert found[T0 + 500].failure
    assert all(bool(reading.failure) != bool(reading.series) for reading in found.values())
    (gap,) = one.gaps
    assert gap.begin < T0 + 500 <= gap.end


def test_answer_that_may_be_kept_is_not_asked_for_again(server: RecordServer, past: Past):
    """A question with a time to keep is answered anew when it is over, raw or not."""
    counting(server)
    query = "sum(x)"
    server.expressions[query] = lambda at: at
    one = history(past, {query: 20.0, RAW: 20.0}, Span(T0, T0 + 60, 6.0))
    for now, readings in one.looks():
        asked = T0 + (now - T0) // 24 * 24
        assert values(readings[query]) == [[asked, asked]]
        assert readings[RAW].series[0].times.tolist() == server.scrapes(asked - 30, asked)


def test_expression_that_returns_a_range_is_asked_look_by_look(server: RecordServer, past: Past):
    """What cannot be asked for over a range still has an answer, kept as long as it may be."""
    query = "x[1m] offset 1d"
    server.expressions[query] = lambda at: at
    one = history(past, {query: 20.0}, Span(T0, T0 + 60, 10.0))
    for now, readings in one.looks():
        asked = T0 + (now - T0) // 20 * 20
        assert values(readings[query]) == [[asked, asked]]
    server.override = lambda _: Answer(500, b"")
    two = history(past, {query: 0.0}, Span(T0, T0, 10.0))
    assert [reading.failure for _, reading in answers(two, query)] == [
        "the source answered HTTP 500"
    ]
    assert [gap.begin for gap in two.gaps] == [T0]


def test_expression_that_returns_native_histograms_is_asked_look_by_look(
    server: RecordServer, past: Past
):
    """A histogram without a number cannot be read over a range, and is there all the same."""
    buckets = {"count": "3", "sum": "1", "buckets": [[0, "0", "1", "3"]]}

    def native(asked: Asked) -> Answer:
        pair = [asked.end, buckets]
        over = asked.begin != asked.end
        item = {"metric": {}, "histograms": [pair]} if over else {"metric": {}, "histogram": pair}
        return Answer(200, json.dumps({"data": {"result": [item]}}).encode())

    server.override = native
    one = history(past, {"sum(x)": 0.0}, Span(T0, T0 + 60, 10.0))
    for now, reading in answers(one, "sum(x)"):
        assert [series.buckets for series in reading.series] == [((0, 0.0, 1.0, 3.0),)]
        assert reading.series[0].times.tolist() == [now]
    assert one.gaps == ()


def test_question_nobody_asks_is_not_read(server: RecordServer, past: Past):
    """What is wanted only now and then is read only there."""
    counting(server)
    one = history(past, {RAW: 0.0}, Span(T0, T0 + 10 * LONGEST, 60.0))
    last = None
    for _, readings in one.looks():
        last = readings
    assert last is not None
    assert (list(last), len(last)) == ([RAW], 1)
    assert last[RAW].series[0].times.size == 30
    assert len(server.asked) == 1


def _peak(past: Past, lasts: float) -> int:
    tracemalloc.start()
    one = history(past, {RAW: 0.0, "sum(x)": 0.0}, Span(T0, T0 + lasts, 6.0))
    for _, readings in one.looks():
        assert readings[RAW].series
        assert readings["sum(x)"].series
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_record(server: RecordServer, past: Past):
    """A record ten times as long takes no more memory; the server, in this process, adds noise."""
    for number in range(20):
        counting(server, pod=str(number))
    server.every = 15.0
    server.expressions["sum(x)"] = lambda at: at
    _peak(past, LONGEST)  # what is imported and cached once
    short = _peak(past, 2 * LONGEST)
    assert _peak(past, 20 * LONGEST) < 2 * short


def test_a_long_window_of_raw_samples_is_written_in_seconds():
    """It is told from an expression like a short one."""
    assert reading_module._raw("a[500ms]") == ("a", 0.5)
    assert reading_module._raw("a[5184000s]") == ("a", 5_184_000.0)
    assert reading_module._raw("rate(a[5184000s])") is None
