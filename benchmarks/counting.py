"""What counting every prediction costs: in this process with 20 features, and a service with and without it.

python benchmarks/counting.py [--check] [--rounds 5]

In process, rows come as answers of 16 to an event loop that turns, or lie there in slices of 512; the rows are put
down and counted over bins of 8 numbers, 4 whole numbers, 5 texts, 3 booleans, the score and three pairs. Then requests
of the flights project go through the route of predictions, 16 at a time, with and without counting in turn. At last two
services are asked in turn over 16 connections, for information. All times are the processor's, which other programs of
the machine change less than they change requests a second. Of all rounds the best counts, of differences the median.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
from support.measuring import HERE, below, options, tell

from relevo.bins import Bins
from relevo.journal import COUNTS, Journal
from relevo.profile import profile
from relevo.records import ModelVersion, Verdict, now
from relevo.serving.app import create_app
from relevo.serving.counting import SLICE, Counting, Live
from relevo.serving.exposition import Seen, text
from relevo.serving.metrics import Metrics
from relevo.serving.turns import Ask
from relevo.sql import Column
from relevo.workspace import Workspace
from support import services

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEARNED, FRESH, TIMES, TOGETHER = 20_000, 1024, 16, 16
ROWS = FRESH * TIMES
KINDS = ["double"] * 8 + ["integer"] * 4 + ["text"] * 5 + ["boolean"] * 3
LEVELS = [f"level {number}" for number in range(40)]
PAIRS = [("f0", "f12"), ("f1", "f8"), ("f12", "f13")]
REQUESTS = 20_000
SERVE = """
import sys
if sys.argv.pop(1) == "without":
    from relevo.serving.counting import Counting
    Counting.add = lambda *_: None
