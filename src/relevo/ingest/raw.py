"""The raw rows of one table, as its source sees them: which pieces are there, and adding one."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relevo import disk, reading
from relevo.casting import literal
from relevo.errors import DataError
from relevo.lake import explained
from relevo.records import now
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract
    from relevo.lake import Lake
    from relevo.project import Table
    from relevo.records import Snapshot
    from relevo.sources import Files


class Piece(NamedTuple):
    """A file or a batch: where it came from, its name among the source's, and its SHA-256."""

    source: str
    batch: str
    digest: str

    @property
    def name(self) -> str:
        """What tells it from the source's other pieces, for people."""
        number, mark, _ = self.batch.partition(" ")
        return self.source if not mark or self.batch == self.source else f"{self.source} #{number}"


@dataclass(frozen=True)
class Raw:
    """``raw/<table>`` for one ingest of its source. ``previous`` is the snapshot that the last one ended with.

    ``tell`` is given a sentence about the progress, ``received`` the bytes of each piece that was read.
    """

    table: Table
    contract: Contract
    lake: Lake
    connection: DuckDBPyConnection
    root: Path
    previous: Snapshot | None
    tell: Callable[[str], None]
    received: Callable[[int], None]

    @property
    def name(self) -> str:
        """The table's name in the lake."""
        return f"raw/{self.table.name}"

    @property
    def identity(self) -> str:
        """What tells rows of this source from others in the table."""
        return reading.identity(self.table.source)

    def pieces(self) -> list[Piece]:
        """The pieces of this source that have rows there, in the order they were taken."""
        if "_batch" not in self.lake.columns(self.name):
            return []
        with explained(self.lake.scratch):
            self.lake.bind(self.connection, self.name, as_="raw")
            found = self.connection.execute(
                f"""select _source, _batch, _file from raw where _reading = {literal(self.identity)}
                and _batch is not null group by all order by min(_ingested_at), _source"""
            ).fetchall()
        return [Piece(*row) for row in found]

    def done(self, transaction: str) -> bool:
        """Whether a piece was added."""
        return self.lake.done(self.name, transaction) is not None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Make a temporary folder for the block."""
        with disk.explained(self.lake.scratch):
            self.lake.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.lake.scratch) as folder:
            yield Path(folder)

    def add(
        self,
        piece: Piece,
        found: reading.Reading,
        transaction: str,
        check: Callable[[], None] | None = None,
        *,
        condition: str = "true",
        beside: Mapping[str, str] | None = None,
    ) -> None:
        """Add the rows of a piece in one commit; a piece whose transaction was done adds nothing.

        ``check`` may refuse them all after the last one was read. ``beside`` are texts for further columns.
        """
        spelled = {column.casefold(): column for column in self.lake.columns(self.name)}
        cells = ", ".join(
            f"{quote(column)} as {quote(spelled.get(column.casefold(), column))}" for column in found.columns
        )
        fixed = {
            "_source": literal(piece.source),
            "_batch": literal(piece.batch),
            "_file": literal(piece.digest),
            "_reading": literal(self.identity),
            "_ingested_at": f"cast({literal(now()[:26])} as timestamp)",
        }
        for column, text in (beside or {}).items():
            fixed[quote(spelled.get(column.casefold(), column))] = literal(text)
        further = ", ".join(f"{value} as {column}" for column, value in fixed.items())
        query = (
            f"select {cells}, {further}, {reading.ROW}, {reading.DEFECT}, {reading.LINE} from ({found.sql}) "
            f"where {condition}"
        )
        self.lake.append(self.name, self.connection.sql(query), transaction=transaction, check=check)

    def add_file(
        self,
        piece: Piece,
        file: reading.File,
        how: Files,
        transaction: str,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Add the rows of a file, with its name where the source asks for it."""
        origin = how.origin

        def write(found: reading.Reading) -> None:
            if origin is not None and origin.casefold() in map(str.casefold, found.columns):
                raise DataError(
                    t(
                        "{file}: it has a column “{column}” of its own. Write another name in Files(…, origin=…).",
                        file=file.path,
                        column=origin,
                    )
                )
            named = {} if origin is None else {origin: file.path.name}
            self.add(piece, found, transaction, check, beside=named)

        with self.scratch() as folder:
            reading.retried(
                self.connection,
                file,
                how,
                self.contract,
                folder,
                write,
            )

    def mark(self, transaction: str) -> None:
        """Note that a piece without rows of its own was taken."""
        columns = [*("_source", "_batch", "_file", "_reading"), reading.DEFECT, reading.LINE]
        cells = [f"cast(null as varchar) as {column}" for column in columns]
        cells += ["cast(null as timestamp) as _ingested_at", f"cast(null as bigint) as {reading.ROW}"]
        query = f"select {', '.join(cells)} where false"
        self.lake.append(self.name, self.connection.sql(query), transaction=transaction)
