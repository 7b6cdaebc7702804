"""Two data sets to compare: ``make FOLDER ROWS`` and ``wide FOLDER ROWS`` write them, ``compare FOLDER`` compares them.

``make``: 14 numbers (normal, skewed, whole, some with nulls) and 6 texts of 3 to 2,000 levels, as
``reference.parquet`` and ``current.parquet``. ``wide``: 1,000 numbers in 1 or 4 bytes, as two folders of files of a
million rows each. Only a folder's first file is drawn, a row group at a time; the others are copies of it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import arro3.core
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relevo.comparing import compare
from relevo.resources import measure

LOADED = (arro3.core, duckdb)
"""What a comparison would import first of all; no one's imports count."""
SIDES = {"reference": 0.0, "current": 0.1}
"""Each side, and by how many standard deviations its first column is moved."""
LEVELS = (3, 8, 20, 100, 300, 2_000)
"""No more: of a text with 50,000 Evidently makes minutes."""
WIDE = 1_000
PART = 1_000_000
GROUP = 122_880


def make(folder: Path, rows: int) -> None:
    """Write both sides of the usual shape."""
    folder.mkdir(parents=True)
    for seed, (side, moved) in enumerate(SIDES.items()):
        generator = np.random.default_rng(seed)
        table = pa.table(_columns(generator, rows, moved))
        pq.write_table(table, folder / f"{side}.parquet", row_group_size=GROUP)


def _columns(generator: np.random.Generator, rows: int, moved: float) -> dict[str, pa.Array]:
    numbers = [
        *(generator.normal(moved * (place == 0), 1, rows) for place in range(6)),
        *(generator.lognormal(0, 1, rows) for _ in range(3)),
        *(generator.integers(0, 10**digits, rows) for digits in (1, 2, 3)),
        *(generator.exponential(1, rows) for _ in range(2)),
    ]
    found = {
        f"n{place}": pa.array(values, mask=generator.random(rows) < 0.03 * (place % 3 == 0))
        for place, values in enumerate(numbers)
    }
    for place, count in enumerate(LEVELS):
        weights = 1 / np.arange(1, count + 1)
        levels = np.array([f"level {level:05d}" for level in range(count)])
        drawn = levels[generator.choice(count, rows, p=weights / weights.sum())]
        found[f"t{place}"] = pa.array(drawn, mask=generator.random(rows) < 0.02 * (place % 2))
    return found


def wide(folder: Path, rows: int) -> None:
    """Write both sides of many columns."""
    schema = pa.schema([(f"c{place}", pa.float32() if place % 2 else pa.int8()) for place in range(WIDE)])
    for seed, (side, moved) in enumerate(SIDES.items()):
        (folder / side).mkdir(parents=True)
        first = folder / side / "part-000.parquet"
        generator = np.random.default_rng(seed)
        with pq.ParquetWriter(first, schema, compression="zstd") as writer:
            for start in range(0, min(rows, PART), GROUP):
                size = min(GROUP, rows - start, PART - start)
                columns = [_wide(generator, place, size, moved * (place < 2)) for place in range(WIDE)]
                writer.write_table(pa.table(columns, schema=schema), row_group_size=GROUP)
        for part in range(1, rows // PART):
            shutil.copyfile(first, first.with_name(f"part-{part:03d}.parquet"))


def _wide(generator: np.random.Generator, place: int, size: int, moved: float) -> pa.Array:
    values = generator.standard_normal(size, dtype=np.float32) + np.float32(moved)
    return pa.array(np.round(values, 1) if place % 2 else np.round(values * 8).astype(np.int8))


def compared(folder: Path) -> dict[str, object]:
    """Compare both sides; the seconds are those of the whole call, the peak the process's."""
    paths = [next(folder.glob(f"{side}*")) for side in SIDES]
    began = time.perf_counter()
    with measure() as usage:
        found = compare(*paths)
    seconds = time.perf_counter() - began
    first = found.shifts[0]
    return {
        "seconds": seconds,
        "cpu": usage.cpu_seconds,
        "peak": usage.peak_rss_bytes,
        "rows": found.rows,
        "columns": len(found.shifts),
        "first": first.name,
        "moved": first.tv.value,
    }


if __name__ == "__main__":
    what, place = sys.argv[1], Path(sys.argv[2])
    if what == "compare":
        print(json.dumps(compared(place)))
    else:
        {"make": make, "wide": wide}[what](place, int(sys.argv[3]))
        written = sum(file.stat().st_size for file in place.rglob("*.parquet"))
        print(json.dumps({"bytes": written}))
