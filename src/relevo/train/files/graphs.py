"""ONNX files: what they answer, and the part of their graph that a package needs.

The file itself is run as it is for the native side, after the same audit; the package holds the nodes
that the probability (or margin) comes from, with log-odds behind them, at the file's own operator sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.errors import PackageError, TrainingError
from relevo.extras import need
from relevo.package.onnx_audit import ALLOWED, audit
from relevo.texts import t
from relevo.train.data import finite
from relevo.train.export import foreign
from relevo.train.export.graph import IR, ML_OPSET, Graph, log_odds
from relevo.train.export.graph import margin as held

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

MARGIN = "margin"
"""An output of this name is log-odds; any other is taken for a probability."""
ROUNDING = 1e-5
"""How far beyond 0 and 1 the float32 sums of a file may carry a probability."""
OLDEST = 12
"""The operator set from which on minima and maxima of doubles are there."""
LABELS = frozenset({("ai.onnx.ml", "ZipMap"), ("ai.onnx.ml", "LabelEncoder")})
"""What a file may have beside what a package may: it makes labels, which are left out."""


class Onnx:
    """One float matrix in; a margin, or probabilities of two classes, out."""

    def __init__(self, path: Path, width: int, some: Matrix) -> None:
        self.kept, self._file, self._width = path.read_bytes(), path.name, width
        try:
            audit(self.kept, ALLOWED | LABELS)
            self._model = need("onnx", "train").load_from_string(self.kept)
        except PackageError as error:
            raise TrainingError(f"{self._file}: {error}") from error
        self._input = self._one_input()
        self._output, self._tensor = self._answer()
        self._session = self._started()
        found = self._asked(some)
        if found.ndim not in (1, 2) or (found.ndim == 2 and found.shape[1] > 2):  # noqa: PLR2004 - two classes
            raise self._wrong(
                t("it answers with {shape} numbers, not with one or two a row.", shape=found.shape[1:])
            )
        self._columns = found.shape[1] if found.ndim > 1 else 0
        if self._output != MARGIN and not (np.abs(found - 0.5) <= 0.5 + ROUNDING).all():
            raise self._wrong(
                t(
                    "its output “{name}” is no probability. Name it “margin” if it is log-odds.",
                    name=self._output,
                )
            )

    @property
    def onnx(self) -> bytes:
        """The needed part, from ``features`` to ``margin``."""
        graph = Graph()
        given = graph.features(self._width).name
        if self._double is False:
            given = graph.cast(given, "FLOAT")
        name = foreign.include(graph, self._model.graph, given, self._tensor, self._file)
        name = graph.cast(name, "DOUBLE")
        if self._columns == 2:  # noqa: PLR2004 - negative, positive
            name = graph.add("Gather", name, graph.constant([1], np.int64), axis=1)
        elif not self._columns:
            name = graph.add("Reshape", name, graph.constant([-1, 1], np.int64))
        if self._output != MARGIN:
            name = graph.log_odds(name)
        return graph.finish(name, self._width, self._opsets)

    def margin(self, matrix: Matrix) -> Floats:
        """The file's own answers, as log-odds."""
        found = self._asked(matrix).reshape(len(matrix), -1)[:, -1]
        return held(found if self._output == MARGIN else log_odds(found))

    def _asked(self, matrix: Matrix) -> Floats:
        asked = finite(matrix).astype(np.float64 if self._double else np.float32)
        try:
            (found,) = self._session.run([self._output], {self._input.name: asked})
        except Exception as error:  # the runtime raises classes of its own
            raise self._wrong(t("it fails: {problem}", problem=str(error)[:200])) from error
        if isinstance(found, list):  # one mapping from class to probability a row
            return np.array([list(row.values()) for row in found], np.float64)
        return np.asarray(found, np.float64)

    def _one_input(self) -> Any:
        graph, kinds = self._model.graph, need("onnx", "train").TensorProto
        held_ = {tensor.name for tensor in graph.initializer}
        inputs = [given for given in graph.input if given.name not in held_]
        kind = inputs[0].type.tensor_type if len(inputs) == 1 else None
        if kind is None or kind.elem_type not in (kinds.FLOAT, kinds.DOUBLE):
            shown = ", ".join(given.name for given in inputs)
            raise self._wrong(t("it takes {inputs}, not one matrix of float numbers.", inputs=shown))
        wanted = kind.shape.dim[-1].dim_value if kind.shape.dim else 0
        if wanted not in (0, self._width):
            raise self._wrong(
                t(
                    "it takes {wanted} features and features.sql gives {found}.",
                    wanted=wanted,
                    found=self._width,
                )
            )
        self._double = kind.elem_type == kinds.DOUBLE
        versions = {(row.domain.replace("ai.onnx", "") if row.domain == "ai.onnx" else row.domain): row.version
                    for row in self._model.opset_import}  # fmt: skip
        if versions.get("", OLDEST) < OLDEST or self._model.ir_version > IR:
            raise self._wrong(
                t(
                    "its operator set is {found} (IR {ir}); from {oldest} on (IR up to {newest}) are read.",
                    found=versions.get("", 0),
                    ir=self._model.ir_version,
                    oldest=OLDEST,
                    newest=IR,
                )
            )
        self._opsets = (("", versions.get("", OLDEST)), ("ai.onnx.ml", versions.get("ai.onnx.ml", ML_OPSET)))
        return inputs[0]

    def _answer(self) -> tuple[str, str]:
        """The output that is asked of the file, and the tensor behind it."""
        graph, kinds = self._model.graph, need("onnx", "train").TensorProto
        names = [given.name for given in graph.output]
        maps = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
        if MARGIN in names:
            return MARGIN, MARGIN
        floats = [
            given.name
            for given in graph.output
            if given.name in maps or given.type.tensor_type.elem_type in (kinds.FLOAT, kinds.DOUBLE)
        ]
        if len(floats) != 1:
            raise self._wrong(
                t(
                    "it answers with {outputs}; one output with probabilities, or one named “margin”, is needed.",
                    outputs=", ".join(names),
                )
            )
        return floats[0], maps.get(floats[0], floats[0])

    def _started(self) -> Any:
        runtime = need("onnxruntime", "train")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return runtime.InferenceSession(self.kept, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises classes of its own
            raise self._wrong(t("it cannot be loaded ({problem}).", problem=str(error)[:200])) from error

    def _wrong(self, problem: str) -> TrainingError:
        return TrainingError(f"{self._file}: {problem}")
