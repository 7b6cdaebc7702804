"""Rows to be compared, opened in an engine: what columns they have, and each as numbers or as texts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.casting import literal
from relevo.drift import BOOLEAN, NUMBER, TEXT, TIME
from relevo.errors import DataError
from relevo.lake import escape_glob, explained, reworded
from relevo.lake.engine import connect
from relevo.sources import SUFFIXES
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Given = str | Path | Mapping[str, NDArray[Any]]
    Floating = NDArray[np.float32] | NDArray[np.float64]

MEMORY = "512MB"
"""What the engine may hold, beside what is being counted; more goes to the disk."""
_SMALL = frozenset({"FLOAT", "TINYINT", "SMALLINT", "UTINYINT", "USMALLINT"})
"""Numbers that a float32 holds exactly."""
_LARGE = frozenset(
    {"DOUBLE", "DECIMAL", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"}
)
_TIMES = re.compile(r"DATE|TIME|TIMESTAMP")
_TEXTS = frozenset({"VARCHAR", "UUID", "ENUM"})
_READERS = {"csv": "read_csv", "parquet": "read_parquet", "jsonl": "read_json"}


@dataclass(frozen=True)
class Rows:
    """Rows in an engine. ``types`` are DuckDB's, by column; ``name`` is what an error calls them."""

    connection: DuckDBPyConnection
    name: str
    relation: str
    types: Mapping[str, str]
    count: int

    def kind(self, column: str) -> str | None:
        """Kind of a column's bins; None for one that holds lists, records or bytes."""
        base = self.types[column].partition("(")[0]
        if base in _SMALL or base in _LARGE:
            return NUMBER
        if base == "BOOLEAN":
            return BOOLEAN
        if base in _TEXTS or base == '"NULL"':
            return None if self.types[column].endswith("]") else TEXT
        return TIME if _TIMES.match(base) and not base.endswith("]") else None

    def empty(self, column: str) -> bool:
        """Whether it holds nothing but nulls."""
        return not self.query(f"select count({quote(column)}) from {self.relation}")[0][0]

    def numbers(self, columns: Sequence[str]) -> Iterator[list[Floating]]:
        """Stream numbers and times, some rows at a time: an array for each column, NaN where null."""
        from arro3.core import RecordBatchReader

        listed = ", ".join(f"{self._number(column)} as c{place}" for place, column in enumerate(columns))
        with self._said():
            for batch in RecordBatchReader.from_arrow(
                self.connection.sql(f"select {listed} from {self.relation}")
            ):
                yield [batch.column(place).to_numpy() for place in range(len(columns))]

    def _number(self, column: str) -> str:
        name, base = quote(column), self.types[column].partition("(")[0]
        if base.startswith("TIME") and not base.startswith("TIMESTAMP"):
            name = f"epoch({name})"
        elif _TIMES.match(base):
            infinite = (
                f"case when {name}::date > date '2000-01-01' then 'inf'::double else '-inf'::double end"
            )
            name = (
                f"case when isfinite({name}) then epoch({name}) when {name} is not null then {infinite} end"
            )
        kind = "float" if base in _SMALL else "double"
        return f"coalesce(cast({name} as {kind}), 'nan'::{kind})"

    def query(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Answer a query over the relation."""
        with self._said():
            return self.connection.execute(query, list(parameters)).fetchall()

    @contextmanager
    def _said(self) -> Iterator[None]:
        with _read(self.name):
            yield


@contextmanager
def _read(name: str) -> Iterator[None]:
    """Turn what the engine says of rows into ``DataError`` that names them."""
    with reworded(
        lambda error: t(
            "{file}: it cannot be read ({error}). Check the path and its rights.", file=name, error=error
        )
    ):
        try:
            yield
        except Exception as error:
            if "C Data interface" not in str(error):
                raise
            raise DataError(
                t(
                    "{file}: it is damaged ({error}). Fetch it again.",
                    file=name,
                    error=str(error).splitlines()[0],
                )
            ) from error


@contextmanager
def opened(given: Given) -> Iterator[Rows]:
    """Open rows; raises ``DataError`` when there are none of that name, or they cannot be read."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as scratch, explained(scratch):
        connection = connect(memory_limit=MEMORY, threads=None, scratch=Path(scratch))
        try:
            # each group of columns reads the files' footers, which are long where there are many columns
            connection.execute("set parquet_metadata_cache = true")
            if isinstance(given, Mapping):
                name = t("the columns given")
                relation = _of_columns(connection, given)
            else:
                name = str(given)
                with _read(name):
                    relation = _of_files(connection, Path(given))
            with _read(name):
                described = connection.execute(f"describe select * from {relation}").fetchall()
                count = connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
            yield Rows(connection, name, relation, {str(row[0]): str(row[1]) for row in described}, count)
        finally:
            connection.close()


def _of_files(connection: DuckDBPyConnection, path: Path) -> str:
    files = _files(path.expanduser())
    formats = {file: _format(Path(file)) for file in files}
    if len(set(formats.values())) > 1:
        listed = ", ".join(sorted({Path(file).suffix for file in files}))
        raise DataError(
            t(
                "{path} has files of several formats ({formats}). Name those of one, such as {path}/*.parquet.",
                path=path,
                formats=listed,
            )
        )
    format_ = formats[files[0]]
    listed = ", ".join(literal(escape_glob(file)) for file in files)
    named = ", union_by_name = true" if len(files) > 1 else ""
    relation = f"{_READERS[format_]}([{listed}]{named})"
    if format_ == "parquet":
        return relation
    # text is parsed once, not for each column
    connection.execute(f"create temp table compared as select * from {relation}")
    return "compared"


def _files(path: Path) -> list[str]:
    if path.is_file():
        return [str(path)]
    if (path / "_delta_log").is_dir():
        from deltalake import DeltaTable

        found = [uri.removeprefix("file://") for uri in DeltaTable(str(path)).file_uris()]
    elif path.is_dir():
        found = [
            str(file)
            for file in path.rglob("*")
            if file.is_file() and _suffix(file) in SUFFIXES and not _hidden(file.relative_to(path))
        ]
    else:
        found = [file for file in glob(str(path), recursive=True) if Path(file).is_file()]  # noqa: PTH207 - an absolute pattern
    if not found:
        if has_magic(str(path)) or path.is_dir():
            raise DataError(t("{path}: no file is there that could be read. Check it.", path=path))
        raise DataError(t("{path}: there is no such file or folder. Check the path.", path=path))
    return sorted(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suffix(path: Path) -> str:
    packed = path.suffix.lower() in (".gz", ".zst")
    return Path(path.stem if packed else path.name).suffix.lower()


def _format(path: Path) -> str:
    found = SUFFIXES.get(_suffix(path))
    if found is None:
        raise DataError(
            t(
                "{file}: its ending does not say what it is. Give it one of these: {suffixes}.",
                file=path,
                suffixes=", ".join(SUFFIXES),
            )
        )
    return found


def _of_columns(connection: DuckDBPyConnection, columns: Mapping[str, NDArray[Any]]) -> str:
    lengths = {name: len(column) for name, column in columns.items()}
    if not columns or len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DataError(
            t(
                "The columns given must be of one length and at least one; their rows are: {lengths}.",
                lengths=shown,
            )
        )
    connection.register("compared", {name: _plain(column) for name, column in columns.items()})
    return "compared"


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    """What DuckDB reads: no half or long floats, no times in days; of fixed-width texts it makes an enumeration."""
    if column.dtype.kind == "f" and column.dtype.itemsize not in (4, 8):
        return column.astype(np.float32 if column.dtype.itemsize < 4 else np.float64)  # noqa: PLR2004 - bytes
    if column.dtype.kind == "M":
        return column.astype("datetime64[us]")
    return column.astype(object) if column.dtype.kind in "US" else column
