"""One file as a SELECT: columns of text, then ``_row``, ``_defect`` and ``_line``."""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relevo import header, interrupts
from relevo.casting import literal
from relevo.errors import DataError, RelevoError
from relevo.lake import escape_glob, explained
from relevo.reading import careful, jsonl
from relevo.reading.files import (
    CHUNK,
    LONGEST,
    NO_NULL,
    File,
    Layout,
    columns_of,
    is_utf8,
    opened,
    readable,
    scratch_file,
)
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract
    from relevo.sources import Files

T = TypeVar("T")
ROW, DEFECT, LINE = "_row", "_defect", "_line"
RESERVED = ("_source", "_batch", "_file", "_reading", "_ingested_at", ROW, DEFECT, LINE)
DELIMITERS = (",", ";", "\t", "|")
HEADER_LINES = 20
_EXCEL = re.compile(r"\ufeff?\"?(sep=.)\"?\s*", re.IGNORECASE)
"""A first line that tells Excel alone what parts the cells."""
NO_DELIMITER = "\x1f"


@dataclass(frozen=True)
class Reading:
    """A file's columns and the SELECT that gives them, as text, beside ``_row``, ``_defect`` and ``_line``.

    ``certain`` says that damaged rows come out as defects; otherwise the first one ends the query with an
    error, and the file must be read again carefully.
    """

    columns: tuple[str, ...]
    sql: str
    certain: bool


def inspect(connection: DuckDBPyConnection, file: File, source: Files, contract: Contract) -> Layout:
    """Look at a file's header; raises ``DataError`` when it is empty or lacks a column of the contract."""
    if file.format == "jsonl":
        is_utf8(source.encoding, file.path)
        return Layout(())
    layout = (
        _parquet_layout(connection, file)
        if file.format == "parquet"
        else _csv_layout(connection, file, source, contract)
    )
    added = () if source.origin is None else (source.origin,)
    header.check(contract, (*layout.columns, *added), place=str(file.path))
    return layout


def retried(
    connection: DuckDBPyConnection,
    file: File,
    source: Files,
    contract: Contract,
    scratch: Path,
    use: Callable[[Reading], T],
) -> T:
    """Read a file fast and, when it turns out to have damaged rows, again carefully; ``use`` may run twice.

    ``scratch`` is an empty folder of the caller's, which holds what must be converted as long as rows are read.
    """
    import duckdb

    layout = inspect(connection, file, source, contract)
    reading = read(connection, file, source, contract, scratch, layout=layout)
    for again in (False, True):
        try:
            with interrupts.heard():
                return use(reading)
        except RelevoError:
            raise
        except Exception as error:
            text = str(error)
            foreign = isinstance(error, duckdb.Error) or "C Data interface" in text
            if not foreign or again or reading.certain:
                raise DataError(
                    t(
                        "{file}: it cannot be read: {error}.",
                        file=file.path,
                        error=text.splitlines()[0].rstrip("."),
                    )
                ) from error
        reading = read(connection, file, source, contract, scratch, layout=layout, with_care=True)
    raise AssertionError(file)


def read(
    connection: DuckDBPyConnection,
    file: File,
    source: Files,
    contract: Contract,
    scratch: Path,
    *,
    layout: Layout,
    with_care: bool = False,
) -> Reading:
    """Prepare a file for reading. ``with_care`` finds the rows that are damaged; else one ends the query."""
    if file.format == "parquet":
        return _parquet(connection, file, layout)
    if file.format == "jsonl":
        return _jsonl(connection, file, source, contract, scratch)
    if with_care or not layout.orderly:
        return _careful(connection, file, source, scratch, layout)
    path, packed = file.path, file.packed
    if not is_utf8(source.encoding, path):
        path, packed = _recoded(file, source, scratch), ""
    names = [f"c{place}" for place in range(len(layout.columns))]
    dialect = Dialect(layout.delimiter, source.quote, source.escape)
    relation = csv_relation(path, names, dialect, header=True, packed=packed)
    cells = ", ".join(f"{n} as {quote(column)}" for n, column in zip(names, layout.columns, strict=True))
    return Reading(layout.columns, f"select {cells}, {numbered()} from {relation}", certain=False)


def numbered(number: str = "row_number() over ()") -> str:
    """Write what stands beside the cells of undamaged rows; ``number`` is SQL too."""
    return f"{number} as {ROW}, cast(null as varchar) as {DEFECT}, cast(null as varchar) as {LINE}"


