"""One row over HTTP: the usual service, a constant answer on Relevo's own route, and Relevo.

python benchmarks/serving.py [--check] [--rounds 3]

Each is started alone on core 0 and asked from core 1, one LightGBM of 200 trees of 31 leaves in both
models. The constant is parsed and validated as Relevo's request is, so what is left between the two is
features, model and log. With --check the script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = 0, 1
REQUESTS = 50_000
FORBIDDEN = {
    *(
        "sklearn",
        "pandas",
        "polars",
        "duckdb",
        "deltalake",
        "sqlglot",
        "lightgbm",
        "xgboost",
        "scipy",
        "pyarrow",
    ),
}
MEGABYTE = 1 << 20


@dataclass
class Figures:
    """What one service showed. Times are microseconds, memory is bytes."""

    name: str
    rate: float
    p50: float
    p99: float
    resident: int
    proportional: int
    ready: float
    errors: int
    asked: int


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each service; the best counts")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made], cwd=HERE, check=True)
        project, bodies = folder / "flights", folder / "bodies.jsonl"
        usual = [sys.executable, "-m", "support.usual", str(folder / "pipeline.pickle"), "{port}"]
        constant = [sys.executable, "-m", "support.constant", str(project), "{port}"]
        relevo = [sys.executable, "-m", "relevo", "serve", str(project), "--port", "{port}"]
        found = [
            measure("(a) usual service", usual, bodies, chosen.rounds, ["--seconds", "4"]),
            measure("(b) constant", constant, bodies, chosen.rounds, ["--requests", str(REQUESTS)]),
            measure("(c) Relevo", relevo, bodies, chosen.rounds, ["--requests", str(REQUESTS)]),
        ]
        modules = imported(relevo, bodies)
    show(found)
    help_ = statistics.median(help_seconds() for _ in range(7))
    return judge(found, modules, help_, fail=chosen.check)


def measure(name: str, command: list[str], bodies: Path, rounds: int, amount: list[str]) -> Figures:
    """Start one service, ask it, and stop it."""
    port = free_port()
    began = time.perf_counter()
    process = start(command, port)
    try:
        ready = wait(process, port) - began
        many = [_ask(port, 16, bodies, amount) for _ in range(rounds)]
        one = [_ask(port, 1, bodies, ["--seconds", "3"]) for _ in range(rounds)]
        memory = _memory(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)
    return Figures(
        name,
        rate=max(run["requests"] / run["seconds"] for run in many),
        p50=min(run["p50"] for run in one),
        p99=min(run["p99"] for run in one),
        resident=memory["Rss"],
        proportional=memory["Pss"],
        ready=ready,
        errors=round(sum(run["errors"] for run in (*many, *one))),
        asked=round(sum(run["requests"] for run in (*many, *one))),
    )


def start(command: list[str], port: int, **more: Any) -> subprocess.Popen[bytes]:
    """Start a service on its core."""
    return subprocess.Popen(
        [part.format(port=port) for part in command],
        cwd=HERE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),  # noqa: PLW1509 - no threads here
        **more,
    )


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(process: subprocess.Popen[bytes], port: int) -> float:
    """Wait until the service is ready; returns when that was."""
    end = time.perf_counter() + 60
    while time.perf_counter() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1):
                return time.perf_counter()
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"{process.args!r} did not become ready")


def _ask(port: int, connections: int, bodies: Path, amount: list[str]) -> dict[str, float]:
    command = [str(port), str(connections), str(bodies), *amount, "--core", str(LOAD_CORE)]
    done = subprocess.run(
        [sys.executable, str(HERE / "support" / "load.py"), *command],
        capture_output=True,
        check=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    if answer["busy"] > 0.9:
        print("warning: the load generator was the bottleneck", file=sys.stderr)
    return answer


def _memory(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def imported(command: list[str], bodies: Path) -> set[str]:
    """Top-level modules that Relevo's serving process imports until it has answered and stopped."""
    port = free_port()
    traced = [command[0], "-X", "importtime", *command[1:]]
    process = start(traced, port, stderr=subprocess.PIPE)
    try:
        wait(process, port)
        _ask(port, 1, bodies, ["--requests", "10"])
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=180)
    lines = [line for line in said.decode().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def help_seconds() -> float:
    """How long ``relevo --help`` takes."""
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).parent / "relevo"), "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def show(found: list[Figures]) -> None:
    """Print the table."""
    usual = found[0]
    print(
        f"{'':20}{'req/s at 16':>12}{'x usual':>9}{'p50 at 1':>10}{'p99 at 1':>10}"
        f"{'RSS':>8}{'PSS':>8}{'ready':>8}{'errors':>8}{'of':>9}"
    )
    for one in found:
        print(
            f"{one.name:20}{one.rate:12,.0f}{one.rate / usual.rate:9.1f}{one.p50:7,.0f} µs{one.p99:7,.0f} µs"
            f"{one.resident / MEGABYTE:5.0f} MB{one.proportional / MEGABYTE:5.0f} MB{one.ready:6.2f} s"
            f"{one.errors:8}{one.asked:9,}"
        )


def judge(found: list[Figures], modules: set[str], help_: float, *, fail: bool) -> int:
    """Print each promise with what was found; returns 1 when one is missed and ``fail`` is set."""
    usual, constant, relevo = found
    strange = sorted(FORBIDDEN & modules)
    promises = [
        ("requests/s, times the usual service's", relevo.rate / usual.rate, ">=", 80.0),
        ("requests/s, share of the constant answer's", relevo.rate / constant.rate, ">=", 0.5),
        ("p99 at 1 connection, share of the usual service's", relevo.p99 / usual.p99, "<", 1 / 20),
        ("errors", float(relevo.errors), "<", 1.0),
        ("requests asked", float(relevo.asked), ">=", float(REQUESTS)),
        ("resident memory, MB", relevo.resident / MEGABYTE, "<", 120.0),
        ("seconds to ready", relevo.ready, "<", 2.0),
        (f"libraries of training imported {' '.join(strange)}".strip(), float(len(strange)), "<", 1.0),
        ("relevo --help, milliseconds", 1000 * help_, "<", 200.0),
    ]
    return tell(promises, fail=fail)


def tell(promises: list[tuple[str, float, str, float]], *, fail: bool) -> int:
    """Print each promise with what was found; returns 1 when one is missed and ``fail`` is set."""
    missed = 0
    print()
    for name, value, sign, limit in promises:
        kept = value >= limit if sign == ">=" else value < limit
        missed += not kept
        print(f"{'kept  ' if kept else 'MISSED'} {name}: {value:,.3f} {sign} {limit:,.3f}")
    return int(fail and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
