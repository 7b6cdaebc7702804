"""One pair over HTTP, answered from five look-ups of which three are keyed files, and recommendations.

python benchmarks/lookups.py [--check] [--rounds 3]

As benchmarks/serving.py: each service is started alone on core 0 and asked from core 1; the constant answer is
parsed and validated as Relevo's request is. The keys are random, some of them unknown. With --check the script
exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import serving
from serving import HERE, MEGABYTE, REQUESTS, Figures, measure

ITEMS, K = 971, 5
ASKED = 200


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
        subprocess.run([sys.executable, "-m", "support.shop", made], cwd=HERE, check=True)
        project, bodies = folder / "shop", folder / "bodies.jsonl"
        constant = [sys.executable, "-m", "support.constant", str(project), "{port}"]
        relevo = [sys.executable, "-m", "relevo", "serve", str(project), "--port", "{port}"]
        amount = ["--requests", str(REQUESTS)]
        found = [
            measure("constant", constant, bodies, chosen.rounds, amount),
            measure("Relevo", relevo, bodies, chosen.rounds, amount),
        ]
        milliseconds = recommend(relevo)
        size = sum(path.stat().st_size for path in project.glob(".relevo/lookups/*"))
    print(f"keyed files: {size / MEGABYTE:.1f} MB")
    serving.show(found)
    return judge(found, milliseconds, fail=chosen.check)


def recommend(command: list[str]) -> float:
    """Milliseconds at the median of asking for the best of all items, one request after the other."""
    port = serving.free_port()
    process = serving.start(command, port)
    try:
        serving.wait(process, port)
        times = []
        for customer in range(ASKED):
            began = time.perf_counter()
            url = f"http://127.0.0.1:{port}/v1/recommend/{customer}?k={K}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                answer.read()
            times.append(time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)
    return 1000 * statistics.median(times)


def judge(found: list[Figures], milliseconds: float, *, fail: bool) -> int:
    """Print each promise with what was found; returns 1 when one is missed and ``fail`` is set."""
    constant, relevo = found
    promises = [
        ("requests/s, share of the constant answer's", relevo.rate / constant.rate, ">=", 0.4),
        ("errors", float(relevo.errors), "<", 1.0),
        ("resident memory, MB", relevo.resident / MEGABYTE, "<", 120.0),
        ("seconds to ready", relevo.ready, "<", 2.0),
        (f"milliseconds to recommend {K} of {ITEMS}", milliseconds, "<", 20.0),
    ]
    return serving.tell(promises, fail=fail)


if __name__ == "__main__":
    sys.exit(main())
