"""Open a file of any of the kinds that a source can read, and find out how it must be read."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

from relevo import reading
from relevo.casting import BLANKS, literal
from relevo.contract import Contract
from relevo.errors import DataError
from relevo.reading.files import CHUNK, LONGEST, PACKED, opened, readable
from relevo.reading.rows import DELIMITERS, HEADER_LINES
from relevo.scaffold.facts import Opened
from relevo.sources import SUFFIXES, Files, Format
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

ANY = Contract("file", ())
MOST_DAMAGED = 0.05
"""As ``Project.max_quarantined``: with more, the first run would stop."""
_FOREIGN = {
    b"PK\x03\x04": "Excel/zip",
    b"\xd0\xcf\x11\xe0": "Excel 97",
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"SQLite": "SQLite",
}


def open_file(connection: DuckDBPyConnection, path: Path, scratch: Path) -> Opened:
    """Read ``path`` into the table ``cells``; raises ``DataError`` when it holds no rows of columns."""
    if path.is_dir():
        raise DataError(t("{path} is a folder. Name one file of it.", path=path))
    if not path.is_file():
        raise DataError(t("There is no file {path}. Check --from.", path=path))
    source = _source(path)
    (file,) = reading.find(source, path.parent)
    if not path.stat().st_size:
        raise DataError(t("{file}: it is empty. Put a header and rows into it.", file=path))

    def load(found: reading.Reading) -> tuple[str, ...]:
        cells = ", ".join(
            f"{_trimmed(quote(column))} as c{place}" for place, column in enumerate(found.columns)
        )
        connection.execute(
            f"create or replace table cells as select {reading.ROW}, {reading.DEFECT}, {cells} from ({found.sql})"
        )
        return found.columns

    headers = reading.retried(connection, file, source, ANY, scratch, load)
    ((rows, damaged),) = connection.execute(f"select count(*), count({reading.DEFECT}) from cells").fetchall()
    _check(connection, path, headers, rows, damaged)
    return Opened(path, source, headers, rows, damaged)


def _trimmed(cell: str) -> str:
    """Trim a cell as cleaning does; most begin and end in plain ASCII, which is told by their two ends alone."""
    tight = f"{cell} >= '!' and {cell} < '\x7f' and {cell}[-1] between '!' and '~'"
    return f"case when {tight} then {cell} else nullif(trim({cell}, {literal(BLANKS)}), '') end"


def _check(
    connection: DuckDBPyConnection, path: Path, headers: tuple[str, ...], rows: int, damaged: int
) -> None:
    if not rows:
        raise DataError(t("{files}: there is a header but no row. Put rows below it.", files=path))
    if damaged > MOST_DAMAGED * rows:
        ((row, defect),) = connection.execute(
            f"select {reading.ROW}, {reading.DEFECT} from cells where {reading.DEFECT} is not null"
            f" order by {reading.ROW} limit 1"
        ).fetchall()
        raise DataError(
            t(
                "{file}: {damaged:,} of {rows:,} rows are damaged, first row {row}: {defect}. Correct the file.",
                file=path,
                damaged=damaged,
                rows=rows,
                row=row,
                defect=defect,
            )
        )
    if len(headers) < 2:  # noqa: PLR2004 - an outcome and something to tell it by
        raise DataError(
            t(
                "{file}: only one column was found, “{column}”. A target and at least one other column are needed;"
                " columns are told apart by a comma, a semicolon, a tab or |.",
                file=path,
                column=headers[0][:80],
            )
        )


def _source(path: Path) -> Files:
    """Say how to read a file, as one would write it in ``Files(…)``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in PACKED else ""
    known = SUFFIXES.get(suffixes[-1]) if suffixes else None
    with readable(path), path.open("rb") as file:
        start = file.read(65536)
    if known == "parquet" or start[:4] == b"PAR1":
        return Files(str(path), format=None if known else "parquet")
    if not packed:
        _check_text(path, start)
    encoding = "utf-8" if packed == ".zst" else _encoding(path, packed, start)
    source = Files(str(path), encoding=encoding)
    if known is None:
        source = replace(source, format=_kind(path, packed, encoding))
    if packed == ".zst" or (known or source.format) == "jsonl":
        return source
    with opened(path, packed, encoding) as text:
        lines = [text.readline(LONGEST) for _ in range(HEADER_LINES)]
    delimiter = _delimiter([line for line in lines if line.strip()])
    return source if delimiter == "," else replace(source, delimiter=delimiter)


def _check_text(path: Path, start: bytes) -> None:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    kind = next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), None)
    controls = sum(byte < 9 or 13 < byte < 32 for byte in start)  # noqa: PLR2004 - ASCII's control codes
    if kind is None and b"\0" not in start and controls <= len(start) / 100:
        return
    shown = f" ({kind})" if kind else ""
    raise DataError(
        t(
            "{file}: it is not a text file{kind}. Save it as CSV, Parquet or JSON lines, with the ending that says so.",
            file=path,
            kind=shown,
        )
    )


def _kind(path: Path, packed: str, encoding: str) -> Format:
    """Tell JSON lines from CSV by the first character; a JSON array is neither."""
    if packed == ".zst":
        return "csv"
    with opened(path, packed, encoding) as text:
        first = text.read(CHUNK).lstrip()[:1]
    if first == "[" and ".json" in path.suffixes:
        raise DataError(
            t("{file}: it is one JSON array. Write one object on each line (.jsonl) instead.", file=path)
        )
    return "jsonl" if first == "{" else "csv"


def _encoding(path: Path, packed: str, start: bytes) -> str:
    """UTF-8 if the whole file is; else UTF-16 by its mark, Windows' or Latin-1."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) and not packed:
        return "utf-16"
    highest = ""
    for encoding in ("utf-8", "cp1252"):
        try:
            with opened(path, packed, encoding) as text:
                while chunk := text.read(CHUNK):
                    highest = max(highest, *chunk) if encoding == "cp1252" else ""
        except DataError as error:
            if not isinstance(error.__cause__, UnicodeError):
                raise
            continue
        # what only Windows' code page has lies above the 256 letters of Latin-1
        return "latin-1" if encoding == "cp1252" and highest < "\u0100" else encoding
    return "latin-1"


def _delimiter(lines: list[str]) -> str:
    """The delimiter under which most rows have as many cells as the header, and the header most."""

    def score(delimiter: str) -> tuple[bool, float, int]:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return False, 0.0, 0
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / max(1, len(rows))
        return width > 1, alike, width

    return max(DELIMITERS, key=score)
