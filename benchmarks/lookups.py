"""One pair over HTTP, answered from five look-ups of which three are keyed files, and recommendations.

python benchmarks/lookups.py [--check] [--rounds 3]

As benchmarks/serving.py: each service is started alone on core 0 and asked from core 1; the constant answer is
parsed and validated as Relevo's request is. The keys are random, some of them unknown. With --check the script
exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from support.measuring import HERE, MEGABYTE, at_least, below, options, tell

from support import services

REQUESTS = 50_000
ITEMS, K = 971, 5
ASKED = 200


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    chosen = options(__doc__, rounds=3).parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.shop", made], cwd=HERE, check=True)
        project, bodies = folder / "shop", folder / "bodies.jsonl"
        constant = [sys.executable, "-m", "support.constant", str(project), "{port}"]
        relevo = [sys.executable, "-m", "relevo", "serve", str(project), "--port", "{port}"]
        amount = ("--requests", str(REQUESTS))
        both = [
            services.Service(name, command, bodies, amount=amount)
            for name, command in (("constant", constant), ("Relevo", relevo))
        ]
        found = services.take_turns(both, chosen.rounds)
        milliseconds = recommend(relevo)
        size = sum(path.stat().st_size for path in project.glob(".relevo/lookups/*"))
    print(f"keyed files: {size / MEGABYTE:.1f} MB")
    services.show(found)
    return judge(found, milliseconds, fail=chosen.check)


def recommend(command: list[str]) -> float:
    """Milliseconds at the median of asking for the best of all items, one request after the other."""
    port = services.free_port()
    process = services.start(command, port)
    try:
        services.wait(process, port)
        times = []
        for customer in range(ASKED):
            began = time.perf_counter()
            url = f"http://127.0.0.1:{port}/v1/recommend/{customer}?k={K}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                answer.read()
            times.append(time.perf_counter() - began)
    finally:
        services.stop(process)
    return 1000 * statistics.median(times)


def judge(found: dict[str, services.Figures], milliseconds: float, *, fail: bool) -> int:
    """Print each promise with what was found; returns 1 when one is missed and ``fail`` is set."""
    constant, relevo = found.values()
    promises = [
        at_least("requests/s, share of the constant answer's", relevo.rate / constant.rate, 0.4),
        below("errors", relevo.errors, 1),
        below("resident memory, MB", relevo.resident / MEGABYTE, 120),
        below("seconds to ready", relevo.ready, 2),
        below(f"milliseconds to recommend {K} of {ITEMS}", milliseconds, 20),
    ]
    return tell(dict(promises), fail=fail)


if __name__ == "__main__":
    sys.exit(main())
