"""What goes out for the rows of a stream: CSV, JSON lines or Arrow, one line or row for each row in.

An entry is an answer as ``Predict.logged`` gives it, or a sentence that stands in its place. ``last`` says why
a stream ends before its body does, in a row without a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import orjson

from relevo.arrow.writing import END, Column, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

Entry = bytes | str
COLUMNS = (
    Column("row", "integer"),
    Column("id", "text"),
    Column("probability", "double"),
    Column("decision", "boolean"),
    Column("label", "text"),
    Column("version", "text"),
    Column("error", "text"),
)
_NAMES = [column.name for column in COLUMNS]


class Outgoing(Protocol):
    """What a format does; all give bytes."""

    def head(self) -> bytes:
        """Write what comes before the rows."""

    def rows(self, first: int, entries: Sequence[Entry]) -> bytes:
        """Write rows numbered from ``first``."""

    def last(self, error: str) -> bytes:
        """Write the row that says why there are no more."""

    def tail(self) -> bytes:
        """Write what comes after the rows."""


class CsvRows:
    """RFC 4180, with a header."""

    def __init__(self, version: str) -> None:
        self._version = version

    def head(self) -> bytes:
        """Write the header."""
        return ",".join(_NAMES).encode() + b"\n"

    def rows(self, first: int, entries: Sequence[Entry]) -> bytes:
        """Write rows numbered from ``first``."""
        return "".join(
            f"{number},{self._cells(entry)}\n" for number, entry in enumerate(entries, first)
        ).encode()

    def last(self, error: str) -> bytes:
        """Write the row that says why there are no more."""
        return f",{self._cells(error)}\n".encode()

    def tail(self) -> bytes:
        """Write nothing."""
        return b""

    def _cells(self, entry: Entry) -> str:
        if isinstance(entry, str):
            return f",,,,{self._version},{_quoted(entry)}"
        answer = orjson.loads(entry)
        decision = "true" if answer["decision"] else "false"
        label = _quoted(answer["label"])
        return f"{answer['id']},{answer['probability']!r},{decision},{label},{self._version},"


def _quoted(text: str) -> str:
    if any(mark in text for mark in ',"\r\n;\t'):
        return '"' + text.replace('"', '""') + '"'
    return text


class JsonRows:
    """One object a line."""

    def __init__(self, version: str) -> None:
        self._version = orjson.dumps(version)

    def head(self) -> bytes:
        """Write nothing."""
        return b""

    def rows(self, first: int, entries: Sequence[Entry]) -> bytes:
        """Write rows numbered from ``first``."""
        return b"".join(
            self._refused(b"%d" % number, entry)
            if isinstance(entry, str)
            else b'{"row":%d,%b\n' % (number, entry[1:])
            for number, entry in enumerate(entries, first)
        )

    def last(self, error: str) -> bytes:
        """Write the row that says why there are no more."""
        return self._refused(b"null", error)

    def tail(self) -> bytes:
        """Write nothing."""
        return b""

    def _refused(self, row: bytes, error: str) -> bytes:
        return b'{"row":%b,"version":%b,"error":%b}\n' % (row, self._version, orjson.dumps(error))


class ArrowRows:
    """A record batch for each part."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._writer = Writer(COLUMNS)

    def head(self) -> bytes:
        """Write the schema."""
        return self._writer.head()

    def rows(self, first: int, entries: Sequence[Entry]) -> bytes:
        """Write rows numbered from ``first``."""
        numbers: list[int | None] = [*range(first, first + len(entries))]
        return self._batch(numbers, entries)

    def last(self, error: str) -> bytes:
        """Write the row that says why there are no more."""
        return self._batch([None], [error])

    def tail(self) -> bytes:
        """Write the end mark."""
        return END

    def _batch(self, numbers: list[int | None], entries: Sequence[Entry]) -> bytes:
        answers: list[dict[str, Any]] = [
            {"error": entry} if isinstance(entry, str) else orjson.loads(entry) for entry in entries
        ]
        columns = [[answer.get(name) for answer in answers] for name in _NAMES]
        columns[0], columns[5] = numbers, [self._version] * len(entries)
        return self._writer.batch(columns)
