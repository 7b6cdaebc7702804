"""Packages with a planted fault: real ones, each wrong in one way that only requests bring to light."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from relevo.definition import load
from relevo.package import ModelPackage
from relevo.profile import profile
from support import small

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition


def strict() -> dict[str, Any]:
    """A contract that takes no national flight."""
    request = small.definition().request
    fields = [replace(f, choices=("I",)) if f.name == "flight_type" else f for f in request.fields]
    return {"request": replace(request, fields=tuple(fields))}


def failing(folder: Path) -> dict[str, Any]:
    """Features that stop at Sky's flights: a remainder of nothing."""
    plan = _changed(
        folder,
        "isodow(scheduled_at) as",
        "isodow(scheduled_at) % (case airline when 'SKU' then 0 else 9 end) as",
    ).plan
    return {"sql": plan.sql, "tree": plan.tree}


def raising() -> dict[str, Any]:
    """A model that takes a feature that is not there, which ONNX Runtime sees when it is asked."""
    nodes = [helper.make_node("Gather", ["features", "place"], ["margin"], axis=1)]
    return {"model": _model(nodes, {"place": np.array([99], np.int64)})}


def silent() -> dict[str, Any]:
    """A model without a probability for any request: the logarithm of a negative number."""
    nodes = [
        helper.make_node("Gather", ["features", "place"], ["first"], axis=1),
        helper.make_node("Mul", ["first", "zero"], ["none"]),
        helper.make_node("Sub", ["none", "one"], ["negative"]),
        helper.make_node("Log", ["negative"], ["margin"]),
    ]
    numbers = {"zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    return {"model": _model(nodes, {"place": np.array([4], np.int64), **numbers})}


def slow(layers: int = 24) -> dict[str, Any]:
    """A model that multiplies large matrices before it says the same as ever."""
    width = 1200
    (sound,) = onnx.load_from_string(small.fitted().onnx).graph.node
    sound.output[0] = "sound"
    nodes = [sound, helper.make_node("MatMul", ["features", "wide"], ["layer0"])]
    nodes += [helper.make_node("MatMul", [f"layer{n}", "square"], [f"layer{n + 1}"]) for n in range(layers)]
    nodes.append(helper.make_node("MatMul", [f"layer{layers}", "narrow"], ["nothing"]))
    nodes.append(helper.make_node("Add", ["sound", "nothing"], ["margin"]))
    wide = np.zeros((len(small.fitted().encoders), width), np.float32)
    numbers = {
        "wide": wide,
        "square": np.eye(width, dtype=np.float32),
        "narrow": np.zeros((width, 1), np.float32),
    }
    return {"model": _model(nodes, numbers)}


def sure() -> dict[str, Any]:
    """Scores shifted far up, against a reference that says otherwise."""
    calibration = small.fitted().calibration
    return {"calibration": {**calibration, "b": calibration["b"] + 3}, "reference": reference()}


@cache
def reference() -> dict[str, Any]:
    """The profile of made-up flights and what the sound package answers to them; one pair of features is told too."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as made:
        small.write(Path(made) / "package")
        package = ModelPackage.load(Path(made) / "package")
    rng = random.Random(11)
    asked = [package.validators.one.validate_python(small.body(small.request(rng))) for _ in range(4_000)]
    found = np.array([answer.probability for answer in package.predict(asked)])
    features = small.definition().plan.features
    values = zip(*(package.features(request) for request in asked), strict=True)
    columns = {
        column.name: np.ma.masked_array([one or "" for one in given], [one is None for one in given])
        if column.type == "text"
        else np.array(given)
        for column, given in zip(features, values, strict=True)
    }
    return profile(features, columns, found, [("airline", "hour")])


def _changed(folder: Path, text: str, other: str) -> Definition:
    shutil.copytree(small.FLIGHTS, folder)
    features = folder / "features.sql"
    before = features.read_text()
    assert text in before
    features.write_text(before.replace(text, other))
    return load(folder)


def _model(nodes: list[Any], numbers: dict[str, Any]) -> bytes:
    width = len(small.fitted().encoders)
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    onnx.checker.check_model(model)
    made: bytes = model.SerializeToString()
    return made
