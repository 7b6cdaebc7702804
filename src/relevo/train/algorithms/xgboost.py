"""XGBoost with its ``hist`` method. Native format: its own JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.extras import need
from relevo.train.algorithms import CLASS_WEIGHT, Boosting, refusals, row_weights, threads, trees
from relevo.train.data import finite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Setting, Texts
    from relevo.train.encoders import Sample

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

FORMAT = "xgboost-json"
TEXTS: Texts = "mean"
SPACE: Mapping[str, Setting] = {
    "max_depth": (3, 9),
    "learning_rate": (0.06, 0.25),
    "min_child_weight": (1.0, 50.0),
    "colsample_bytree": (0.5, 1.0),
    "subsample": (0.6, 1.0),
    "reg_lambda": (0.1, 20.0),
    CLASS_WEIGHT: (0.0, 1.0),
    "n_estimators": 600,
}
FIRST: Mapping[str, str | float | None] = {
    "max_depth": 6,
    "learning_rate": 0.1,
    "min_child_weight": 10.0,
    "colsample_bytree": 0.8,
    "subsample": 0.8,
    "reg_lambda": 1.0,
    CLASS_WEIGHT: 0.5,
}
LOGARITHMIC = frozenset({"learning_rate", "min_child_weight", "reg_lambda", "reg_alpha", "max_leaves"})
ALIASES: Mapping[str, str] = {
    "eta": "learning_rate",
    "lambda": "reg_lambda",
    "alpha": "reg_alpha",
    "min_split_loss": "gamma",
    "num_boost_round": "n_estimators",
}
KNOWN = frozenset(SPACE) | {
    "colsample_bylevel",
    "colsample_bynode",
    "early_stopping_rounds",
    "gamma",
    "grow_policy",
    "max_bin",
    "max_delta_step",
    "max_leaves",
    "monotone_constraints",
    "reg_alpha",
}
_FIXED = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "verbosity": 0,
}
_MAX_BIN = 256


@dataclass
class Model:
    """A fitted booster, of which ``rounds`` rounds count."""

    booster: Any
    rounds: int

    def margin(self, matrix: Matrix) -> Floats:
        """Log-odds."""
        return _predict(self.booster, matrix, self.rounds)

    def native(self) -> bytes:
        """XGBoost's JSON with leaves on the grid and the base score, in log-odds, moved into the first tree's."""
        kept = self.booster[: self.rounds]
        document = json.loads(bytes(kept.save_raw("json")))
        learner = document["learner"]
        base = float(np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))[0])
        forest = learner["gradient_booster"]["model"]["trees"]
        leaf = [np.array(tree["left_children"]) < 0 for tree in forest]
        values = [
            np.array(tree["split_conditions"])[at] + (0.0 if number else np.log(base / (1 - base)))
            for number, (tree, at) in enumerate(zip(forest, leaf, strict=True))
        ]
        step = trees.grid(values)
        for tree, at, found in zip(forest, leaf, values, strict=True):
            for place, value in zip(np.flatnonzero(at).tolist(), trees.on_grid(found, step), strict=True):
                tree["split_conditions"][place] = tree["base_weights"][place] = float(value)
        learner["learner_model_param"]["base_score"] = "[5E-1]"
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def to_onnx(self, native: bytes, width: int) -> bytes:
        """See the function of this name."""
        return to_onnx(native, width)


def learn(
    sample: Sample,
    settings: Mapping[str, Any],
    *,
    seed: int,
    validation: Sample | None = None,
    rounds: int | None = None,
) -> Model:
    """Fit boosted trees; loss and weights are the same on both sides of early stopping."""
    library = need("xgboost", "train")
    plan = Boosting.sort(settings)
    params = {"max_bin": _MAX_BIN, **plan.params, **_FIXED, "seed": seed}
    params["nthread"] = threads(len(sample.target))
    watched = []
    with refusals("xgboost", library.core.XGBoostError):
        learned = _binned(sample, params["max_bin"], None)
        learned.set_weight(row_weights(sample.target, plan.power))
        if validation is not None:
            watched.append((_binned(validation, params["max_bin"], learned), "validation"))
            watched[0][0].set_weight(row_weights(validation.target, plan.power, like=sample.target))
        stopping = bool(watched and plan.patience)
        booster = library.train(
            params,
            learned,
            rounds or plan.most,
            evals=watched,
            early_stopping_rounds=plan.patience if stopping else None,
            verbose_eval=False,
        )
    return Model(booster, booster.best_iteration + 1 if stopping else booster.num_boosted_rounds())


def rehearse(sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
    """Whatever can be learned here can be exported."""


def revive(native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:  # noqa: ARG001 - the bytes hold it
    """``margin`` of these bytes."""
    return partial(margin, native)


def margin(native: bytes, matrix: Matrix) -> Floats:
    """Log-odds from XGBoost's JSON."""
    booster = need("xgboost", "train").Booster({"nthread": threads(len(matrix)), "verbosity": 0})
    booster.load_model(bytearray(native))
    return _predict(booster, matrix, 0)


def to_onnx(native: bytes, width: int) -> bytes:
    """XGBoost compares float32 by ``<``."""
    forest = json.loads(native)["learner"]["gradient_booster"]["model"]["trees"]
    return trees.to_onnx([_tree(tree) for tree in forest], width, rule="BRANCH_LT")


def _predict(booster: Any, matrix: Matrix, rounds: int) -> Floats:
    found = booster.inplace_predict(
        finite(matrix), iteration_range=(0, rounds), predict_type="margin", missing=np.nan
    )
    return np.asarray(found, np.float64)


def _binned(sample: Sample, max_bin: int, reference: Any) -> Any:
    """Bin the sample once for all fits that bin alike."""
    key = ("xgboost", max_bin)
    if key not in sample.prepared:
        sample.prepared[key] = need("xgboost", "train").QuantileDMatrix(
            sample.matrix,
            sample.target.astype(np.float32),
            max_bin=max_bin,
            ref=reference,
            nthread=threads(len(sample.target)),
        )
    return sample.prepared[key]


def _tree(fields: Mapping[str, Any]) -> trees.Tree:
    """XGBoost's numbering is kept; a leaf's value stands where a split's threshold does."""
    left = np.array(fields["left_children"], np.int64)
    conditions = np.array(fields["split_conditions"], np.float64)
    return trees.Tree(
        feature=np.array(fields["split_indices"], np.int64),
        threshold=conditions.astype(np.float32),
        left=left,
        right=np.array(fields["right_children"], np.int64),
        missing_left=np.array(fields["default_left"], np.bool_),
        value=np.where(left < 0, conditions, 0.0),
    )
