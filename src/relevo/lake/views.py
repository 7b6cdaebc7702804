"""One version of a Delta table as a view of DuckDB, without an extension."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from relevo.casting import literal
from relevo.lake.engine import escape_glob
from relevo.sql import quote

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection


def view(connection: DuckDBPyConnection, table: DeltaTable, name: str, path: str, qualified: str) -> None:
    """Make the view ``qualified`` of a table's files below ``path``; rows come in no particular order.

    The columns' types are the table's, of whatever age a file is. A table without files is empty.
    """
    from arro3.core import Table

    schema = table.schema().to_arrow()
    empty = f"_empty_{name}"
    connection.register("_relevo_schema", Table.from_batches([], schema=schema))
    connection.execute(f"create or replace table {quote(empty)} as select * from _relevo_schema")
    connection.unregister("_relevo_schema")
    paths = [f"{path}/{unquote(file)}" for file in _data_files(table)]
    partitions = table.metadata().partition_columns
    if not paths:
        connection.execute(f"create or replace view {qualified} as select * from {quote(empty)}")
        return
    found = connection.execute(f"describe {quote(empty)}").fetchall()
    columns = ", ".join(
        f"cast(nullif({quote(column)}, '__HIVE_DEFAULT_PARTITION__') as {kind}) as {quote(column)}"
        if column in partitions
        else quote(column)
        for column, kind, *_ in found
    )
    hive = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in partitions)
    reading = (
        f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ", hive_partitioning = false"
    )
    files = ", ".join(literal(escape_glob(path)) for path in paths)
    connection.execute(
        f"create or replace view {qualified} as select {columns} "
        f"from read_parquet([{files}], union_by_name = true{reading})"
    )
    connection.execute(f"drop table {quote(empty)}")


def _data_files(table: DeltaTable) -> list[str]:
    """Paths below the table, percent-encoded as its log has them."""
    return [str(path) for path in table.get_add_actions()["path"].to_pylist()]
