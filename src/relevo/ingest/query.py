"""A SELECT on a database: its whole answer, or what rose above a watermark."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as quote_path
from uuid import UUID

from relevo import digest as digests
from relevo import durations
from relevo.errors import DataError
from relevo.extras import need
from relevo.ingest.raw import Piece
from relevo.ingest.variables import filled, without
from relevo.lake import explained, first_line, literal
from relevo.reading import RESERVED, staged
from relevo.reading.files import columns_of
from relevo.sources import public
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import URL, Connection, Engine

    from relevo.ingest.raw import Raw
    from relevo.sources import Query

CHUNK = 10_000
"""Rows that are fetched at once."""
_SIMPLE = {int: "number", Decimal: "decimal", float: "double", str: "text", UUID: "uuid"}
BUSY = 30
"""Seconds that SQLite waits for a writer."""
_POSTGRES = re.compile(r"^postgres(ql)?://")
KINDS: dict[str, Any] = {
    "number": int,
    "decimal": Decimal,
    "double": float,
    "text": str,
    "time": datetime.fromisoformat,
    "day": date.fromisoformat,
    "uuid": UUID,
}
"""How a watermark that is kept as text is read back, by its kind."""


@dataclass(frozen=True)
class Mark:
    """The highest watermark of a piece, as the database gave it, the piece's number, and its columns' digest."""

    number: int
    columns: str
    value: Any

    @property
    def text(self) -> str:
        """``number columns kind value``, as ``_batch`` keeps it."""
        kind, value = _kind(self.value)
        return f"{self.number} {self.columns} {kind} {value}"


def collect(source: Query, raw: Raw) -> list[Piece]:
    """Take the whole answer, which alone is in force, or the rows that are new, beside those taken before."""
    if source.watermark is None:
        with raw.scratch() as folder:
            return [_whole(source, raw, folder)]
    known = raw.pieces()
    last = max((_parsed(piece.batch) for piece in known), key=lambda mark: mark.number, default=None)
    with raw.scratch() as folder:
        _increment(source, raw, folder, last)
    return sorted(raw.pieces(), key=lambda piece: _parsed(piece.batch).number)


def _whole(source: Query, raw: Raw, folder: Path) -> Piece:
    place, names, _ = _stage(source, raw, folder / "rows.csv", None)
    content = _sort(raw, folder, names, "")
    piece = Piece(place, "", content)
    found = staged.read(folder / "sorted.csv", names, raw.contract, place)
    raw.add(piece, found, f"ingest:{content}:{raw.identity}")
    return piece


def _increment(source: Query, raw: Raw, folder: Path, last: Mark | None) -> None:
    place, names, highest = _stage(source, raw, folder / "rows.csv", last)
    if highest is None:
        return
    mark = Mark(last.number + 1 if last else 1, digests.of_json(names)[:8], highest)
    if last is not None and last.columns != mark.columns:
        raise DataError(_other_columns(place, names))
    less = _already_there(source, raw, names, folder) if last else ""
    content = _sort(raw, folder, names, str(mark.number), less)
    found = staged.read(folder / "sorted.csv", names, raw.contract, place)
    if (folder / "sorted.csv").stat().st_size:
        raw.add(Piece(place, mark.text, content), found, f"query:{raw.identity}:{mark.number}")


def _other_columns(place: str, names: Sequence[str]) -> str:
    return t(
        "{place}: the query gives other columns than before, so rows taken already cannot be told from new ones."
        " The columns are now: {columns}. Write those you need into the query; it is then taken anew.",
        place=place,
        columns=", ".join(names),
    )


def _sort(raw: Raw, folder: Path, names: Sequence[str], label: str, less: str = "") -> str:
    """Put staged rows in the order of their texts, for a query's have none of their own, and give their digest."""
    rows = f"select * from {staged.relation(folder / 'rows.csv', names)}"
    path = folder / "sorted.csv"
    with explained(path):
        staged.copy(raw.connection, f"select * from ({rows} {less}) order by all", path)
    raw.received(path.stat().st_size)
    content = digests.of_file(path)
    return hashlib.sha256(f"{label}\n{content}".encode()).hexdigest() if label else content


def _already_there(source: Query, raw: Raw, names: Sequence[str], folder: Path) -> str:
    """SQL that takes away the rows of ``raw``, each as often as it is there, whose watermark is one of those staged."""
    spelled = {column.casefold(): column for column in raw.lake.columns(raw.name)}
    cells = ", ".join(quote(spelled[name.casefold()]) for name in names)
    watermark = quote(spelled[(source.watermark or "").casefold()])
    rows = staged.relation(folder / "rows.csv", names)
    raw.lake.bind(raw.connection, raw.name, as_="raw")
    return (
        f"except all select {cells} from raw where _reading = {literal(raw.identity)} "
        f"and {watermark} in (select {quote(source.watermark or '')} from {rows})"
    )


def _stage(source: Query, raw: Raw, path: Path, last: Mark | None) -> tuple[str, Sequence[str], Any]:
    """Write the answer's rows to a file; gives the URL shown, the columns, and the last row's watermark."""
    with _connected(source, raw) as (connection, place):
        statement, values = _statement(source, last)
        result = connection.execute(statement, values)
        names = columns_of(list(result.keys()), place, RESERVED)
        marks = _Marks(source, names, place)
        staged.write(path, marks.watched(result), place)
        return place, names, marks.highest


