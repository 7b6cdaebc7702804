"""Encodings: feature values become float32, here and nowhere else.

A text becomes the number of its level, a boolean 0 or 1, a number itself; null becomes the number the
encoder names, or NaN. The cast from double to float32 is the processor's: round to nearest, ties to even, and
infinity beyond the range of float32. Of rows the array of Python's standard library makes it, of columns numpy.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

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


class Levels(dict[str | None, float]):
    """The numbers of a text feature's levels and of null; any other text has the one for the unseen.

    ``misses`` holds how many such texts were met; another list may be put in its place to count on in.
    """

    __slots__ = ("misses", "unseen")

    def __init__(self, encoder: Encoder) -> None:
        super().__init__((level, float(number)) for level, number in (encoder.levels or {}).items())
        self[None] = _or_nan(encoder.null)
        self.unseen = _or_nan(encoder.unseen)
        self.misses = [0]

    def __missing__(self, _: object) -> float:
        self.misses[0] += 1
        return self.unseen


def _or_nan(number: float | None) -> float:
    return float("nan") if number is None else float(number)


def levels_of(encoders: Sequence[Encoder]) -> dict[str, Levels]:
    """The levels of each text feature, as ``row_encoder`` takes them."""
    return {encoder.feature: Levels(encoder) for encoder in encoders if encoder.type == "text"}


def row_encoder(encoders: Sequence[Encoder], levels: Mapping[str, Levels] | None = None) -> RowEncoder:
    """Compile the encoders into one function from n feature tuples to an (n, k) float32 matrix.

    The code is made of slot numbers only; levels and numbers are bound as values, never written into it.
    ``levels`` are those of ``levels_of``, for whoever wants to know what they missed.
    """
    levels = levels_of(encoders) if levels is None else levels
    bound: dict[str, Any] = {"array": array, "frombuffer": np.frombuffer, "float32": np.float32}
    cells = []
    for slot, encoder in enumerate(encoders):
        if encoder.type == "text":
            bound[f"l{slot}"] = levels[encoder.feature]
            cells.append(f"l{slot}[v{slot}]")
        else:
            bound[f"n{slot}"] = _or_nan(encoder.null)
            cells.append(f"n{slot} if v{slot} is None else v{slot}")
    names = "".join(f"v{slot}, " for slot in range(len(encoders)))
    code = (
        "def encode(rows):\n"
        "    flat = []\n"
        "    put = flat.extend\n"
        f"    for ({names}) in rows:\n"
        f"        put(({', '.join(cells)},))\n"
        f"    return frombuffer(array('f', flat), float32).reshape(-1, {len(encoders)})\n"
    )
    exec(compile(code, "<encoders>", "exec"), bound)  # noqa: S102 - slot numbers only, see above
    encode: Callable[[Sequence[Row]], NDArray[np.float32]] = bound["encode"]
    return encode


def encode_rows(encoders: Sequence[Encoder], rows: Sequence[Row]) -> NDArray[np.float32]:
    """Encode n feature tuples as an (n, k) matrix."""
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


def is_masked(column: Any) -> TypeGuard[np.ma.MaskedArray[Any, Any]]:
    """Whether this is a masked array; asking plain arrays would import ``numpy.ma``, which takes 10 MB."""
    return (
        isinstance(column, np.ndarray)
        and type(column) is not np.ndarray
        and isinstance(column, np.ma.MaskedArray)
    )


def _text(encoder: Encoder, column: Any) -> NDArray[np.float64]:
    numbers = Levels(encoder)
    if is_masked(column):
        column = [
            None if hidden else value
            for value, hidden in zip(column.data, np.ma.getmaskarray(column), strict=True)
        ]
    return np.fromiter((numbers[value] for value in column), np.float64, len(column))


def _number(encoder: Encoder, column: Any) -> NDArray[np.float64]:
    null = _or_nan(encoder.null)
    if is_masked(column):
        return np.where(np.ma.getmaskarray(column), null, column.data.astype(np.float64))
    if isinstance(column, np.ndarray) and column.dtype != object:
        return column.astype(np.float64)
    return np.array([null if value is None else value for value in column], np.float64)
