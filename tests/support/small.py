"""A small real package: the flights project's features, a few hundred made-up flights, a real fit."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import Candidate, Tuning, candidates
from relevo import package as packages
from relevo.definition import Definition, load
from relevo.online import compile_tree
from relevo.train import Fit, TrainingSet, native, train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FLIGHTS = Path(__file__).parent / "flights"
"""A project with one table and one look-up; the example of this name has histories besides."""
HOLIDAYS = (date(2017, 1, 1), date(2017, 5, 1), date(2017, 9, 18), date(2017, 12, 25))


@cache
def definition() -> Definition:
    """The flights project."""
    return load(FLIGHTS)


def request(rng: random.Random) -> dict[str, Any]:
    """One made-up flight, by field name."""
    return {
        "scheduled_at": datetime(2017, 1, 1) + timedelta(minutes=rng.randrange(525_600)),
        "flight": rng.choice([None, "1", "22", "989P"]),
        "destination": rng.choice(["SCFA", "SAEZ", "SPJC"]),
        "airline": rng.choice(["LAN", "SKU"]),
        "flight_type": rng.choice("IN"),
    }


def body(row: Mapping[str, Any]) -> dict[str, Any]:
    """A request as a client writes it, by alias."""
    aliases = {field.name: field.alias for field in definition().request.fields}
    return {aliases[name]: str(v) if isinstance(v, datetime) else v for name, v in row.items()}


@cache
def fitted(algorithm: str = "lightgbm", rows: int = 600) -> Fit:
    """Fit one candidate on made-up flights of which Sky's evening ones are late."""
    rng = random.Random(0)
    online = compile_tree(definition().plan.tree)
    requests = [request(rng) for _ in range(rows)]
    features = [online(row, {"holidays": dict.fromkeys(HOLIDAYS, ())}) for row in requests]
    target = [
        rng.random() < (0.55 if r["airline"] == "SKU" else 0.1) + 0.3 * (r["scheduled_at"].hour > 15)
        for r in requests
    ]
    columns = {
        name: list(column) if kind == "text" else np.array(column)
        for name, kind, column in zip(online.names, online.types, zip(*features, strict=True), strict=True)
    }
    data = TrainingSet(definition().plan.features, columns, np.array(target), np.arange(rows) % 3)
    return train(getattr(candidates, algorithm)(), Tuning(trials=1), "f1", data)


def native_margin(fit: Fit, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds by the library whose own format the fit holds."""
    return native(fit, Candidate(fit.candidate, fit.algorithm), Tuning(), no_rows)(matrix)


def no_rows() -> TrainingSet:
    """For fits that need none."""
    raise AssertionError("this fit holds its model")


def write(folder: Path, *, fit: Fit | None = None, **changes: Any) -> str:
    """Write the package of a fit; ``changes`` replace what goes in."""
    fit = fit or fitted()
    lines = packages.lookup_lines([(day,) for day in HOLIDAYS])
    plan = definition().plan
    parts: dict[str, Any] = {
        "project": "flights",
        "algorithm": fit.algorithm,
        "settings": fit.settings,
        "request": definition().request,
        "sql": plan.sql,
        "tree": plan.tree,
        "encoders": fit.encoders,
        "model": fit.onnx,
        "lookups": {"holidays": ({"key": ["day"], "columns": ["day"], "types": ["date"]}, lines)},
        "labels": ("on time", "late"),
        "calibration": fit.calibration,
        "threshold": fit.threshold,
        "metric": "f1",
        "metrics": {},
        "data": {},
        "libraries": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    return packages.write(folder, **{**parts, **changes})
