"""Reading a stream of record batches as it comes in: messages are cut out, batches give rows of Python values."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from relevo.arrow.columns import Buffers, Values, values_of
from relevo.arrow.flat import MOST, DamagedError, Table, UnfitError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 64 << 20
"""Bytes of one batch at most; it is held in memory while its rows are taken."""
MOST_ROWS = 1 << 20
_HEADER = 1 << 20  # bytes of a message's description at most
_MARK = b"\xff\xff\xff\xff"
_FRAME = 8
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


class _Field(NamedTuple):
    name: str
    type: Table | None
    number: int
    """Of the type, in Schema.fbs."""
    dictionary: int | None
    numbers: Table | None
    """Type of the numbers that stand for a dictionary's levels."""


class Batch(NamedTuple):
    """A batch's rows, taken a part at a time."""

    rows: int
    columns: list[Values]

    def part(self, start: int, stop: int) -> Iterator[tuple[object, ...]]:
        """Rows from ``start`` to before ``stop``; raises ``DamagedError``."""
        return zip(*(column.part(start, stop) for column in self.columns), strict=True)


class Reader:
    """Takes bytes and gives batches. ``names`` is None until the schema has come."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        self.ended = False
        self._fields: list[_Field] = []
        self._dictionaries: dict[int, Values] = {}
        self._pending = bytearray()
        self._wanted = _FRAME
        self._message: Table | None = None
        self._body = False

    def feed(self, piece: bytes) -> Iterator[Batch]:
        """Take bytes; raises ``DamagedError`` and ``UnfitError``."""
        view = memoryview(piece)
        while view and not self.ended:
            taken = view[: self._wanted - len(self._pending)]
            self._pending += taken
            view = view[len(taken) :]
            if len(self._pending) == self._wanted:
                data = bytes(self._pending)
                self._pending.clear()
                try:
                    batch = self._take(data)
                except (OverflowError, ValueError, TypeError) as error:
                    raise DamagedError(str(error)) from error
                if batch is not None:
                    yield batch

    @property
    def whole(self) -> bool:
        """Whether nothing is missing: the end mark may be left out, half a message may not."""
        return self.ended or (self.names is not None and not self._pending and self._wanted == _FRAME)

    def _take(self, data: bytes) -> Batch | None:
        if self._message is None and self._wanted == _FRAME and not self._body:
            self._frame(data)
            return None
        if self._message is None:
            self._message = Table.root(data)
            size = self._message.scalar(3, "q")
            if not 0 <= size <= LARGEST:
                raise UnfitError(
                    t("a batch has more than {limit} bytes; send smaller batches", limit=LARGEST)
                )
            self._wanted = size
            if size:
                return None
            data = b""
        message, self._message = self._message, None
        self._wanted, self._body = _FRAME, False
        return self._understand(message, data)

    def _frame(self, data: bytes) -> None:
        size = struct.unpack("<i", data[4:])[0]
        if data[:4] != _MARK or not 0 <= size <= _HEADER:
            raise UnfitError(t("this is not Arrow's IPC stream format"))
        if size == 0:
            self.ended = True
        else:
            self._wanted, self._body = size, True

    def _understand(self, message: Table, body: bytes) -> Batch | None:
        kind, head = message.scalar(1, "B"), message.table(2)
        if head is None:
            raise DamagedError("a message without a header")
        if (kind == _SCHEMA) != (self.names is None):
            raise DamagedError("the schema must come once, and first")
        if kind == _SCHEMA:
            self._read_schema(head)
        elif kind == _BATCH:
            return self._read_batch(head, body)
        elif kind == _DICTIONARY:
            self._read_dictionary(head, body)
        else:
            raise DamagedError("a message that is no schema, dictionary or batch")
        return None

    def _read_schema(self, head: Table) -> None:
        if head.scalar(0, "h"):
            raise DamagedError("big-endian numbers")
        for field in head.tables(1):
            dictionary = field.table(4)
            self._fields.append(
                _Field(
                    field.text(0),
                    field.table(3),
                    field.scalar(2, "B"),
                    None if dictionary is None else dictionary.scalar(0, "q"),
                    None if dictionary is None else dictionary.table(1),
                )
            )
        names = [field.name for field in self._fields]
        self.names = names

    def _read_dictionary(self, head: Table, body: bytes) -> None:
        number, batch = head.scalar(0, "q"), head.table(1)
        field = next((f for f in self._fields if f.dictionary == number), None)
        if field is None or batch is None or head.scalar(2, "B"):
            raise DamagedError("a dictionary of no column, or a piece of one")
        rows, buffers = _content(batch, body)
        self._dictionaries[number] = values_of(field.name, field.number, field.type, rows, buffers)
        if sum(one.size for one in self._dictionaries.values()) > LARGEST:
            raise UnfitError(t("a batch has more than {limit} bytes; send smaller batches", limit=LARGEST))

    def _read_batch(self, head: Table, body: bytes) -> Batch:
        rows, buffers = _content(head, body)
        columns = []
        for field in self._fields:
            if field.dictionary is None:
                columns.append(values_of(field.name, field.number, field.type, rows, buffers))
            else:
                levels = self._dictionaries.get(field.dictionary)
                if levels is None:
                    raise DamagedError("a dictionary is missing")
                columns.append(values_of(field.name, 2, field.numbers, rows, buffers, levels))
        return Batch(rows if columns else 0, columns)


def _content(batch: Table, body: bytes) -> tuple[int, Buffers]:
    rows = batch.scalar(0, "q")
    if not 0 <= rows <= MOST_ROWS:
        raise UnfitError(t("a batch has more than {limit} rows; send smaller batches", limit=MOST_ROWS))
    if batch.table(3) is not None:
        raise UnfitError(t("its batches are compressed; send them plain"))
    views = [count for (count,) in batch.numbers(4, 1)]
    if sum(views) > MOST:
        raise DamagedError("too many buffers")
    return rows, Buffers(body, batch.numbers(1, 2), batch.numbers(2, 2), views)
