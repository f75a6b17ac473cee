"""The Prometheus source: whatever the server does, a read returns, bounded, and says what is wrong.

The server is real, on loopback, and misbehaves on the wire.
"""

import gzip
import json
import math
from base64 import b64encode
from email.utils import formatdate

import numpy as np
import pytest
from tests.adapters.reading import ask
from tests.adapters.rude_server import (
    hang_up,
    plain,
    raw,
    result,
)

from backstop.adapters.metrics.bounded_http import Access, Login
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.core.samples import Reading

EMPTY = json.dumps({"status": "success", "data": {"result": []}}).encode()

# What a good answer means


async def test_a_vector_is_one_sample_per_series(server, source):
    """Each series of an instant vector has its value at the time of the evaluation."""
    server.answers[""] = result(
        {"metric": {"pod": "a"}, "value": [1700000000.123, "0.5"]},
        {"metric": {"pod": "b"}, "value": [1700000000.123, "7"]},
    )
    reading = await ask(source)
    assert (reading.failure, reading.bad_query, reading.read_at) == ("", False, 42.0)
    assert [one.labels for one in reading.series] == [{"pod": "a"}, {"pod": "b"}]
    assert [one.values.tolist() for one in reading.series] == [[0.5], [7.0]]
    assert reading.series[0].times.tolist() == [1700000000.123]
    assert reading.series[0].values.dtype == np.float64


async def test_a_matrix_keeps_scrape_times(server, source):
    """Raw samples of three histogram buckets keep the times at which they were scraped."""
    server.answers[""] = result(
        *(
            {"metric": {"le": le}, "values": [[100.25, "1"], [101.251, "2"], [102.249, "5"]]}
            for le in ("0.1", "1", "+Inf")
        ),
        kind="matrix",
    )
    reading = await ask(source)
    assert [one.labels["le"] for one in reading.series] == ["0.1", "1", "+Inf"]
    assert [one.times.tolist() for one in reading.series] == [[100.25, 101.251, 102.249]] * 3
    assert reading.series[2].values.tolist() == [1.0, 2.0, 5.0]


async def test_a_scalar_is_one_series_without_labels(server, source):
    """A scalar, which arrives as a bare pair, is told apart from two series."""
    server.answers[""] = result(1700000000, "3.5", kind="scalar")
    reading = await ask(source)
    assert [(one.labels, one.values.tolist()) for one in reading.series] == [({}, [3.5])]


async def test_two_series_are_not_a_scalar(server, source):
    """A vector of exactly two series stays two series."""
    item = {"metric": {}, "value": [1, "2"]}
    server.answers[""] = result(item, item)
    assert len((await ask(source)).series) == 2


async def test_special_values_are_kept(server, source):
    """NaN and the infinities reach the rules as values; what they mean is decided there."""
    server.answers[""] = result(
        {"metric": {}, "values": [[1, "NaN"], [2, "+Inf"], [3, "-Inf"]]}, kind="matrix"
    )
    values = (await ask(source)).series[0].values
    assert math.isnan(values[0])
    assert values[1:].tolist() == [math.inf, -math.inf]


async def test_nothing_found_is_no_failure(server, source):
    """An empty vector is an answer: there is no such series."""
    server.answers[""] = result()
    assert await ask(source) == Reading(read_at=42.0)


async def test_an_answer_that_says_that_it_is_whole_is_one(server, source):
    """VictoriaMetrics says so in each answer; a label of that name is no word of the source."""
    items = [{"metric": {"isPartial": "true"}, "value": [1, "2"]}]
    server.answers[""] = plain(data(items, isPartial=False))
    assert [one.values.tolist() for one in (await ask(source)).series] == [[2.0]]


DATES = {
    -3600: "",
    0: "",
    4: "",
    10: "the source's clock is 9 s ahead of this one; check time synchronisation",
    7200: "the source's clock is 7199 s ahead of this one; check time synchronisation",
}


