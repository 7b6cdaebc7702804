"""Ingest: what is new in a table's source becomes rows of ``raw``, every cell as received.

A cell is the text it was: nothing is trimmed, and an empty CSV field, quoted or not, is the empty text. Null
is what JSON, Parquet, databases and Arrow call null. Numbers of JSON keep their spelling; Parquet's and
Arrow's values are written as DuckDB casts them to text. Beside the columns stand ``_source`` (path as
declared, or URL without credentials), ``_batch`` (file, batch number, or number and watermark or cursor),
``_file`` (SHA-256), ``_reading`` (of which source it is and how it was read), ``_row`` (from 1),
``_ingested_at``, and for a damaged row ``_defect`` and ``_line``, its columns being null.

A *piece*, a file or a batch, is added in one commit, whole or not at all, whose transaction says which it is: what was
taken is what the lake says. What is in force is the snapshot; rows of pieces no longer in force stay in the
table. Each kind of source is a module with one function, ``collect``: take what is new, and say which pieces
are in force.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import reading
from relevo.errors import DataError
from relevo.ingest import batches, files, folder, query, rows
from relevo.ingest.raw import Raw
from relevo.records import Snapshot
from relevo.sources import Batches, Files, Folder, Query, Rows
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from relevo.contract import Contract
    from relevo.ingest.raw import Piece
    from relevo.lake import Lake
    from relevo.project import Table

KINDS: dict[type, Callable[[Any, Raw], list[Piece]]] = {
    Files: files.collect,
    Folder: folder.collect,
    Query: query.collect,
    Batches: batches.collect,
    Rows: rows.collect,
}


def _ignore(said: object) -> None:
    """Tell nobody."""


def ingest(
    table: Table,
    contract: Contract,
    lake: Lake,
    root: Path,
    previous: Snapshot | None,
    *,
    tell: Callable[[str], None] = _ignore,
    received: Callable[[int], None] = _ignore,
) -> Snapshot:
    """Bring what is new in a table's source into ``raw``; pieces that are there already add nothing.

    ``root`` is the project's folder, ``previous`` the table's newest snapshot. Gives ``previous`` with
    ``changed`` false, at the table's version now, when the same pieces are in force. ``tell`` is given
    sentences about the progress, ``received`` numbers of bytes. Raises ``DataError`` about the source and
    ``WorkspaceError`` about the lake; then no row of the piece at fault was added, and those before it are kept.
    """
    connection = lake.connect()
    try:
        raw = Raw(table, contract, lake, connection, root, previous, tell, received)
        pieces = KINDS[type(table.source)](table.source, raw)
        if not pieces:
            raise DataError(_empty(table, pieces))
        identity = snapshot_id(table, (piece.digest for piece in pieces))
        version = lake.version(raw.name)
        if previous is not None and previous.id == identity:
            return replace(previous, version=version, changed=False)
        count = _count(raw, pieces)
    finally:
        connection.close()
    if not count:
        raise DataError(_empty(table, pieces))
    listed = tuple((piece.name, piece.digest) for piece in pieces)
    return Snapshot(id=identity, table=raw.name, version=version, rows=count, files=listed)


def snapshot_id(table: Table, contents: Iterable[str]) -> str:
    """Digest of what is in force and how it is read, whatever the files are called; the same on every machine."""
    listed = sorted(set(contents))
    return digests.of_json({"table": table.name, "files": listed, "reading": reading.identity(table.source)})


def _empty(table: Table, pieces: Iterable[Piece]) -> str:
    if isinstance(table.source, Files | Folder):
        names = ", ".join(piece.name for piece in pieces)
        return t("{files}: there is a header but no row. Put rows below it.", files=names)
    return t("{table}: the source gave no row. Look at it, then run again.", table=table.name)


def _count(raw: Raw, pieces: Iterable[Piece]) -> int:
    raw.lake.bind(raw.connection, raw.name, as_="raw")
    condition = reading.in_force(raw.table.source, (piece.digest for piece in pieces))
    ((count,),) = raw.connection.execute(f"select count(*) from raw where {condition}").fetchall()
    return int(count)