def _careful(
    connection: DuckDBPyConnection, file: File, source: Files, scratch: Path, layout: Layout
) -> Reading:
    made = scratch / "careful.csv"
    names = [f"c{place}" for place in range(len(layout.columns))]
    with _whole(connection, file, source, scratch) as text, scratch_file(made) as out:
        careful.rewrite(text, out, len(names), layout.delimiter, source, file)
    quoting = source.quote or '"'
    dialect = Dialect(layout.delimiter, quoting, quoting)
    relation = csv_relation(made, ["r", "d", "l", *names], dialect, longest=4 * LONGEST, more=OURS)
    cells = ", ".join(
        f"case when d = '' then {name} end as {quote(column)}"
        for name, column in zip(names, layout.columns, strict=True)
    )
    return Reading(layout.columns, f"select {cells}, {_REST} from {relation}", certain=True)


class Dialect(NamedTuple):
    """How a CSV file is written."""

    delimiter: str
    quote: str
    escape: str


_REST = f"cast(r as bigint) as {ROW}, nullif(d, '') as {DEFECT}, case when d <> '' then l end as {LINE}"
OURS = ", new_line = '\\n'"
"""Only for files that we wrote: told a wrong line end, DuckDB 2.0 reads nothing and says nothing."""
_COMPRESSION = {"": "none", ".gz": "gzip", ".zst": "zstd"}


def csv_relation(
    path: Path,
    names: Sequence[str],
    dialect: Dialect,
    *,
    header: bool = False,
    packed: str = "",
    longest: int = LONGEST,
    more: str = "",
) -> str:
    """Write a CSV file as a relation of texts; ``more`` are further options."""
    options = {
        "columns": "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}",
        "header": str(header).lower(),
        "delim": literal(dialect.delimiter),
        "quote": literal(dialect.quote),
        "escape": literal(dialect.escape if dialect.quote else ""),
        "max_line_size": str(longest),
        "buffer_size": str(16 * LONGEST),
        "nullstr": literal(NO_NULL),
        "compression": literal(_COMPRESSION[packed]),
        "auto_detect": "false",
        "strict_mode": "true",
    }
    written = ", ".join(f"{name} = {value}" for name, value in options.items())
    return f"read_csv({literal(escape_glob(str(path)))}, {written}{more})"


def _recoded(file: File, source: Files, scratch: Path) -> Path:
    if file.packed == ".zst":
        raise DataError(
            t("{file}: only UTF-8 can be read inside .zst. Unpack it, or use .gz.", file=file.path)
        )
    made = scratch / "recoded.csv"
    with opened(file.path, file.packed, source.encoding) as text, scratch_file(made) as out:
        while chunk := text.read(CHUNK):
            out.write(chunk)
    return made


@contextmanager
def _whole(connection: DuckDBPyConnection, file: File, source: Files, scratch: Path) -> Iterator[TextIO]:
    """Open a file as text; Zstandard, which Python has from 3.14 on, is unpacked by DuckDB line by line."""
    if file.packed != ".zst":
        with opened(file.path, file.packed, source.encoding) as text:
            yield text
        return
    made = scratch / "unpacked.txt"
    with explained(made), _engine(file):
        connection.execute(
            f"copy (select l from {_zst_lines(file)}) to {literal(str(made))} "
            f"(format csv, header false, quote '', escape '', delimiter '{NO_DELIMITER}', compression 'none')"
        )
    with opened(made, "", "utf-8") as text:
        yield text


def _zst_lines(file: File) -> str:
    return (
        f"read_csv({literal(escape_glob(str(file.path)))}, columns = {{'l': 'VARCHAR'}}, header = false, "
        f"delim = '{NO_DELIMITER}', quote = '', escape = '', nullstr = {literal(NO_NULL)}, compression = 'zstd', "
        f"auto_detect = false, strict_mode = true)"
    )


@contextmanager
def _start(connection: DuckDBPyConnection, file: File, source: Files) -> Iterator[TextIO]:
    if file.packed == ".zst":
        with _engine(file):
            lines = connection.execute(f"select l from {_zst_lines(file)} limit {HEADER_LINES}").fetchall()
        yield io.StringIO("".join(f"{line}\n" for (line,) in lines))
    else:
        with opened(file.path, file.packed, source.encoding) as text:
            yield text


