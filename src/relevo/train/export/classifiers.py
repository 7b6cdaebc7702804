"""Classifiers as tensor arithmetic: log-odds where the classifier itself adds them up, else a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.texts import t
from relevo.train.export import boosters, foreign, forests, transforms
from relevo.train.export.graph import Part, handed
from relevo.train.export.places import inside, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.train.export.graph import Graph

    Export = Callable[[Graph, Part, Any, str], str]


def last(estimator: Any) -> Any:
    """The classifier at the end of nested Pipelines."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def answers_by(estimator: Any) -> str:
    """What both sides take a classifier's margin from.

    ``decision_function``, ``raw_score`` (LightGBM), ``output_margin`` (XGBoost) or ``predict_proba``.
    """
    found = last(estimator)
    name, library = type(found).__name__, type(found).__module__.partition(".")[0]
    if library == "lightgbm" and name == "LGBMClassifier":
        return "raw_score"
    if library == "xgboost" and name in ("XGBClassifier", "XGBRFClassifier"):
        return "output_margin"
    if library == "sklearn" and name in _MARGINS:
        return "decision_function"
    return "predict_proba"


def margin(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """Add a fitted classifier, or a Pipeline with one at its end; gives (n, 1) doubles."""
    sparse = answers_by(estimator) == "output_margin" and _sparse(estimator)
    part, found, place = _to_last(graph, part, estimator, place)
    by = answers_by(found)
    if by == "raw_score":
        return boosters.lightgbm(graph, part, found, place)
    if by == "output_margin":
        if sparse:  # XGBoost takes what a sparse matrix leaves out, every zero, for missing
            zero = graph.add("Equal", part.name, graph.constant(0.0))
            part = Part(graph.add("Where", zero, graph.constant(np.nan), part.name), part.width)
        return boosters.xgboost(graph, part, found, place)
    if by == "decision_function":
        return _MARGINS[type(found).__name__](graph, part, found, place)
    return graph.log_odds(probability(graph, part, found, place))


def probability(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """The same as a probability, (n, 1), as ``predict_proba`` answers."""
    part, found, place = _to_last(graph, part, estimator, place)
    if answers_by(found) == "predict_proba":
        name, ours = type(found).__name__, type(found).__module__.startswith("sklearn.")
        return (_PROBABILITIES[name] if ours and name in _PROBABILITIES else foreign.classifier)(
            graph, part, found, place
        )
    if type(found).__name__ in _NOT_LOGISTIC or getattr(found, "multi_class", "") == "multinomial":
        raise refused(place, t("it gives a score, not a probability, to the classifier around it."))
    return graph.add("Sigmoid", margin(graph, part, found, place))


def _sparse(estimator: Any) -> bool:
    """Whether a Pipeline hands a sparse matrix to its last step."""
    if not hasattr(estimator, "steps") or len(estimator.steps) == 1:
        return False
    names = getattr(estimator, "feature_names_in_", None)
    row = handed(np.zeros((1, estimator.n_features_in_), np.float32), names)
    return hasattr(estimator[:-1].transform(row), "toarray")


def _to_last(graph: Graph, part: Part, estimator: Any, place: str) -> tuple[Part, Any, str]:
    while hasattr(estimator, "steps"):
        for number, (name, step) in enumerate(estimator.steps[:-1], 1):
            part = transforms.export(graph, part, step, inside(place, name, step, number=number))
        name, step = estimator.steps[-1]
        place = inside(place, name, step, number=len(estimator.steps))
        estimator = step
    return part, estimator, place


def _linear(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    weights = np.asarray(estimator.coef_, np.float64).reshape(1, -1)
    if weights.shape != (1, part.width):
        raise refused(place, t("it has other weights than one for each feature."))
    bias = graph.row(np.ravel(estimator.intercept_)[:1])
    return graph.add("Add", graph.add("MatMul", part.name, graph.constant(weights.T)), bias)


def _forest(graph: Graph, part: Part, estimator: Any, place: str) -> str:  # noqa: ARG001
    """Trees compare float32 with double thresholds; their shares are summed in double, then divided."""
    trees = [_tree(inner.tree_, share=True) for inner in estimator.estimators_]
    total = forests.add(graph, graph.single(part.name), trees)
    return graph.add("Div", total, graph.constant(float(len(trees))))


def _single_tree(graph: Graph, part: Part, estimator: Any, place: str) -> str:  # noqa: ARG001
    return forests.add(graph, graph.single(part.name), [_tree(estimator.tree_, share=True)])


def _tree(tree: Any, *, share: bool, rate: float = 1.0) -> forests.Tree:
    """scikit-learn's ``Tree``: ``share`` takes the positive class's share in a leaf, else the leaf's number."""
    return forests.Tree(
        feature=np.maximum(tree.feature, 0).astype(np.int64),
        threshold=np.asarray(tree.threshold, np.float64),
        left=np.asarray(tree.children_left, np.int64),
        right=np.asarray(tree.children_right, np.int64),
        missing_left=np.asarray(tree.missing_go_to_left, np.bool_),
        value=rate * np.asarray(tree.value[:, 0, 1 if share else 0], np.float64),
    )


def _boosting(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """``GradientBoostingClassifier``: the log-odds to begin with, and each tree times the rate."""
    if not (isinstance(estimator.init_, str) or type(estimator.init_).__name__ == "DummyClassifier"):
        raise refused(place, t("{setting} is not supported.", setting=f"init={estimator.init_!r}"))
    if estimator.loss != "log_loss":
        raise refused(place, t("{setting} is not supported.", setting=f"loss={estimator.loss!r}"))
    start = 0.0
    if not isinstance(estimator.init_, str):
        start = float(estimator._raw_predict_init(np.zeros((1, part.width), np.float32))[0, 0])  # noqa: SLF001
    trees = [_tree(row[0].tree_, share=False, rate=estimator.learning_rate) for row in estimator.estimators_]
    return graph.add(
        "Add", forests.add(graph, graph.single(part.name), trees), graph.constant(np.full((1, 1), start))
    )


def _histogram(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """``HistGradientBoostingClassifier``; categories, if any, come first and as codes, as it has them itself."""
    if estimator.is_categorical_ is not None:
        prepared = estimator._preprocessor  # noqa: SLF001 - there is no other way to its codes
        coded = np.flatnonzero(estimator.is_categorical_)
        encoder = prepared.named_transformers_["encoder"]
        codes = transforms.export(graph, graph.take(part, coded), encoder, place)
        rest = np.flatnonzero(~estimator.is_categorical_)
        part = graph.join([codes, graph.take(part, rest)]) if len(rest) else codes
    trees = [_histogram_tree(row[0]) for row in estimator._predictors]  # noqa: SLF001
    start = np.asarray(estimator._baseline_prediction, np.float64).reshape(1, 1)  # noqa: SLF001
    return graph.add("Add", forests.add(graph, part.name, trees), graph.constant(start))


def _histogram_tree(predictor: Any) -> forests.Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(np.bool_)
    members = []
    for node in np.flatnonzero(nodes["is_categorical"].astype(np.bool_) & ~leaf).tolist():
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        left = tuple(float(code) for code in range(256) if bits[code // 32] >> np.uint32(code % 32) & 1)
        members.append((node, left or (-1.0,)))  # runtimes want one at least; no code is below 0
    return forests.Tree(
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        value=nodes["value"].astype(np.float64),
        members=tuple(members),
    )


def _support_vectors(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """The sum of dual coefficients times kernel values, each kernel as scikit-learn's user guide gives it."""
    gamma = float(estimator._gamma)  # noqa: SLF001 - "scale" and "auto" resolved
    vectors = estimator.support_vectors_
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors, np.float64)
    inner = graph.add("MatMul", part.name, graph.constant(vectors.T))
    kernel = estimator.kernel
    if kernel == "rbf":
        ones = graph.constant(np.ones((part.width, 1)))
        squares = graph.add("MatMul", graph.add("Mul", part.name, part.name), ones)
        far = graph.add("Add", squares, graph.row((vectors**2).sum(axis=1)))
        far = graph.add("Sub", far, graph.add("Mul", inner, graph.constant(2.0)))
        inner = graph.add("Exp", graph.add("Mul", far, graph.constant(-gamma)))
    elif kernel in ("poly", "sigmoid"):
        inner = graph.add("Mul", inner, graph.constant(gamma))
        inner = graph.add("Add", inner, graph.constant(float(estimator.coef0)))
        if kernel == "poly":
            inner = graph.add("Pow", inner, graph.constant(float(estimator.degree)))
        else:
            inner = graph.add("Tanh", inner)
    elif kernel != "linear":
        raise refused(place, t("{setting} is not supported.", setting=f"kernel={kernel!r}"))
    dual = estimator.dual_coef_
    dual = np.asarray(dual.toarray() if hasattr(dual, "toarray") else dual, np.float64)
    return graph.add(
        "Add", graph.add("MatMul", inner, graph.constant(dual.T)), graph.row(estimator.intercept_)
    )


def _voting(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    if estimator.voting != "soft":
        raise refused(
            place,
            t(
                "{setting} gives no probability. Write {remedy}.",
                setting="voting='hard'",
                remedy="voting='soft'",
            ),
        )
    weights = estimator._weights_not_none or [1.0] * len(estimator.estimators_)  # noqa: SLF001
    total = sum(weights)
    names = [name for name, inner in estimator.estimators if not isinstance(inner, str)]
    found = ""
    for name, weight, inner in zip(names, weights, estimator.estimators_, strict=True):
        own = probability(graph, part, inner, inside(place, name, inner))
        own = graph.add("Mul", own, graph.constant(float(weight)))
        found = graph.add("Add", found, own) if found else own
    return graph.add("Div", found, graph.constant(float(total)))


def _bagging(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    found = ""
    for inner, taken in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        own = probability(graph, graph.take(part, taken), inner, inside(place, "estimator", inner))
        found = graph.add("Add", found, own) if found else own
    return graph.add("Div", found, graph.constant(float(len(estimator.estimators_))))


def _stacking(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    names = [name for name, inner in estimator.estimators if not isinstance(inner, str)]
    found = []
    for name, method, inner in zip(names, estimator.stack_method_, estimator.estimators_, strict=True):
        own = inside(place, name, inner)
        if method == "predict":
            raise refused(own, t("it gives no probability."))
        add = probability if method == "predict_proba" else margin
        found.append(Part(add(graph, part, inner, own), 1))
    if estimator.passthrough:
        found.append(part)
    final = estimator.final_estimator_
    return probability(graph, graph.join(found), final, inside(place, "final_estimator", final))


_LINEAR = (
    *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearSVC", "Perceptron"),
    *("RidgeClassifier", "RidgeClassifierCV", "LinearDiscriminantAnalysis", "PassiveAggressiveClassifier"),
)
_MARGINS: dict[str, Export] = {
    **dict.fromkeys(_LINEAR, _linear),
    "GradientBoostingClassifier": _boosting,
    "HistGradientBoostingClassifier": _histogram,
    "NuSVC": _support_vectors,
    "SVC": _support_vectors,
}
_NOT_LOGISTIC = frozenset({*_LINEAR, "NuSVC", "SVC"}) - {
    *("LogisticRegression", "LogisticRegressionCV", "LinearDiscriminantAnalysis")
}
_PROBABILITIES: dict[str, Export] = {
    "BaggingClassifier": _bagging,
    "DecisionTreeClassifier": _single_tree,
    "ExtraTreeClassifier": _single_tree,
    "ExtraTreesClassifier": _forest,
    "RandomForestClassifier": _forest,
    "StackingClassifier": _stacking,
    "VotingClassifier": _voting,
}
