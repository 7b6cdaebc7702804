"""``sql``: one reading query over the lake.

DuckDB lets a WITH clause write, also in what it calls a SELECT, but only at the top level of a statement. So
the query runs as a subquery, and the engine sees no file but the lake's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from relevo.cli.output import document, table
from relevo.collect import collect_all
from relevo.errors import DataError
from relevo.lake import explained
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

READING = ("SELECT", "MULTI")
"""Kinds of statement that only read, when they are a subquery; MULTI is PIVOT."""


def sql(query: str, folder: Path, *, json: bool) -> None:
    """Answer a query; raises ``DataError`` when it fails or would do anything but read."""
    workspace = Workspace.open(folder, create=False)
    workspace.project_name()
    collect_all(workspace)
    connection = workspace.lake.connect()
    try:
        workspace.lake.bind_all(connection)
        workspace.lake.enclose(connection)
        with explained(workspace.lake.scratch):
            result = connection.execute(_subquery(connection, query))
            names = [str(column[0]) for column in result.description or ()]
            rows = result.fetchall()
    except duckdb.Error as error:
        raise DataError(t("The query failed: {error}", error=error)) from error
    finally:
        connection.close()
    if json:
        document([dict(zip(names, row, strict=True)) for row in rows])
    else:
        table(names, rows)


def _subquery(connection: DuckDBPyConnection, query: str) -> str:
    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type.name not in READING:
        raise DataError(
            t("`relevo sql` takes one query that only reads, such as: from raw.departures limit 5")
        )
    return f"select * from (\n{statements[0].query.strip().rstrip(';')}\n)"
