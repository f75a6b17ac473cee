"""Prometheus as a metrics source, on ``prometheus-api-client``.

Guarantees: a read always returns, with one Reading per distinct query; each query ends within its
deadline and costs a bounded amount of memory; nothing of a response body is shown, except what
PromQL's parser and engine say about a query that they reject. Each source has its own threads, so a
slow one delays no other; nor does a slow query, once it is known to be one.

The client library is synchronous and trusts the server, so it gets a session that does not
(:mod:`backstop.adapters.metrics.bounded_http`). It also returns only ``data.result``: whether an
answer was partial is found out from the body before the library sees it.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import structlog
from prometheus_api_client import PrometheusConnect

from backstop.adapters.metrics.answer import AnswerError, parse, partial
from backstop.adapters.metrics.bounded_http import (
    Access,
    BoundedSession,
    ConnectError,
    RefusedError,
    SourceError,
    TimedOutError,
)
from backstop.adapters.metrics.slow import SlowQueries
from backstop.adapters.text import one_line
from backstop.core.samples import Reading, Series, SeriesSet

_log = structlog.get_logger(__name__)

DEFAULT_THREADS: Final = 8
_ERROR_TEXT_LIMIT: Final = 200
_GRACE: Final = 0.5
_DEADLINES_IN_QUEUE: Final = 3
_MAX_AHEAD: Final = 5.0
"""Seconds by which the clock of the source may be ahead of this machine's."""
_BAD_QUERY_STATUSES: Final = frozenset({400, 422})
_BAD_QUERY_TYPES: Final = frozenset({"bad_data", "execution"})
# The words of PromQL itself; what else a server or those behind it say may name hosts, or hold what
# was sent to them.
_ABOUT_QUERY: Final = re.compile(
    r"(invalid parameter \"query\": )?([0-9]+:[0-9]+: )?(parse error|unknown (position|function)"
    r"|invalid parameter \"query\"|found duplicate series|multiple matches for labels"
    r"|many-to-many matching|many-to-one matching|grouping labels must|vector cannot contain"
    r"|query processing would load|expected type|invalid (quantile|expression type|label name)"
    r"|exceeded maximum resolution|duplicate (series|labels))"
)
_SECRETS: Final = re.compile(r"(?i)\b(bearer|basic|token|authorization|password|secret|api.?key)\b")


class _CheckedSession(BoundedSession):
    """Refuses answers that the server itself calls incomplete, and those about the past.

    A query asks about a time by this machine's clock. Where that is behind the server's, what was
    long ago would be taken for what is now, and acted upon once more.
    """

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().request(*args, **kwargs)
        if (ahead := _clock(response) - time.time()) > _MAX_AHEAD:
            raise SourceError(
                f"the source's clock is {ahead:.0f} s ahead of this one; check time synchronisation"
            )
        if warning := partial(response.content):
            raise SourceError(warning)
        return response


