"""Milliseconds of one explanation of 20 fields by a LightGBM of 200 trees, beside shap's explainers.

python benchmarks/explain.py [--check] [--requests 200]

One thread, in this process, the requests drawn at random, each time the median. All but TreeExplainer ask for as
many answers of the model or more; it reads the trees instead. Errors are root mean squares from TreeSHAP's
interventional values in log-odds against the same rows. With --check the script exits with 1 when an explanation
takes 15 ms of processor time or more; on an idle machine the time on the wall is the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import shap

from relevo import explanation, sql
from relevo import package as packages
from relevo.contract import Contract, Field
from relevo.encoding import Encoder
from relevo.package import ModelPackage
from relevo.train.algorithms.lightgbm import to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS, TREES, LEAVES = 20, 200, 31
PROMISE = 15.0
NAMES = [f"x{place}" for place in range(FIELDS)]
RATIOS = [f"x{place} / (1 + abs(x{place + 1})) as r{place}" for place in range(0, 6, 2)]


def drawn(rows: int, seed: int) -> Any:
    """Numbers as float32, so that no path rounds them."""
    return np.random.default_rng(seed).normal(size=(rows, FIELDS)).astype(np.float32)


def learned(features: Any, outcome: Any) -> lightgbm.Booster:
    """Fit the model."""
    settings = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(settings, lightgbm.Dataset(features, outcome.astype(float)), TREES)


def packaged(folder: Path, extra: list[str]) -> tuple[ModelPackage, lightgbm.Booster]:
    """Write a package whose features are the fields, and ``extra`` ones of two fields each."""
    query = f"select {', '.join([*NAMES, *extra])} from request"
    plan = sql.compile_features(query, request=[sql.Column(n, "double") for n in NAMES], lookups=[])
    rows = drawn(10_000, 0)
    ratios = [rows[:, place] / (1 + abs(rows[:, place + 1])) for place in range(0, 2 * len(extra), 2)]
    features = np.column_stack([rows, *ratios])
    noise = np.random.default_rng(1).normal(size=len(rows))
    booster = learned(
        features, rows[:, 0] * rows[:, 1] + rows[:, 2] + rows[:, 3:].sum(axis=1) / 4 + noise > 0
    )
    folder.mkdir()
    packages.write(
        folder,
        project="numbers",
        algorithm="lightgbm",
        settings={},
        request=Contract("Numbers", tuple(Field(name=n, alias=n, type="double") for n in NAMES)),
        sql=plan.sql,
        tree=plan.tree,
        encoders=[Encoder(column.name, column.type) for column in plan.features],
        model=to_onnx(booster.model_to_string().encode(), features.shape[1]),
        lookups={},
        labels=("no", "yes"),
        calibration={"a": 1.0, "b": 0.0},
        threshold=0.5,
        metric="f1",
        metrics={},
        data={},
        libraries={},
        background=[dict(zip(NAMES, row, strict=True)) for row in drawn(128, 2).tolist()],
    )
    return ModelPackage.load(folder), booster


def timed(act: Callable[[Any], Any], asked: list[Any]) -> tuple[float, float, list[Any]]:
    """Median milliseconds of processor time and on the wall, and what was found."""
    act(asked[0])
    processor, wall, found = [], [], []
    for one in asked:
        began, clock = time.thread_time(), time.perf_counter()
        found.append(act(one))
        processor.append(1000 * (time.thread_time() - began))
        wall.append(1000 * (time.perf_counter() - clock))
    return statistics.median(processor), statistics.median(wall), found


def longest_step(package: ModelPackage, reference: explanation.Reference, asked: list[Any]) -> float:
    """Median over requests of the longest time, in milliseconds, that no other request is answered."""
    longest = []
    for request in asked:
        walk, times = explanation.steps(reference, request, package.features(request)), []
        while True:
            began = time.thread_time()
            try:
                next(walk)
            except StopIteration:
                break
            finally:
                times.append(1000 * (time.thread_time() - began))
        longest.append(max(times))
    return statistics.median(longest)


def main() -> int:
    """Measure, print the table and check the promise; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when the promise is missed")
    parser.add_argument("--requests", type=int, default=200, help="requests of each measurement")
    chosen = parser.parse_args()
    matrix = drawn(chosen.requests, 3)
    asked = [dict(zip(NAMES, row, strict=True)) for row in matrix.tolist()]
    kept = []
    print(f"{'':34}{'processor':>10}{'wall':>8}{'error':>9}")
    with tempfile.TemporaryDirectory() as made:
        for name, extra in (("20 features of 20 fields", []), ("3 more features of two fields", RATIOS)):
            package, booster = packaged(Path(made) / str(len(extra)), extra)
            reference = explanation.Reference(package)

            def explain(
                request: Any, package: ModelPackage = package, reference: explanation.Reference = reference
            ) -> Any:
                return explanation.of(reference, request, package.features(request))

            processor, wall, found = timed(explain, asked)
            kept.append(processor)
            error = None if extra else off(booster, reference, matrix, [odds(one) for one in found])
            show(f"Relevo, {name}", processor, wall, error)
            print(f"  {found[0].evaluations} evaluations against {found[0].rows} rows;", end=" ")
            print(f"at most {longest_step(package, reference, asked):.2f} ms at a time")
            if not extra:
                peers(booster, reference.matrix.astype(float), matrix.astype(float))
    fine = max(kept) < PROMISE
    print(f"{'kept' if fine else 'MISSED'}: {max(kept):.1f} ms < {PROMISE:.0f} ms of processor time")
    return int(chosen.check and not fine)


def odds(found: explanation.Explanation) -> list[float]:
    """Contributions in log-odds, in the fields' order."""
    by_name = {share.field.name: share.log_odds for share in found.shares}
    return [by_name[name] for name in NAMES]


def exact(booster: lightgbm.Booster, background: Any) -> Any:
    """TreeSHAP's interventional explainer."""
    return shap.TreeExplainer(booster, background, feature_perturbation="interventional", model_output="raw")


def off(
    booster: lightgbm.Booster, reference: explanation.Reference, matrix: Any, found: list[list[float]]
) -> float:
    """Root mean square of the differences from TreeSHAP's."""
    wanted = exact(booster, reference.matrix.astype(float)).shap_values(matrix.astype(float))
    return float(np.sqrt(np.mean((np.array(found) - wanted) ** 2)))


def peers(booster: lightgbm.Booster, background: Any, matrix: Any) -> None:
    """Measure shap's explainers on the native model against the same rows."""
    tree = exact(booster, background)
    wanted = tree.shap_values(matrix)
    show("shap TreeExplainer", *timed(lambda row: tree.shap_values(row[None]), list(matrix))[:2], 0.0)

    def answer(rows: Any) -> Any:
        return booster.predict(rows, raw_score=True, num_threads=1)

    kernel = shap.KernelExplainer(answer, background)
    few = list(matrix[:3])
    processor, wall, found = timed(lambda row: kernel.shap_values(row[None], silent=True)[0], few)
    show(
        "shap KernelExplainer", processor, wall, float(np.sqrt(np.mean((np.array(found) - wanted[:3]) ** 2)))
    )


def show(name: str, processor: float, wall: float, error: float | None) -> None:
    """Print a line."""
    print(f"{name:34}{processor:10.2f}{wall:8.2f}{'' if error is None else f'{error:9.4f}'}")


if __name__ == "__main__":
    sys.exit(main())
