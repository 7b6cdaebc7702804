from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.sql import Column
from relevo.train import TrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES = (
    Column("city", "text"),
    Column("code", "text"),
    Column("weekend", "boolean"),
    Column("count", "integer"),
    Column("ratio", "double"),
)


def some_rows(rows: int = 1200, *, seed: int = 0, folds: int = 3, forward: bool = True) -> TrainingSet:
    """Rows of every type with nulls; cities and ratio matter, code has many rare levels."""
    draw = np.random.default_rng(seed)
    cities = ["Arica", "Iquique", "Calama", "Temuco", None]
    at = draw.integers(0, len(cities), rows)
    ratio = draw.normal(size=rows)
    count = draw.integers(-5, 100, rows)
    chance = 1 / (1 + np.exp(-(ratio + np.array([-2.0, -1.0, 0.0, 1.0, -1.5])[at] + 0.02 * count - 2)))
    columns: dict[str, Any] = {
        "city": [cities[place] for place in at],
        "code": [f"c{draw.integers(0, 200)}" for _ in range(rows)],
        "weekend": np.ma.array(draw.random(rows) < 0.3, mask=draw.random(rows) < 0.05),
        "count": np.ma.array(count, mask=draw.random(rows) < 0.1),
        "ratio": np.ma.array(ratio, mask=draw.random(rows) < 0.1),
    }
    fold = np.arange(rows) * (folds + 1) // rows - 1 if forward else np.arange(rows) % folds
    return TrainingSet(FEATURES, columns, draw.random(rows) < chance, fold.astype(np.int64))


@pytest.fixture
def rows() -> Callable[..., TrainingSet]:
    """Make a training set; see ``some_rows``."""
    return some_rows
