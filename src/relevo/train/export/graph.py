"""An ONNX graph under construction: from ``features`` float32 (n, k) to ``margin`` float32 (n, 1), doubles between.

scikit-learn is handed doubles that hold float32 values, and so is every operator here. What both add,
subtract, divide and compare is then the same to the last bit; what they sum in another order differs by
1e-16, where float32 would differ by 1e-7 and could turn a row round at a tree's threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.extras import need
from relevo.train.data import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OPSET, ML_OPSET, IR = 21, 5, 10
"""The first with ``TreeEnsemble``, which holds thresholds and leaves in double."""
Opsets = tuple[tuple[str, int], ...]
OPSETS: Opsets = (("", OPSET), ("ai.onnx.ml", ML_OPSET))
TRIFLE = 2.0**-20
"""Probabilities are held this far from 0 and 1, on both sides of the proof, so that their log-odds are finite."""
LARGEST = 1e30
"""Margins are held within this."""


@dataclass(frozen=True)
class Part:
    """A tensor of doubles, (n, width)."""

    name: str
    width: int


class Graph:
    """Nodes and constants in the order of their making, with names that depend on it alone."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self) -> str:
        """A name not given before."""
        return f"t{len(self.nodes) + len(self.tensors)}"

    def constant(self, values: Any, kind: Any = np.float64) -> str:
        """Keep an array, once."""
        array = np.ascontiguousarray(values, dtype=kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.name()
            self.tensors.append(need("onnx.numpy_helper", "train").from_array(array, self._known[key]))
        return self._known[key]

    def add(self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Add a node with one output; gives its name."""
        helper = need("onnx.helper", "train")
        found = output or self.name()
        given = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(operator, list(inputs), [found], domain=domain, **given))
        return found

    def row(self, values: Any) -> str:
        """A constant (1, m) of doubles."""
        return self.constant(np.asarray(values, np.float64).reshape(1, -1))

    def cast(self, name: str, kind: str) -> str:
        """Cast to ``FLOAT``, ``DOUBLE`` or ``BOOL``."""
        return self.add("Cast", name, to=getattr(need("onnx", "train").TensorProto, kind))

    def single(self, name: str) -> str:
        """Round doubles to float32 and back, as libraries do that take float32."""
        return self.cast(self.cast(name, "FLOAT"), "DOUBLE")

    def take(self, part: Part, columns: Sequence[int] | NDArray[Any]) -> Part:
        """Some columns, in this order."""
        wanted = [int(column) for column in columns]
        if wanted == list(range(part.width)):
            return part
        return Part(
            self.add("Gather", part.name, self.constant(wanted, np.int64), axis=1),
            len(wanted),
        )

    def join(self, parts: Sequence[Part]) -> Part:
        """Put parts side by side."""
        if len(parts) == 1:
            return parts[0]
        return Part(
            self.add("Concat", *(part.name for part in parts), axis=1), sum(part.width for part in parts)
        )

    def within(self, name: str, low: float, high: float) -> str:
        """Hold every number between two; NaN stays."""
        held = self.add("Max", self.add("Min", name, self.constant(high)), self.constant(low))
        return self.add("Where", self.add("IsNaN", name), name, held)

    def log_odds(self, probability: str) -> str:
        """Log-odds of probabilities, which are held ``TRIFLE`` from 0 and 1."""
        held = self.within(probability, TRIFLE, 1 - TRIFLE)
        return self.add("Log", self.add("Div", held, self.add("Sub", self.constant(1.0), held)))

    def features(self, width: int) -> Part:
        """The input as doubles, infinities as the largest float32, as learning has it."""
        largest = float(np.finfo(np.float32).max)
        return Part(self.within(self.cast("features", "DOUBLE"), -largest, largest), width)

    def finish(self, margin: str, width: int, opsets: Opsets = OPSETS) -> bytes:
        """Hold and cast the margin (n, 1) and write the model, without anything that varies from run to run."""
        held = self.within(margin, -LARGEST, LARGEST)
        self.add("Cast", held, output="margin", to=need("onnx", "train").TensorProto.FLOAT)
        return write(self.nodes, self.tensors, width, opsets=opsets)


def write(
    nodes: Sequence[Any],
    tensors: Sequence[Any],
    width: int,
    *,
    answer: str = "FLOAT",
    columns: int = 1,
    opsets: Opsets = OPSETS,
) -> bytes:
    """Serialize a graph from ``features`` to ``margin``, which is (n, ``columns``) of the type ``answer``."""
    onnx, helper = need("onnx", "train"), need("onnx.helper", "train")
    taken = helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", width])
    given = helper.make_tensor_value_info("margin", getattr(onnx.TensorProto, answer), ["n", columns])
    graph = helper.make_graph(list(nodes), "relevo", [taken], [given], list(tensors))
    imported = [helper.make_opsetid(domain, number) for domain, number in opsets]
    made = helper.make_model(graph, opset_imports=imported, ir_version=IR, producer_name="")
    serialized: bytes = made.SerializeToString(deterministic=True)
    return serialized


def handed(matrix: NDArray[np.float32], names: Sequence[str] | None) -> Any:
    """What an estimator is handed: doubles that hold float32 values; a data frame where ``names`` are given."""
    doubles = finite(matrix).astype(np.float64)
    if names is None:
        return doubles
    return need("pandas", "estimators").DataFrame(doubles, columns=list(names))


def margin(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Native margins, held and rounded to float32 as the exported model's are."""
    held = np.clip(np.asarray(found, np.float64).reshape(-1), -LARGEST, LARGEST)
    return held.astype(np.float32).astype(np.float64)


def log_odds(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Native log-odds, held as ``Graph.log_odds`` holds them."""
    held = np.clip(np.asarray(probability, np.float64), TRIFLE, 1 - TRIFLE)
    found: NDArray[np.float64] = np.log(held / (1 - held))
    return found
