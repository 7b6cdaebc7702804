"""Steps for which there is no exporter here: skl2onnx's, in double, if every operator it uses is allowed.

Whether it answers as scikit-learn does is not taken on trust; see ``check``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.errors import ExtraMissingError
from relevo.extras import need
from relevo.package.onnx_audit import ALLOWED
from relevo.texts import t
from relevo.train.export.graph import ML_OPSET, OPSET, Part
from relevo.train.export.places import refused, title

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relevo.train.export.graph import Graph


def export(graph: Graph, part: Part, transformer: Any, place: str) -> Part:
    """A fitted transformer."""
    made = _convert(transformer, part.width, place)
    output = made.graph.output[-1]
    shape = output.type.tensor_type.shape.dim
    name = include(graph, made.graph, part.name, output.name, place)
    return Part(name, shape[-1].dim_value or _width(transformer, part.width))


def classifier(graph: Graph, part: Part, estimator: Any, place: str) -> str:
    """A fitted classifier: the probability of its second class, (n, 1)."""
    if not hasattr(estimator, "predict_proba"):
        raise refused(place, t("it gives no probability."))
    made = _convert(estimator, part.width, place)
    both = include(graph, made.graph, part.name, made.graph.output[-1].name, place)
    return graph.take(Part(both, 2), [1]).name


def _convert(estimator: Any, width: int, place: str) -> Any:
    if type(estimator).__module__.partition(".")[0] != "sklearn":
        raise refused(
            place,
            t("{kind} is no class of scikit-learn, LightGBM or XGBoost.", kind=type(estimator).__qualname__),
        )
    library = need("skl2onnx", "estimators")
    kind = need("skl2onnx.common.data_types", "estimators").DoubleTensorType([None, width])
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    try:
        return library.to_onnx(
            estimator,
            initial_types=[("features", kind)],
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options=options,
        )
    except ExtraMissingError:
        raise
    except Exception as error:  # it raises whatever its converters meet
        found = str(error).strip().splitlines()
        raise refused(
            place,
            t(
                "neither Relevo nor skl2onnx can export {kind} ({problem}).",
                kind=title(estimator),
                problem=f"{type(error).__name__}: {found[0][:160] if found else ''}",
            ),
        ) from error


def include(graph: Graph, inner: Any, given: str, wanted: str, place: str) -> str:
    """Put what ``wanted`` needs of another graph into this one, with ``given`` in place of its input."""
    names = {inner.input[0].name: given}
    tensors = {tensor.name: tensor for tensor in inner.initializer}
    for node in _needed(inner.node, wanted):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (domain, node.op_type) not in ALLOWED or any(a.type in (5, 10) for a in node.attribute):
            shown = ".".join(filter(None, (domain, node.op_type)))
            raise refused(
                place, t("its export needs the operator {operator}, which is not allowed.", operator=shown)
            )
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name = ""
        for at, name in enumerate(node.input):
            if name and name not in names and name in tensors:
                tensor = type(tensors[name])()
                tensor.CopyFrom(tensors[name])
                tensor.name = names[name] = graph.name()
                graph.tensors.append(tensor)
            copy.input[at] = names.get(name, name)
        graph.nodes.append(copy)
        for at, name in enumerate(node.output):
            if name:
                names[name] = f"{graph.name()}o{at}"
                copy.output[at] = names[name]
    return names[wanted]


def _needed(nodes: Iterable[Any], wanted: str) -> list[Any]:
    """The nodes that ``wanted`` comes from, in their order."""
    reached, found = {wanted}, []
    for node in reversed(list(nodes)):
        if reached & set(node.output):
            reached |= set(node.input)
            found.append(node)
    return found[::-1]


def _width(transformer: Any, width: int) -> int:
    return len(transformer.get_feature_names_out([f"f{at}" for at in range(width)]))
