"""Makes what benchmarks/serving.py serves: the flights project with a LightGBM of 200 trees, released.

Also the usual service's pipeline from the same rows, and the bodies that both are asked. ``booster.txt`` is the
released LightGBM alone, and ``floats.jsonl`` its inputs for the same bodies.

python -m support.flights FOLDER [--open]
"""

from __future__ import annotations

import csv
import json
import pickle
import random
import shutil
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import candidates, keys, pack, validation
from relevo import package as packages
from relevo.asof import Asked
from relevo.definition import load
from relevo.online import compile_tree
from relevo.package import ModelPackage, values
from relevo.profile import profile
from relevo.records import Verdict
from relevo.register import register
from relevo.train import TrainingSet, encoders
from relevo.train.algorithms import lightgbm
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from relevo.definition import Definition

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "support" / "flights"  # the features that the usual service has too
SAMPLE = ROOT / "examples" / "flights"
ROWS, BODIES = 20_000, 2_000
TREES, LEAVES = 200, 31
CALIBRATION = {"a": 1.0, "b": 0.0}
FIELDS = ("Fecha-I", "Vlo-I", "Des-I", "Emp-I", "TIPOVUELO")
SETTINGS = """
[serve]
rate = "1000000/s"
access_log = "access.jsonl"
"""
"""What a company would have on; the rate is one that no test reaches."""


def make(folder: Path, *, guarded: bool) -> None:
    """Write the project with its workspace, the models and what they are asked into an empty folder.

    When it is ``guarded`` a service of it wants the key in ``key``, and has a rate limit and an access log.
    """
    project = folder / "flights"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("data", ".relevo", "__pycache__"))
    sys.path.insert(0, str(SAMPLE))
    import sample  # type: ignore[import-not-found]

    rows = [
        dict(zip(sample.HEADER, row, strict=True)) for row in sample.departures(ROWS, 0, date(2017, 1, 1))
    ]
    late = np.array([_minutes(row) > 15 for row in rows])
    definition = load(project)
    matrix = _release(definition, rows, late, folder)
    if guarded:
        _guard(definition, folder)
    _usual(rows, late, folder / "pipeline.pickle")
    chosen = random.Random(0).sample(range(ROWS), BODIES)
    write_lines(folder / "bodies.jsonl", [{name: rows[n][name] for name in FIELDS} for n in chosen])
    write_lines(folder / "floats.jsonl", matrix[chosen].tolist())


def write_lines(path: Path, bodies: list[Any]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")


def _minutes(row: dict[str, str]) -> float:
    went, planned = (datetime.fromisoformat(row[name]) for name in ("Fecha-O", "Fecha-I"))
    return (went - planned).total_seconds() / 60


def _release(definition: Definition, rows: list[dict[str, str]], late: Any, folder: Path) -> Any:
    """Fit, package, register and release, each through Relevo's own function for it; gives the matrix."""
    validators = validation.build(definition.request)
    requests = [validation.validate(validators, {name: row[name] for name in FIELDS}) for row in rows]
    holidays = _holidays(definition)
    online = compile_tree(definition.plan.tree)
    known = {"holidays": {line[0]: tuple(line[1:]) for line in holidays[1]}}
    values = list(zip(*(online(request, known) for request in requests), strict=True))
    columns = {
        name: list(column) if kind == "text" else np.array(column)
        for name, kind, column in zip(online.names, online.types, values, strict=True)
    }
    data = TrainingSet(definition.plan.features, columns, late, np.full(len(rows), -1))
    learned = encoders.learn(data)
    settings = {**lightgbm.FIRST, "num_leaves": LEAVES, "n_estimators": TREES}
    model = lightgbm.learn(encoders.Sample(learned.matrix, late), settings, seed=0, rounds=TREES)
    (folder / "booster.txt").write_bytes(model.native())
    parts: dict[str, Any] = {
        "project": definition.name,
        "algorithm": candidates.lightgbm().algorithm,
        "settings": settings,
        "request": definition.request,
        "sql": definition.plan.sql,
        "tree": definition.plan.tree,
        "encoders": learned.encoders,
        "model": lightgbm.to_onnx(model.native(), len(learned.encoders)),
        "lookups": {"holidays": (holidays[0], packages.lookup_lines(holidays[1]))},
        "labels": (definition.project.target.negative, definition.project.target.positive),
        "calibration": CALIBRATION,
        "threshold": 0.25,
        "metric": "f1",
        "metrics": {},
        "data": {},
        "libraries": pack.libraries("lightgbm"),
    }
    for name in ("draft", "package"):
        (folder / name).mkdir()
    packages.write(folder / "draft", **parts)
    golden = pack.golden_rows(
        ModelPackage.load(folder / "draft"), [Asked(request) for request in requests[:64]]
    )
    scores = ModelPackage.load(folder / "draft").score_matrix(learned.matrix)
    reference = profile(definition.plan.features, columns, scores)
    packages.write(folder / "package", **parts, golden=golden, reference=reference)
    workspace = Workspace.open(definition.project.root)
    workspace.remember(definition.name)
    version = register(
        workspace, folder / "package", verdict=Verdict(accepted=True, reasons=()), run="benchmark"
    )
    workspace.ledger.release(
        definition.name, "champion", version.version, who="benchmark", why="", act="promote"
    )
    return learned.matrix


def _guard(definition: Definition, folder: Path) -> None:
    (definition.project.root / "relevo.toml").write_text(SETTINGS, encoding="utf-8")
    key, text = keys.create(definition.name, "load", ["predict"], who="benchmark", expires=None)
    Workspace.open(definition.project.root).ledger.keys.add(key)
    (folder / "key").write_text(text, encoding="utf-8")


def _holidays(definition: Definition) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    use = definition.plan.lookups[0]
    columns = [*use.key, *use.columns]
    contract = definition.contracts[use.name]
    described = {"key": list(use.key), "columns": columns, "types": [contract[name].type for name in columns]}
    with (definition.project.root / "holidays.csv").open(encoding="utf-8", newline="") as file:
        read = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    return described, [
        tuple(values.from_json(value, kind) for value, kind in zip(row, described["types"], strict=True))
        for row in read
    ]


def _usual(rows: list[dict[str, str]], late: Any, path: Path) -> None:
    """Fit and pickle what the usual service loads: one-hot columns, numbers as they are, 200 trees."""
    import lightgbm as library
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder
    from support.usual import CATEGORIES, NUMBERS, features

    frame = pd.DataFrame([features(*(row[name] for name in FIELDS)) for row in rows])
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
            ("numbers", "passthrough", list(NUMBERS)),
        ]
    )
    model = library.LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, verbose=-1)
    pipeline = Pipeline([("columns", columns), ("model", model)]).fit(frame, late)
    path.write_bytes(pickle.dumps(pipeline))


if __name__ == "__main__":
    make(Path(sys.argv[1]), guarded="--open" not in sys.argv)
