"""Writing a stream of record batches with columns of text, int64, double and boolean."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relevo.arrow.flat import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

END = b"\xff\xff\xff\xff\0\0\0\0"
_V5 = 4
_SCHEMA, _BATCH = 1, 3
_INT, _FLOAT, _UTF8, _BOOL = 2, 3, 5, 6
_DOUBLE_PRECISION = 2


class Column(NamedTuple):
    """A nullable column; ``kind`` is text, integer, double or boolean."""

    name: str
    kind: str


class Writer:
    """Gives the bytes of a stream: ``head``, any number of ``batch``, ``END``."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)

    def head(self) -> bytes:
        """The schema."""
        draft = Draft()

        def schema() -> int:
            return draft.table(("h", 0), lambda: draft.tables([field(c) for c in self._columns]))

        def field(column: Column) -> Callable[[], int]:
            number, parts = _type(column.kind)
            return lambda: draft.table(
                lambda: draft.text(column.name),
                ("B", 1),
                ("B", number),
                lambda: draft.table(*parts),
                None,
                lambda: draft.tables([]),
            )

        draft.table(("h", _V5), ("B", _SCHEMA), schema, ("q", 0))
        return _framed(draft.done(), b"")

    def batch(self, values: Sequence[Sequence[Any]]) -> bytes:
        """Columns of n values each, None where null."""
        rows = len(values[0])
        body = bytearray()
        nodes: list[tuple[int, ...]] = []
        buffers: list[tuple[int, ...]] = []
        for column, cells in zip(self._columns, values, strict=True):
            nodes.append((rows, sum(cell is None for cell in cells)))
            for part in _buffers(column.kind, cells):
                buffers.append((len(body), len(part)))
                body += part + bytes(-len(part) % 8)
        draft = Draft()

        def batch() -> int:
            return draft.table(("q", rows), lambda: draft.numbers(nodes), lambda: draft.numbers(buffers))

        draft.table(("h", _V5), ("B", _BATCH), batch, ("q", len(body)))
        return _framed(draft.done(), bytes(body))


def _framed(message: bytes, body: bytes) -> bytes:
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(message)) + message + body


def _type(kind: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    return {
        "text": (_UTF8, ()),
        "integer": (_INT, (("i", 64), ("B", 1))),
        "double": (_FLOAT, (("h", _DOUBLE_PRECISION),)),
        "boolean": (_BOOL, ()),
    }[kind]


def _bits(flags: Sequence[bool]) -> bytes:
    return np.packbits(np.array(flags, bool), bitorder="little").tobytes()


def _buffers(kind: str, cells: Sequence[Any]) -> list[bytes]:
    valid = _bits([cell is not None for cell in cells])
    if kind == "text":
        raw = [b"" if cell is None else cell.encode() for cell in cells]
        ends = np.zeros(len(raw) + 1, np.int32)
        np.cumsum([len(one) for one in raw], out=ends[1:])
        return [valid, ends.tobytes(), b"".join(raw)]
    if kind == "boolean":
        return [valid, _bits([bool(cell) for cell in cells])]
    numbers = [0 if cell is None else cell for cell in cells]
    return [valid, np.array(numbers, np.int64 if kind == "integer" else np.float64).tobytes()]
