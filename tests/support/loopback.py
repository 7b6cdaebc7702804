"""A small real HTTP/1.1 server on loopback that answers byte by byte as a test wants, hanging up included."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Loopback:
    """A running server."""

    url: str
    asked: list[Asked] = field(default_factory=list)


def reply(status: int, body: Any = b"", **headers: str) -> bytes:
    """Write an answer; what is not bytes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/problem+json" if status >= 400 else "application/json"
    given = {"content-type": kind, "content-length": str(len(content))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + content


class Caller(socketserver.StreamRequestHandler):
    """One connection; requests come one after the other."""

    server: Server

    def handle(self) -> None:
        """Answer until either side hangs up."""
        while (one := self._read()) is not None:
            self.server.found.asked.append(one)
            sent = self.server.answer(one)
            if sent is None:
                return
            self.wfile.write(sent)
            if b"connection: close" in sent.lower():
                return

    def _read(self) -> Asked | None:
        try:
            line = self.rfile.readline().decode()
            if not line.strip():
                return None
            method, path, _ = line.split()
            headers = {}
            while text := self.rfile.readline().decode().strip():
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            return Asked(method, path, headers, self._body(headers))
        except OSError:
            return None

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


class Server(socketserver.ThreadingTCPServer):
    """The listener; each caller has a thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, answer: Callable[[Asked], bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), Caller)
        self.answer = answer
        self.found = Loopback(f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, *_: Any) -> None:
        """A caller that went away is no error here."""


@contextmanager
def silent() -> Iterator[str]:
    """A socket that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def answering(answer: Callable[[Asked], bytes | None]) -> Iterator[Loopback]:
    """Serve for the block; ``answer`` gives the bytes to send, or None to hang up, in a thread for each caller."""
    with Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.found
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def held_port() -> Iterator[int]:
    """A port that is nobody else's for the block; nobody listens on it but a server of the test's own."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # such a server may bind it all the same
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