def _csv_layout(connection: DuckDBPyConnection, file: File, source: Files, contract: Contract) -> Layout:
    _check_dialect(file, source)
    with _start(connection, file, source) as text:
        lines = [text.readline(LONGEST) for _ in range(HEADER_LINES)]
    first = next((place for place, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise DataError(t("{file}: it is empty. Put a header and rows into it.", file=file.path))
    if mark := _EXCEL.fullmatch(lines[first]):
        raise DataError(
            t(
                "{file}: line {line} is Excel's “{mark}” and no header. Remove that line.",
                file=file.path,
                line=first + 1,
                mark=mark[1],
            )
        )
    best: tuple[int, int, Layout] | None = None
    for delimiter in (source.delimiter,) if source.delimiter else DELIMITERS:
        cells = _cells(lines[first:], delimiter, source, file)
        score = len(header.match(contract, cells)), len(cells)
        if best is None or score > best[:2]:
            # below a header of several lines DuckDB 2.0 reads nothing and says nothing
            one = not any(end in cell for cell in cells for end in "\r\n")
            best = *score, Layout(tuple(cells), delimiter, orderly=first == 0 and one)
    assert best is not None
    layout = best[2]
    return Layout(columns_of(layout.columns, str(file.path), RESERVED), layout.delimiter, layout.orderly)


def _check_dialect(file: File, source: Files) -> None:
    wrong = source.delimiter is not None and len(source.delimiter) != 1
    if wrong or len(source.quote) > 1 or len(source.escape) > 1:
        raise DataError(
            t(
                "{file}: delimiter, quote and escape are one character each. Correct its Files(…).",
                file=file.path,
            )
        )


def _cells(lines: Sequence[str], delimiter: str, source: Files, file: File) -> list[str]:
    same = source.escape in (source.quote, "")
    try:
        return next(
            csv.reader(
                lines,
                delimiter=delimiter,
                quotechar=source.quote or None,
                quoting=csv.QUOTE_MINIMAL if source.quote else csv.QUOTE_NONE,
                doublequote=same,
                escapechar=None if same else source.escape,
            )
        )
    except csv.Error as error:
        raise DataError(
            t("{file}: its first line is no header ({error}). Is it a CSV file?", file=file.path, error=error)
        ) from error


def _parquet_layout(connection: DuckDBPyConnection, file: File) -> Layout:
    if not file.path.stat().st_size:
        raise DataError(t("{file}: it is empty. Put a header and rows into it.", file=file.path))
    with _engine(file):
        found = connection.execute(
            f"select name from parquet_schema({literal(escape_glob(str(file.path)))})"
        ).fetchall()
        described = connection.execute(f"describe select * from {_parquet_file(file)}").fetchall()
    names = [str(name) for (name,) in found]
    columns = [str(row[0]) for row in described[:-1]]
    doubled = [name for name in names[1:] if names[1:].count(name) > 1 and name in columns]
    return Layout(columns_of(columns + doubled[:1], str(file.path), RESERVED))


def _parquet_file(file: File) -> str:
    path = literal(escape_glob(str(file.path)))
    return f"read_parquet({path}, hive_partitioning = false, file_row_number = true)"


def _parquet(connection: DuckDBPyConnection, file: File, layout: Layout) -> Reading:
    with _engine(file):
        described = connection.execute(f"describe select * from {_parquet_file(file)}").fetchall()
    nested = ("STRUCT", "MAP", "LIST", "UNION")
    cells = []
    for (name, kind, *_), column in zip(described[:-1], layout.columns, strict=True):
        json = str(kind).startswith(nested) or str(kind).endswith("]")
        value = f"to_json({quote(name)})" if json else quote(name)
        cells.append(f"cast({value} as varchar) as {quote(column)}")
    rest = numbered("file_row_number + 1")
    return Reading(
        layout.columns, f"select {', '.join(cells)}, {rest} from {_parquet_file(file)}", certain=True
    )


def _jsonl(
    connection: DuckDBPyConnection, file: File, source: Files, contract: Contract, scratch: Path
) -> Reading:
    made = scratch / "lines.csv"
    with _whole(connection, file, source, scratch) as text, scratch_file(made) as out:
        keys = jsonl.rewrite(text, out, file, LONGEST)
    if not keys:
        raise DataError(t("{file}: there is no JSON object in it. Put one on each line.", file=file.path))
    columns = columns_of(keys, str(file.path), RESERVED)
    header.check(contract, columns, place=str(file.path))
    names = [f"c{place}" for place in range(len(columns))]
    more = f"{OURS}, null_padding = true, allow_quoted_nulls = false, parallel = false"
    relation = csv_relation(
        made, ["r", "d", "l", *names], Dialect(",", '"', '"'), longest=4 * LONGEST, more=more
    )
    cells = ", ".join(f"{name} as {quote(column)}" for name, column in zip(names, columns, strict=True))
    return Reading(columns, f"select {cells}, {_REST} from {relation}", certain=True)


@contextmanager
def _engine(file: File) -> Iterator[None]:
    import duckdb

    with readable(file.path):
        try:
            yield
        except duckdb.Error as error:
            raise DataError(
                t(
                    "{file}: it is not a readable {format} file ({error}).",
                    file=file.path,
                    format=file.format,
                    error=str(error).splitlines()[0].rstrip("."),
                )
            ) from error
