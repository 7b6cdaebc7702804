"""What an ONNX file would run is read without running it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from relevo.errors import PackageError
from relevo.package.onnx_audit import audit
from support import small


def model(*nodes: Any, initializers: tuple[Any, ...] = (), functions: tuple[Any, ...] = ()) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])],
        initializer=list(initializers),
    )
    made: bytes = helper.make_model(graph, functions=list(functions)).SerializeToString()
    return made


@pytest.mark.parametrize("algorithm", ["logistic", "lightgbm", "xgboost"])
def test_our_own_models_pass(algorithm: str) -> None:
    made = small.fitted(algorithm).onnx
    assert audit(made) == len(onnx.load_from_string(made).graph.node)


@pytest.mark.parametrize(
    ("operator", "domain"), [("Loop", ""), ("PyOp", "ai.onnx.contrib"), ("Add", "com.evil")]
)
def test_an_operator_not_allowed_is_named(operator: str, domain: str) -> None:
    with pytest.raises(PackageError, match=operator):
        audit(model(helper.make_node(operator, ["features"], ["margin"], domain=domain)))


def test_a_subgraph_is_refused() -> None:
    inner = helper.make_graph([], "inner", [], [])
    with pytest.raises(PackageError, match="sub-graph"):
        audit(model(helper.make_node("Add", ["features", "features"], ["margin"], body=inner)))


def elsewhere() -> TensorProto:
    """A tensor kept in another file."""
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def sparse(value: TensorProto, size: int = 1) -> onnx.SparseTensorProto:
    """One value in a vector of ``size``."""
    return helper.make_sparse_tensor(value, numpy_helper.from_array(np.zeros(1, np.int64), "i"), [size])


def test_a_tensor_in_another_file_is_refused() -> None:
    with pytest.raises(PackageError, match="another file"):
        audit(model(helper.make_node("Add", ["features", "w"], ["margin"]), initializers=(elsewhere(),)))


@pytest.mark.parametrize(
    ("told", "attribute"),
    [
        ("another file", {"value": elsewhere()}),
        ("another file", {"values": [elsewhere()]}),
        ("sparse", {"sparse_value": sparse(elsewhere())}),
        ("sparse", {"sparse_values": [sparse(elsewhere())]}),
        ("sparse", {"sparse_value": sparse(numpy_helper.from_array(np.ones(1, np.float32), "w"), 1 << 26)}),
    ],
)
def test_a_constant_from_another_file_or_larger_than_this_one_is_refused(
    told: str, attribute: dict[str, Any]
) -> None:
    with pytest.raises(PackageError, match=told):
        audit(model(helper.make_node("Constant", [], ["margin"], **attribute)))


def test_a_function_of_its_own_is_refused() -> None:
    add = helper.make_node("Add", ["a", "a"], ["b"])
    function = helper.make_function("x", "Add", ["a"], ["b"], [add], [helper.make_opsetid("", 20)])
    with pytest.raises(PackageError, match="functions"):
        audit(model(helper.make_node("Add", ["features", "features"], ["margin"]), functions=(function,)))


@given(st.binary(max_size=200))
@settings(derandomize=True, deadline=None)
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(PackageError):
        audit(noise)


def test_a_cut_model_is_refused_or_smaller() -> None:
    """A cut at a field's border is a whole, smaller message; the loader's digests tell it from the real one."""
    made = small.fitted("logistic").onnx
    nodes = audit(made)
    passed = []
    for place in range(len(made)):
        try:
            passed.append(audit(made[:place]))
        except PackageError:
            continue
    assert all(count <= nodes for count in passed)
    assert len(passed) < 10
