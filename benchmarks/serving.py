"""One row over HTTP: the usual service, a constant answer on Relevo's own route, and Relevo.

python benchmarks/serving.py [--check] [--rounds 3]

Each is started alone on core 0 and asked from core 1, one LightGBM of 200 trees of 31 leaves in both
models. The constant is parsed and validated as Relevo's request is, so what is left between the two is
features, model and log. With --check the script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.measuring import HERE, MEGABYTE, at_least, below, options, tell

from support import services

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


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    chosen = options(__doc__, rounds=3).parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made], cwd=HERE, check=True)
        project, bodies = folder / "flights", folder / "bodies.jsonl"
        usual = [sys.executable, "-m", "support.usual", str(folder / "pipeline.pickle"), "{port}"]
        constant = [sys.executable, "-m", "support.constant", str(project), "{port}"]
        relevo = [sys.executable, "-m", "relevo", "serve", str(project), "--port", "{port}"]
        found = [
            services.measure("(a) usual service", usual, bodies, chosen.rounds, ["--seconds", "4"]),
            services.measure("(b) constant", constant, bodies, chosen.rounds, ["--requests", str(REQUESTS)]),
            services.measure("(c) Relevo", relevo, bodies, chosen.rounds, ["--requests", str(REQUESTS)]),
        ]
        modules = imported(relevo, bodies)
    services.show(found)
    help_ = statistics.median(help_seconds() for _ in range(7))
    return judge(found, modules, help_, fail=chosen.check)


def imported(command: list[str], bodies: Path) -> set[str]:
    """Top-level modules that Relevo's serving process imports until it has answered and stopped."""
    port = services.free_port()
    traced = [command[0], "-X", "importtime", *command[1:]]
    process = services.start(traced, port, stderr=subprocess.PIPE)
    try:
        services.wait(process, port)
        services.ask(port, 1, bodies, ["--requests", "10"])
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


def judge(found: list[services.Figures], modules: set[str], help_: float, *, fail: bool) -> int:
    """Print each promise with what was found; returns 1 when one is missed and ``fail`` is set."""
    usual, constant, relevo = found
    strange = sorted(FORBIDDEN & modules)
    promises = [
        at_least("requests/s, times the usual service's", relevo.rate / usual.rate, 80),
        at_least("requests/s, share of the constant answer's", relevo.rate / constant.rate, 0.5),
        below("p99 at 1 connection, share of the usual service's", relevo.p99 / usual.p99, 1 / 20),
        below("errors", relevo.errors, 1),
        at_least("requests asked", relevo.asked, REQUESTS),
        below("resident memory, MB", relevo.resident / MEGABYTE, 120),
        below("seconds to ready", relevo.ready, 2),
        below(f"libraries of training imported {' '.join(strange)}".strip(), len(strange), 1),
        below("relevo --help, milliseconds", 1000 * help_, 200),
    ]
    return tell(dict(promises), fail=fail)


if __name__ == "__main__":
    sys.exit(main())
