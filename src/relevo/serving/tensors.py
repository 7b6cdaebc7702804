"""Tensors of the Open Inference Protocol, version 2: a column of the request each, read and checked.

A tensor has the shape [n] or [n, 1]; its data are flat or nested. A null stands for null, whatever the type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.serving.problems import Refusal
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relevo.contract import Contract

DATATYPES = {
    "text": "BYTES",
    "integer": "INT64",
    "double": "FP64",
    "boolean": "BOOL",
    "date": "BYTES",
    "timestamp": "BYTES",
}
"""Of a field's type, as the model's metadata tell it."""
OUTPUTS = {"probability": "FP64", "decision": "BOOL", "label": "BYTES", "id": "BYTES"}
_RANGES = {
    **{f"INT{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
_FLOATS = ("FP16", "FP32", "FP64")
TENSOR_TYPES = ("BOOL", *_RANGES, *_FLOATS, "BYTES")
"""All that the protocol knows."""
_SHOWN = 100
_FLAT, _NESTED = 1, 2


def rows(received: Any, contract: Contract, *, most: int) -> list[dict[str, Any]]:
    """Turn an inference request into rows by the tensors' names; raises ``Refusal``."""
    inputs = _listed(received, "inputs")
    if not inputs:
        raise _wrong(t("it has no “inputs”"))
    known = {name: field.alias for field in contract.fields for name in (field.alias, field.name)}
    columns: dict[str, list[Any]] = {}
    size: int | None = None
    for tensor in inputs:
        name = _name(tensor)
        count = _count(tensor, name)
        if count > most:
            raise Refusal("too-many-rows", limit=most)
        if size is not None and count != size:
            raise _wrong(
                t(
                    "“{name}” has {count} rows and the tensor before it {size}",
                    name=name,
                    count=count,
                    size=size,
                )
            )
        size = count
        alias = known.get(name, name)
        if alias in columns:
            raise _wrong(t("“{name}” is given twice", name=name[:_SHOWN]))
        columns[alias] = _values(tensor, name, count)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def wanted(received: Any) -> list[str]:
    """Which outputs a request asks for, all by default; raises ``Refusal``."""
    parameters = [
        received.get("parameters"),
        *(one.get("parameters") for one in _listed(received, "outputs")),
    ]
    for given in parameters:
        _check_binary(given)
    names = [_name(one) for one in _listed(received, "outputs")] or [*OUTPUTS]
    for name in names:
        if name not in OUTPUTS:
            raise _wrong(
                t(
                    "there is no output “{name}”, only {outputs}",
                    name=name[:_SHOWN],
                    outputs=", ".join(OUTPUTS),
                )
            )
    return list(dict.fromkeys(names))


def identity(received: Any) -> str | None:
    """Check that a body is an inference request, and give its id; raises ``Refusal``."""
    if type(received) is not dict:
        raise _wrong(t("it is no object"))
    found = received.get("id")
    if found is not None and type(found) is not str:
        raise _wrong(t("“{name}” must be a text", name="id"))
    return found


def tensor(name: str, values: Iterable[Any]) -> dict[str, Any]:
    """Write an output."""
    data = list(values)
    return {"name": name, "shape": [len(data)], "datatype": OUTPUTS[name], "data": data}


def _listed(received: Any, member: str) -> Sequence[Any]:
    found = received.get(member)
    if found is None:
        return ()
    if type(found) is not list or any(type(one) is not dict for one in found):
        raise _wrong(t("“{name}” must be a list of objects", name=member))
    return found


def _name(one: dict[str, Any]) -> str:
    name = one.get("name")
    if type(name) is not str:
        raise _wrong(t("“{name}” must be a text", name="name"))
    return name


def _count(one: dict[str, Any], name: str) -> int:
    shape = one.get("shape")
    if (
        type(shape) is not list
        or any(type(size) is not int or size < 0 for size in shape)
        or len(shape) not in (_FLAT, _NESTED)
        or (len(shape) == _NESTED and shape[1] != 1)
    ):
        raise _wrong(t("the shape of “{name}” must be [n] or [n, 1]", name=name[:_SHOWN]))
    if shape[0] == 0:
        raise _wrong(t("“{name}” has no rows", name=name[:_SHOWN]))
    count: int = shape[0]
    return count


def _values(one: dict[str, Any], name: str, count: int) -> list[Any]:
    _check_binary(one.get("parameters"))
    data = one.get("data")
    if (
        type(data) is list
        and len(one["shape"]) == _NESTED
        and all(type(v) is list and len(v) == 1 for v in data)
    ):
        data = [value for (value,) in data]
    if type(data) is not list or len(data) != count:
        raise _wrong(
            t(
                "the data of “{name}” are not those {count} values of its shape",
                name=name[:_SHOWN],
                count=count,
            )
        )
    _check_values(data, one.get("datatype"), name)
    return data


def _check_values(data: list[Any], datatype: Any, name: str) -> None:
    """Check values in their mass: first by their types, then by their range."""
    types = set(map(type, data)) - {type(None)}
    if type(datatype) is not str or datatype not in TENSOR_TYPES:
        raise _wrong(t("the datatype of “{name}” is none of the protocol's", name=name[:_SHOWN]))
    if datatype in _RANGES:
        low, high = _RANGES[datatype]
        good = types <= {int} and all(value is None or low <= value <= high for value in data)
    elif datatype in _FLOATS:
        good = types <= {int, float}
    else:
        good = types <= {bool if datatype == "BOOL" else str}
    if not good:
        raise _wrong(
            t(
                "the data of “{name}” are not of the datatype {datatype}",
                name=name[:_SHOWN],
                datatype=datatype,
            )
        )


def _check_binary(parameters: Any) -> None:
    if parameters is None:
        return
    if type(parameters) is not dict:
        raise _wrong(t("“{name}” must be an object", name="parameters"))
    if any(parameters.get(key) for key in ("binary_data", "binary_data_output", "binary_data_size")):
        raise Refusal("binary-tensors")


def _wrong(what: str) -> Refusal:
    return Refusal("protocol", what=what)
