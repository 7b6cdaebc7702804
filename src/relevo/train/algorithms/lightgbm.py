"""LightGBM. Native format: its own text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.errors import TrainingError
from relevo.extras import need
from relevo.texts import t
from relevo.train.algorithms import CLASS_WEIGHT, Boosting, refusals, row_weights, threads, trees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Setting, Texts
    from relevo.train.encoders import Sample

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

FORMAT = "lightgbm-text"
TEXTS: Texts = "mean"
SPACE: Mapping[str, Setting] = {
    "num_leaves": (8, 128),
    "learning_rate": (0.05, 0.2),
    "min_child_samples": (10, 200),
    "colsample_bytree": (0.5, 1.0),
    "subsample": (0.6, 1.0),
    "reg_lambda": (0.01, 20.0),
    CLASS_WEIGHT: (0.0, 1.0),
    "n_estimators": 600,
}
FIRST: Mapping[str, str | float | None] = {
    "num_leaves": 31,
    "learning_rate": 0.08,
    "min_child_samples": 50,
    "colsample_bytree": 0.8,
    "subsample": 0.8,
    "reg_lambda": 1.0,
    CLASS_WEIGHT: 0.5,
}
LOGARITHMIC = frozenset({"num_leaves", "learning_rate", "min_child_samples", "reg_lambda", "reg_alpha"})
ALIASES: Mapping[str, str] = {
    "num_leaf": "num_leaves",
    "max_leaves": "num_leaves",
    "eta": "learning_rate",
    "shrinkage_rate": "learning_rate",
    "min_data_in_leaf": "min_child_samples",
    "min_sum_hessian_in_leaf": "min_child_weight",
    "feature_fraction": "colsample_bytree",
    "feature_fraction_bynode": "colsample_bynode",
    "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq",
    "lambda_l1": "reg_alpha",
    "lambda_l2": "reg_lambda",
    "min_gain_to_split": "min_split_gain",
    "boosting": "boosting_type",
    "num_iterations": "n_estimators",
    "num_boost_round": "n_estimators",
    "early_stopping_round": "early_stopping_rounds",
}
KNOWN = frozenset(SPACE) | {
    "boosting_type",
    "colsample_bynode",
    "early_stopping_rounds",
    "extra_trees",
    "max_bin",
    "max_delta_step",
    "max_depth",
    "min_child_weight",
    "min_split_gain",
    "monotone_constraints",
    "path_smooth",
    "reg_alpha",
    "subsample_freq",
}
BOOSTING = ("gbdt", "dart")
_IN_DATASET = ("max_bin",)
_FIXED = {
    "objective": "binary",
    "metric": "binary_logloss",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
}
_DEFAULT_LEFT, _CATEGORICAL, _MISSING_ZERO, _MISSING_NAN = 2, 1, 1, 2


@dataclass
class Model:
    """A fitted booster, of which ``rounds`` trees count."""

    booster: Any
    rounds: int

    def margin(self, matrix: Matrix) -> Floats:
        """Log-odds."""
        return _predict(self.booster, matrix, self.rounds)

    def native(self) -> bytes:
        """LightGBM's text with leaves on the grid."""
        text = self.booster.model_to_string(num_iteration=self.rounds)
        leaves = [tree.value[tree.left < 0] for tree in _trees(text)]
        step = trees.grid(leaves)
        for number, values in enumerate(leaves):
            for leaf, value in enumerate(trees.on_grid(values, step).tolist()):
                self.booster.set_leaf_output(number, leaf, value)
        written: str = self.booster.model_to_string(num_iteration=self.rounds)
        return written.encode()

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
    library = need("lightgbm", "train")
    plan = Boosting.sort(settings)
    boosting = plan.params.get("boosting_type", "gbdt")
    if boosting not in BOOSTING:
        raise TrainingError(
            t(
                "lightgbm: boosting_type={found} is not supported. Choose one of {known}.",
                found=boosting,
                known=", ".join(BOOSTING),
            )
        )
    params = {"subsample_freq": 1, **plan.params, **_FIXED, "seed": seed}
    params["num_threads"] = threads(len(sample.target))
    watched, stop = [], []
    with refusals("lightgbm", library.basic.LightGBMError):
        learned = _dataset(sample, params, None)
        learned.set_weight(row_weights(sample.target, plan.power))
        if validation is not None:
            watched.append(_dataset(validation, params, learned))
            watched[0].set_weight(row_weights(validation.target, plan.power, like=sample.target))
            # LightGBM has no early stopping for dart, whose earlier trees change with every new one.
            if plan.patience and boosting != "dart":
                stop.append(library.early_stopping(plan.patience, verbose=False))
        booster = library.train(
            params,
            learned,
            rounds or plan.most,
            valid_sets=watched,
            callbacks=stop,
            keep_training_booster=True,
        )
    best = booster.best_iteration
    return Model(booster, best if best > 0 else booster.current_iteration())