@pytest.mark.parametrize(("ahead", "failure"), DATES.items())
async def test_answers_about_the_past_are_refused(server, source, monkeypatch, ahead, failure):
    """Where this machine's clock is behind, an answer to "now" is about what was long ago."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.0)
    date = formatdate(1_700_000_000 + ahead, usegmt=True)
    server.answers[""] = plain(EMPTY, 200, f"Date: {date}")
    assert (await ask(source)).failure == failure


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 14 Nov 99999 22:13:20 GMT"])
async def test_a_source_that_does_not_tell_its_time_is_believed(server, source, date):
    """Not every proxy leaves the date in an answer."""
    server.answers[""] = plain(EMPTY, 200, f"Date: {date}")
    assert (await ask(source)).failure == ""


async def test_each_distinct_query_is_asked_once(server, source):
    """Signals that share a query share its answer."""
    server.answers[""] = result()
    readings = await source.read(["a", "b", "a", "a"])
    assert sorted(server.asked) == ["a", "b"]
    assert list(readings) == ["a", "b"]
    assert await source.read([]) == {}


async def test_queries_travel_in_the_body(server, source):
    """Queries may be long, so they are posted as a form and never put into the URL."""
    server.answers[""] = result()
    query = "sum(rate(x[5m])) + " * 5000 + "1"
    await ask(source, query)
    assert server.asked == [query]
    assert server.heads[0].startswith("POST /api/v1/query HTTP/1.1\r\n")


async def test_a_compressed_answer_is_read(server, source):
    """A gzip answer within the limit is an answer."""
    body = json.dumps({"status": "success", "data": {"result": []}}).encode()
    server.answers[""] = plain(gzip.compress(body), 200, "Content-Encoding: gzip")
    assert (await ask(source)).failure == ""


async def test_credentials(server, tmp_path):
    """Configured headers are sent, and the token as it is in the file now."""
    server.answers[""] = result()
    token = tmp_path / "token"
    source = PrometheusSource(server.url, Access(headers={"X-Scope-OrgID": "t"}, token_file=token))
    assert (await ask(source)).failure == "the bearer token file of the source cannot be read"
    for word in ("first", "second"):
        token.write_text(f"{word}\n")
        await ask(source)
        assert f"Authorization: Bearer {word}\r\n" in server.heads[-1]
        assert "X-Scope-OrgID: t\r\n" in server.heads[-1]


async def test_a_login(server, tmp_path):
    """The user's name is of the configuration, the password as it is in the file now."""
    server.answers[""] = result()
    password = tmp_path / "password"
    source = PrometheusSource(server.url, Access(login=Login("1234", password)))
    assert (await ask(source)).failure == "the password file of the source cannot be read"
    for word in ("first", "zweité:"):
        password.write_text(f"{word}\n", encoding="utf-8")
        await ask(source)
        sent = b64encode(f"1234:{word}".encode()).decode()
        assert f"Authorization: Basic {sent}\r\n" in server.heads[-1]
    await source.close()


async def test_the_environment_has_no_say(server, source, monkeypatch):
    """Proxy variables do not send queries and credentials through somebody else."""
    server.answers[""] = result()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert (await ask(source)).failure == ""


# What a bad answer becomes

HTML = "<!DOCTYPE html><html><body>Sign in at https://login.internal?token=secret</body></html>"
PROMETHEUS = "the answer is not one of Prometheus"
REDIRECT = "the source redirects elsewhere, which is refused"
DAMAGED = "the source's compressed answer is damaged"
BROKE = "the connection to the source broke"
NATIVE = (
    "the query returns native histograms over time: use histogram_quantile, histogram_count or"
    " histogram_sum around it"
)
UNREADABLE = "the answer holds a native histogram that cannot be read"
PROMQL = 'PromQL warning: bucket label "le" is missing'
NUMBERS = "the answer holds samples that are not numbers"


def data(items: object, **more: object) -> str:
    return json.dumps({"status": "success", "data": {"result": items}, **more})


