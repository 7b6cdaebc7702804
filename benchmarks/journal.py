"""What flushing the log to the disk costs the answers: the service with and without it.

python benchmarks/journal.py [--check] [--rounds 5]

The service is started twice and asked in turn over one connection and over 16; the second never calls
fdatasync. Times are microseconds at the client, of each round's 50th and 99th percentile the median. A disk
with 5 ms for each flush is made by waiting before it.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from support.measuring import below, tell
from support.services import ask, free_port, start, wait

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
SERVE = """
import os, sys, time
real, pause = os.fdatasync, float(sys.argv.pop(1))

def fdatasync(descriptor):
    if pause >= 0:
        time.sleep(pause)
        real(descriptor)

os.fdatasync = fdatasync
from relevo.cli import main
main()
"""
DISKS = {"never flushed": -1.0, "flushed": 0.0, "flushed, 5 ms more": 0.005}


def main() -> int:
    """Measure, print the table and check the promise; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each; the median counts")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        running = {}
        try:
            for name, pause in DISKS.items():
                running[name] = _start(folder / "flights", pause)
            found = _compare(running, folder / "bodies.jsonl", chosen.rounds)
        finally:
            for process, _ in running.values():
                process.send_signal(signal.SIGTERM)
                process.wait(180)
    for name, figures in found.items():
        shown = "; ".join(f"{n:2} connections p50 {p50:,.0f} p99 {p99:,.0f}" for n, p50, p99 in figures)
        print(f"{name:20} {shown} µs")
    ratios = [
        below(f"p99 at {n} connections, times that without a flush", p99 / plain, 1.25)
        for (n, _, p99), (_, _, plain) in zip(found["flushed"], found["never flushed"], strict=True)
    ]
    return tell(dict(ratios), fail=chosen.check)


def _start(project: Path, pause: float) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    command = [sys.executable, "-c", SERVE, str(pause), "serve", str(project), "--port", str(port)]
    process = start([*command, "--workers", "1"], port)
    wait(process, port)
    return process, port


def _compare(
    running: dict[str, tuple[subprocess.Popen[bytes], int]], bodies: Path, rounds: int
) -> dict[str, Sequence[tuple[int, float, float]]]:
    """Ask all in turn, round by round, so that what else the machine does falls on all alike."""
    found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in running}
    for connections in (1, 16):
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, (_, port) in running.items():
                seen[name].append(ask(port, connections, bodies, ["--seconds", "2"]))
        for name, runs in seen.items():
            p50, p99 = (statistics.median(run[part] for run in runs) for part in ("p50", "p99"))
            found[name].append((connections, p50, p99))
    return dict(found)


if __name__ == "__main__":
    sys.exit(main())
