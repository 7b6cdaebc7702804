"""A package over plain numbers: its features are the request's fields, or a query over them, its model LightGBM."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from relevo import package as packages
from relevo import sql
from relevo.contract import Contract, Field
from relevo.encoding import Encoder
from relevo.package import ModelPackage
from relevo.train.algorithms.lightgbm import to_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def names(fields: int) -> list[str]:
    """The fields' names."""
    return [f"x{place}" for place in range(fields)]


def drawn(fields: int, rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Numbers as float32, so that no path rounds them."""
    return np.random.default_rng(seed).normal(size=(rows, fields)).astype(np.float32)


def requests(matrix: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The rows of a matrix as requests."""
    return [dict(zip(names(matrix.shape[1]), row, strict=True)) for row in matrix.tolist()]


@cache
def booster(features: int) -> lightgbm.Booster:
    """Learn an outcome in which features work together: two by their product, two as a condition."""
    matrix = drawn(features, 3000, seed=1)
    noise = np.random.default_rng(2).normal(size=len(matrix))
    together = matrix[:, 0] * matrix[:, 1] + matrix[:, 2] * (matrix[:, 3] > 0) + 0.5 * matrix[:, -1]
    data = lightgbm.Dataset(matrix, (together + noise > 0).astype(float))
    settings = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": 0}
    return lightgbm.train(settings, data, 40)


def contract(fields: int) -> Contract:
    """Nullable doubles, the first in kilometres."""
    listed = [Field(name=name, alias=name.upper(), type="double", nullable=True) for name in names(fields)]
    first = Field(name="x0", alias="X0", type="double", nullable=True, unit="km", description="How far it is")
    return Contract("Numbers", (first, *listed[1:]))


def package(folder: Path, fields: int, *, query: str = "", **changes: Any) -> ModelPackage:
    """Write and load a package; ``query`` makes features of the fields, each a double."""
    plan = sql.compile_features(
        query or f"select {', '.join(names(fields))} from request",
        request=[sql.Column(name, "double") for name in names(fields)],
        lookups=[],
    )
    rows = [{k.upper(): v for k, v in row.items()} for row in requests(drawn(fields, 64, seed=3))]
    parts: dict[str, Any] = {
        "project": "numbers",
        "algorithm": "lightgbm",
        "settings": {},
        "request": contract(fields),
        "sql": plan.sql,
        "tree": plan.tree,
        "encoders": [Encoder(column.name, column.type) for column in plan.features],
        "model": to_onnx(booster(len(plan.features)).model_to_string().encode(), len(plan.features)),
        "lookups": {},
        "labels": ("stays", "leaves"),
        "calibration": {"a": 1.0, "b": 0.0},
        "threshold": 0.5,
        "metric": "f1",
        "metrics": {},
        "data": {},
        "libraries": {},
        "background": rows,
    }
    folder.mkdir(parents=True)
    packages.write(folder, **{**parts, **changes})
    return ModelPackage.load(folder)
