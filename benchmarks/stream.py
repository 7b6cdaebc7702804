"""A million rows through POST /v1/score: rows a second beside lists over /v1/predict, and the service's memory.

python benchmarks/stream.py [--rows 1000000]

The service runs alone on core 0, the caller on core 1. A list has 2,000 rows, about what a body may hold.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from support.measuring import HERE
from support.services import LOAD_CORE, free_port, start, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = 2_000
PIECE = 1_000
MEGABYTE = 1 << 20


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        bodies = [json.loads(line) for line in (Path(made) / "bodies.jsonl").read_text().splitlines()]
        port = free_port()
        command = [sys.executable, "-m", "relevo", "serve", str(Path(made) / "flights"), "--port", "{port}"]
        process = start(command, port)
        try:
            wait(process, port)
            os.sched_setaffinity(0, {LOAD_CORE})
            lists(port, bodies, 20_000)
            for name, media, pieces in (
                ("CSV", "text/csv", as_csv(bodies, rows)),
                ("JSON lines", "application/jsonl", as_jsonl(bodies, rows)),
            ):
                before = resident(process.pid)
                seconds, most, answered = stream(port, media, pieces, process.pid)
                print(
                    f"{name}: {answered:,} rows, {answered / seconds:,.0f} rows/s, "
                    f"memory {before / MEGABYTE:.1f} MB before, at most {most / MEGABYTE:.1f} MB"
                )
            seconds = lists(port, bodies, min(rows, 200_000))
            print(f"lists of {LIST:,} over /v1/predict: {min(rows, 200_000) / seconds:,.0f} rows/s")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(180)
    return 0


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    found: int = psutil.Process(pid).memory_info().rss
    return found


def as_csv(bodies: list[dict[str, object]], rows: int) -> Iterator[bytes]:
    """Write rows piece by piece, so that they need no memory here either."""
    names = list(bodies[0])
    yield (",".join(names) + "\n").encode()
    for first in range(0, rows, PIECE):
        out = io.StringIO()
        csv.DictWriter(out, names).writerows(
            bodies[n % len(bodies)] for n in range(first, min(first + PIECE, rows))
        )
        yield out.getvalue().encode()


def as_jsonl(bodies: list[dict[str, object]], rows: int) -> Iterator[bytes]:
    """Write rows piece by piece."""
    lines = [json.dumps(body).encode() + b"\n" for body in bodies]
    for first in range(0, rows, PIECE):
        yield b"".join(lines[n % len(lines)] for n in range(first, min(first + PIECE, rows)))


def stream(port: int, media: str, pieces: Iterator[bytes], pid: int) -> tuple[float, int, int]:
    """Send and read at once; gives seconds, the most memory seen and the rows answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.putrequest("POST", "/v1/score")
    for name, value in (("Content-Type", media), ("Accept", media), ("Transfer-Encoding", "chunked")):
        connection.putheader(name, value)
    began = time.perf_counter()
    connection.endheaders()

    def send() -> None:
        for piece in pieces:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    most = lines = 0
    while part := answer.read(1 << 20):
        lines += part.count(b"\n")
        most = max(most, resident(pid))
    sender.join()
    return time.perf_counter() - began, most, lines - (media == "text/csv")


def lists(port: int, bodies: list[dict[str, object]], rows: int) -> float:
    """Ask lists one after the other; gives seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps([bodies[n % len(bodies)] for n in range(LIST)]).encode()
    began = time.perf_counter()
    for _ in range(rows // LIST):
        connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
