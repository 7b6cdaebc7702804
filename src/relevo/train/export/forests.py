"""Trees of any library as one ``ai.onnx.ml.TreeEnsemble``, with thresholds and leaves as the library holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.errors import TrainingError
from relevo.extras import need
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from relevo.train.export.graph import Graph

AT_MOST, BELOW, MEMBER = 0, 1, 6
"""Modes of ``TreeEnsemble``: go the left way when the feature is ≤ or < the threshold, or is in a set."""
MOST_NODES = 20_000_000
"""What stays below the 1 GiB that a package's file may have, at about 35 bytes a node."""


@dataclass(frozen=True)
class Tree:
    """Nodes 0 … n-1, the root first; ``left`` is negative in leaves, whose value is in ``value``.

    NaN goes left where ``missing_left``. ``members`` has the set of values that go left, for each node
    that asks for one.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    members: tuple[tuple[int, tuple[float, ...]], ...] = ()


def add(
    graph: Graph, name: str, trees: Sequence[Tree], *, mode: int = AT_MOST, kind: Any = np.float64
) -> str:
    """Sum the trees over the tensor ``name`` in their order; gives (n, 1) of ``kind``, which is ``name``'s too."""
    count = sum(len(tree.left) for tree in trees)
    if count > MOST_NODES:
        raise TrainingError(
            t(
                "The trees have {count:,} nodes, and a package takes {most:,}:"
                " limit max_depth, max_leaf_nodes, min_samples_leaf or the number of trees.",
                count=count,
                most=MOST_NODES,
            )
        )
    split = [tree if len(tree.left) > 1 else _split(tree) for tree in trees]
    inner = [tree.left >= 0 for tree in split]
    nodes = np.cumsum([0, *(int(at.sum()) for at in inner)])
    leaves = np.cumsum([0, *(int((~at).sum()) for at in inner)])
    # A child is numbered among the inner nodes or among the leaves of all trees, whichever it is.
    place = [
        np.where(at, np.cumsum(at) - 1 + nodes[number], np.cumsum(~at) - 1 + leaves[number])
        for number, at in enumerate(inner)
    ]

    def gather(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([value[at] for value, at in zip(values, inner, strict=True)])

    left, right = [tree.left for tree in split], [tree.right for tree in split]
    modes, members = _members(split, inner, mode)
    tensor = need("onnx.numpy_helper", "train").from_array
    return graph.add(
        "TreeEnsemble",
        name,
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
        tree_roots=nodes[:-1].tolist(),
        nodes_featureids=gather([tree.feature for tree in split]).tolist(),
        nodes_modes=tensor(modes),
        nodes_splits=tensor(gather([tree.threshold for tree in split]).astype(kind)),
        nodes_truenodeids=gather([p[side] for p, side in zip(place, left, strict=True)]).tolist(),
        nodes_falsenodeids=gather([p[side] for p, side in zip(place, right, strict=True)]).tolist(),
        nodes_trueleafs=gather([~at[side] for at, side in zip(inner, left, strict=True)])
        .astype(int)
        .tolist(),
        nodes_falseleafs=gather([~at[side] for at, side in zip(inner, right, strict=True)])
        .astype(int)
        .tolist(),
        nodes_missing_value_tracks_true=gather([tree.missing_left for tree in split]).astype(int).tolist(),
        membership_values=tensor(members.astype(kind)) if len(members) else None,
        leaf_targetids=[0] * int(leaves[-1]),
        leaf_weights=tensor(
            np.concatenate([tree.value[~at] for tree, at in zip(split, inner, strict=True)]).astype(kind)
        ),
    )


def _members(
    trees: Sequence[Tree], inner: Sequence[NDArray[np.bool_]], mode: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Each inner node's mode, and the sets of those that ask for one, each ended by NaN."""
    modes, sets = [], []
    for tree, at in zip(trees, inner, strict=True):
        own = np.full(len(at), mode, np.uint8)
        for node, values in sorted(tree.members):
            own[node] = MEMBER
            sets += [*values, np.nan]
        modes.append(own[at])
    return np.concatenate(modes), np.array(sets, np.float64)


def _split(tree: Tree) -> Tree:
    """A tree that is one leaf as a split with the same on both sides: runtimes want at least one."""
    value = float(tree.value[0])
    return Tree(
        feature=np.zeros(3, np.int64),
        threshold=np.zeros(3),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.zeros(3, np.bool_),
        value=np.array([0.0, value, value]),
    )
