"""Memory and speed of several workers beside one: the same service, started with 1 and with 4 processes.

python benchmarks/workers.py [--check] [--workers 4]

Memory is proportional (PSS), summed over the supervisor and its workers, measured after 20,000 requests over
16 connections, and again after a new version was taken over. With --check the script exits with 1 when a
promise of the project is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.measuring import MEGABYTE, below, tell
from support.services import free_port, wait

from relevo.records import Verdict
from relevo.register import register
from relevo.workspace import Workspace

HERE = Path(__file__).parent
CONNECTIONS, REQUESTS = 16, 20_000


@dataclass
class Figures:
    """What one number of workers showed. Memory is bytes, times are seconds."""

    workers: int
    ready: float
    rate: float
    fresh: int
    loaded: int
    swapped: int
    swap: float
    errors: int


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--workers", type=int, default=4, help="how many are compared with one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        workspace = Workspace.open(folder / "flights")
        verdict = Verdict(accepted=True, reasons=())
        second = register(workspace, folder / "draft", verdict=verdict, run="benchmark").version
        found = []
        for workers in (1, chosen.workers):
            _promote(workspace, "1.0.0")
            time.sleep(2)  # a service that starts right after a release asks for more for a second
            found.append(measure(workspace, folder / "bodies.jsonl", workers, second))
    for one in found:
        print(
            f"{one.workers:2} workers: ready in {one.ready:.2f} s, {one.rate:,.0f} requests/s; "
            f"{one.fresh / MEGABYTE:.0f} MB, {one.loaded / MEGABYTE:.0f} MB after requests, "
            f"{one.swapped / MEGABYTE:.0f} MB after a new version, taken over in {one.swap:.2f} s"
        )
    single, many = found
    promises = [
        below(f"PSS of {many.workers} workers, times one's", many.loaded / single.loaded, 1.6),
        below("seconds until all workers answer by a new version", many.swap, 2.0),
        below("errors", float(single.errors + many.errors), 1.0),
    ]
    return tell(dict(promises), fail=chosen.check)


def measure(workspace: Workspace, bodies: Path, workers: int, second: str) -> Figures:
    """Start the service, ask it, let it take over another version, and stop it."""
    port = free_port()
    command = [sys.executable, "-m", "relevo", "serve", str(workspace.project), "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        ready = wait(process, port) - began
        time.sleep(3)
        fresh = _memory(process.pid)
        first = _ask(port, bodies)
        loaded = _memory(process.pid)
        _promote(workspace, second)
        swap = _taken_over(port, second, workers)
        after = _ask(port, bodies)
        swapped = _memory(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)
    rate = first["requests"] / first["seconds"]
    errors = round(first["errors"] + after["errors"])
    return Figures(workers, ready, rate, fresh, loaded, swapped, swap, errors)


def _promote(workspace: Workspace, version: str) -> None:
    workspace.ledger.release("flights", "champion", version, who="benchmark", why="", act="promote")
    workspace.ledger.close()


def _taken_over(port: int, version: str, workers: int) -> float:
    """Wait until every worker says that it answers by ``version``; returns how long that took."""
    began = time.perf_counter()
    wanted = f'relevo_workers{{version="{version}"}} {workers}'
    while time.perf_counter() < began + 60:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            if wanted in answer.read().decode():
                return time.perf_counter() - began
        time.sleep(0.01)
    raise SystemExit("the new version was not taken over")


def _ask(port: int, bodies: Path) -> dict[str, float]:
    core = max(os.sched_getaffinity(0))
    command = [str(port), str(CONNECTIONS), str(bodies), "--requests", str(REQUESTS), "--core", str(core)]
    load = [sys.executable, str(HERE / "support" / "load.py"), *command]
    done = subprocess.run(load, capture_output=True, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory(pid: int) -> int:
    """Proportional bytes of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    total = 0
    for one in (pid, *map(int, children)):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


if __name__ == "__main__":
    sys.exit(main())
