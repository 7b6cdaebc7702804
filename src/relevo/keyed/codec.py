"""Keys and cells of a keyed file as bytes, and back."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Row = tuple[Any, ...]

LONGEST = 511  # bytes of a key, LMDB's own limit
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)
_HALF = 1 << 63
_CODES = {"text": "I", "integer": "q", "double": "d", "boolean": "?", "date": "I", "timestamp": "q"}
UNFIT = (struct.error, UnicodeEncodeError)
"""What a key raises that no file can hold: an integer beyond 64 bits, half of a surrogate pair."""


class Key:
    """``encode`` turns a key into bytes, each key into others, sorting as the values do."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        encode = _key_encoder(self.types)
        self.encode: Callable[[Any], bytes] = encode if "text" not in self.types else _shortened(encode)


def _key_encoder(types: tuple[str, ...]) -> Callable[[Any], bytes]:
    """Compile the encoding of one key; the code is made of slot numbers only."""
    numbers = {
        "integer": "({} + half)",
        "boolean": "{}",
        "date": "{}.toordinal()",
        "timestamp": "({} - epoch) // microsecond + half",
    }
    codes = {"integer": "Q", "boolean": "?", "date": "I", "timestamp": "Q"}
    bound: dict[str, Any] = {"half": _HALF, "epoch": _EPOCH, "microsecond": _MICROSECOND}
    parts: list[str] = []
    packed: list[tuple[str, str]] = []

    def flush() -> None:
        if packed:
            name = f"pack{len(parts)}"
            bound[name] = struct.Struct(">" + "".join(code for code, _ in packed)).pack
            parts.append(f"{name}({', '.join(cell for _, cell in packed)})")
            packed.clear()

    for slot, kind in enumerate(types):
        value = "key" if len(types) == 1 else f"key[{slot}]"
        if kind == "text":
            flush()
            # The end of a text sorts before anything that may follow in a longer one.
            last = slot == len(types) - 1
            parts.append(
                f"{value}.encode() + b'\\0'"
                if last
                else f"{value}.replace('\\0', '\\0\\xff').encode() + b'\\0\\0'"
            )
        else:
            packed.append((codes[kind], numbers[kind].format(value)))
    flush()
    encode: Callable[[Any], bytes] = eval(f"lambda key: {' + '.join(parts)}", bound)  # noqa: S307 - slot numbers only
    return encode


def _shortened(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Put the SHA-256 of what is too long in place of its end; only such keys have ``LONGEST`` bytes."""

    def short(key: Any) -> bytes:
        encoded = encode(key)
        if len(encoded) < LONGEST:
            return encoded
        return encoded[: LONGEST - 32] + sha256(encoded).digest()

    return short


class Cells:
    """A row's other cells as a record, and back."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        width = (len(self.types) + 7) // 8
        self._struct = struct.Struct(f"<{width}s" + "".join(_CODES[kind] for kind in self.types))
        self._none = bytes(width)
        self._width = width
        self._plain = not {"text", "date", "timestamp"} & set(self.types)
        self._odd = [(slot, kind) for slot, kind in enumerate(self.types) if kind in ("date", "timestamp")]
        self._texts = [slot for slot, kind in enumerate(self.types) if kind == "text"]
        self._nulls: dict[bytes, tuple[int, ...]] = {self._none: ()}
        unpack = self._struct.unpack_from
        none = self._none

        def plain(data: bytes) -> Row:
            cells = unpack(data)
            return cells[1:] if cells[0] == none else self._full(cells, data)

        self.decode: Callable[[bytes], Row] = plain if self._plain else self._read

    def encode(self, row: Row) -> bytes:
        """Write a record; raises ``struct.error``, ``TypeError`` or the like on a cell of another type."""
        nulls = self._none
        if None in row:
            bits = sum(1 << slot for slot, value in enumerate(row) if value is None)
            nulls = bits.to_bytes(self._width, "little")
        elif self._plain:
            return self._struct.pack(nulls, *row)
        tail: list[bytes] = []
        cells = [
            0 if value is None else _to_cell(value, kind, tail)
            for value, kind in zip(row, self.types, strict=True)
        ]
        return self._struct.pack(nulls, *cells) + b"".join(tail)

    def _read(self, data: bytes) -> Row:
        return self._full(self._struct.unpack_from(data), data)

    def _full(self, cells: Row, data: bytes) -> Row:
        nulls, *row = cells
        at = self._struct.size
        for slot in self._texts:
            end = at + row[slot]
            row[slot] = data[at:end].decode()
            at = end
        gone = self._nulls.get(nulls)
        if gone is None:
            bits = int.from_bytes(nulls, "little")
            gone = self._nulls[nulls] = tuple(s for s in range(len(row)) if bits >> s & 1)
        for slot, kind in self._odd:
            if slot not in gone:
                value = row[slot]
                row[slot] = date.fromordinal(value) if kind == "date" else _EPOCH + value * _MICROSECOND
        for slot in gone:
            row[slot] = None
        return tuple(row)


def _to_cell(value: Any, kind: str, tail: list[bytes]) -> Any:
    if kind == "text":
        text = value.encode()
        tail.append(text)
        return len(text)
    if kind == "date":
        return value.toordinal()
    if kind == "timestamp":
        return (value - _EPOCH) // _MICROSECOND
    return value
