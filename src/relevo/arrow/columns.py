"""One column of a batch: its buffers, checked, and the Python values that they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from relevo.arrow.flat import DamagedError, Table, UnfitError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NULL, _INT, _FLOAT, _UTF8, _BOOL, _DATE, _TIMESTAMP = 1, 2, 3, 5, 6, 8, 10
_LARGE_UTF8, _UTF8_VIEW = 20, 24
_UNITS = ("s", "ms", "us", "ns")
_PER_SECOND = {"s": 1, "D": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 to 9999. A time farther away stays the number that it was, which the validator refuses."""
_INLINE = 12  # bytes of a text that a view holds itself


class Buffers:
    """A batch's buffers, taken in the order of its columns."""

    def __init__(
        self,
        body: bytes,
        nodes: Sequence[tuple[int, ...]],
        places: Sequence[tuple[int, ...]],
        views: Sequence[int],
    ) -> None:
        self._body = memoryview(body)
        self._nodes, self._places, self._views = iter(nodes), iter(places), iter(views)

    def node(self, rows: int) -> int:
        """Take a column's node; gives how many of its values are null."""
        length, nulls = next(self._nodes, (-1, 0))
        if length != rows or not 0 <= nulls <= rows:
            raise DamagedError("a column of another length than its batch")
        return nulls

    def take(self) -> memoryview:
        """Take the next buffer."""
        offset, length = next(self._places, (-1, 0))
        if offset < 0 or length < 0 or offset + length > len(self._body):
            raise DamagedError("a buffer beyond its batch")
        return self._body[offset : offset + length]

    def take_views(self) -> list[memoryview]:
        """Take the buffers that a column of views refers to."""
        count = next(self._views, -1)
        if count < 0:
            raise DamagedError("a column of views without its buffers")
        return [self.take() for _ in range(count)]


class Values(Protocol):
    """A column of ``rows`` values; ``size`` is how many bytes are held."""

    rows: int
    size: int

    def part(self, start: int, stop: int) -> list[Any]:
        """Give the values from ``start`` to before ``stop``."""


def values_of(
    name: str, kind: int, type_: Table | None, rows: int, buffers: Buffers, levels: Values | None = None
) -> Values:
    """Read a column of the type number ``kind`` of Schema.fbs; ``levels`` are what a dictionary's numbers mean."""
    nulls = buffers.node(rows)
    if kind == _NULL:
        return _Nulls(rows)
    if type_ is None:
        raise DamagedError("a column without a type")
    valid = _Valid(buffers.take(), nulls, rows)
    if kind in (_UTF8, _LARGE_UTF8):
        return _Texts(
            valid, _numbers(buffers.take(), "<i4" if kind == _UTF8 else "<i8", rows + 1), buffers.take()
        )
    if kind == _UTF8_VIEW:
        return _Views(valid, _numbers(buffers.take(), "V16", rows), buffers.take_views())
    if kind == _BOOL:
        return _Flags(valid, buffers.take(), rows)
    found = _numeric(kind, type_)
    if found is None:
        raise UnfitError(
            t(
                "the column “{name}” is of a type that is not read; send texts, numbers, booleans or times",
                name=name[:100],
            )
        )
    plain = _Plain(valid, _numbers(buffers.take(), found[0], rows), found[1])
    return plain if levels is None else _Levels(plain, levels)


def _numeric(kind: int, type_: Table) -> tuple[str, str] | None:
    """Give numpy's type of a fixed-width column, and what becomes of its numbers."""
    if kind == _INT:
        width = type_.scalar(0, "i")
        sign = "i" if type_.scalar(1, "B") else "u"
        return (f"<{sign}{width // 8}", "") if width in (8, 16, 32, 64) else None
    if kind == _FLOAT:
        precision = type_.scalar(0, "h")
        return (f"<f{2 << precision}", "" if precision == 2 else "short") if precision in (0, 1, 2) else None  # noqa: PLR2004
    if kind == _DATE:
        unit = type_.scalar(0, "h", 1)
        return ("<i4", "D") if unit == 0 else ("<i8", "ms+day")
    if kind == _TIMESTAMP:
        unit = type_.scalar(0, "h")
        if not 0 <= unit < len(_UNITS):
            return None
        return "<i8", _UNITS[unit] + ("+zone" if type_.text(1) else "")
    return None


def _numbers(buffer: memoryview, form: str, count: int) -> NDArray[Any]:
    if len(buffer) < count * np.dtype(form).itemsize:
        raise DamagedError("a buffer shorter than its column")
    return np.frombuffer(buffer, form, count)


class _Nulls:
    size = 0

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def part(self, start: int, stop: int) -> list[Any]:
        return [None] * (stop - start)


