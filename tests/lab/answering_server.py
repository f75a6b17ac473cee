"""A tiny pod for the cluster tests: says its VERSION, counts requests, can be made unready.

Listens on POD_IP:8080. `GET /` answers VERSION, `GET /ready` 200 or 503, `POST /unready` makes it
unready, `GET /metrics` the number of requests, `GET /environment` its environment as JSON.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers the few paths of the tests."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer; two would wait for each other
    requests = 0
    ready = True

    def do_GET(self) -> None:
        if self.path == "/ready":
            self._answer(200 if Handler.ready else 503, "")
        elif self.path == "/metrics":
            self._answer(200, f"test_requests_total {Handler.requests}\n")
        elif self.path == "/environment":
            self._answer(200, json.dumps(dict(os.environ)))
        elif self.path.startswith("/file/"):
            self._answer(200, Path(self.path.removeprefix("/file")).read_text())
        else:
            Handler.requests += 1
            self._answer(200, os.environ.get("VERSION", ""))

    def do_POST(self) -> None:
        Handler.ready = self.path != "/unready"
        self._answer(200, "")

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
