"""scikit-learn's transformers as tensor arithmetic, each in the operations and the order of its ``transform``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.texts import t
from relevo.train.export import categories, foreign
from relevo.train.export.graph import Part
from relevo.train.export.places import inside, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.train.export.graph import Graph

    Export = Callable[[Graph, Part, Any, str], Part]


def export(graph: Graph, part: Part, transformer: Any, place: str) -> Part:
    """Add a fitted transformer; raises ``TrainingError`` naming ``place`` where it cannot be."""
    if transformer is None or isinstance(transformer, str):  # "passthrough", as a Pipeline has it
        return part
    own = _own(transformer)
    return own(graph, part, transformer, place) if own else foreign.export(graph, part, transformer, place)


def by_name(estimator: Any) -> bool:
    """Whether an unfitted ``ColumnTransformer`` chooses columns by their names, or lets a function choose."""
    chosen = [columns for _, _, columns in getattr(estimator, "transformers", None) or ()]
    chosen.append(getattr(estimator, "categorical_features", None) or ())
    return any(
        (isinstance(columns, str) and columns != "from_dtype")
        or callable(columns)
        or (isinstance(columns, list | tuple) and any(isinstance(column, str) for column in columns))
        for columns in chosen
    )


def _own(transformer: Any) -> Export | None:
    kind = type(transformer)
    if kind.__module__.partition(".")[0] != "sklearn":
        return None  # a class derived from scikit-learn's may do otherwise
    if kind.__name__ in _EXPORTS:
        return _EXPORTS[kind.__name__]
    return _selector if hasattr(transformer, "get_support") else None


def _pipeline(graph: Graph, part: Part, pipeline: Any, place: str) -> Part:
    for number, (name, step) in enumerate(pipeline.steps, 1):
        part = export(graph, part, step, inside(place, name, step, number=number))
    return part


def _columns(graph: Graph, part: Part, transformer: Any, place: str) -> Part:
    found = []
    for name, step, _ in transformer.transformers_:
        taken = transformer._transformer_to_input_indices[name]  # noqa: SLF001 - the columns, however they were chosen
        if len(taken) and not (isinstance(step, str) and step == "drop"):
            found.append(export(graph, graph.take(part, taken), step, inside(place, name, step)))
    if not found:
        raise refused(place, t("it keeps no column."))
    return graph.join(found)


def _union(graph: Graph, part: Part, union: Any, place: str) -> Part:
    weights = union.transformer_weights or {}
    found = []
    for name, step in union.transformer_list:
        if isinstance(step, str) and step == "drop":
            continue
        made = export(graph, part, step, inside(place, name, step))
        if name in weights:
            made = Part(graph.add("Mul", made.name, graph.constant(float(weights[name]))), made.width)
        found.append(made)
    return graph.join(found)


def _function(graph: Graph, part: Part, transformer: Any, place: str) -> Part:  # noqa: ARG001
    if transformer.func is None:
        return part
    raise refused(
        place, t("it runs a Python function, which a package may not hold. Compute it in features.sql.")
    )


def _standard(graph: Graph, part: Part, scaler: Any, place: str) -> Part:  # noqa: ARG001
    name = part.name
    if scaler.with_mean:
        name = graph.add("Sub", name, graph.row(scaler.mean_))
    if scaler.with_std:
        name = graph.add("Div", name, graph.row(scaler.scale_))
    return Part(name, part.width)


def _robust(graph: Graph, part: Part, scaler: Any, place: str) -> Part:  # noqa: ARG001
    name = part.name
    if scaler.with_centering:
        name = graph.add("Sub", name, graph.row(scaler.center_))
    if scaler.with_scaling:
        name = graph.add("Div", name, graph.row(scaler.scale_))
    return Part(name, part.width)


def _min_max(graph: Graph, part: Part, scaler: Any, place: str) -> Part:  # noqa: ARG001
    name = graph.add("Mul", part.name, graph.row(scaler.scale_))
    name = graph.add("Add", name, graph.row(scaler.min_))
    if scaler.clip:
        name = graph.within(name, *map(float, scaler.feature_range))
    return Part(name, part.width)


def _max_abs(graph: Graph, part: Part, scaler: Any, place: str) -> Part:  # noqa: ARG001
    name = graph.add("Div", part.name, graph.row(scaler.scale_))
    return Part(graph.within(name, -1.0, 1.0) if getattr(scaler, "clip", False) else name, part.width)


def _imputer(graph: Graph, part: Part, imputer: Any, place: str) -> Part:
    statistics = np.asarray(imputer.statistics_, np.float64)
    missing = _missing(graph, part, imputer.missing_values, place)
    kept = np.arange(part.width) if imputer.keep_empty_features else np.flatnonzero(~np.isnan(statistics))
    filled = graph.add("Where", missing, graph.row(np.nan_to_num(statistics)), part.name)
    found = graph.take(Part(filled, part.width), kept)
    if imputer.indicator_ is None:
        return found
    flags = Part(graph.cast(missing, "DOUBLE"), part.width)
    shown = imputer.indicator_.features_
    return graph.join([found, graph.take(flags, shown)]) if len(shown) else found


def _indicator(graph: Graph, part: Part, indicator: Any, place: str) -> Part:
    missing = _missing(graph, part, indicator.missing_values, place)
    return graph.take(Part(graph.cast(missing, "DOUBLE"), part.width), indicator.features_)


def _missing(graph: Graph, part: Part, value: Any, place: str) -> str:
    if isinstance(value, float) and np.isnan(value):
        return graph.add("IsNaN", part.name)
    if isinstance(value, int | float):
        return graph.add("Equal", part.name, graph.constant(float(value)))
    raise refused(place, t("missing_values={value} is not a number.", value=repr(value)))


def _selector(graph: Graph, part: Part, selector: Any, place: str) -> Part:
    chosen = selector.get_support(indices=True)
    if not len(chosen):
        raise refused(place, t("it keeps no column."))
    return graph.take(part, chosen)


def _projection(graph: Graph, part: Part, transformer: Any, place: str) -> Part:
    name, components = part.name, np.asarray(transformer.components_, np.float64)
    if getattr(transformer, "mean_", None) is not None:
        name = graph.add("Sub", name, graph.row(transformer.mean_))
    name = graph.add("MatMul", name, graph.constant(components.T))
    if getattr(transformer, "whiten", False):
        raise refused(place, t("{setting} is not supported.", setting="whiten=True"))
    return Part(name, len(components))


def _polynomial(graph: Graph, part: Part, transformer: Any, place: str) -> Part:  # noqa: ARG001
    """Each term is a product of columns, multiplied from the left; a one stands for absent factors."""
    ones = graph.add(
        "Add", graph.add("Mul", graph.take(part, [0]).name, graph.constant(0.0)), graph.constant(1.0)
    )
    wide = graph.join([part, Part(ones, 1)])
    terms = [np.repeat(np.arange(len(powers)), powers).tolist() for powers in transformer.powers_]
    degree = max(map(len, terms))
    factors = [[(term[at] if at < len(term) else part.width) for term in terms] for at in range(degree)]
    name = graph.take(wide, factors[0]).name
    for columns in factors[1:]:
        name = graph.add("Mul", name, graph.take(wide, columns).name)
    return Part(name, len(terms))


def _bins(graph: Graph, part: Part, transformer: Any, place: str) -> Part:  # noqa: ARG001
    """A bin's number is how many inner edges are at or below the value; one-hot compares it with each number."""
    numbers = []
    for column, edges in enumerate(transformer.bin_edges_):
        inner = np.asarray(edges[1:-1], np.float64)
        own = graph.take(part, [column])
        if len(inner):
            reached = graph.cast(graph.add("GreaterOrEqual", own.name, graph.row(inner)), "DOUBLE")
            count = graph.add("MatMul", reached, graph.constant(np.ones((len(inner), 1))))
        else:
            count = graph.add("Mul", own.name, graph.constant(0.0))
        numbers.append(Part(count, 1))
    found = graph.join(numbers)
    if transformer.encode == "ordinal":
        return found
    counts = [int(count) for count in transformer.n_bins_]
    wide = graph.take(found, np.repeat(np.arange(len(counts)), counts))
    equal = graph.add("Equal", wide.name, graph.row(np.concatenate([np.arange(count) for count in counts])))
    return Part(graph.cast(equal, "DOUBLE"), wide.width)


_EXPORTS: dict[str, Export] = {
    "ColumnTransformer": _columns,
    "FeatureUnion": _union,
    "FunctionTransformer": _function,
    "KBinsDiscretizer": _bins,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "MissingIndicator": _indicator,
    "OneHotEncoder": categories.export,
    "OrdinalEncoder": categories.export,
    "PCA": _projection,
    "Pipeline": _pipeline,
    "PolynomialFeatures": _polynomial,
    "RobustScaler": _robust,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "TargetEncoder": categories.export,
    "TruncatedSVD": _projection,
}