class _Marks:
    """Sees the rows pass and keeps the last one's watermark, the highest by the database's own order."""

    def __init__(self, source: Query, names: Sequence[str], place: str) -> None:
        self.highest: Any = None
        self._place, self._name = place, source.watermark
        self._column = None
        if source.watermark is not None:
            folded = [name.casefold() for name in names]
            if source.watermark.casefold() not in folded:
                raise DataError(
                    t(
                        "{place}: the query gives no column “{watermark}”. Its columns are: {columns}.",
                        place=place,
                        watermark=source.watermark,
                        columns=", ".join(names),
                    )
                )
            self._column = folded.index(source.watermark.casefold())

    def watched(self, rows: Any) -> Iterator[Sequence[Any]]:
        for row in rows:
            if self._column is not None:
                self.highest = row[self._column]
                if self.highest is None:
                    raise DataError(
                        t(
                            "{place}: a row has no “{watermark}”, so nobody can tell whether it is new. Give every"
                            " row one, or leave such rows out of the query.",
                            place=self._place,
                            watermark=self._name,
                        )
                    )
            yield row


def _statement(source: Query, last: Mark | None) -> tuple[Any, dict[str, Any]]:
    """Write the SELECT; with a watermark in its order, nulls being asked for so that they are found."""
    from sqlalchemy import bindparam, column, literal_column, or_, select, text

    inner = source.sql.strip().rstrip(";").rstrip()
    if source.watermark is None:
        return text(inner.replace(":", "\\:")), {}
    mark: Any = column(source.watermark)
    subquery = text(f"(\n{inner}\n) as relevo_rows".replace(":", "\\:"))
    statement: Any = select(literal_column("*")).select_from(subquery).order_by(mark)
    if last is None:
        return statement, {}
    low = _lowered(last.value, source)
    return statement.where(or_(mark >= bindparam("low", low), mark.is_(None))), {}


def _lowered(value: Any, source: Query) -> Any:
    if source.lag is None:
        return value
    try:
        lag: Any = durations.parse(source.lag) if isinstance(source.lag, str) else source.lag
        if isinstance(value, Decimal):
            lag = Decimal(str(lag))
        if type(value) is date:
            lag = timedelta(days=-(-lag // timedelta(days=1)))
        return value - lag
    except (TypeError, ValueError, InvalidOperation) as error:
        raise DataError(
            t(
                "{place}: a lag of {lag} cannot be taken from the watermark {value}. Write one such as 10min for"
                " times, or a number for numbers.",
                place=source.place,
                lag=repr(source.lag),
                value=value,
            )
        ) from error


def _kind(value: Any) -> tuple[str, str]:
    if isinstance(value, date):
        return ("time" if isinstance(value, datetime) else "day"), value.isoformat()
    kind = _SIMPLE.get(type(value))
    if kind is not None:
        return kind, str(value)
    raise DataError(
        t(
            "A watermark cannot be a {type} such as {value}. Choose a column of numbers, times or texts.",
            type=type(value).__name__,
            value=str(value)[:50],
        )
    )


def _parsed(batch: str) -> Mark:
    number, columns, kind, value = batch.split(" ", 3)
    return Mark(int(number), columns, KINDS[kind](value))


@contextmanager
def _connected(source: Query, raw: Raw) -> Iterator[tuple[Connection, str]]:
    """Open the database for reading, in one transaction that sees one moment, its rows streaming."""
    from sqlalchemy.exc import SQLAlchemyError

    written = filled(source.url, source.place)
    place = public(written)
    url = _parsed_url(written, place)
    options: dict[str, Any] = {"stream_results": True, "yield_per": CHUNK}
    if url.get_backend_name() == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with _engine(url, raw.root, place).connect() as connection:
            yield connection.execution_options(**options), place
    except SQLAlchemyError as error:
        said = without(first_line(getattr(error, "orig", None) or error), url.password)
        raise DataError(
            t(
                "{place}: the query cannot be answered: {error}. What was taken before is kept; run it again when"
                " the database is well, or correct the query.",
                place=place,
                error=said,
            )
        ) from None  # the cause may hold the password


def _parsed_url(written: str, place: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(_POSTGRES.sub("postgresql+psycopg://", written))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise DataError(
            t(
                "{place}: this is no database URL. Write sqlite:///path.db, postgresql://user@host/database, or"
                " env:NAME for one in an environment variable.",
                place=place,
            )
        ) from None
    except ModuleNotFoundError:
        url = None  # its driver is absent, of which the engine speaks
    return url if url is not None else make_url(written)


def _engine(url: URL, root: Path, place: str) -> Engine:
    """Make an engine that only reads: SQLite's file must be there, and Postgres shows times in UTC."""
    from sqlalchemy import NullPool, create_engine, event

    if url.get_backend_name() == "sqlite":
        path = root / (url.database or "")
        if not path.is_file():
            raise DataError(t("{place}: there is no file {path}. Check the URL.", place=place, path=path))
        file = f"file:{quote_path(str(path))}?mode=ro"
        return create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(file, uri=True, timeout=BUSY), poolclass=NullPool
        )
    if url.drivername == "postgresql+psycopg":
        need("psycopg", "postgres")
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise DataError(
            t("{place}: the driver {module} is not installed.", place=place, module=error.name)
        ) from error
    if url.get_backend_name() == "postgresql":
        event.listen(engine, "connect", _in_utc)
    return engine


def _in_utc(connection: Any, record: object) -> None:  # noqa: ARG001 - the signature is the library's
    connection.execute("set time zone 'UTC'")
    connection.commit()