INCOMPLETE = "the answer is incomplete: a part of the store is down"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (plain("boom: password=secret", 500), "the source answered HTTP 500"),
        (plain("secret", 503), "the source answered HTTP 503"),
        (plain("secret", 404), "the source answered HTTP 404"),
        (plain("secret", 401), "the source answered HTTP 401"),
        (plain("secret", 400), "the source answered HTTP 400"),
        (plain("secret", 302, "Location: /elsewhere"), REDIRECT),
        (plain("secret", 307, "Location: http://169.254.169.254/"), REDIRECT),
        (plain(HTML), "the answer is not JSON"),
        (plain(""), "the answer is not JSON"),
        (plain(data([])[:-4]), "the answer is not JSON"),
        (plain("[" * 100_000), "the answer is not JSON"),
        (plain("[]"), PROMETHEUS),
        (plain("null"), PROMETHEUS),
        (plain('{"status":"error","error":"secret"}'), PROMETHEUS),
        (plain(data({"secret": 1})), PROMETHEUS),
        (plain(data(["secret"])), PROMETHEUS),
        (plain(data([{"metric": {"secret": 1}, "value": [1, "2"]}])), PROMETHEUS),
        (plain(data([{"metric": {}, "value": [1, "secret"]}])), NUMBERS),
        (plain(data([{"metric": {}}])), NUMBERS),
        (plain(data([{"metric": {}, "values": 7}])), NUMBERS),
        (plain(data([1, "a string"])), NUMBERS),
        (
            plain(data([{"metric": {}, "values": [[2, "1"], [1, "1"]]}])),
            "the answer holds samples without ascending times",
        ),
        (
            plain(data([{"metric": {}, "value": [float("nan"), "1"]}])),
            "the answer holds samples without ascending times",
        ),
        (
            plain(data([{"metric": {}, "histograms": [[1, {"count": "3"}]]}])),
            NATIVE,
        ),
        (plain(data([{"metric": {}, "histogram": "x"}])), UNREADABLE),
        (plain(data([{"metric": {}, "histogram": [1, "x"]}])), UNREADABLE),
        (plain(data([{"metric": {}, "histogram": [1, {"buckets": [[0, "1"]]}]}])), UNREADABLE),
        (
            plain(data([{"metric": {}, "histogram": [1, {"buckets": [[0, 1, 2, 3]] * 1001}]}])),
            "the answer holds a histogram with more than 1000 buckets",
        ),
        (
            plain(data([], warnings=["store 10.0.0.9: secret"])),
            "the answer may be incomplete",
        ),
        (
            plain(data([], warnings=[PROMQL + "\n"])),
            f"the answer may be incomplete: {PROMQL}",
        ),
        (plain(data([], isPartial=True)), INCOMPLETE),
        (
            plain('{"status":"success","isPartial":true,"data":{"result":[]}}'),
            INCOMPLETE,
        ),
        (plain(b"\x1f\x8bnonsense", 200, "Content-Encoding: gzip"), DAMAGED),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsec"),
            "the connection to the source broke during the answer",
        ),
        (hang_up, BROKE),
        (raw(b"secret\r\n\r\n"), BROKE),
    ],
)  # fmt: skip
async def test_a_bad_answer_is_a_failure(server, source, answer, failure):
    """No result, one clear sentence, nothing of the body, and no blame on the query."""
    server.answers[""] = answer
    assert await ask(source) == Reading(failure=failure, read_at=42.0)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution")])
async def test_a_rejected_query_says_why(server, source, status, kind):
    """What Prometheus has against a query is shown on one line, as the user's to fix."""
    said = "1:5: parse error:\n\x1b[1mbad " + "x" * 400
    server.answers[""] = plain(
        json.dumps({"status": "error", "errorType": kind, "error": said}), status
    )
    reading = await ask(source)
    assert reading.bad_query
    assert reading.failure.startswith("the query is rejected: 1:5: parse error: [1mbad xxx")
    assert len(reading.failure) <= 200 + len("the query is rejected: ")


async def test_a_proxy_cannot_blame_the_query(server, source):
    """HTTP 400 of something that is no Prometheus says nothing about the query."""
    for body in ('{"error":"secret"}', "[1]", '{"errorType":"bad_data","error":7}'):
        server.answers[""] = plain(body, 400)
        assert await ask(source) == Reading(failure="the source answered HTTP 400", read_at=42.0)


async def test_too_many_series(server):
    """A query that explodes is refused with a hint, and 20,000 series are still fine."""
    item = {"metric": {}, "value": [1, "2"]}
    server.answers["many"] = result(*[item] * 20_001)
    server.answers["enough"] = result(*[item] * 20_000)
    source = PrometheusSource(server.url, Access(deadline=10))
    readings = await source.read(["many", "enough"])
    await source.close()
    assert readings["many"].failure == (
        "the answer has 20001 series, more than 20000: aggregate or narrow it"
    )
    assert len(readings["enough"].series) == 20_000


async def test_a_native_histogram_has_buckets_and_no_number(server, source):
    """Buckets come as they are told, also none at all; the value is NaN, so no rule counts it."""
    buckets = [[3, "-0.1", "0.1", "2"], [0, "0.5", "1", "3.5"]]
    full = {"metric": {"feature": "a"}, "histogram": [1, {"count": "5.5", "buckets": buckets}]}
    empty = {"metric": {"feature": "b"}, "histogram": [1, {"count": "0", "sum": "0"}]}
    server.answers[""] = result(full, empty)
    one, other = (await ask(source)).series
    assert one.buckets == ((3, -0.1, 0.1, 2.0), (0, 0.5, 1.0, 3.5))
    assert (one.times.tolist(), math.isnan(one.values[0])) == ([1.0], True)
    assert other.buckets == ()


async def test_one_round_of_questions_is_about_one_time(server, source):
    """Windows of one read end at the same time, however long the first answer takes."""
    server.answers[""] = result()
    await source.read(["requests_total[5s]", "errors_total[5s]"])
    assert server.times == ["42.000", "42.000"]