class _Valid:
    def __init__(self, bits: memoryview, nulls: int, rows: int) -> None:
        self.rows = rows
        self._bits = _numbers(bits, "u1", (rows + 7) // 8) if nulls else None

    def apply(self, values: list[Any], start: int) -> list[Any]:
        """Put None where the bitmap says so; ``values`` begin at row ``start``."""
        if self._bits is None:
            return values
        flags = _unpacked(self._bits, start, start + len(values))
        return [value if flag else None for value, flag in zip(values, flags, strict=True)]


def _unpacked(bits: NDArray[Any], start: int, stop: int) -> list[int]:
    first = start // 8
    found: list[int] = np.unpackbits(bits[first : (stop + 7) // 8], bitorder="little").tolist()
    return found[start - 8 * first : stop - 8 * first]


class _Flags:
    def __init__(self, valid: _Valid, bits: memoryview, rows: int) -> None:
        self._valid, self._bits = valid, _numbers(bits, "u1", (rows + 7) // 8)
        self.rows, self.size = rows, len(bits)

    def part(self, start: int, stop: int) -> list[Any]:
        return self._valid.apply([flag == 1 for flag in _unpacked(self._bits, start, stop)], start)


class _Plain:
    def __init__(self, valid: _Valid, numbers: NDArray[Any], meaning: str) -> None:
        self._valid, self._numbers, self._meaning = valid, numbers, meaning
        self.rows, self.size = valid.rows, numbers.nbytes

    def part(self, start: int, stop: int) -> list[Any]:
        return self._valid.apply(_meant(self._numbers[start:stop], self._meaning), start)


def _meant(numbers: NDArray[Any], meaning: str) -> list[Any]:
    """Numbers as they are; a short float as the double that its shortest decimal text means, as in files."""
    if not meaning:
        return numbers.tolist()  # type: ignore[no-any-return]
    if meaning == "short":
        return [float(str(number)) for number in numbers]
    unit, _, zone = meaning.partition("+")
    scale = _PER_SECOND[unit] / (86400 if unit == "D" else 1)
    moments = numbers.astype(f"datetime64[{unit}]").astype("datetime64[us]").tolist()
    found = [
        moment if _FIRST <= number / scale <= _LAST else str(number)
        for number, moment in zip(numbers.tolist(), moments, strict=True)
    ]
    if unit == "D" or zone == "day":
        return [one.date() if isinstance(one, datetime) else one for one in found]
    if zone:
        return [one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for one in found]
    return found


class _Texts:
    def __init__(self, valid: _Valid, offsets: NDArray[Any], data: memoryview) -> None:
        self._valid, self._offsets, self._data = valid, offsets, data
        self.rows, self.size = valid.rows, len(data) + offsets.nbytes

    def part(self, start: int, stop: int) -> list[Any]:
        ends = self._offsets[start : stop + 1].tolist()
        data, limit = self._data, len(self._data)
        if ends[0] < 0 or ends[-1] > limit or any(a > b for a, b in pairwise(ends)):
            raise DamagedError("texts beyond their buffer")
        texts = [_text(data[a:b]) for a, b in pairwise(ends)]
        return self._valid.apply(texts, start)


class _Views:
    def __init__(self, valid: _Valid, views: NDArray[Any], data: list[memoryview]) -> None:
        self._valid, self._views, self._data = valid, views, data
        self.rows = valid.rows
        self.size = views.nbytes + sum(len(one) for one in data)

    def part(self, start: int, stop: int) -> list[Any]:
        found = []
        for view in self._views[start:stop].tolist():
            size = int.from_bytes(view[:4], "little", signed=True)
            if size <= _INLINE:
                found.append(_text(view[4 : 4 + max(size, 0)]))
                continue
            number = int.from_bytes(view[8:12], "little", signed=True)
            offset = int.from_bytes(view[12:], "little", signed=True)
            if not 0 <= number < len(self._data) or not 0 <= offset <= len(self._data[number]) - size:
                raise DamagedError("texts beyond their buffer")
            found.append(_text(self._data[number][offset : offset + size]))
        return self._valid.apply(found, start)


def _text(raw: memoryview | bytes) -> str:
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise DamagedError("a text that is not UTF-8") from None


class _Levels:
    def __init__(self, indices: _Plain, levels: Values) -> None:
        self._indices, self._levels = indices, levels
        self.rows, self.size = indices.rows, indices.size

    def part(self, start: int, stop: int) -> list[Any]:
        wanted = self._indices.part(start, stop)
        found: list[Any] = []
        for index in wanted:
            if index is None:
                found.append(None)
                continue
            level = self._levels.part(index, index + 1) if 0 <= index < self._levels.rows else []
            if not level:
                raise DamagedError("a level that its dictionary lacks")
            found += level
        return found
