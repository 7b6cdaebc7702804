"""Ingest: a table's files become rows of ``raw``, every cell as received.

A cell is the text it was: nothing is trimmed, and an empty CSV field, quoted or not, is the empty text. Null
is what JSON and Parquet call null. Numbers of JSON lines keep their spelling; Parquet's values are written
as DuckDB casts them to text. Beside the file's columns stand ``_source`` (path as declared), ``_file``
(SHA-256), ``_reading`` (how it was read), ``_row`` (from 1), ``_ingested_at``, and for a damaged row
``_defect`` and ``_line``, its columns being null.

A file is known by its digest: the same bytes, whatever their path, are there once; where the source's ``origin``
names a column, that holds the file's name, which then counts like the bytes. What is in force is the
snapshot; rows of files no longer there stay in the table.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import digest as digests
from relevo import disk, reading
from relevo.casting import literal
from relevo.errors import DataError
from relevo.records import Snapshot, now
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract
    from relevo.lake import Lake
    from relevo.project import Table


def ingest(table: Table, contract: Contract, lake: Lake, root: Path, previous: Snapshot | None) -> Snapshot:
    """Bring a table's files into ``raw``; files that are there already add nothing.

    ``root`` is the project's folder. Gives ``previous`` with ``changed`` false when its files are the same.
    Raises ``DataError`` about the source and ``WorkspaceError`` about the lake; then no row of the file at
    fault was added.
    """
    name = f"raw/{table.name}"
    files = reading.find(table.source, root)
    contents = {file: reading.content(file, table.source) for file in files}
    connection = lake.connect()
    try:
        for file in files:
            reading.inspect(connection, file, table.source, contract)
        identity = snapshot_id(table, contents)
        if previous is not None and previous.id == identity and lake.exists(name):
            return replace(previous, changed=False)
        for file, content in _once(contents).items():
            transaction = f"ingest:{content}:{reading.identity(table.source)}"
            if lake.done(name, transaction) is None:
                _append(lake, name, transaction, connection, file, content, table, contract)
        version = lake.version(name)
        rows = _count(lake, connection, table, contents)
    finally:
        connection.close()
    if not rows:
        paths = ", ".join(str(file.path) for file in files)
        raise DataError(t("{files}: there is a header but no row. Put rows below it.", files=paths))
    listed = tuple(sorted((file.name, content) for file, content in contents.items()))
    return Snapshot(id=identity, table=name, version=version, rows=rows, files=listed)


def source_bytes(table: Table, root: Path) -> int:
    """Size of a table's files."""
    return sum(file.path.stat().st_size for file in reading.find(table.source, root))


def snapshot_id(table: Table, contents: Mapping[reading.File, str]) -> str:
    """Digest of what is in force and how it is read, whatever the files are called; the same on every machine."""
    listed = sorted(set(contents.values()))
    return digests.of_json({"table": table.name, "files": listed, "reading": reading.identity(table.source)})


def _once(contents: Mapping[reading.File, str]) -> dict[reading.File, str]:
    """Leave out the copies of a file."""
    first: dict[str, reading.File] = {}
    for file, content in contents.items():
        first.setdefault(content, file)
    return {file: content for content, file in first.items()}


def _append(
    lake: Lake,
    name: str,
    transaction: str,
    connection: DuckDBPyConnection,
    file: reading.File,
    content: str,
    table: Table,
    contract: Contract,
) -> None:
    spelled = {column.casefold(): column for column in lake.columns(name)}
    fixed = {
        "_source": literal(file.name),
        "_file": literal(content),
        "_reading": literal(reading.identity(table.source)),
        "_ingested_at": f"cast({literal(now()[:26])} as timestamp)",
    }
    origin = table.source.origin
    if origin is not None:
        fixed[quote(spelled.get(origin.casefold(), origin))] = literal(file.path.name)
    beside = ", ".join(f"{value} as {column}" for column, value in fixed.items())

    def unchanged() -> None:
        if reading.content(file, table.source) != content:
            raise DataError(
                t("{file}: it changed while it was read. Try again when it is complete.", file=file.path)
            )

    def write(found: reading.Reading) -> None:
        if origin is not None and origin.casefold() in map(str.casefold, found.columns):
            raise DataError(
                t(
                    "{file}: it has a column “{column}” of its own. Write another name in Files(…, origin=…).",
                    file=file.path,
                    column=origin,
                )
            )
        cells = ", ".join(
            f"{quote(column)} as {quote(spelled.get(column.casefold(), column))}" for column in found.columns
        )
        query = (
            f"select {cells}, {beside}, {reading.ROW}, {reading.DEFECT}, {reading.LINE} from ({found.sql})"
        )
        lake.append(name, connection.sql(query), transaction=transaction, check=unchanged)

    with disk.explained(lake.scratch):
        lake.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lake.scratch) as folder:
        reading.retried(connection, file, table.source, contract, Path(folder), write)


def _count(
    lake: Lake, connection: DuckDBPyConnection, table: Table, contents: Mapping[reading.File, str]
) -> int:
    lake.bind(connection, f"raw/{table.name}", as_="raw")
    condition = reading.in_force(table.source, contents.values())
    ((count,),) = connection.execute(f"select count(*) from raw where {condition}").fetchall()
    return int(count)
