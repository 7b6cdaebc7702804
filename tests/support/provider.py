"""An HTTP service that hands out batches, well or badly, in a thread or in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CSV, JSON = "text/csv", "application/json"


@dataclass(frozen=True)
class Reply:
    """An answer. ``fault``: ``short`` breaks off halfway, ``endless`` says nothing of the length, ``silent`` waits."""

    body: bytes | str = b""
    type: str | None = CSV
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    fault: str = ""

    @property
    def data(self) -> bytes:
        """The body's bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body


class Handler(BaseHTTPRequestHandler):
    """Answers from the server's replies: the first of those left for a path, the last one again and again."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        replies = self.server.replies.get(self.path, [Reply(status=404)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.fault == "silent":
            self.connection.recv(1)  # until the caller hangs up
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.type:
            self.send_header("Content-Type", reply.type)
        half = reply.data[: len(reply.data) // 2]
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
            if reply.fault != "short":
                rest = reply.data[len(half) :]
                self.wfile.write(f"{len(rest):x}\r\n".encode() + rest + b"\r\n0\r\n\r\n")
        else:
            if reply.fault != "endless":
                self.send_header("Content-Length", str(len(reply.data)))
            self.end_headers()
            self.wfile.write(half if reply.fault == "short" else reply.data)
        self.close_connection = bool(reply.fault)

    def log_message(self, *given: Any) -> None:
        """Say nothing."""


class Provider(ThreadingHTTPServer):
    """The service. ``replies`` are by path, ``asked`` the paths and headers of the requests so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """Where batches are."""
        return f"http://127.0.0.1:{self.server_address[1]}/batches/{{number}}"

    def hand_out(self, number: int, *replies: Reply) -> None:
        """Set what a batch's number is answered with."""
        self.replies[f"/batches/{number}"] = list(replies)

    @property
    def numbers(self) -> list[int]:
        """The batches asked for."""
        return [int(path.rpartition("/")[2]) for path, _ in self.asked]


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve in a thread for the block."""
    server = Provider()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def header_and_rows(first: int, rows: int) -> str:
    """A CSV of numbered rows."""
    return "id,name\n" + "".join(f"{row},row {row}\n" for row in range(first, first + rows))


@contextmanager
def process(port: int, batches: int, rows: int, *, dies_after: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Serve ``batches`` CSVs of ``rows`` rows in a process of its own, each in five parts, slowly.

    It kills itself after so many parts, if any number is given; else it is killed after the block.
    """
    command = [sys.executable, __file__, *map(str, (port, batches, rows, dies_after))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as found:
        try:
            assert found.stdout is not None
            assert found.stdout.readline() == "ready\n"
            yield found
        finally:
            found.kill()


class SlowHandler(BaseHTTPRequestHandler):
    """Sends each batch in five parts with pauses, so that a kill meets one under way."""

    protocol_version = "HTTP/1.1"
    parts = 0

    def do_GET(self) -> None:
        number = int(self.path.rpartition("/")[2])
        batches, rows, dies_after = (int(word) for word in sys.argv[2:5])
        body = header_and_rows((number - 1) * rows, rows).encode() if number <= batches else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", CSV)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), len(body) // 5 + 1):
            self.wfile.write(body[start : start + len(body) // 5 + 1])
            SlowHandler.parts += 1
            if SlowHandler.parts == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.03)

    def log_message(self, *given: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve on the given port until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), SlowHandler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


def free_port() -> int:
    """A port that was free a moment ago."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowHandler)
    port = server.server_address[1]
    server.server_close()
    return int(port)


def as_json(rows: Any) -> str:
    """A JSON document."""
    return json.dumps(rows)


if __name__ == "__main__":
    main()
