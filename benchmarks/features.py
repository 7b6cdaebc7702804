"""A raw file becomes a feature matrix: row by row, with vectorised pandas, and with Relevo.

python benchmarks/features.py [--check] [--rows 70000 7000000] [--rounds 3]

Each way gets a fresh process and the same CSV file with the columns of the Santiago departures, and makes
the same float32 matrix; category levels are known beforehand, as they are to a package.

(a)   the original notebook: functions applied to each row; at the smallest number of rows only
(b)   vectorised pandas as a careful data scientist writes it: usecols, dtypes, no loop
(b')  the fastest pandas that we know how to write, for information
(c)   Relevo: the contract's casts and checks of every cell, then the canonical SQL of the features

Times are from the file's opening to the finished matrix, imports excluded; the best round counts. With
--check the script exits with 1 when a promise of the project is missed.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.measuring import MEGABYTE, fresh, options, tell

from support import departures

WAYS = {
    "rows": "(a) notebook, row by row",
    "pandas": "(b) vectorised pandas",
    "tuned": "(b') tuned by hand",
    "relevo": "(c) Relevo",
}
LEAST_A, LEAST_B, MOST_BYTES = 10, 3, 2_000_000_000


@dataclass
class Figures:
    """What one way needed for one file; ``content`` is the matrix's digest."""

    way: str
    rows: int
    seconds: float
    peak: int
    content: str


def main() -> int:
    """Measure, print the table and check the promises; returns the exit code."""
    parser = options(__doc__, rounds=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[70_000, 7_000_000], help="sizes of the file")
    chosen = parser.parse_args()
    sizes = sorted(chosen.rows)
    found: list[Figures] = []
    with tempfile.TemporaryDirectory() as made:
        for rows in sizes:
            path = Path(made) / f"departures-{rows}.csv"
            departures.write(path, rows)
            ways = [way for way in WAYS if way != "rows" or rows == sizes[0]]
            found += [measure(way, path, rows, chosen.rounds) for way in ways]
            if rows == sizes[0]:
                compare(path)
            path.unlink()
    show(found)
    return judge(found, sizes, fail=chosen.check)


def measure(way: str, path: Path, rows: int, rounds: int) -> Figures:
    """Make the matrix in fresh processes."""
    runs = [fresh("features", way, str(path)) for _ in range(rounds)]
    best = min(runs, key=lambda run: run["seconds"])
    return Figures(way, rows, best["seconds"], max(run["peak"] for run in runs), best["content"])


def compare(path: Path) -> None:
    """Compare the notebook's matrix with Relevo's, cell by cell, save where the notebook is known to err.

    It knows no period of the day at the first and the last minute of each, and takes the last day of a
    season to end when it begins.
    """
    a, c = (np.load(f"{path}.{way}.npy", mmap_mode="r") for way in ("rows", "relevo"))
    period, season = (departures.COLUMNS.index(name) for name in ("period_of_day", "high_season"))
    differs = ~((a == c) | (np.isnan(a) & np.isnan(c)))
    month, day, minute = (c[:, departures.COLUMNS.index(name)] for name in ("month", "day", "minute_of_day"))
    edge = np.isin(minute, departures.EDGES) & np.isnan(a[:, period])
    last = np.isin(month * 100 + day, departures.LAST_DAYS) & (minute > 0)
    unexplained = differs.copy()
    unexplained[:, period] &= ~edge
    unexplained[:, season] &= ~last
    if unexplained.any():
        row, column = np.argwhere(unexplained)[0]
        raise SystemExit(f"row {row}, {departures.COLUMNS[column]}: {a[row, column]} is not {c[row, column]}")


def show(found: list[Figures]) -> None:
    """Print the table."""
    print(f"{'':28}{'rows':>11}{'seconds':>10}{'rows/s':>13}{'peak RSS':>10}{'Relevo is':>12}")
    for one in found:
        relevo = next(other for other in found if other.way == "relevo" and other.rows == one.rows)
        ratio = "" if one is relevo else f"{one.seconds / relevo.seconds:.1f} x"
        print(
            f"{WAYS[one.way]:28}{one.rows:11,}{one.seconds:10.2f}{one.rows / one.seconds:13,.0f}"
            f"{one.peak / MEGABYTE:7,.0f} MB{ratio:>12}"
        )


def judge(found: list[Figures], sizes: list[int], *, fail: bool) -> int:
    """Say which promises are kept; the exit code is 1 when ``fail`` and one is not."""
    by = {(one.way, one.rows): one for one in found}
    first, last = sizes[0], sizes[-1]
    a = by["rows", first].seconds / by["relevo", first].seconds
    b = by["pandas", last].seconds / by["relevo", last].seconds
    peak = max(one.peak for one in found if one.way == "relevo")
    promises = {
        "one matrix, whichever of (b), (b') and (c) makes it": all(
            len({one.content for one in found if one.rows == rows and one.way != "rows"}) == 1
            for rows in sizes
        ),
        f"at least {LEAST_A} x (a) at {first:,} rows: {a:.1f}": a >= LEAST_A,
        f"at least {LEAST_B} x (b) at {last:,} rows: {b:.1f}": b >= LEAST_B,
        f"peak memory under {MOST_BYTES / 1e9:.0f} GB: {peak / 1e9:.2f}": peak < MOST_BYTES,
    }
    return tell(promises, fail=fail)


if __name__ == "__main__":
    sys.exit(main())
