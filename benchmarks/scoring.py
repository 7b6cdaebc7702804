"""Every product for every customer, 1.5 million pairs, features included: with Relevo and with pandas.

python benchmarks/scoring.py [--check] [--rounds 2]

A made-up distributor: 1,570 customers, 971 products, a year of weekly sales of 31,000 pairs, 23 features of
which 13 come from three histories known week by week, and a LightGBM model of at most 300 trees. Each way
gets a fresh process and the same data and model, two threads, and keeps its scores on disk.

usual    a notebook's way: group-by over the sales, a cross join, merges, feature code, LightGBM's predict
Relevo   score_population: history as of the week, the package's SQL, ONNX, decisions, the lake table

The usual way aggregates the sales itself, which in Relevo the step ``history`` has done before; that step's
seconds are shown beside. With --check the script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from support.measuring import fresh, options, tell

LEAST_ROWS, MOST_SECONDS, MOST_BYTES = 1_500_000, 60, 2_000_000_000
NEAR = 1e-4
"""Two libraries' float32 trees: how far a probability may be from the other's."""


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    chosen = options(__doc__, rounds=2).parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "pairs"
        history = fresh("pairs", "make", str(folder))["history"]
        found = {}
        for way in ("relevo", "usual"):
            runs = [fresh("pairs", way, str(folder)) for _ in range(chosen.rounds)]
            best = min(runs, key=lambda run: float(run["seconds"]))
            found[way] = {**best, "peak": max(run["peak"] for run in runs)}
        ours, theirs = (np.load(f"{folder}.{way}.npy") for way in ("relevo", "usual"))
    largest = float(np.abs(ours - theirs).max())
    relevo, usual = found["relevo"], found["usual"]
    print(f"{'':10}{'pairs':>11}{'seconds':>10}{'CPU s':>8}{'pairs/s':>12}{'peak RSS':>12}")
    for way, one in found.items():
        print(
            f"{way:10}{one['rows']:11,}{one['seconds']:10.1f}{one['cpu']:8.1f}"
            f"{one['rows'] / one['seconds']:12,.0f}{one['peak'] / 1e6:9,.0f} MB"
        )
    ratio, memory = usual["seconds"] / relevo["seconds"], usual["peak"] / relevo["peak"]
    print(f"Relevo takes 1/{ratio:.1f} of the time and 1/{memory:.1f} of the memory;")
    print(f"its histories took {history:.1f} s before, once for each batch of data.")
    promises = {
        f"the same probabilities, to {NEAR}: {largest:.1e}": largest < NEAR,
        f"at least {LEAST_ROWS:,} pairs: {relevo['rows']:,}": relevo["rows"] >= LEAST_ROWS,
        f"under {MOST_SECONDS} s: {relevo['seconds']:.1f}": relevo["seconds"] < MOST_SECONDS,
        f"under {MOST_BYTES / 1e9:.0f} GB: {relevo['peak'] / 1e9:.2f}": relevo["peak"] < MOST_BYTES,
    }
    return tell(promises, fail=chosen.check)


if __name__ == "__main__":
    sys.exit(main())
