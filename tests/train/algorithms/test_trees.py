from __future__ import annotations

import math

import numpy as np
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st

from relevo.package.onnx_audit import audit
from relevo.train.algorithms import trees

SINGLE = st.floats(width=32, allow_nan=False)


@given(threshold=st.floats(allow_nan=False, allow_infinity=False), x=SINGLE)
def test_a_threshold_rounded_down_decides_every_float32_alike(threshold: float, x: float) -> None:
    down = trees.down(np.array([threshold]))[0]
    assert (x <= threshold) == bool(np.float32(x) <= down)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=4), min_size=1, max_size=30), st.data())
def test_sums_on_the_grid_are_exact_in_float32(leaves: list[list[float]], data: st.DataObject) -> None:
    """In any order, and no leaf moves by more than half a step."""
    values = [np.array(tree) for tree in leaves]
    step = trees.grid(values)
    rounded = [trees.on_grid(tree, step) for tree in values]
    assert all(np.abs(a - b).max() <= step / 2 for a, b in zip(values, rounded, strict=True))
    chosen = [float(tree[data.draw(st.integers(0, len(tree) - 1))]) for tree in rounded]
    exact = math.fsum(chosen)
    for order in (chosen, chosen[::-1], sorted(chosen)):
        total = np.float32(0)
        for value in order:
            total = np.float32(total + np.float32(value))
        assert float(total) == exact


def leaf(value: float) -> trees.Tree:
    none = np.array([-1])
    return trees.Tree(none, np.zeros(1, np.float32), none, none, np.zeros(1, bool), np.array([value]))


def split(threshold: float, left: float, right: float, *, missing_left: bool) -> trees.Tree:
    return trees.Tree(
        feature=np.array([1, -1, -1]),
        threshold=np.array([threshold, 0, 0], np.float32),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.array([missing_left, False, False]),
        value=np.array([0, left, right]),
    )


def answers(model: bytes, values: list[float]) -> list[float]:
    matrix = np.zeros((len(values), 2), np.float32)
    matrix[:, 1] = values
    found = onnxruntime.InferenceSession(model).run(["margin"], {"features": matrix})[0]
    assert found.shape == (len(values), 1)
    return found.ravel().tolist()  # type: ignore[no-any-return]


def test_rules_and_missing_values() -> None:
    """The threshold itself goes left by one rule and right by the other; NaN goes where it is told."""
    at = [0.9, 1.0, 1.1, math.nan]
    for missing_left, missing in ((True, 5.0), (False, 7.0)):
        tree = split(1.0, 5.0, 7.0, missing_left=missing_left)
        assert answers(trees.to_onnx([tree], 2, rule="BRANCH_LEQ"), at) == [5, 5, 7, missing]
        assert answers(trees.to_onnx([tree], 2, rule="BRANCH_LT"), at) == [5, 7, 7, missing]


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    tree = split(1.0, 5.0, 7.0, missing_left=True)
    assert answers(trees.to_onnx([leaf(0.5), tree, leaf(0.25)], 2, rule="BRANCH_LT"), [0, 2]) == [5.75, 7.75]
    assert answers(trees.to_onnx([leaf(0.5)], 2, rule="BRANCH_LT"), [0, 2]) == [0.5, 0.5]


def test_only_one_operator_is_used() -> None:
    """The package's loader allows it."""
    assert audit(trees.to_onnx([leaf(0.5)], 2, rule="BRANCH_LT")) == 1
