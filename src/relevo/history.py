"""History: what was known of each key, and from which moment on, as tables of the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import digest as digests
from relevo.errors import DataError
from relevo.lake import running
from relevo.records import Snapshot
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from relevo.definition import Definition, Timeline
    from relevo.lake import Lake

VERSION = 1
"""Raised when the same inputs would give other rows."""


def make(definition: Definition, lake: Lake, clean: Mapping[str, Snapshot]) -> dict[str, Snapshot]:
    """Compute every history of the project from the clean tables' snapshots, by name.

    Raises ``DataError`` when a row has no stamp, or a key two rows at one moment.
    """
    found = {}
    connection = lake.connect()
    try:
        for table, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=table, version=snapshot.version)
        for history in definition.histories:
            identity = snapshot_id(history, clean)
            compute(connection, "made", history.relation.file, history.relation.sql)
            _check(connection, history)
            listed = ", ".join(quote(name) for name in (*history.key, history.known_at))
            ((rows,),) = connection.execute("select count(*) from made").fetchall()
            version = lake.replace(
                f"history/{history.name}",
                connection.sql(f"from made order by {listed}"),
                transaction=f"history:{identity}",
            )
            connection.execute("drop table made")
            found[history.name] = Snapshot(
                id=identity, table=f"history/{history.name}", version=version, rows=int(rows)
            )
    finally:
        connection.close()
    return found


def snapshot_id(history: Timeline, clean: Mapping[str, Snapshot]) -> str:
    """Digest of all that a history's rows depend on."""
    return digests.of_json(
        [history.shape, {table: snapshot.id for table, snapshot in clean.items()}, VERSION]
    )


def compute(connection: DuckDBPyConnection, name: str, file: str, sql: str) -> None:
    """Make a temporary table of a query's rows from the tables that the connection sees; ``file`` holds the query."""
    with running(file):
        connection.execute(f"create temp table {quote(name)} as {sql}")


def _check(connection: DuckDBPyConnection, history: Timeline) -> None:
    known, keys = quote(history.known_at), ", ".join(quote(name) for name in history.key)
    ((unstamped,),) = connection.execute(f"select count(*) from made where {known} is null").fetchall()
    if unstamped:
        raise DataError(
            t(
                "{file}: {rows:,} rows have no {column}, so nobody can say from when they were known. Leave them out"
                " or stamp them.",
                file=history.relation.file,
                rows=unstamped,
                column=history.known_at,
            )
        )
    doubled = connection.execute(
        f"select {keys}, {known}, count(*) from made group by all having count(*) > 1 limit 1"
    ).fetchall()
    if doubled:
        *values, count = doubled[0]
        names = (*history.key, history.known_at)
        raise DataError(
            t(
                "{file}: {count} rows share {row}, so which was known then is open. Give a key one row at a moment.",
                file=history.relation.file,
                count=count,
                row=", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True)),
            )
        )
