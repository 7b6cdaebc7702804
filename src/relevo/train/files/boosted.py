"""LightGBM's text and XGBoost's JSON or UBJ; see ``export.boosters`` for why the answers are the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from relevo.errors import TrainingError
from relevo.extras import need
from relevo.texts import t
from relevo.train import files
from relevo.train.data import finite
from relevo.train.export import boosters
from relevo.train.export.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

BINARY = ("binary", "cross_entropy", "xentropy")
"""LightGBM's objectives whose raw score is log-odds."""


def _order(file: str, inside: Sequence[str], count: int, names: Sequence[str]) -> list[int]:
    """By name where the file has names, else by place."""
    known = boosters.names(inside, count)
    if known is None:
        known = (*names[:count], *("" for _ in range(count - len(names))))
    return files.order(file, known, names)


class LightGBM:
    """LightGBM's text."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.kept = path.read_bytes()
        try:
            self._booster = need("lightgbm", "train").Booster(model_str=self.kept.decode())
        except Exception as error:  # LightGBM's own, or of the decoding
            raise _unreadable(path, error) from error
        head = dict(
            line.split("=", 1) for line in self.kept.decode().split("\nTree=")[0].splitlines() if "=" in line
        )
        objective = head.get("objective", "").partition(" ")[0]
        if objective not in BINARY or head.get("num_tree_per_iteration", "1") != "1":
            raise TrainingError(
                t(
                    "{file}: the objective {name} gives no log-odds of two classes. Supported: {known}.",
                    file=path.name,
                    name=objective or "-",
                    known=", ".join(BINARY),
                )
            )
        self._order = _order(path.name, self._booster.feature_name(), self._booster.num_feature(), names)
        self._width = len(names)

    @property
    def onnx(self) -> bytes:
        """Every tree as it stands."""
        graph = Graph()
        part = graph.take(graph.features(self._width), self._order)
        return graph.finish(boosters.of_lightgbm(graph, part, self.kept.decode()), self._width)

    def margin(self, matrix: Matrix) -> Floats:
        """LightGBM's raw score."""
        asked = finite(matrix)[:, self._order].astype(np.float64)
        return np.asarray(self._booster.predict(asked, raw_score=True, num_threads=1), np.float64)


class XGBoost:
    """XGBoost's JSON or UBJ; where it was stopped early, the best iteration is the last that counts."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.kept = path.read_bytes()
        self._booster = need("xgboost", "train").Booster({"nthread": 1, "verbosity": 0})
        try:
            self._booster.load_model(str(path))
        except Exception as error:  # XGBoost's own
            raise _unreadable(path, error) from error
        best = self._booster.attributes().get("best_iteration")
        self._rounds = self._booster.num_boosted_rounds() if best is None else int(best) + 1
        inside, count = self._booster.feature_names or (), self._booster.num_features()
        self._order, self._width = _order(path.name, inside, count, names), len(names)

    @property
    def onnx(self) -> bytes:
        """Every tree as it stands."""
        graph = Graph()
        part = graph.take(graph.features(self._width), self._order)
        document = json.loads(bytes(self._booster.save_raw("json")))
        return graph.finish(boosters.of_xgboost(graph, part, document, self._rounds), self._width)

    def margin(self, matrix: Matrix) -> Floats:
        """XGBoost's margin."""
        found = self._booster.inplace_predict(
            finite(matrix)[:, self._order],
            iteration_range=(0, self._rounds),
            predict_type="margin",
            missing=np.nan,
        )
        return np.asarray(found, np.float64)


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        t(
            "{file} cannot be read: {problem}",
            file=path.name,
            problem=(str(error).strip() or type(error).__name__).splitlines()[0][:200],
        )
    )
