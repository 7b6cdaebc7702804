r"""Rows that come from no file, staged as a CSV of our own: every cell is a text or null.

A Python value becomes the text that a contract reads: ``true``, ``2017-01-31 23:30:00``, the digits of a
number; bytes are ``\x…`` in hexadecimals, lists and mappings are JSON, and a time with a zone keeps it.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from relevo import header
from relevo.casting import literal
from relevo.errors import DataError
from relevo.reading.files import LONGEST, NO_NULL, columns_of, scratch_file
from relevo.reading.rows import OURS, RESERVED, Dialect, Reading, csv_relation, numbered
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract

COPIED = f"(format csv, header false, force_quote *, nullstr {literal(NO_NULL)})"


def text(value: Any) -> str | None:
    """Write a Python value as a cell."""
    if value is None or isinstance(value, str):
        return value
    for kind, written in _WRITTEN:
        if isinstance(value, kind):
            return written(value)
    return str(value)


_WRITTEN: tuple[
    tuple[Any, Callable[[Any], str]], ...
] = (  # the first that fits: a boolean is also an integer
    (bool, lambda value: str(value).lower()),
    (int | float, str),
    (datetime, lambda value: str(value.isoformat(" "))),
    (date, lambda value: str(value.isoformat())),
    (bytes | bytearray | memoryview, lambda value: "\\x" + bytes(value).hex()),
    (dict | list | tuple, lambda value: json.dumps(value, ensure_ascii=False, default=text)),
)


def write(path: Path, rows: Iterable[Sequence[Any]], place: str) -> None:
    """Write rows to a new file; raises ``DataError`` about ``place`` when a text is none."""
    with scratch_file(path) as out:
        for number, row in enumerate(rows, 1):
            cells = [NO_NULL if (cell := text(value)) is None else _quoted(cell) for value in row]
            try:
                out.write(",".join(cells) + "\n")
            except UnicodeEncodeError as error:
                raise DataError(
                    t(
                        "{place}, row {row}: half of a surrogate pair, which is no text.",
                        place=place,
                        row=number,
                    )
                ) from error


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def relation(path: Path, columns: Sequence[str]) -> str:
    """Write the SQL of a staged file's rows."""
    names = [f"c{place}" for place in range(len(columns))]
    more = f"{OURS}, allow_quoted_nulls = false"
    source = csv_relation(path, names, Dialect(",", '"', '"'), longest=4 * LONGEST, more=more)
    cells = ", ".join(f"{name} as {quote(column)}" for name, column in zip(names, columns, strict=True))
    return f"(select {cells} from {source})"


def copy(connection: DuckDBPyConnection, query: str, path: Path) -> None:
    """Stage the rows of a query whose columns are all texts, in its order."""
    connection.execute(f"copy ({query}) to {literal(str(path))} {COPIED}")


def read(path: Path, names: Sequence[str], contract: Contract, place: str) -> Reading:
    """Prepare a staged file for reading; raises ``DataError`` about the columns of ``place``."""
    columns = columns_of(names, place, RESERVED)
    header.check(contract, columns, place=place)
    return Reading(columns, f"select *, {numbered()} from {relation(path, columns)}", certain=True)