def _clock(response: requests.Response) -> float:
    """Return the Unix time at which the server answered by its own clock, ``-inf`` if unknown."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (ValueError, OverflowError):
        return -math.inf


class _Client:
    """One connection: a session, and the library that builds requests for it."""

    def __init__(self, url: str, access: Access) -> None:
        self.session = _CheckedSession(access)
        self._timeout = f"{access.deadline:g}s"
        self._connect = PrometheusConnect(url, session=self.session, method="POST")

    def query(self, query: str, at: float) -> tuple[Series, ...]:
        """Return the parsed answer as of the Unix time ``at``; runs in a thread.

        Raises:
            SourceError, AnswerError

        """
        try:
            params = {"timeout": self._timeout, "time": f"{at:.3f}"}
            result = self._connect.custom_query(query, params=params)
        except (ValueError, RecursionError):
            raise AnswerError("the answer is not JSON") from None
        except (KeyError, TypeError):
            raise AnswerError("the answer is not one of Prometheus") from None
        series = SeriesSet(parse(result))
        _ = series.columns  # made here, in a thread of its own, and not while all are judged
        return series


@dataclass(slots=True)
class _Batch:
    """What the queries of one read share: the Unix time they ask about, and what they have learnt.

    A server that is unreachable, or that has let a whole round of queries time out, is not asked
    the rest of them.
    """

    patience: int
    at: float
    given_up: str = ""
    timed_out: list[str] = field(default_factory=list)

    def learn(self, query: str, error: SourceError) -> None:
        """Remember a failure that the other queries would meet as well."""
        if isinstance(error, TimedOutError):
            self.timed_out.append(query)
        if isinstance(error, ConnectError) or len(self.timed_out) >= self.patience:
            self.given_up = str(error)


class PrometheusSource:
    """Implements :class:`backstop.ports.MetricsSource`."""

    def __init__(
        self,
        url: str,
        access: Access | None = None,
        *,
        threads: int = DEFAULT_THREADS,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent before the first read.

        ``threads`` says how many queries run at once; ``access`` bounds each of them. ``now`` and
        ``monotonic`` are for tests.

        Raises:
            ValueError: ``url`` is not an http or https URL.

        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a Prometheus URL starts with http:// or https:// and names a host")
        access = access or Access()
        self._deadline = access.deadline
        self._threads = threads
        self._now = now
        self._closed = False
        self._slow = SlowQueries(monotonic)
        self._tries = asyncio.Semaphore(max(1, threads // 4))
        self._trying: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prometheus")
        self._clients = [_Client(url.rstrip("/"), access) for _ in range(threads)]
        self._idle: asyncio.LifoQueue[_Client] = asyncio.LifoQueue()
        for client in self._clients:
            self._idle.put_nowait(client)

    async def read(self, queries: Sequence[str]) -> Mapping[str, Reading]:
        """Answer each distinct query as of one and the same time; a failure is a Reading too.

        Windows that end at different times would make a series look new that is not.

        Takes at most about four deadlines, however many queries there are.
        """
        distinct = list(dict.fromkeys(queries))
        slow = {query: self._failed(said) for query in distinct if (said := self._slow.said(query))}
        for query in self._slow.due(slow):
            task = asyncio.create_task(self._try(query))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)
        asked = self._slow.in_order(query for query in distinct if query not in slow)
        batch = _Batch(patience=self._threads, at=self._now())
        readings = await asyncio.gather(*(self._read_one(query, batch) for query in asked))
        found = dict(zip(asked, readings, strict=True))
        answered = [query for query, reading in found.items() if _is_answered(reading)]
        self._slow.learn(batch.timed_out, answered, self._timed_out())
        found |= slow
        return {query: found[query] for query in distinct}

    async def _try(self, query: str) -> None:
        async with self._tries:
            batch = _Batch(patience=1, at=self._now())
            reading = await self._read_one(query, batch)
        self._slow.tried(query, answered=_is_answered(reading))

    async def close(self) -> None:
        """End the queries under way and close all connections; reads fail from now on."""
        self._closed = True
        for task in self._trying:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.session.abort()
            client.session.close()

    async def _read_one(self, query: str, batch: _Batch) -> Reading:
        try:
            series = await self._ask(query, batch)
        except RefusedError as error:
            if said := about_query(error):
                return self._failed(f"the query is rejected: {said}", bad_query=True)
            return self._failed(str(error))
        except (SourceError, AnswerError) as error:
            return self._failed(str(error))
        except Exception:  # noqa: BLE001 (a read never raises: it would fail other queries too)
            _log.exception("metrics_source_bug", query=query)
            return self._failed("the source cannot be read because of a bug in Backstop")
        return Reading(series, read_at=self._now())

    def _failed(self, failure: str, *, bad_query: bool = False) -> Reading:
        return Reading(failure=failure, read_at=self._now(), bad_query=bad_query)

    async def _ask(self, query: str, batch: _Batch) -> tuple[Series, ...]:
        client = await self._client()
        if batch.given_up or self._closed:
            self._idle.put_nowait(client)
            raise SourceError(batch.given_up or "the source is closed")
        try:
            return await self._run(client, query, batch.at)
        except SourceError as error:
            batch.learn(query, error)
            raise

    async def _client(self) -> _Client:
        limit = _DEADLINES_IN_QUEUE * self._deadline
        try:
            async with asyncio.timeout(limit):
                return await self._idle.get()
        except TimeoutError:
            raise TimedOutError(
                f"not asked: {self._threads} slower queries of the source took {limit:g} s"
            ) from None

    async def _run(self, client: _Client, query: str, at: float) -> tuple[Series, ...]:
        loop = asyncio.get_running_loop()
        client.session.begin()
        work = loop.run_in_executor(self._pool, client.query, query, at)
        # Not before the thread is done with it, even if nobody waits for the answer any more.
        work.add_done_callback(lambda _: self._idle.put_nowait(client))
        watchdog = loop.call_later(self._deadline, client.session.abort)
        work.add_done_callback(lambda _: watchdog.cancel())
        done, _ = await asyncio.wait({work}, timeout=self._deadline + _GRACE)
        if not done:  # a name server, or a TLS handshake, keeps the thread
            raise TimedOutError(self._timed_out())
        return work.result()

    def _timed_out(self) -> str:
        return f"timed out after {self._deadline:g} s"


def _is_answered(reading: Reading) -> bool:
    return not reading.failure or reading.bad_query


def about_query(error: RefusedError) -> str:
    """Return what Prometheus says is wrong with the query, or nothing when it is not about it."""
    if error.status not in _BAD_QUERY_STATUSES:
        return ""
    try:
        answer = json.loads(error.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict) or answer.get("errorType") not in _BAD_QUERY_TYPES:
        return ""
    said = answer.get("error")
    if not isinstance(said, str):
        return ""
    if not _ABOUT_QUERY.match(said) or _SECRETS.search(said):
        return f"HTTP {error.status}; ask the source itself to see why"
    return one_line(said, _ERROR_TEXT_LIMIT)
