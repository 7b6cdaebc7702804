"""Two data sets compared, column by column: a million rows by 20 columns against as many, from Parquet.

    python benchmarks/drift.py
    python benchmarks/drift.py --check --peers
    python benchmarks/drift.py --check --wide

--peers compares the same files with Evidently's DataDriftPreset and NannyML's UnivariateDriftCalculator, each in an
environment of its own that uv makes and this script removes; the machine's rest weighs on all alike. --wide compares
10 million rows by 1,000 columns (--wide-rows: fewer), some 15 GB on the disk, removed afterwards. With --check the
script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from support.drifts import PEERS, measured
from support.measuring import at_least, below, fresh, options, tell

ROWS, SECONDS, BYTES = 1_000_000, 2.0, 1e9
WIDE_ROWS, WIDE_BYTES = 10_000_000, 2e9
PER_VALUE = 1.0
"""Bytes on the disk of a value of the wide files, at most."""


def main() -> int:
    """Measure, print and check; returns the exit code."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--peers", action="store_true", help="compare with Evidently and NannyML")
    parser.add_argument("--wide", action="store_true", help="compare 1,000 columns")
    parser.add_argument(
        "--wide-rows", type=int, default=WIDE_ROWS, help="rows of each side, in millions' steps"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        promises = narrow(Path(made), chosen.rounds, peers=chosen.peers)
    if chosen.wide:
        with tempfile.TemporaryDirectory() as made:
            promises |= wide(Path(made), chosen.wide_rows)
    return tell(promises, fail=chosen.check)


def narrow(made: Path, rounds: int, *, peers: bool) -> dict[str, bool]:
    """A million rows by 20 columns on both sides."""
    folder = made / "files"
    fresh("columns", "make", str(folder), str(ROWS))
    print(f"{'':12}{'seconds':>10}{'CPU s':>10}{'peak RSS':>12}")
    runs = [fresh("columns", "compare", str(folder)) for _ in range(rounds)]
    best = min(runs, key=lambda run: float(run["seconds"]))
    peak = max(float(run["peak"]) for run in runs)
    show("Relevo", {**best, "peak": peak})
    promises = [
        below("seconds for 1 M x 1 M rows by 20 columns", best["seconds"], SECONDS),
        below("its peak, GB", peak / 1e9, BYTES / 1e9),
    ]
    for peer in PEERS if peers else ():
        # before and after, since what else the machine does may change
        beside = [fresh("columns", "compare", str(folder))]
        found = measured(peer, made, folder)
        beside.append(fresh("columns", "compare", str(folder)))
        times = 0.0
        if found:
            show(peer.name, found)
            times = found["seconds"] / statistics.mean(float(run["seconds"]) for run in beside)
            ratio = found["cpu"] / statistics.mean(float(run["cpu"]) for run in beside)
            print(f"Relevo takes 1/{times:.0f} of its time and 1/{ratio:.0f} of its processor's")
        promises.append(at_least(f"times faster than {peer.name}", times, peer.times))
    return dict(promises)


def wide(made: Path, rows: int) -> dict[str, bool]:
    """Many columns, and more rows than fit into memory."""
    needed, free = 2 * 1_000 * rows * PER_VALUE, shutil.disk_usage(made).free
    if needed > 0.8 * free:
        raise SystemExit(
            f"--wide writes up to {needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free in {made}"
        )
    folder = made / "wide"
    written: dict[str, Any] = fresh("columns", "wide", str(folder), str(rows))
    found = fresh("columns", "compare", str(folder))
    print(
        f"\n{found['rows']:,} rows by {found['columns']:,} columns against as many, {written['bytes'] / 1e9:.1f} GB"
    )
    show("Relevo", found)
    right = found["first"] in ("c0", "c1")
    name = f"{rows:,} rows by 1,000 columns: peak, GB"
    return dict([below(name, found["peak"] / 1e9, WIDE_BYTES / 1e9)]) | {
        "the column that moved comes first": right
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print a line of the table."""
    print(f"{name:12}{found['seconds']:10.2f}{found['cpu']:10.2f}{found['peak'] / 1e6:9,.0f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
