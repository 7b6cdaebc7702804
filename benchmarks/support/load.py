"""A load generator: keep-alive connections on one epoll loop, requests made beforehand.

python load.py PORT CONNECTIONS BODIES (--requests N | --seconds S) --core C [--path P] [--key FILE]
Prints JSON: requests, seconds, errors, microseconds at the 50th and 99th percentile, and the share of
its own time that it was busy: near 1 it would measure itself.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import time
from pathlib import Path

WARM_UP = 300


class Load:
    """One run: each connection sends its next request as soon as it has its answer."""

    def __init__(self, port: int, connections: int, requests: list[bytes]) -> None:
        self._requests = requests
        self._next = 0
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            made = socket.create_connection(("127.0.0.1", port), timeout=30)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(made.fileno(), select.EPOLLIN)
            self._sockets[made.fileno()] = made

    def run(self, *, requests: int, seconds: float) -> dict[str, float]:
        """Ask until ``requests`` were sent or ``seconds`` are over."""
        clock = time.perf_counter
        began, busy = clock(), time.process_time()
        sent, end = 0, began + seconds
        errors = 0
        times: list[float] = []
        started: dict[int, float] = {}
        parts: dict[int, bytes] = {}
        for number, one in self._sockets.items():
            started[number] = clock()
            self._send(one)
            sent += 1
        waiting = len(started)
        while waiting:
            for number, _ in self._epoll.poll():
                one = self._sockets[number]
                answer = parts.pop(number, b"") + one.recv(65536)
                if not complete(answer):
                    parts[number] = answer
                    continue
                now = clock()
                times.append(now - started[number])
                errors += answer[9:12] != b"200"
                if sent < requests and now < end:
                    started[number] = now
                    self._send(one)
                    sent += 1
                else:
                    waiting -= 1
        took = clock() - began
        times.sort()
        return {
            "requests": len(times),
            "seconds": took,
            "errors": errors,
            "p50": 1e6 * times[len(times) // 2],
            "p99": 1e6 * times[len(times) * 99 // 100],
            "busy": (time.process_time() - busy) / took,
        }

    def _send(self, one: socket.socket) -> None:
        one.send(self._requests[self._next % len(self._requests)])
        self._next += 1


def complete(answer: bytes) -> bool:
    """Whether an answer is there with its whole body; raises ``ConnectionError`` when none will come."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        if not answer:
            raise ConnectionError("the service closed a connection")
        return False
    at = answer.find(b"content-length: ") + 16
    return len(answer) >= end + 4 + int(answer[at : answer.find(b"\r", at)])


def request(body: bytes, path: str = "/v1/predict", key: str = "") -> bytes:
    """Write one HTTP request."""
    known = f"authorization: Bearer {key}\r\n" if key else ""
    return (
        b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n%b"
        b"content-length: %d\r\n\r\n%b" % (path.encode(), known.encode(), len(body), body)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--requests", type=int, default=1 << 62)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--path", default="/v1/predict")
    parser.add_argument("--key", type=Path, help="a file that holds one")
    parser.add_argument("--core", type=int, required=True)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.core})
    key = chosen.key.read_text() if chosen.key else ""
    bodies = [request(b, chosen.path, key) for b in chosen.bodies.read_bytes().splitlines()]
    load = Load(chosen.port, chosen.connections, bodies)
    load.run(requests=WARM_UP, seconds=1)
    print(json.dumps(load.run(requests=chosen.requests, seconds=chosen.seconds)))