def rehearse(sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
    """Whatever can be learned here can be exported."""


def revive(native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:  # noqa: ARG001 - the bytes hold it
    """``margin`` of these bytes."""
    return partial(margin, native)


def margin(native: bytes, matrix: Matrix) -> Floats:
    """Log-odds from LightGBM's text."""
    booster = need("lightgbm", "train").Booster(model_str=native.decode())
    return _predict(booster, matrix, -1)


def to_onnx(native: bytes, width: int) -> bytes:
    """LightGBM compares doubles by ``<=``."""
    return trees.to_onnx(_trees(native.decode()), width, rule="BRANCH_LEQ")


def _predict(booster: Any, matrix: Matrix, rounds: int) -> Floats:
    found = booster.predict(matrix, raw_score=True, num_iteration=rounds, num_threads=threads(len(matrix)))
    return np.asarray(found, np.float64)


def _dataset(sample: Sample, params: Mapping[str, Any], reference: Any) -> Any:
    """Bin the sample once for all fits that bin alike."""
    binning = {name: params[name] for name in _IN_DATASET if name in params}
    key = ("lightgbm", *sorted(binning.items()))
    if key not in sample.prepared:
        made = need("lightgbm", "train").Dataset(
            sample.matrix,
            sample.target.astype(np.float32),
            reference=reference,
            params={**_FIXED, **binning, "num_threads": threads(len(sample.target))},
            free_raw_data=True,
        )
        sample.prepared[key] = made.construct()
    return sample.prepared[key]


def read(text: str) -> list[trees.Tree]:
    """Read LightGBM's text (its ``src/io/tree.cpp``, ``Tree::ToString``); thresholds are doubles."""
    head, *blocks = text.partition("end of trees")[0].split("\nTree=")
    if "average_output" in head.splitlines():
        raise TrainingError(t("lightgbm: this model averages its trees, which is not supported."))
    return [_tree(dict(line.split("=", 1) for line in block.splitlines() if "=" in line)) for block in blocks]


def _trees(text: str) -> list[trees.Tree]:
    return [replace(tree, threshold=trees.down(tree.threshold)) for tree in read(text)]


def _tree(fields: Mapping[str, str]) -> trees.Tree:
    """Inner nodes keep their numbers; leaf i, which LightGBM writes as ~i, comes after them."""
    value = np.array(fields["leaf_value"].split(), np.float64)
    if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise TrainingError(t("lightgbm: categorical splits and linear trees are not supported."))
    inner = len(value) - 1

    def numbers(name: str) -> list[str]:
        return fields[name].split() if inner else []

    threshold = np.array(numbers("threshold"), np.float64)
    decision = np.array(numbers("decision_type"), np.int64)
    if ((decision >> 2) & 3 == _MISSING_ZERO).any():
        raise TrainingError(t("lightgbm: zero_as_missing is not supported."))
    # Without NaN among what was learned from, LightGBM reads NaN as zero (Tree::NumericalDecision).
    routed = (decision >> 2) & 3 == _MISSING_NAN
    missing_left = np.where(routed, decision & _DEFAULT_LEFT != 0, threshold >= 0)
    leaves = np.full(inner + 1, -1, np.int64)

    def children(name: str) -> NDArray[np.int64]:
        found = np.array(numbers(name), np.int64)
        return np.concatenate([np.where(found < 0, inner + ~found, found), leaves])

    return trees.Tree(
        feature=np.concatenate([np.array(numbers("split_feature"), np.int64), leaves]),
        threshold=np.concatenate([threshold, np.zeros(inner + 1)]),
        left=children("left_child"),
        right=children("right_child"),
        missing_left=np.concatenate([missing_left, np.zeros(inner + 1, np.bool_)]).astype(np.bool_),
        value=np.concatenate([np.zeros(inner), value]),
    )
