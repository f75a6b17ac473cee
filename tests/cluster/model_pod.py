"""A model service in one small process: counts its answers, and fails as its environment says.

`ERROR_RATE` is the share of answers with status 500; with `STORE` set to the name of a Service,
each answer needs that Service and is 503 without it. `POST /fault?RATE` sets the rate at run time,
`POST /unready` ends readiness for good. Everything else answers VERSION.

Each answer takes the one worker of the process for `WORK` seconds, so that more load than it can
serve queues up. It counts its latencies, a feature with a share `NULLS` (or `POST /nulls?RATE`) of
missing values, and scores: random numbers to the power of `SCORE_POWER`.
"""

import os
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import SystemRandom
from threading import Lock


class _Histogram:
    """Counts values below each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = (*bounds, float("inf"))
        self.counts = [0] * len(self.bounds)

    def add(self, value: float) -> None:
        """Count a value in each bucket that it is in."""
        for place, bound in enumerate(self.bounds):
            self.counts[place] += value <= bound

    def lines(self, name: str) -> list[str]:
        """Return the buckets as Prometheus reads them; the name may have labels."""
        base, _, labels = name.partition("{")
        known = labels.removesuffix("}") + "," if labels else ""
        return [
            f'{base}_bucket{{{known}le="{"+Inf" if bound == float("inf") else bound}"}} {count}\n'
            for bound, count in zip(self.bounds, self.counts, strict=True)
        ]


class _Model:
    """What the process knows and counts."""

    def __init__(self) -> None:
        self.version = os.environ.get("VERSION", "")
        self.error_rate = float(os.environ.get("ERROR_RATE", "0"))
        self.ready = True
        self.lock = Lock()
        self.answers = Counter({200: 0, 500: 0, 503: 0})
        self.work = float(os.environ.get("WORK", "0"))
        self.nulls = float(os.environ.get("NULLS", "0"))
        self.power = float(os.environ.get("SCORE_POWER", "1"))
        self.worker = Lock()
        self.missing = 0
        self.histograms = {
            "request_seconds": _Histogram((0.05, 0.1, 0.25, 0.5, 1.0, 2.5)),
            'feature_value{feature="age"}': _Histogram((20, 40, 60, 80, 100)),
            "score": _Histogram((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        }

    def count(self, status: int, seconds: float) -> None:
        """Count one answer, with the values that it was made from."""
        with self.lock:
            self.answers[status] += 1
            latency, feature, score = self.histograms.values()
            latency.add(seconds)
            score.add(_random.random() ** self.power)
            if _random.random() < self.nulls:
                self.missing += 1
            else:
                feature.add(100 * _random.random())

    def exposition(self) -> str:
        """Return all counters as Prometheus reads them."""
        with self.lock:
            lines = [f'requests_total{{code="{c}"}} {n}\n' for c, n in self.answers.items()]
            lines.append(f'feature_missing_total{{feature="age"}} {self.missing}\n')
            lines.append('feature_invalid_total{feature="age"} 0\n')
            for name, histogram in self.histograms.items():
                lines.extend(histogram.lines(name))
        return "".join(lines)


_random = SystemRandom()
model = _Model()


def _store_answers() -> bool:
    name = os.environ.get("STORE", "")
    if not name:
        return True
    prefix = f"{name.upper()}_SERVICE"
    address, port = os.environ[f"{prefix}_HOST"], int(os.environ[f"{prefix}_PORT"])
    connection = HTTPConnection(address, port, timeout=0.3)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """Answers the paths named above."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer; two would wait for each other

    def do_GET(self) -> None:
        if self.path == "/ready":
            self._answer(200 if model.ready else 503, "")
        elif self.path == "/metrics":
            self._answer(200, model.exposition())
        else:
            self._predict()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, argument = self.path.partition("?")
        if path == "/fault":
            model.error_rate = float(argument)
        elif path == "/nulls":
            model.nulls = float(argument)
        else:
            model.ready = False
        self._answer(200, "")

    def _predict(self) -> None:
        status, began = 200, time.monotonic()
        if model.work:
            with model.worker:
                time.sleep(model.work)
        if not _store_answers():
            status = 503
        elif _random.random() < model.error_rate:
            status = 500
        model.count(status, time.monotonic() - began)
        self._answer(status, model.version)

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the pod's log empty."""


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
