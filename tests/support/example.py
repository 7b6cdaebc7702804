"""The four examples, each with a small sample of its own and a version that was released, made quickly."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support import project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("flights", "readmission", "reggaeton", "sodai")
LOOSE = "Gate(margin=0.5, beats_baselines=False)"
"""A gate that lets any model of a small sample through."""
QUICK = {
    "flights": (
        ("candidates=[logistic(), lightgbm(), xgboost()]", "candidates=[lightgbm()]"),
        ("Tuning(trials=12)", "Tuning(trials=1)"),
        ('Gate(minimum={"roc_auc": 0.6})', LOOSE),
    ),
    "readmission": (
        ("Tuning(trials=4)", "Tuning(trials=1)"),
        ("logistic(),\n", ""),
        ('Gate(minimum={"roc_auc": 0.6}, margin=0.01)', LOOSE),
    ),
    "reggaeton": (
        ("folds=5, repeats=10", "folds=3, repeats=1"),
        ("Tuning(trials=3)", "Tuning(trials=1)"),
        ('lightgbm("boosted", num_leaves=15, n_estimators=200, **STEPS),', ""),
        ('lightgbm("random cuts", num_leaves=31, n_estimators=300, extra_trees=True, **STEPS),', ""),
        (", class_weight=[0.0, 0.5]", ""),
        ('Gate(minimum={"pr_auc": 0.6}, margin=0.05)', LOOSE),
    ),
    "sodai": (("n_estimators=100", "n_estimators=40"), ("gate=Gate()", f"gate={LOOSE}")),
}


def module(name: str, script: str) -> ModuleType:
    """One of an example's scripts."""
    spec = importlib.util.spec_from_file_location(f"{name}_{script}", EXAMPLES / name / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@contextmanager
def prepared(name: str, folder: Path) -> Iterator[Path]:
    """Copy an example below ``folder``, made quick, with a sample where it looks for its rows during the block."""
    copy = folder / name
    shutil.copytree(EXAMPLES / name, copy, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    project.edit(copy / "project.py", *QUICK[name])
    sample = module(name, "sample")
    with ExitStack() as stack:
        if name == "flights":
            sample.write(copy / "data" / "departures.csv", 3000)
        elif name == "readmission":
            source = copy / "data" / "encounters.csv"
            sample.write(source, 3000)
            url = stack.enter_context(module(name, "provider").provided(source, rows=1500))
            project.edit(copy / "project.py", ("http://127.0.0.1:8100/batches/{number}", url))
        elif name == "reggaeton":
            sample.write(copy / "data", negatives=600)
        else:
            sample.write(copy / "data", clients=40, goods=30)
        yield copy


def made(name: str, folder: Path) -> Path:
    """Prepare an example and run it until a version is released."""
    with prepared(name, folder) as copy:
        run = project.run(copy)
    assert run.status == "released", run.message
    return copy
