"""One row by its key, out of a keyed file and out of SQLite: python benchmarks/keyed.py [--rows 31000].

Rows of two integers as their key and 15 numbers, asked in random order, with the cells as Python values. Times are
processor time, the best of five rounds.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo.keyed import KeyedFile, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH, NUMBERS, ASKED, ROUNDS = 971, 15, 100_000, 5
TYPES = ["integer", "integer", *["double"] * 12, *["integer"] * 3]


def rows(number: int) -> Iterator[tuple[Any, ...]]:
    """Make rows in the order of their keys."""
    rng = random.Random(0)
    drawn = [
        (*(rng.random() for _ in range(12)), *(rng.randrange(100) for _ in range(3))) for _ in range(997)
    ]
    return ((n // WIDTH, n % WIDTH, *drawn[n % 997]) for n in range(number))


def microseconds(get: Callable[[Any], Any], keys: list[Any]) -> float:
    """Processor time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for key in keys:
            get(key)
        best = min(best, time.process_time() - began)
    return 1e6 * best / len(keys)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=31_000)
    number = parser.parse_args().rows
    rng = random.Random(1)
    keys = [(place // WIDTH, place % WIDTH) for place in (rng.randrange(number) for _ in range(ASKED))]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        path = Path(folder) / "rows"
        built = build(path, rows(number), 2, TYPES)
        took = time.process_time() - began
        print(f"{number:,} rows built in {took:.2f} s of processor time, {built.bytes / (1 << 20):.1f} MB")
        file = KeyedFile.open(path, built.sha256, key=TYPES[:2], types=TYPES[2:])
        print(f"keyed file {microseconds(file.get, keys):6.2f} µs")
        database = sqlite3.connect(Path(folder) / "rows.db")
        cells = ", ".join(f"c{place}" for place in range(NUMBERS))
        database.execute(f"create table r (a integer, b integer, {cells}, primary key (a, b)) without rowid")
        database.executemany(f"insert into r values ({', '.join('?' * (2 + NUMBERS))})", rows(number))
        query = f"select {cells} from r where a = ? and b = ?"
        print(f"SQLite     {microseconds(lambda key: database.execute(query, key).fetchone(), keys):6.2f} µs")
        database.close()


if __name__ == "__main__":
    main()
