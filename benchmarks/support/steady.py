"""An open-loop load: requests are due at fixed times, and each one's time counts from when it was due.

python steady.py PORT RATE SECONDS BODIES [--connections 32] [--core 1] [--key FILE]

So a service that stalls is charged for every request that had to wait, not only for the one it stalled on.
Prints JSON: requests, errors, microseconds at several percentiles, and how late the load itself was.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import time
from collections import deque
from pathlib import Path

from load import complete, request


def run(port: int, rate: float, seconds: float, requests: list[bytes], connections: int) -> dict[str, float]:
    """Send ``rate`` requests a second over keep-alive connections, and gather their times."""
    poll, sockets, free = select.epoll(), {}, deque[int]()
    for _ in range(connections):
        made = socket.create_connection(("127.0.0.1", port), timeout=30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(made.fileno(), select.EPOLLIN)
        sockets[made.fileno()] = made
        free.append(made.fileno())
    clock = time.perf_counter
    total, sent, errors = int(rate * seconds), 0, 0
    times: list[float] = []
    due_of: dict[int, float] = {}
    parts: dict[int, bytes] = {}
    began, late = clock() + 0.05, 0.0
    while len(times) < total:
        now = clock()
        while sent < total and free and began + sent / rate <= now:
            due = began + sent / rate
            late = max(late, now - due)
            number = free.popleft()
            due_of[number] = due
            sockets[number].send(requests[sent % len(requests)])
            sent += 1
        wait = max(0.0, began + sent / rate - clock()) if sent < total and free else 1.0
        for number, _ in poll.poll(0 if wait < 0.0015 else wait - 0.001):
            answer = parts.pop(number, b"") + sockets[number].recv(65536)
            if not complete(answer):
                parts[number] = answer
                continue
            times.append(clock() - due_of[number])
            errors += answer[9:12] != b"200"
            free.append(number)
    times.sort()
    found = {f"p{p}": 1e6 * times[min(len(times) - 1, int(len(times) * p / 100))] for p in (50, 90, 95, 99)}
    return {"requests": total, "errors": errors, "late": 1e6 * late, **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--key", type=Path, help="a file that holds one")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.core})
    key = chosen.key.read_text() if chosen.key else ""
    bodies = [request(body, key=key) for body in chosen.bodies.read_bytes().splitlines()]
    run(chosen.port, chosen.rate, 1, bodies, chosen.connections)
    print(json.dumps(run(chosen.port, chosen.rate, chosen.seconds, bodies, chosen.connections)))
