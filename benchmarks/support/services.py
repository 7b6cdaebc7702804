"""Services under load: each is started alone on core 0 and asked from core 1."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
from support.measuring import HERE, MEGABYTE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
FAILURES = (SystemExit, OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError)
"""What a foreign service may fail with: it does not start, or answers something else than expected."""


@dataclass(frozen=True)
class Service:
    """How a service is started and asked; command and variables say ``{port}`` for where it listens."""

    name: str
    command: list[str]
    bodies: Path
    path: str = "/v1/predict"
    ready: str = "/ready"
    amount: tuple[str, ...] = ("--seconds", "4")
    """How much it is asked over 16 connections."""
    key: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    log: Path | None = None
    """Takes what it writes; by default its standard error is the benchmark's."""
    optional: bool = False
    """Whether the others are measured all the same when it fails."""

    @property
    def asked(self) -> list[str]:
        """Options of the load generator."""
        return ["--path", self.path, *(["--key", str(self.key)] if self.key else [])]


@dataclass
class Figures:
    """What one service showed. Times are microseconds, memory is bytes of it and its child processes."""

    name: str
    rate: float
    p50: float
    p99: float
    resident: int
    proportional: int
    ready: float
    errors: int
    asked: int


def take_turns(services: list[Service], rounds: int) -> dict[str, Figures]:
    """Measure one after the other, so many times around: what else the machine does falls on all alike.

    The best of each counts, of memory the worst. An optional service that failed every time is left out.
    """
    runs: dict[str, list[Figures]] = {one.name: [] for one in services}
    for one in services * rounds:
        try:
            runs[one.name].append(measure(one))
        except FAILURES as error:
            if not one.optional:
                raise
            complain(one.name, error, one.log)
    return {name: _best(found) for name, found in runs.items() if found}


def complain(name: str, error: BaseException, log: Path | None) -> None:
    """Say why a service is not measured, with the end of what it wrote."""
    said = getattr(error, "stderr", None) or (log.read_text(errors="replace") if log and log.exists() else "")
    print(f"{name} cannot be measured: {error}\n{said[-2000:]}", file=sys.stderr)


def _best(runs: list[Figures]) -> Figures:
    return Figures(
        runs[0].name,
        rate=max(run.rate for run in runs),
        p50=min(run.p50 for run in runs),
        p99=min(run.p99 for run in runs),
        resident=max(run.resident for run in runs),
        proportional=max(run.proportional for run in runs),
        ready=min(run.ready for run in runs),
        errors=sum(run.errors for run in runs),
        asked=sum(run.asked for run in runs),
    )


def measure(service: Service) -> Figures:
    """Start one service, ask it over 16 connections and over one, and stop it."""
    with running(service) as (process, port, ready):
        many = ask(port, 16, service.bodies, [*service.amount, *service.asked])
        one = ask(port, 1, service.bodies, ["--seconds", "3", *service.asked])
        held = memory(process.pid)
    return Figures(
        service.name,
        rate=many["requests"] / many["seconds"],
        p50=one["p50"],
        p99=one["p99"],
        resident=held["Rss"],
        proportional=held["Pss"],
        ready=ready,
        errors=round(many["errors"] + one["errors"]),
        asked=round(many["requests"] + one["requests"]),
    )


@contextlib.contextmanager
def running(service: Service) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """A service that is ready: its process, its port, and the seconds until then. Stopped afterwards."""
    port = free_port()
    variables = {name: value.format(port=port) for name, value in service.variables.items()}
    more: dict[str, Any] = {"env": {**os.environ, **variables}}
    with contextlib.ExitStack() as stack:
        if service.log:
            more["stdout"] = more["stderr"] = stack.enter_context(service.log.open("wb"))
        began = time.perf_counter()
        process = start(service.command, port, **more)
        try:
            yield process, port, wait(process, port, service.ready) - began
        finally:
            stop(process)


def start(command: list[str], port: int, **more: Any) -> subprocess.Popen[bytes]:
    """Start a service on its core, in a process group of its own."""
    return subprocess.Popen(
        [part.format(port=port) for part in command],
        cwd=HERE,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),  # noqa: PLW1509 - no threads here
        **{"stdout": subprocess.DEVNULL, **more},
    )


def stop(process: subprocess.Popen[bytes]) -> bytes:
    """End a service in peace, and what it left behind; gives what it wrote to a captured standard error."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=60)[1] or b""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(process: subprocess.Popen[bytes], port: int, path: str = "/ready") -> float:
    """Wait until the service is ready; returns when that was."""
    end = time.perf_counter() + 120
    while time.perf_counter() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1):
                return time.perf_counter()
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"{process.args!r} did not become ready")


def ask(port: int, connections: int, bodies: Path, amount: list[str]) -> dict[str, float]:
    """Put a service under load and read what the load generator saw."""
    answer = _load("load.py", [str(port), str(connections), str(bodies), *amount])
    if answer["busy"] > 0.9:
        print("warning: the load generator was the bottleneck", file=sys.stderr)
    return answer


def steadily(service: Service, rate: int, seconds: int, rounds: int) -> list[dict[str, float]]:
    """Start a service and ask it so many requests a second, whether it has answered or not; once a round."""
    words = ["--key", str(service.key)] if service.key else []
    with running(service) as (_, port, _):
        command = [str(port), str(rate), str(seconds), str(service.bodies), *words]
        return [_load("steady.py", command) for _ in range(rounds)]


def _load(script: str, words: list[str]) -> dict[str, float]:
    command = [sys.executable, str(HERE / "support" / script), *words, "--core", str(LOAD_CORE)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def memory(pid: int) -> dict[str, int]:
    """Bytes of a process and its children, as the kernel names them: ``Rss``, ``Pss``."""
    process = psutil.Process(pid)
    found = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return {"Rss": sum(one.rss for one in found), "Pss": sum(one.pss for one in found)}


def show(found: dict[str, Figures]) -> None:
    """Print the table; the first service is what the others are compared with."""
    first = next(iter(found.values()))
    print(
        f"{'':20}{'req/s at 16':>12}{'x first':>9}{'p50 at 1':>11}{'p99 at 1':>11}"
        f"{'RSS':>8}{'PSS':>8}{'ready':>8}{'errors':>8}{'of':>9}"
    )
    for one in found.values():
        print(
            f"{one.name:20}{one.rate:12,.0f}{one.rate / first.rate:9.1f}{one.p50:8,.0f} µs{one.p99:8,.0f} µs"
            f"{one.resident / MEGABYTE:5.0f} MB{one.proportional / MEGABYTE:5.0f} MB{one.ready:6.2f} s"
            f"{one.errors:8}{one.asked:9,}"
        )
