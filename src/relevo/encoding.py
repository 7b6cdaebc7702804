"""Encodings: feature values become float32, here and nowhere else.

A text becomes the number of its level, a boolean 0 or 1, a number itself; null becomes the number the
encoder names, or NaN. The cast from double to float32 is numpy's: round to nearest, ties to even, and
infinity beyond the range of float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = tuple[Any, ...]
RowEncoder = Callable[[Sequence[Row]], "NDArray[np.float32]"]


@dataclass(frozen=True)
class Encoder:
    """How one feature becomes a number.

    ``levels`` (texts only) gives each known level its number and ``unseen`` is for all others. ``null``
    is for null; None there means NaN, which boosters route by themselves.
    """

    feature: str
    type: str
    levels: Mapping[str, float] | None = None
    unseen: float | None = None
    null: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; levels in text order."""
        levels = None if self.levels is None else dict(sorted(self.levels.items()))
        return {
            "feature": self.feature,
            "type": self.type,
            "levels": levels,
            "unseen": self.unseen,
            "null": self.null,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Encoder:
        """Read ``to_json`` back."""
        return cls(data["feature"], data["type"], data["levels"], data["unseen"], data["null"])


def row_encoder(encoders: Sequence[Encoder]) -> RowEncoder:
    """Compile the encoders into one function from n feature tuples to an (n, k) float32 matrix.

    The code is made of slot numbers only; levels and numbers are bound as values, never written into it.
    """
    bound: dict[str, Any] = {"array": np.array, "float32": np.float32, "nan": float("nan")}
    cells = []
    for slot, encoder in enumerate(encoders):
        bound[f"n{slot}"] = float("nan") if encoder.null is None else float(encoder.null)
        if encoder.type == "text":
            numbers: dict[str | None, float] = {k: float(v) for k, v in (encoder.levels or {}).items()}
            numbers[None] = bound[f"n{slot}"]
            bound[f"g{slot}"] = numbers.get
            bound[f"u{slot}"] = float("nan") if encoder.unseen is None else float(encoder.unseen)
            cells.append(f"g{slot}(v{slot}, u{slot})")
        else:
            cells.append(f"n{slot} if v{slot} is None else v{slot}")
    names = "".join(f"v{slot}, " for slot in range(len(encoders)))
    code = f"def encode(rows):\n    return array([({', '.join(cells)},) for ({names}) in rows], float32)\n"
    exec(compile(code, "<encoders>", "exec"), bound)  # noqa: S102 - slot numbers only, see above
    encode: Callable[[Sequence[Row]], NDArray[np.float32]] = bound["encode"]
    return encode


def encode_rows(encoders: Sequence[Encoder], rows: Sequence[Row]) -> NDArray[np.float32]:
    """Encode n feature tuples as an (n, k) matrix."""
    with np.errstate(over="ignore"):
        return row_encoder(encoders)(rows)


def encode_columns(encoders: Sequence[Encoder], columns: Mapping[str, Any]) -> NDArray[np.float32]:
    """Encode columns of equal length n as an (n, k) matrix.

    A text column is a sequence of texts and None; any other is an array, masked where null, or a
    sequence with None.
    """
    first = columns[encoders[0].feature]
    matrix = np.empty((len(first), len(encoders)), np.float32)
    for place, encoder in enumerate(encoders):
        column = columns[encoder.feature]
        if len(column) != len(first):
            raise ValueError(f"column {encoder.feature} has {len(column)} rows, the first {len(first)}")
        with np.errstate(over="ignore"):
            matrix[:, place] = _text(encoder, column) if encoder.type == "text" else _number(encoder, column)
    return matrix


def _text(encoder: Encoder, column: Any) -> NDArray[np.float64]:
    unseen = float("nan") if encoder.unseen is None else float(encoder.unseen)
    null = float("nan") if encoder.null is None else float(encoder.null)
    numbers: dict[str | None, float] = {k: float(v) for k, v in (encoder.levels or {}).items()}
    numbers[None] = null
    if isinstance(column, np.ma.MaskedArray):
        column = [
            None if hidden else value
            for value, hidden in zip(column.data, np.ma.getmaskarray(column), strict=True)
        ]
    get = numbers.get
    return np.fromiter((get(value, unseen) for value in column), np.float64, len(column))


def _number(encoder: Encoder, column: Any) -> NDArray[np.float64]:
    null = float("nan") if encoder.null is None else float(encoder.null)
    if isinstance(column, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(column), null, column.data.astype(np.float64))
    if isinstance(column, np.ndarray) and column.dtype != object:
        return column.astype(np.float64)
    return np.array([null if value is None else value for value in column], np.float64)
