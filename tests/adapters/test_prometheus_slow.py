"""Queries that are too slow for their source: nobody else waits for them or goes without answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.adapters.rude_server import RudeServer, hang, plain, result

from backstop.adapters.metrics.bounded_http import Access
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.adapters.metrics.slow import FORGOTTEN, LONGEST_WAIT, SlowQueries

DEADLINE = 1.0
"""Seconds: enough for an answer of loopback on a busy machine."""

HEAVY = [f"heavy{number}" for number in range(8)]
TIMED_OUT = f"timed out after {DEADLINE:g} s"


class Clock:
    """It stands still until it is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(server: RudeServer, clock: Clock) -> AsyncIterator[PrometheusSource]:
    adapter = PrometheusSource(
        server.url, Access(deadline=DEADLINE), threads=4, now=lambda: 42.0, monotonic=clock.now
    )
    yield adapter
    await adapter.close()


async def failures(source: PrometheusSource, *queries: str) -> list[str]:
    """Return what a read says of each query."""
    readings = await source.read(queries)
    assert list(readings) == list(queries)
    return [readings[query].failure for query in queries]


async def tries_end(source: PrometheusSource) -> None:
    """Wait until nothing is tried beside the rounds."""
    while source._trying:
        await asyncio.gather(*source._trying)
        await asyncio.sleep(0)


async def test_one_slow_query_makes_others_wait_once(server, source):
    """From then on all others are answered at once, and it is said what is wrong with the slow."""
    server.answers |= {"heavy0": hang(server), "": result()}
    assert await failures(source, "heavy0", "good") == [TIMED_OUT, ""]
    said, good = await failures(source, "heavy0", "good")
    assert said == f"{TIMED_OUT}, so it is tried every 5 s only: make the query cheaper"
    assert good == ""
    assert server.asked.count("heavy0") == 1


async def test_more_slow_queries_than_threads_leave_others_their_answers(server, source):
    """Where nothing was answered, those that timed out are the last to be asked again."""
    server.answers |= {query: hang(server) for query in HEAVY} | {"": result()}
    assert set(await failures(source, *HEAVY, "good")) == {TIMED_OUT}
    for _ in range(4):
        assert (await failures(source, *HEAVY, "good"))[-1] == ""
    asked = [server.asked.count(query) for query in HEAVY]
    assert (await failures(source, *HEAVY, "good"))[-1] == ""
    assert [server.asked.count(query) for query in HEAVY] == asked


async def test_a_slow_query_is_tried_beside_the_rounds_until_it_is_answered(server, source, clock):
    """Ever more rarely; a query that is rejected is answered, too."""
    server.answers |= {"heavy0": hang(server), "heavy1": hang(server), "": result()}
    await failures(source, "heavy0", "heavy1", "good")
    clock.time = 5.0
    assert (await failures(source, "heavy0", "heavy1", "good"))[-1] == ""
    assert source._trying  # nobody waits for what is tried
    await failures(source, "heavy0")
    await tries_end(source)
    assert [server.asked.count(query) for query in ("heavy0", "heavy1")] == [2, 2]
    server.answers["heavy0"] = result()
    rejection = '{"errorType": "bad_data", "error": "1:1: parse error: no"}'
    server.answers["heavy1"] = plain(rejection, 400)
    clock.time = 14.0
    assert "every 10 s" in (await failures(source, "heavy0", "heavy1"))[0]
    assert not source._trying
    clock.time = 15.0
    await failures(source, "heavy0", "heavy1")
    await tries_end(source)
    first, second = await failures(source, "heavy0", "heavy1")
    assert (first, second) == ("", "the query is rejected: 1:1: parse error: no")


async def test_a_source_that_hangs_has_no_slow_queries(server, source, clock):
    """So that it is noticed at once when it is back."""
    queries = [f"q{number}" for number in range(8)]
    server.answers[""] = result()
    assert set(await failures(source, *queries)) == {""}
    server.answers[""] = hang(server)
    for clock.time in (1.0, 2.0, 3.0):
        assert set(await failures(source, *queries)) == {TIMED_OUT}
    server.answers[""] = result()
    assert set(await failures(source, *queries)) == {""}


async def test_a_query_is_no_longer_taken_for_slow_when_its_source_is_back(server, source, clock):
    """It was, where others were still answered as the source began to hang."""
    server.answers |= {"late": hang(server), "": result()}
    await failures(source, "late", "good")
    server.answers |= {"late": result(), "": hang(server)}
    clock.time = 1.0
    await failures(source, "late", "good")
    server.answers[""] = result()
    clock.time = 10.0
    await failures(source, "late", "good")
    await tries_end(source)
    assert await failures(source, "late", "good") == ["", ""]


def test_slow_queries_that_are_asked_alone_are_known_by_the_answers_of_others(clock):
    """In rounds of their own they would keep all connections busy; one answer clears a query."""
    slow = SlowQueries(clock.now)
    for clock.time, timed_out, answered in (
        (1.0, ["q", "r"], []),
        (2.0, [], ["other", "r"]),
        (3.0, ["q", "r"], []),
    ):
        slow.learn(timed_out, answered, "timed out")
    assert slow.said("q")
    assert not slow.said("r")


async def test_a_try_ends_with_its_source(server, source, clock):
    """A source that is closed leaves no task behind."""
    server.answers |= {"heavy0": hang(server), "": result()}
    await failures(source, "heavy0", "good")
    clock.time = 5.0
    await failures(source, "heavy0", "good")
    (task,) = source._trying
    await source.close()
    await asyncio.wait({task})
    assert task.cancelled()


def test_what_nobody_asks_any_more_is_forgotten(clock):
    """Queries come and go with monitors, and their number is without bound."""
    slow = SlowQueries(clock.now)
    slow.learn(["q"], ["other"], "timed out")
    assert slow.said("q")
    clock.time = FORGOTTEN
    slow.learn([], ["other"], "timed out")
    assert slow.said("q") == ""
    assert slow.due(["q"]) == []
    slow.tried("q", answered=True)


def test_a_try_is_made_at_least_so_often(clock):
    """A query that has become quick is noticed in bounded time."""
    slow = SlowQueries(clock.now)
    slow.learn(["q"], ["other"], "timed out")
    for _ in range(9):
        clock.time += LONGEST_WAIT
        assert slow.due(["q"]) == ["q"]
        assert slow.due(["q"]) == []
        slow.tried("q", answered=False)
