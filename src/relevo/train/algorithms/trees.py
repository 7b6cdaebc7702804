"""Boosted trees as one ONNX operator, ``ai.onnx.ml.TreeEnsembleRegressor``, answering exactly as the library does.

Two things make the answers equal to the last bit rather than nearly so. Thresholds: inputs are
float32, so a double threshold is rounded down to float32, which decides every float32 alike. Leaves:
their values are rounded to a grid on which every partial sum is a float32, so that no order of adding
them, in float or double, can change the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.extras import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MANTISSA = 24
"""Bits of a float32's significand: whole numbers up to 2 ** 24 are exact."""
ML_OPSET, OPSET, IR = 3, 17, 8
"""Old enough for any runtime in use, new enough for these operators."""


@dataclass(frozen=True)
class Tree:
    """Nodes 0 … n-1, the root first. ``left`` is -1 in leaves, whose value is in ``value``.

    A row goes left when its ``feature`` is below ``threshold`` (or at it, where ``rule`` says
    ``BRANCH_LEQ``), or is NaN and ``missing_left``.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.floating[Any]]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: Floats


def grid(leaves: Sequence[Floats]) -> float:
    """The step, a power of two, on which sums over one leaf of each tree are exact in float32."""
    bound = math.fsum(float(np.abs(values).max()) for values in leaves)
    # Rounding may raise each leaf by half a step.
    exponent = math.frexp(max(bound, 2.0**-80) * (1 + len(leaves) * 2.0**-MANTISSA))[1]
    return math.ldexp(1.0, exponent - MANTISSA)


def on_grid(values: Floats, step: float) -> Floats:
    """Round values to multiples of ``step``, ties to even."""
    rounded: Floats = np.rint(values / step) * step
    return rounded


def down(threshold: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    above = near.astype(np.float64) > threshold
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def to_onnx(trees: Sequence[Tree], width: int, *, rule: str) -> bytes:
    """Write the sum of the trees as a model; ``rule`` is ``BRANCH_LT`` or ``BRANCH_LEQ``.

    A tree that is one leaf is added to the leaves of another, which is exact on the grid.
    """
    helper = need("onnx.helper", "train")
    constant = math.fsum(float(tree.value[0]) for tree in trees if len(tree.left) == 1)
    split = [tree for tree in trees if len(tree.left) > 1] or [_flat()]
    nodes: dict[str, list[Any]] = {name: [] for name in ("tree", "node", "mode", "left", "right", "missing")}
    nodes |= {"feature": [], "value": []}
    targets: dict[str, list[Any]] = {"tree": [], "node": [], "weight": []}
    for number, tree in enumerate(split):
        leaf = tree.left < 0
        count = len(leaf)
        nodes["tree"] += [number] * count
        nodes["node"] += range(count)
        nodes["mode"] += ["LEAF" if is_leaf else rule for is_leaf in leaf]
        nodes["left"] += np.where(leaf, 0, tree.left).tolist()
        nodes["right"] += np.where(leaf, 0, tree.right).tolist()
        nodes["missing"] += (tree.missing_left & ~leaf).astype(int).tolist()
        nodes["feature"] += np.where(leaf, 0, tree.feature).tolist()
        nodes["value"] += np.where(leaf, np.float32(0), tree.threshold).tolist()
        targets["tree"] += [number] * int(leaf.sum())
        targets["node"] += np.flatnonzero(leaf).tolist()
        targets["weight"] += (tree.value[leaf] + (0.0 if number else constant)).tolist()
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["margin"],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        n_targets=1,
        post_transform="NONE",
        nodes_treeids=nodes["tree"],
        nodes_nodeids=nodes["node"],
        nodes_modes=nodes["mode"],
        nodes_truenodeids=nodes["left"],
        nodes_falsenodeids=nodes["right"],
        nodes_missing_value_tracks_true=nodes["missing"],
        nodes_featureids=nodes["feature"],
        nodes_values=nodes["value"],
        target_treeids=targets["tree"],
        target_nodeids=targets["node"],
        target_ids=[0] * len(targets["tree"]),
        target_weights=targets["weight"],
    )
    return model([ensemble], [], width)


def model(nodes: list[Any], initializers: list[Any], width: int) -> bytes:
    """A model of these nodes from ``features`` to ``margin``, without anything that varies from run to run."""
    onnx, helper = need("onnx", "train"), need("onnx.helper", "train")
    features = helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", width])
    margin = helper.make_tensor_value_info("margin", onnx.TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph(nodes, "relevo", [features], [margin], initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="")
    serialized: bytes = made.SerializeToString(deterministic=True)
    return serialized


def _flat() -> Tree:
    """A split whose sides are both 0: runtimes want at least one."""
    return Tree(
        feature=np.zeros(3, np.int64),
        threshold=np.zeros(3, np.float32),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.zeros(3, np.bool_),
        value=np.zeros(3),
    )
