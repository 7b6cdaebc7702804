"""One row over HTTP: the usual service, a constant answer on Relevo's own route, Relevo, and with --peers others.

python benchmarks/serving.py [--check] [--rounds 3] [--peers]

Each is started alone on core 0 and asked from core 1, one LightGBM of 200 trees of 31 leaves in all
models. Relevo has an API key, a rate limit, metrics, the access log and the prediction log on. The constant too,
but the last, and it is parsed and validated as Relevo's request is: what is left between the two is features,
model and log. --peers installs MLflow, BentoML and MLServer, each into an environment that is thrown away, and
needs uv. With --check the script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.measuring import HERE, MEGABYTE, at_least, below, options, tell

from support import peers, services

REQUESTS = 50_000
AMOUNT = ("--requests", str(REQUESTS))
RATE, STEADY_SECONDS = 1000, 10
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


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--peers", action="store_true", help="compare with MLflow, BentoML and MLServer too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made], cwd=HERE, check=True)
        mine = ours(folder)
        others = peers.services(folder) if chosen.peers else []
        found = services.take_turns([*mine, *others], chosen.rounds)
        relevo = mine[-1]
        steady = services.steadily(relevo, RATE, STEADY_SECONDS, chosen.rounds)
        modules = imported(relevo)
    services.show(found)
    compared = [against(peer, found) for peer in peers.PEERS if chosen.peers]
    promises = speed(found, steady) + compared + weight(found["Relevo"], modules)
    return tell(dict(promises), fail=chosen.check)


def ours(folder: Path) -> list[services.Service]:
    """The usual service, the constant and Relevo."""
    project, bodies, key = str(folder / "flights"), folder / "bodies.jsonl", folder / "key"
    usual = [sys.executable, "-m", "support.usual", str(folder / "pipeline.pickle"), "{port}"]
    constant = [sys.executable, "-m", "support.constant", project, "{port}"]
    relevo = [sys.executable, "-m", "relevo", "serve", project, "--port", "{port}"]
    return [
        services.Service("usual service", usual, bodies),
        services.Service("constant", constant, bodies, amount=AMOUNT, key=key),
        services.Service("Relevo", relevo, bodies, amount=AMOUNT, key=key),
    ]


def imported(service: services.Service) -> set[str]:
    """Top-level modules that Relevo's serving process imports until it has answered and stopped."""
    port = services.free_port()
    traced = [service.command[0], "-X", "importtime", *service.command[1:]]
    process = services.start(traced, port, stderr=subprocess.PIPE)
    try:
        services.wait(process, port)
        services.ask(port, 1, service.bodies, ["--requests", "10", *service.asked])
    finally:
        said = services.stop(process)
    lines = [line for line in said.decode().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def help_seconds() -> float:
    """How long ``relevo --help`` takes."""
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).parent / "relevo"), "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def speed(found: dict[str, services.Figures], steady: list[dict[str, float]]) -> list[tuple[str, bool]]:
    """What the project promises of its speed."""
    usual, constant, relevo = (found[name] for name in ("usual service", "constant", "Relevo"))
    calm = min(run["p99"] / run["p50"] for run in steady)
    errors = relevo.errors + sum(run["errors"] for run in steady)
    return [
        at_least("requests/s, times the usual service's", relevo.rate / usual.rate, 100),
        at_least("requests/s, share of the constant answer's", relevo.rate / constant.rate, 0.65),
        below("p50 at 1 connection, times the constant answer's", relevo.p50 / constant.p50, 1.6),
        below("p99 at 1 connection, share of the usual service's", relevo.p99 / usual.p99, 1 / 20),
        below(f"p99/p50 at {RATE:,} requests/s open loop", calm, 6),
        below(f"seconds for {REQUESTS:,} requests", REQUESTS / relevo.rate, 10),
        below("errors", errors, 1),
        at_least("requests asked", relevo.asked, REQUESTS),
    ]


def against(peer: peers.Peer, found: dict[str, services.Figures]) -> tuple[str, bool]:
    """What the project promises against a peer; missed when there is nothing to compare with."""
    name, figures = f"requests/s, times {peer.name}", found.get(peer.name)
    if figures is None:
        return f"{name}: it could not be measured, see above", False
    if figures.errors:
        return (
            f"{name}: {figures.errors:,} of {figures.asked:,} requests failed, so it cannot be compared",
            False,
        )
    return at_least(name, found["Relevo"].rate / figures.rate, peer.times)


def weight(relevo: services.Figures, modules: set[str]) -> list[tuple[str, bool]]:
    """What the project promises of its weight."""
    strange = sorted(FORBIDDEN & modules)
    help_ = statistics.median(help_seconds() for _ in range(7))
    return [
        below("resident memory, MB", relevo.resident / MEGABYTE, 120),
        below("seconds to ready", relevo.ready, 2),
        below(f"libraries of training imported {' '.join(strange)}".strip(), len(strange), 1),
        below("relevo --help, milliseconds", 1000 * help_, 200),
    ]


if __name__ == "__main__":
    sys.exit(main())
