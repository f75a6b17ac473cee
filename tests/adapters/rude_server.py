"""A server on loopback that answers each request as a test wants, byte for byte."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

Answer = Callable[[socket.socket], None]


class RudeServer(socketserver.ThreadingTCPServer):
    """Sends ``answers[query]``, or the answer for ``""``, and notes what was asked."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.times: list[str] = []
        self.was_asked = threading.Event()
        self.stop = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what many tests are about."""


class _Handler(socketserver.StreamRequestHandler):
    server: RudeServer

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        lengths = [
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length:")
        ]
        form = parse_qs(self.rfile.read(sum(lengths)).decode())
        query = form.get("query", [""])[0]
        self.server.asked.append(query)
        self.server.times += form.get("time", [])
        self.server.heads.append(head.decode())
        self.server.was_asked.set()
        answers = self.server.answers
        answers.get(query, answers.get("", lambda _: None))(self.connection)


@contextlib.contextmanager
def rude_server() -> Iterator[RudeServer]:
    """Serve until the end of the block."""
    with RudeServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()
            server.shutdown()
            thread.join()


def plain(body: bytes | str, status: int = 200, *headers: str) -> Answer:
    """Answer with ``body`` and close."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(data)}", "Connection: close"]
    head = "\r\n".join([*lines, *headers, "", ""]).encode()
    return lambda connection: connection.sendall(head + data)


def result(*items: object, kind: str = "vector", **more: object) -> Answer:
    """Answer as Prometheus does."""
    data = {"resultType": kind, "result": list(items)}
    return plain(json.dumps({"status": "success", "data": data, **more}))


def dribble(server: RudeServer, start: bytes = b"") -> Answer:
    """Send ``start``, then a byte now and then, for as long as the client stays."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while not server.stop.wait(0.05):
            connection.sendall(b" ")

    return answer


def hang(server: RudeServer) -> Answer:
    """Accept, and say nothing."""

    def answer(_: socket.socket) -> None:
        server.stop.wait()

    return answer


def hang_up(_: socket.socket) -> None:
    """Close without a word."""


def raw(data: bytes) -> Answer:
    """Send these bytes and close."""
    return lambda connection: connection.sendall(data)


def endless(server: RudeServer) -> Answer:
    """Send as fast as the client reads, without an end."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.stop.is_set():
            connection.sendall(b"[" * 65536)

    return answer
