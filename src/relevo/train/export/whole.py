"""The whole of an estimator as a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.package.onnx_audit import audit
from relevo.train.export import classifiers, transforms
from relevo.train.export.graph import Graph, write
from relevo.train.export.places import inside, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.train.export.graph import Part


def to_onnx(estimator: Any, width: int, order: Sequence[int] | None = None) -> bytes:
    """``features`` float32 (n, width) to ``margin`` float32 (n, 1); raises ``TrainingError`` naming the step.

    ``order`` has the places of the columns that the estimator takes, all of them where None.
    """
    graph = Graph()
    part = graph.take(graph.features(width), range(width) if order is None else order)
    margin = classifiers.margin(graph, part, estimator, _root(estimator))
    made = graph.finish(margin, width)
    audit(made)
    return made


def beginning(pipeline: Any, steps: int, width: int) -> bytes:
    """The first steps of a Pipeline, answering with their columns as doubles."""
    graph = Graph()
    part: Part = graph.features(width)
    for number, (name, step) in enumerate(pipeline.steps[:steps], 1):
        part = transforms.export(graph, part, step, inside("", name, step, number=number))
    graph.add("Identity", part.name, output="margin")
    return write(graph.nodes, graph.tensors, width, answer="DOUBLE", columns=part.width)


def _root(estimator: Any) -> str:
    return "" if hasattr(estimator, "steps") else title(estimator)
