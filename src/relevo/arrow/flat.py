"""FlatBuffers, read with every place checked and written with every field in eight bytes of its own.

A table begins with the distance back to its vtable; the vtable holds its own size, the table's, and for each
field the distance from the table's beginning, 0 where the field is absent. All is little-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 10_000
"""Entries of a vector at most: columns, buffers."""
_WORD = 8


class DamagedError(Exception):
    """The bytes are not what they should be; the text is a detail for who makes them."""


class UnfitError(Exception):
    """The bytes are in order, but nothing that is read here; the text is a sentence for the caller."""


class Table(NamedTuple):
    """A table at ``place`` of ``data``. Every method raises ``DamagedError`` on a place that is outside."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that a message begins with."""
        return cls(data, _unpack("<I", data, 0))

    def scalar(self, field: int, form: str, default: Any = 0) -> Any:
        """A number by its ``struct`` letter."""
        place = self._find(field)
        return default if place is None else _unpack("<" + form, self.data, place)

    def table(self, field: int) -> Table | None:
        """A table that this one refers to."""
        place = self._find(field)
        return None if place is None else self._follow(place)

    def text(self, field: int) -> str:
        """A text, empty where absent."""
        place = self._find(field)
        if place is None:
            return ""
        start = self._follow(place).place
        size = _unpack("<I", self.data, start)
        found = self.data[start + 4 : start + 4 + size]
        if len(found) != size:
            raise DamagedError("a text goes beyond its message")
        return found.decode(errors="replace")

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        count, start = self._vector(field)
        return [self._follow(start + 4 * number) for number in range(count)]

    def numbers(self, field: int, each: int) -> list[tuple[int, ...]]:
        """A vector of structures of ``each`` 64-bit integers."""
        count, start = self._vector(field)
        form = f"<{each}q"
        return [_unpack_all(form, self.data, start + 8 * each * number) for number in range(count)]

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._find(field)
        if place is None:
            return 0, 0
        start = self._follow(place).place
        count = _unpack("<I", self.data, start)
        if count > MOST:
            raise DamagedError(f"more than {MOST} entries in a list")
        return count, start + 4

    def _follow(self, place: int) -> Table:
        return Table(self.data, place + _unpack("<I", self.data, place))

    def _find(self, field: int) -> int | None:
        vtable = self.place - _unpack("<i", self.data, self.place)
        entry = 4 + 2 * field
        if entry + 2 > _unpack("<H", self.data, vtable):
            return None
        distance = _unpack("<H", self.data, vtable + entry)
        return self.place + distance if distance else None


def _unpack(form: str, data: bytes, place: int) -> Any:
    return _unpack_all(form, data, place)[0]


def _unpack_all(form: str, data: bytes, place: int) -> tuple[Any, ...]:
    if place < 0:  # struct would count from the end
        raise DamagedError("a place before the message")
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        raise DamagedError("a place beyond the message") from None


Scalar = tuple[str, int]
"""A ``struct`` letter and its number."""


class Draft:
    """A message being written, forwards: a table comes before what it refers to."""

    def __init__(self) -> None:
        self._data = bytearray(4)

    def done(self) -> bytes:
        """The message, padded to eight bytes; its root is the first table written."""
        self._pad(0)
        return bytes(self._data)

    def table(self, *fields: Scalar | Callable[[], int] | None) -> int:
        """Write a table of fields in their order: numbers, functions that write what is referred to, None if absent."""
        present = [field is not None for field in fields]
        width = 4 + _WORD * len(fields)
        root = len(self._data) == 4  # noqa: PLR2004 - nothing but the place of the root
        self._pad(0)
        vtable = len(self._data)
        entries = [4 + _WORD * n if here else 0 for n, here in enumerate(present)]
        self._data += struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), width, *entries)
        self._pad(4)  # so that the fields behind the first four bytes stand at multiples of eight
        place = len(self._data)
        self._data += struct.pack("<i", place - vtable) + bytes(width - 4)
        if root:
            struct.pack_into("<I", self._data, 0, place)
        for number, field in enumerate(fields):
            at = place + 4 + _WORD * number
            if isinstance(field, tuple):
                struct.pack_into("<" + field[0], self._data, at, field[1])
            elif field is not None:
                struct.pack_into("<I", self._data, at, field() - at)
        return place

    def text(self, text: str) -> int:
        """Write a text."""
        self._pad(4)
        place = len(self._data)
        raw = text.encode()
        self._data += struct.pack("<I", len(raw)) + raw + b"\0"
        return place

    def tables(self, makers: Sequence[Callable[[], int]]) -> int:
        """Write a vector of tables."""
        self._pad(4)
        place = len(self._data)
        self._data += struct.pack("<I", len(makers)) + bytes(4 * len(makers))
        for number, make in enumerate(makers):
            at = place + 4 + 4 * number
            struct.pack_into("<I", self._data, at, make() - at)
        return place

    def numbers(self, rows: Sequence[tuple[int, ...]]) -> int:
        """Write a vector of structures of 64-bit integers."""
        self._pad(4)
        place = len(self._data)
        flat = [number for row in rows for number in row]
        self._data += struct.pack(f"<I{len(flat)}q", len(rows), *flat)
        return place

    def _pad(self, remainder: int) -> None:
        self._data += bytes((remainder - len(self._data)) % _WORD)
