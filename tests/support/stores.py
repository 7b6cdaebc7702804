"""A lake with clean tables of made-up flights, and what is made from it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo import Tuning, candidates, examples, lightgbm, pack
from relevo.lake import Lake
from relevo.package import ModelPackage
from relevo.records import Snapshot
from relevo.train import Fit, TrainingSet, train
from support import small

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from relevo.definition import Definition


@dataclass(frozen=True)
class Made:
    """A lake with examples, and a fit on them."""

    definition: Definition
    lake: Lake
    clean: dict[str, Snapshot]
    examples: Snapshot
    fit: Fit

    def package(self, folder: Path, **changes: Any) -> ModelPackage:
        """Pack the fit; ``changes`` replace attributes of the definition's plan or of the fit."""
        folder.mkdir(parents=True)
        pack.pack(self.definition, self.lake, self.clean, self.fit, folder, data={}, metrics={}, **changes)
        return ModelPackage.load(folder)


def flights(rows: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """Clean departures: id, the request's fields, and when they left."""
    from datetime import timedelta

    rng = random.Random(seed)
    found = []
    for place in range(rows):
        asked = small.request(rng)
        late = rng.random() < (0.5 if asked["airline"] == "SKU" else 0.1) + 0.3 * (
            asked["scheduled_at"].hour > 15
        )
        left: datetime = asked["scheduled_at"] + timedelta(minutes=40 if late else 3)
        found.append((f"made:{place:06d}", *asked.values(), left))
    return found


def fill(lake: Lake, rows: int) -> dict[str, Snapshot]:
    """Write clean tables as ``clean`` would."""
    connection = lake.connect()
    try:
        connection.execute(
            "create table d (_id varchar, scheduled_at timestamp, flight varchar, destination varchar,"
            " airline varchar, flight_type varchar, departed_at timestamp)"
        )
        connection.executemany("insert into d values (?, ?, ?, ?, ?, ?, ?)", flights(rows))
        connection.execute("create table h (_id varchar, day date, name varchar)")
        connection.executemany(
            "insert into h values (?, ?, ?)", [(f"h:{d}", d, "Feriado") for d in small.HOLIDAYS]
        )
        found = {}
        for table, name in (("d", "departures"), ("h", "holidays")):
            version = lake.replace(
                f"clean/{name}", connection.sql(f"from {table}"), transaction=f"made:{name}"
            )
            found[name] = Snapshot(id=f"{name}-{rows}", table=f"clean/{name}", version=version, rows=rows)
        return found
    finally:
        connection.close()


def make(folder: Path, rows: int = 2000, candidate: candidates.Candidate | None = None) -> Made:
    """Fill a lake, make examples, and fit one candidate."""
    definition = small.definition()
    lake = Lake(folder / "lake", scratch=folder)
    clean = fill(lake, rows)
    snapshot = examples.make(definition, lake, clean)
    part = examples.read(lake, snapshot, definition.plan.features, part="train")
    data = TrainingSet(part.features, part.columns, part.target, part.fold, part.time)
    fit = train(candidate or lightgbm(), Tuning(trials=1), "f1", data)
    return Made(definition, lake, clean, snapshot, fit)


def with_ratio(folder: Path) -> Made:
    """As ``make``, with one more feature, a double: the share of the day that has passed."""
    import shutil

    from relevo.definition import load

    project = folder / "flights"
    shutil.copytree(small.FLIGHTS, project, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    path = project / "features.sql"
    text = path.read_text(encoding="utf-8").replace(
        "    isodow(", "    (hour * 60 + minute(scheduled_at)) / 1440.0 as share_of_day,\n    isodow(", 1
    )
    path.write_text(text, encoding="utf-8")
    definition = load(project)
    lake = Lake(folder / "lake", scratch=folder)
    clean = fill(lake, 1500)
    snapshot = examples.make(definition, lake, clean)
    part = examples.read(lake, snapshot, definition.plan.features, part="train")
    data = TrainingSet(part.features, part.columns, part.target, part.fold, part.time)
    return Made(definition, lake, clean, snapshot, train(lightgbm(), Tuning(trials=1), "f1", data))
