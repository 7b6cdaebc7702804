"""Memory after a million requests and a hundred changes of version, beside that after ten thousand.

python benchmarks/soak.py [--check] [--requests 1000000] [--swaps 100]

One service with access control, rate limit and access log, asked from 16 connections while two versions take
turns as champion. The process that brings the log into the lake comes and goes; memory is measured when it is gone.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from support.measuring import MEGABYTE, at_least, below, options, tell
from support.services import ask, free_port, memory, start, stop, wait

from relevo.records import Verdict
from relevo.register import register
from relevo.workspace import Workspace
from support import flights

FIRST = 10_000


def main() -> int:
    """Measure and check the promise; returns the exit code."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--swaps", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        flights.make(folder, guarded=True)
        workspace = Workspace.open(folder / "flights")
        verdict = Verdict(accepted=True, reasons=())
        second = register(workspace, folder / "draft", verdict=verdict, run="benchmark").version
        port = free_port()
        process = start(
            [sys.executable, "-m", "relevo", "serve", str(workspace.project), "--port", "{port}"], port
        )
        try:
            wait(process, port)
            bodies, key = folder / "bodies.jsonl", ["--key", str(folder / "key")]
            _swap(workspace, ["1.0.0", second] * 2, 1.0)  # both were there once before the first look
            before = ask(port, 16, bodies, ["--requests", str(FIRST), *key])
            first = memory(process.pid)["Rss"]
            pause = chosen.requests / (before["requests"] / before["seconds"]) / (chosen.swaps + 1)
            turns = [("1.0.0", second)[number % 2] for number in range(chosen.swaps)]
            swapping = threading.Thread(target=_swap, args=(workspace, turns, pause))
            swapping.start()
            after = ask(port, 16, bodies, ["--requests", str(chosen.requests), *key])
            swapping.join()
            _collected(process.pid)
            last = memory(process.pid)["Rss"]
        finally:
            stop(process)
    print(f"{first / MEGABYTE:.1f} MB after {before['requests']:,} requests")
    print(f"{last / MEGABYTE:.1f} MB after {after['requests']:,} more and {len(turns)} changes of version")
    promises = dict(
        [
            below("memory, times that after the first requests", last / first, 1.05),
            below("errors", before["errors"] + after["errors"], 1.0),
            at_least("requests", after["requests"], chosen.requests),
        ]
    )
    return tell(promises, fail=chosen.check)


def _collected(pid: int) -> None:
    """Wait until the service has no child processes."""
    end = time.monotonic() + 120
    while psutil.Process(pid).children(recursive=True):
        if time.monotonic() > end:
            raise SystemExit("the log is still being brought into the lake")
        time.sleep(0.2)


def _swap(workspace: Workspace, versions: list[str], pause: float) -> None:
    for version in versions:
        workspace.ledger.release("flights", "champion", version, who="benchmark", why="", act="promote")
        time.sleep(pause)


if __name__ == "__main__":
    sys.exit(main())