from relevo.cli import main
main()
"""


class Found(NamedTuple):
    """Microseconds a row or a request, if not said otherwise."""

    slices: float
    together: float
    held: float
    """Of the loop, milliseconds, by one slice."""
    shown: float
    """Writing the metrics, milliseconds."""
    without: float
    counted: float
    more: float
    """What counting adds to a request that goes through the route in this process."""


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    chosen = options(__doc__, rounds=5).parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        bins, rows, scores = _rows()
        alone = [_alone(folder, bins, rows, scores) for _ in range(chosen.rounds)]
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        more = asyncio.run(_route(folder, 4 * chosen.rounds))
        served, rates = _served(folder, chosen.rounds)
    found = Found(*(min(figures) for figures in zip(*alone, strict=True)), **served, more=more)
    print(f"{'':52}{'µs':>8}")
    for name, value in (
        (f"a row, in slices of {SLICE}", found.slices),
        (f"a row, answered {TOGETHER} at a time", found.together),
        ("processor time of a request over HTTP, not counted", found.without),
        ("processor time of a request over HTTP, counted", found.counted),
    ):
        print(f"{name:52}{value:8.2f}")
    for name, rate in rates.items():
        print(f"{f'requests/s over 16 connections, {name}':52}{rate:8,.0f}")
    promises = [
        below(f"µs for counting a row of 20 features answered {TOGETHER} at a time", found.together, 3),
        below("µs for counting a request of the flights project", found.more, 3),
        below("milliseconds that a slice holds the event loop", found.held, 1.5),
        below("milliseconds for writing the metrics", found.shown, 20),
    ]
    return tell(dict(promises), fail=chosen.check)


def _rows() -> tuple[Bins, list[tuple[Any, ...]], list[float]]:
    """Bins of what was learned from, and rows as requests bring them.

    Each value is an object of its own, and there are only so many as a processor's cache holds: what is counted
    in a service was made a moment before.
    """
    rng, draw = np.random.default_rng(0), random.Random(0)
    features = [Column(f"f{number}", kind) for number, kind in enumerate(KINDS)]
    make: dict[str, Callable[[], Any]] = {
        "double": lambda: rng.normal(size=LEARNED),
        "integer": lambda: rng.integers(0, 1000, LEARNED),
        "text": lambda: np.ma.masked_array(draw.choices(LEVELS, k=LEARNED), rng.random(LEARNED) < 0.02),
        "boolean": lambda: rng.random(LEARNED) < 0.3,
    }
    columns = {column.name: make[column.type]() for column in features}
    reference = profile(features, columns, rng.random(LEARNED), PAIRS)
    levels = {c.name: dict.fromkeys([*LEVELS, None], 0.0) for c in features if c.type == "text"}
    lists = [np.ma.asarray(columns[column.name])[:FRESH].tolist() for column in features]
    rows = [tuple(json.loads(json.dumps(row))) for row in zip(*lists, strict=True)]
    return Bins(reference, levels), rows * TIMES, rng.random(ROWS).tolist()


def _alone(folder: Path, bins: Bins, rows: list[tuple[Any, ...]], scores: list[float]) -> tuple[float, ...]:
    slices = []
    for start in range(0, ROWS, SLICE):
        began = time.process_time()
        bins.rows(rows[start : start + SLICE], scores[start : start + SLICE])
        slices.append(time.process_time() - began)
    journal, metrics = Journal.open(folder / "log", COUNTS), Metrics()
    counting, live = Counting(journal, metrics), Live(_version(), bins)
    answers = [
        (rows[start : start + TOGETHER], scores[start : start + TOGETHER])
        for start in range(0, ROWS, TOGETHER)
    ]
    idle = asyncio.run(_turns(answers, lambda *_: None))
    at = now().encode()
    busy = asyncio.run(_turns(answers, lambda part, found: counting.add(live, at, part, found)))
    counting.flush()
    journal.close()
    began = time.process_time()
    shown = text(metrics, Seen([], None, 0.0, 0, [], bins=bins))
    wrote = time.process_time() - began
    assert "relevo_feature_values_total{" in shown
    return (
        1e6 * sum(slices) / ROWS,
        1e6 * (busy - idle) / ROWS,
        1e3 * statistics.median(slices),
        1e3 * wrote,
    )


async def _turns(answers: Sequence[Any], use: Callable[[Any, Any], None]) -> float:
    """Processor seconds for answers that come one in each turn of the loop, until it has nothing to do any more."""
    began = time.process_time()
    for part, found in answers:
        use(part, found)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return time.process_time() - began


def _version() -> ModelVersion:
    return ModelVersion(
        project="benchmark",
        version="1.0.0",
        digest="d" * 64,
        run="",
        status="accepted",
        algorithm="",
        metrics={},
        verdict=Verdict(accepted=True, reasons=()),
        change="",
        created_at=now(),
    )


async def _route(folder: Path, rounds: int) -> float:
    """Microseconds that counting adds to a request; each round asks without, with and without it."""
    app = create_app(Workspace.open(folder / "flights"), "flights", collect=False)
    bodies = [line.encode() for line in (folder / "bodies.jsonl").read_text().splitlines()]
    add = app.counting.add

    async def ask() -> float:
        began = time.process_time()
        for start in range(0, len(bodies), TOGETHER):
            for body in bodies[start : start + TOGETHER]:
                app.predict.ask(Ask(body, b"", lambda _: None))
            for _ in range(3):
                await asyncio.sleep(0)
        return 1e6 * (time.process_time() - began) / len(bodies)

    differences = []
    for _ in range(rounds):
        found = []
        for way in (lambda *_: None, add, lambda *_: None):
            app.counting.add = way  # type: ignore[method-assign]
            found.append(await ask())
            app.counting.flush()
        differences.append(found[1] - (found[0] + found[2]) / 2)
    app.journal.close()
    app.counts.close()
    return statistics.median(differences)


def _served(folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Processor time of a request, and requests a second, by service."""
    running, ports = {}, {}
    try:
        for name in ("without", "counted"):
            ports[name] = services.free_port()
            command = [
                sys.executable,
                "-c",
                SERVE,
                name,
                "serve",
                str(folder / "flights"),
                "--port",
                "{port}",
            ]
            running[name] = services.start(command, ports[name])
            services.wait(running[name], ports[name])
        found: dict[str, list[float]] = {name: [] for name in running}
        rates = dict.fromkeys(running, 0.0)
        for _ in range(rounds):
            for name, process in running.items():
                used = _used(process.pid)
                amount = ["--requests", str(REQUESTS)]
                asked = services.ask(ports[name], 16, folder / "bodies.jsonl", amount)
                found[name].append(1e6 * (_used(process.pid) - used) / asked["requests"])
                rates[name] = max(rates[name], asked["requests"] / asked["seconds"])
    finally:
        for process in running.values():
            services.stop(process)
    return {name: min(figures) for name, figures in found.items()}, rates


def _used(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
