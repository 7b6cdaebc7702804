"""Services under load: each is started alone on core 0 and asked from core 1."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.measuring import HERE, MEGABYTE

SERVER_CORE, LOAD_CORE = 0, 1


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


def measure(name: str, command: list[str], bodies: Path, rounds: int, amount: list[str]) -> Figures:
    """Start one service, ask it, and stop it."""
    port = free_port()
    began = time.perf_counter()
    process = start(command, port)
    try:
        ready = wait(process, port) - began
        many = [ask(port, 16, bodies, amount) for _ in range(rounds)]
        one = [ask(port, 1, bodies, ["--seconds", "3"]) for _ in range(rounds)]
        held = memory(process.pid)
    finally:
        stop(process)
    return Figures(
        name,
        rate=max(run["requests"] / run["seconds"] for run in many),
        p50=min(run["p50"] for run in one),
        p99=min(run["p99"] for run in one),
        resident=held["Rss"],
        proportional=held["Pss"],
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


def stop(process: subprocess.Popen[bytes]) -> bytes:
    """End a service in peace; gives what it wrote to a captured standard error."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=180)[1] or b""


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


def ask(port: int, connections: int, bodies: Path, amount: list[str]) -> dict[str, float]:
    """Put a service under load and read what the load generator saw."""
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


def memory(pid: int) -> dict[str, int]:
    """Bytes of a process, as the kernel names them: ``Rss``, ``Pss``."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def show(found: list[Figures]) -> None:
    """Print the table; the first service is what the others are compared with."""
    first = found[0]
    print(
        f"{'':20}{'req/s at 16':>12}{'x first':>9}{'p50 at 1':>10}{'p99 at 1':>10}"
        f"{'RSS':>8}{'PSS':>8}{'ready':>8}{'errors':>8}{'of':>9}"
    )
    for one in found:
        print(
            f"{one.name:20}{one.rate:12,.0f}{one.rate / first.rate:9.1f}{one.p50:7,.0f} µs{one.p99:7,.0f} µs"
            f"{one.resident / MEGABYTE:5.0f} MB{one.proportional / MEGABYTE:5.0f} MB{one.ready:6.2f} s"
            f"{one.errors:8}{one.asked:9,}"
        )
