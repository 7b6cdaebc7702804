"""Parts of the small package that make it one of sums: its features and its probability can be absent."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper

from relevo import sql
from relevo.definition import check
from relevo.encoding import Encoder
from support import small

SQL = """select cast(airline as integer) as number, cast(flight as double) as size,
- cast(flight as double) as opposite from request"""


def linear(width: int) -> bytes:
    """A model that adds its features: two opposite infinities make it NaN."""
    node = helper.make_node(
        "LinearRegressor",
        ["features"],
        ["margin"],
        domain="ai.onnx.ml",
        coefficients=[0.1] * width,
        intercepts=[0.0],
    )
    places = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size])
        for name, size in (("features", width), ("margin", 1))
    ]
    graph = helper.make_graph([node], "linear", places[:1], places[1:])
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    found: bytes = model.SerializeToString()
    return found


def changes() -> dict[str, Any]:
    """What takes the place of the small package's own parts."""
    plan = sql.compile_features(SQL, request=check.columns(small.definition().request))
    return {
        "sql": plan.sql,
        "tree": plan.tree,
        "encoders": [Encoder(feature.name, feature.type) for feature in plan.features],
        "model": linear(len(plan.features)),
        "lookups": {},
    }
