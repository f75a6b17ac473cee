"""The Prometheus source: what is too much, too slow or absent is given up within its bounds."""

import asyncio
import gzip
import http.client
import threading
from collections.abc import Callable

import pytest
from tests.adapters.reading import ask
from tests.adapters.rude_server import (
    Answer,
    RudeServer,
    dribble,
    endless,
    hang,
    hang_up,
    plain,
    result,
)

from backstop.adapters.metrics.bounded_http import Access, BoundedSession, TimedOutError
from backstop.adapters.metrics.prometheus import PrometheusSource

MAX_BODY = 200_000


def bomb(size: int) -> bytes:
    return gzip.compress(b" " * size)


TOO_LARGE = "the answer is larger than 0.190735 MiB: narrow the query's selectors"


def fixed(body: bytes, status: int, *headers: str) -> Callable[[RudeServer], Answer]:
    return lambda _: plain(body, status, *headers)


@pytest.mark.parametrize(
    "make",
    [
        endless,
        fixed(b"[" * (MAX_BODY + 1), 200),
        fixed(bomb(100 * 2**20), 200, "Content-Encoding: gzip"),
        fixed(gzip.compress(bomb(50 * 2**20)), 200, "Content-Encoding: gzip, gzip"),
        fixed(bomb(50 * 2**20), 503, "Content-Encoding: gzip"),
    ],
    ids=["endless", "large", "bomb", "nested-bomb", "bomb-in-error"],
)
async def test_a_huge_answer_is_cut(server, source, make):
    """The limit holds on the wire and after decompression."""
    server.answers[""] = make(server)
    assert (await ask(source)).failure == TOO_LARGE


async def test_a_huge_redirect_is_not_even_read(server, source, monkeypatch):
    """The body of a redirect is never looked at, however large it is once decompressed."""
    headers = ("Content-Encoding: gzip", "Location: /elsewhere")
    server.answers[""] = plain(bomb(100 * 2**20), 302, *headers)
    reads = []
    real = http.client.HTTPResponse.read
    monkeypatch.setattr(
        http.client.HTTPResponse, "read", lambda *args: reads.append(args) or real(*args)
    )
    assert "redirects" in (await ask(source)).failure
    assert reads == []


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
        b"HTTP/1.1 302 Found\r\nLocation: ",
    ],
    ids=["status", "header", "body", "sized-body", "chunk-size", "redirect"],
)
async def test_a_server_that_dribbles_is_hung_up_on(server, source, start):
    """Bytes that keep trickling in do not stretch the deadline, in whatever part they come."""
    server.answers["slow"] = dribble(server, start)
    server.answers["fast"] = result()
    assert (await ask(source, "slow")).failure == "timed out after 0.6 s"
    assert (await ask(source, "fast")).failure == ""
    busy = [one for one in threading.enumerate() if one.name.startswith("prometheus")]
    assert source._idle.qsize() == 4, f"threads still busy: {busy}"


def test_a_request_aborted_before_it_connects(server):
    """A deadline that passes while a name resolves still ends the request: nothing is sent."""
    session = BoundedSession(Access())
    session.abort()
    with pytest.raises(TimedOutError):
        session.request("POST", server.url, params={"query": "up"})
    session.close()
    assert server.asked == []


async def test_a_silent_server_times_out(server, source):
    """A server that accepts and says nothing costs one deadline."""
    server.answers[""] = hang(server)
    assert (await ask(source)).failure == "timed out after 0.6 s"


async def test_a_slow_query_does_not_delay_others(server, source):
    """While one query hangs, the others are answered."""
    server.answers["slow"] = hang(server)
    server.answers[""] = result()
    readings = await source.read(["slow", *(f"q{number}" for number in range(20))])
    failures = {query: reading.failure for query, reading in readings.items() if reading.failure}
    assert failures == {"slow": "timed out after 0.6 s"}


async def test_a_hanging_source_is_given_up_after_a_round(server, source):
    """A source that lets a whole round of queries time out is not asked the rest of them."""
    server.answers[""] = hang(server)
    readings = await source.read([f"q{number}" for number in range(40)])
    assert {reading.failure for reading in readings.values()} == {"timed out after 0.6 s"}
    assert len(server.asked) <= 8


async def test_a_source_that_is_down(source, server):
    """Refused connections are said in words without the address; each later read tries again."""
    server.shutdown()
    server.server_close()
    readings = await source.read([f"q{number}" for number in range(40)])
    assert {reading.failure for reading in readings.values()} == {"connection refused"}


async def test_a_source_comes_back(server, source):
    """A failure is not remembered: the next read asks again."""
    server.answers[""] = hang_up
    assert (await ask(source)).failure != ""
    server.answers[""] = result()
    assert (await ask(source)).failure == ""


async def test_a_name_that_does_not_resolve():
    """A wrong host name is said as such."""
    source = PrometheusSource("http://no-such-host.invalid:9090", Access(deadline=3))
    assert (await ask(source)).failure in {
        "the source's host name does not resolve",
        "timed out after 3 s",  # where the resolver itself is slow
    }
    await source.close()


async def test_an_absent_ca_file(tmp_path):
    """A certificate authority that cannot be read is a sentence, not a traceback."""
    source = PrometheusSource("https://127.0.0.1:1", Access(ca_file=tmp_path / "absent"))
    assert (await ask(source)).failure == (
        "the request cannot be sent: check the source's URL, headers and CA file"
    )
    await source.close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "prometheus:9090", "http://", "ftp://x"])
def test_urls_that_are_none(url):
    """What is not http or https is refused when the operator is configured."""
    with pytest.raises(ValueError, match="starts with http"):
        PrometheusSource(url)


async def test_closed(server):
    """After close a read fails instead of hanging, and a query under way ends at once."""
    server.answers[""] = hang(server)
    slow = PrometheusSource(server.url, Access(deadline=60), threads=1)
    reading = asyncio.create_task(ask(slow))
    await asyncio.to_thread(server.was_asked.wait, 5)
    await slow.close()
    assert (await reading).failure != ""
    assert (await ask(slow)).failure == "the source is closed"
