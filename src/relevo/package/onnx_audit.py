"""Reads what an ONNX file would run without running it, and without the onnx library.

Only as much of Protocol Buffers' wire format is read as names the operators: ModelProto.graph (7),
GraphProto.node (1), NodeProto.op_type (4), domain (7) and attribute (5), and what could reach beyond
the file: local functions (ModelProto 25), sub-graphs (AttributeProto 6 and 11) and tensors kept in
other files (TensorProto 13 and 14). Sparse tensors (GraphProto 15, AttributeProto 22 and 23) are a few
bytes for any size. Field numbers: onnx.proto, IR version 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.errors import PackageError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = frozenset(
    {
        ("", name)
        for names in (
            # Arithmetic, number by number.
            "Abs Add Clip Div Exp Log Max Min Mul Neg Pow Reciprocal Sigmoid Sqrt Sub Sum Tanh Relu Erf Softplus",
            # Comparisons and choices: imputing, categories, bins.
            "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Sign Where",
            # Sums over an axis: linear models, networks, probabilities.
            "Gemm MatMul ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum",
            "ReduceSumSquare Softmax",
            # Which numbers, and in what shape. ArgMax is how a label comes beside the probabilities.
            "ArgMax Cast Concat Constant Flatten Gather Identity Reshape Shape Slice Split Squeeze Transpose Unsqueeze",
        )
        for name in names.split()
    }
    | {
        ("ai.onnx.ml", name)
        for names in (
            # Columns and their scales.
            "ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer Normalizer Scaler",
            # Linear models, support vectors and trees: tables of numbers, summed.
            "LinearClassifier LinearRegressor SVMClassifier SVMRegressor",
            "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
        )
        for name in names.split()
    }
)
"""Operators a package may use. Each makes tensors of numbers from tensors of numbers.

None loops, branches, draws, reads texts or reaches beyond the graph; the size of what each makes is bound
by that of its inputs and of the file.
"""

_GRAPH, _FUNCTIONS = 7, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_SUBGRAPHS, _TENSORS, _SPARSE_VALUES = (6, 11), (5, 10), (22, 23)
_EXTERNAL, _LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:  # noqa: PLR2004 - a varint has at most 64 bits
            raise PackageError(t("model.onnx is cut off or is not an ONNX file."))
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, place
        shift += 7


def _parts(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise PackageError(t("model.onnx is not an ONNX file."))
        if place + size > len(data):
            raise PackageError(t("model.onnx is cut off or is not an ONNX file."))
        yield number, data[place : place + size]
        place += size


def _node(data: memoryview) -> tuple[str, str]:
    operator = domain = ""
    for number, value in _parts(data):
        if not isinstance(value, memoryview):
            continue
        if number == _OP_TYPE:
            operator = bytes(value).decode("utf-8", "replace")
        elif number == _DOMAIN:
            domain = bytes(value).decode("utf-8", "replace")
        elif number == _ATTRIBUTE:
            _attribute(value)
    return ("" if domain == "ai.onnx" else domain), operator


def _attribute(data: memoryview) -> None:
    for number, value in _parts(data):
        if number in _SUBGRAPHS:
            raise PackageError(t("model.onnx holds a sub-graph, which a package may not."))
        if number in _SPARSE_VALUES:
            raise PackageError(t("model.onnx holds sparse tensors, which a package may not."))
        if number in _TENSORS and isinstance(value, memoryview):
            _tensor(value)


def _tensor(data: memoryview) -> None:
    for number, value in _parts(data):
        if number == _EXTERNAL or (number == _LOCATION and value != 0):
            raise PackageError(t("model.onnx refers to another file, which a package may not."))


def audit(model: bytes, allowed: frozenset[tuple[str, str]] = ALLOWED) -> int:
    """Raise ``PackageError`` unless every operator is allowed and nothing outside is referred to; count the nodes."""
    nodes = 0
    graphs = 0
    for number, value in _parts(memoryview(model)):
        if number == _FUNCTIONS:
            raise PackageError(t("model.onnx brings functions of its own, which a package may not."))
        if number != _GRAPH or not isinstance(value, memoryview):
            continue
        graphs += 1
        for inner, part in _parts(value):
            if inner == _INITIALIZER and isinstance(part, memoryview):
                _tensor(part)
            elif inner == _SPARSE:
                raise PackageError(t("model.onnx holds sparse tensors, which a package may not."))
            elif inner == _NODE and isinstance(part, memoryview):
                nodes += 1
                name = _node(part)
                if name not in allowed:
                    shown = ".".join(filter(None, name))
                    raise PackageError(
                        t("model.onnx uses the operator {operator}, which is not allowed.", operator=shown)
                    )
    if graphs != 1 or not nodes:
        raise PackageError(t("model.onnx is cut off or is not an ONNX file."))
    return nodes
