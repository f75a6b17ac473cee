"""A model service in one small process: counts its answers, and fails as its environment says.

`ERROR_RATE` is the share of answers with status 500; with `STORE` set to the name of a Service,
each answer needs that Service and is 503 without it. `POST /fault?RATE` sets the rate at run time,
`POST /unready` ends readiness for good. Everything else answers VERSION.
"""

import os
from collections import Counter
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import SystemRandom
from threading import Lock


class _Model:
    """What the process knows and counts."""

    def __init__(self) -> None:
        self.version = os.environ.get("VERSION", "")
        self.error_rate = float(os.environ.get("ERROR_RATE", "0"))
        self.ready = True
        self.lock = Lock()
        self.answers = Counter({200: 0, 500: 0, 503: 0})


model = _Model()
_random = SystemRandom()


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
            with model.lock:
                lines = [f'requests_total{{code="{c}"}} {n}\n' for c, n in model.answers.items()]
            self._answer(200, "".join(lines))
        else:
            self._predict()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, argument = self.path.partition("?")
        if path == "/fault":
            model.error_rate = float(argument)
        else:
            model.ready = False
        self._answer(200, "")

    def _predict(self) -> None:
        status = 200
        if not _store_answers():
            status = 503
        elif _random.random() < model.error_rate:
            status = 500
        with model.lock:
            model.answers[status] += 1
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
