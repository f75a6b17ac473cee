"""A Prometheus-like server on loopback whose record is made of functions of time.

Answers raw-sample selectors and ranges of expressions from what a test puts into it, and lets a
test answer in its place.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs

import promql_parser

Value = Callable[[float], float | None]
"""The value of a series at a Unix time; `None` where it has no sample."""


class Asked(NamedTuple):
    """One request: the query, and the Unix times after which and up to which it asks."""

    query: str
    begin: float
    end: float


class Answer(NamedTuple):
    """What a test answers in place of the server."""

    status: int
    body: bytes


class RecordServer(ThreadingHTTPServer):
    """Scrapes `series` every `every` seconds, at whole multiples of it plus `phase`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.every, self.phase = 1.0, 0.25
        self.series: list[tuple[dict[str, str], Value]] = []
        self.expressions: dict[str, Value] = {}
        self.override: Callable[[Asked], Answer | None] = lambda _: None
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, name: str, value: Value, **labels: str) -> None:
        """Add a series of metric `name`."""
        self.series.append(({"__name__": name, "job": "pods", **labels}, value))

    def scrapes(self, begin: float, end: float) -> list[float]:
        """Return the times of the scrapes in (begin, end]."""
        first = int((begin - self.phase) // self.every) + 1
        last = int((end - self.phase) // self.every)
        return [round(number * self.every + self.phase, 3) for number in range(first, last + 1)]

    def raw(self, selector: str, begin: float, end: float) -> list[object]:
        """Return the samples of `selector` in (begin, end] as Prometheus writes them."""
        parsed = promql_parser.parse(selector)
        assert isinstance(parsed, promql_parser.VectorSelector)
        found: list[object] = []
        for labels, value in self.series:
            if labels["__name__"] == parsed.name and _matches(parsed, labels):
                pairs = ((at, value(at)) for at in self.scrapes(begin, end))
                samples = [[at, str(number)] for at, number in pairs if number is not None]
                if samples:
                    found.append({"metric": labels, "values": samples})
        return found


def _matches(parsed: promql_parser.VectorSelector, labels: dict[str, str]) -> bool:
    for one in parsed.matchers.matchers:
        value = labels.get(one.name, "")
        if str(one.op) == "MatchOp.Equal" and value != one.value:
            return False
        if str(one.op) == "MatchOp.Re" and not re.fullmatch(one.value, value):
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    server: RecordServer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
        asked, result = self._answer(form)
        self.server.asked.append(asked)
        answer = self.server.override(asked)
        if answer is None:
            data = {"resultType": "matrix", "result": result()}
            answer = Answer(200, json.dumps({"status": "success", "data": data}).encode())
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(answer.body)

    def _answer(self, form: dict[str, str]) -> tuple[Asked, Callable[[], list[object]]]:
        query, server = form["query"], self.server
        if "start" in form:
            begin, end, step = (float(form[name]) for name in ("start", "end", "step"))
            return Asked(query, begin, end), lambda: self._range(query, begin, end, step)
        at = float(form["time"])
        raw = re.fullmatch(r"(.*)\[(\d+)ms\]", query, re.DOTALL)
        if raw is None:
            return Asked(query, at, at), lambda: self._range(query, at, at, 1.0)
        begin = at - int(raw[2]) / 1000
        return Asked(query, begin, at), lambda: server.raw(raw[1], begin, at)

    def _range(self, query: str, begin: float, end: float, step: float) -> list[object]:
        value = self.server.expressions.get(query, lambda _: None)
        times = [begin + n * step for n in range(int((end - begin) / step + 1e-6) + 1)]
        samples = [[at, str(found)] for at in times if (found := value(at)) is not None]
        return [{"metric": {}, "values": samples}] if samples else []

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def record_server() -> Iterator[RecordServer]:
    """Serve until the end of the block."""
    with RecordServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def rejects(message: str) -> Answer:
    """Refuse a query as Prometheus does."""
    body = {"status": "error", "errorType": "execution", "error": message}
    return Answer(422, json.dumps(body).encode())
