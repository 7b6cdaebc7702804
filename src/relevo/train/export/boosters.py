"""LightGBM's and XGBoost's models as they stand, to the bit: neither their leaves nor their sums are touched.

LightGBM adds doubles, and so does the exported ensemble. XGBoost adds float32 in the order of its trees,
beginning with the base score, and so does ONNX Runtime on one thread, which is what the loader gives it,
when the base score is in the leaves of the first tree.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.errors import TrainingError
from relevo.texts import t
from relevo.train.algorithms import lightgbm as lightgbm_
from relevo.train.export import forests
from relevo.train.export.places import refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.train.export.graph import Graph, Part

LINKS = ("binary:logistic", "binary:logitraw")


def lightgbm(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """An ``LGBMClassifier``, of which its best iteration counts."""
    try:
        return of_lightgbm(graph, part, estimator.booster_.model_to_string())
    except TrainingError as error:
        raise refused(place, str(error)) from error


def of_lightgbm(graph: Graph, part: Part, text: str) -> str:
    """LightGBM's text; it compares and adds doubles."""
    trees = [
        forests.Tree(
            feature=np.maximum(tree.feature, 0),
            threshold=tree.threshold.astype(np.float64),
            left=tree.left,
            right=tree.right,
            missing_left=tree.missing_left,
            value=tree.value,
        )
        for tree in lightgbm_.read(text)
    ]
    return forests.add(graph, part.name, trees)


def xgboost(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """An ``XGBClassifier``, of which its best iteration counts."""
    booster = estimator.get_booster()
    stopped = getattr(estimator, "early_stopping_rounds", None) is not None
    rounds = booster.best_iteration + 1 if stopped else booster.num_boosted_rounds()
    try:
        return of_xgboost(graph, part, json.loads(bytes(booster.save_raw("json"))), rounds)
    except TrainingError as error:
        raise refused(place, str(error)) from error


def of_xgboost(graph: Graph, part: Part, document: Mapping[str, Any], rounds: int) -> str:
    """XGBoost's JSON; it compares and adds float32."""
    learner = document["learner"]
    booster, parameters = learner["gradient_booster"], learner["learner_model_param"]
    if booster["name"] != "gbtree":
        raise TrainingError(t("xgboost: the booster {name} is not supported.", name=booster["name"]))
    if learner["objective"]["name"] not in LINKS:
        raise TrainingError(
            t(
                "xgboost: the objective {name} gives no log-odds. Supported: {known}.",
                name=learner["objective"]["name"],
                known=", ".join(LINKS),
            )
        )
    model = booster["model"]
    if len({*model["tree_info"], 0}) > 1 or int(parameters.get("num_target", "1")) > 1:
        raise TrainingError(t("xgboost: a model of more than two classes is not supported."))
    each = max(1, int(model["gbtree_model_param"].get("num_parallel_tree", "1")))
    trees = [_tree(tree) for tree in model["trees"][: rounds * each]]
    base = np.float32(np.atleast_1d(json.loads(parameters["base_score"]))[0])
    if learner["objective"]["name"] == "binary:logistic":
        base = -np.log(np.float32(1) / base - np.float32(1))
    first = trees[0]
    begun = (first.value.astype(np.float32) + np.float32(base)).astype(np.float64)
    first = forests.Tree(**{**vars(first), "value": begun})
    asked = graph.cast(part.name, "FLOAT")
    total = forests.add(graph, asked, [first, *trees[1:]], mode=forests.BELOW, kind=np.float32)
    return graph.cast(total, "DOUBLE")


def _tree(fields: Mapping[str, Any]) -> forests.Tree:
    """A leaf's value stands where a split's threshold does."""
    if any(fields.get("split_type", ())):
        raise TrainingError(t("xgboost: splits by category are not supported."))
    left = np.array(fields["left_children"], np.int64)
    numbers = np.array(fields["split_conditions"], np.float32).astype(np.float64)
    return forests.Tree(
        feature=np.array(fields["split_indices"], np.int64),
        threshold=numbers,
        left=left,
        right=np.array(fields["right_children"], np.int64),
        missing_left=np.array(fields["default_left"], np.bool_),
        value=np.where(left < 0, numbers, 0.0),
    )


def names(found: Sequence[str], count: int) -> tuple[str, ...] | None:
    """A file's feature names, None where it only numbers them."""
    numbered = {f"Column_{at}" for at in range(count)} | {f"f{at}" for at in range(count)}
    return None if not found or set(found) <= numbered else tuple(found)
