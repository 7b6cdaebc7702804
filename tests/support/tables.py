"""Made-up customers who leave or stay, in files of every kind, and the projects made from them."""

from __future__ import annotations

import csv
import math
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo.definition import Definition, load
from relevo.scaffold import Found, new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CONFIG = Path(__file__).parents[2] / "pyproject.toml"
START = datetime(2024, 1, 1)
Row = dict[str, Any]


def customers(rows: int = 600, seed: int = 0) -> list[Row]:
    """Rows in which age, plan and city say much, but not all, of who leaves."""
    draw = random.Random(seed)
    made = []
    for number in range(rows):
        age, plan = draw.randint(18, 80), draw.choice(["basic", "plus", "pro"])
        city = draw.choice(["Santiago", "Lima", "La Paz", "Quito"])
        score = (age - 48) / 12 + {"basic": 1.5, "plus": 0, "pro": -1.5}[plan] + (city == "Lima")
        leaves = draw.random() < 1 / (1 + math.exp(-1.7 * score))
        made.append(
            {
                "age": age,
                "income": round(draw.lognormvariate(7, 0.5), 2),
                "city": city,
                "plan": plan,
                "number": number,
                "leaves": leaves,
                "at": START + timedelta(hours=7 * number, minutes=draw.randrange(60)),
                "random": draw.random(),
            }
        )
    return made


def write(
    path: Path,
    header: Sequence[str],
    cells: Callable[[Row], Iterable[object]],
    *,
    rows: Sequence[Row] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Path:
    """Write customers as CSV, each by ``cells``."""
    with path.open("w", encoding=encoding, newline="") as file:
        out = csv.writer(file, delimiter=delimiter)
        out.writerow(header)
        out.writerows(list(cells(row)) for row in (customers() if rows is None else rows))
    return path


HEADER = ("age", "income", "city", "plan")


def basics(row: Row) -> list[object]:
    """The cells of ``HEADER``."""
    return [row[name] for name in HEADER]


def plain(path: Path, *, rows: Sequence[Row] | None = None, **more: Callable[[Row], object]) -> Path:
    """Write the four basic columns, those of ``more``, and ``left`` with yes or no."""
    return write(
        path,
        [*HEADER, *more, "left"],
        lambda row: [*basics(row), *(cell(row) for cell in more.values()), "yes" if row["leaves"] else "no"],
        rows=rows,
    )


def made(source: Path, target: str = "left", **options: Any) -> tuple[Found, Definition]:
    """Make a project beside its file, load it, and hold its source to the house's format."""
    folder = source.parent / f"made_{source.name.split('.')[0]}"
    found = new(folder, source, target, **options).found
    check_format(folder)
    return found, load(folder)


def check_format(folder: Path) -> None:
    """What is written is as ``ruff format`` would write it."""
    ruff = Path(sys.executable).parent / "ruff"
    done = subprocess.run(
        [ruff, "format", "--config", CONFIG, "--diff", folder / "project.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def left_out(found: Found) -> Mapping[str, str]:
    """Columns that were left out, with the reasons."""
    return {item.column.header: item.reason for item in found.left if not item.soft}
