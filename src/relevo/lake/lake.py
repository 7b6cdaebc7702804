"""Delta tables by name: written from Arrow streams, read by DuckDB as views."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo.casting import literal
from relevo.errors import RelevoError, WorkspaceError
from relevo.lake import engine
from relevo.lake.engine import explained, first_line
from relevo.lake.views import view
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection

TRIES = 20
"""How often a write is tried when other writers commit in between."""
ROW_GROUP = 122_880
"""Rows per row group: DuckDB's own size. The writer holds one row group in memory."""
CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
UNUSABLE = set("%[]\\^|")
"""Characters that deltalake 1.6 mistakes for something else in a folder's path."""


def check_path(root: str | Path) -> None:
    """Raise ``WorkspaceError`` when no lake can be in this folder, which need not be there yet."""
    root = os.path.abspath(root)  # noqa: PTH100 - a path's symbolic links stay
    odd = sorted(set(root) & UNUSABLE)
    if odd:
        raise WorkspaceError(
            t(
                "The lake's path {root} has {odd} in it, which Delta tables cannot. Set another workspace with"
                " RELEVO_WORKSPACE.",
                root=root,
                odd=" ".join(odd),
            )
        )


class Lake:
    """The tables below ``root``. ``scratch`` is where DuckDB and file conversions put what memory cannot hold."""

    def __init__(
        self, root: str | Path, *, memory_limit: str = "2GB", threads: int | None = None, scratch: Path
    ) -> None:
        if "://" in str(root):
            raise WorkspaceError(
                t("The lake {root} is not a folder; only folders can be used so far. Set a path.", root=root)
            )
        check_path(root)
        self.root = os.path.abspath(root)  # noqa: PTH100 - a path's symbolic links stay
        self.scratch = scratch
        self._memory_limit = memory_limit
        self._threads = threads

    def connect(self) -> DuckDBPyConnection:
        """Open an engine of its own, without tables: its memory is limited and it never goes to the network."""
        return engine.connect(memory_limit=self._memory_limit, threads=self._threads, scratch=self.scratch)

    def enclose(self, connection: DuckDBPyConnection) -> None:
        """Leave an engine nothing but the lake's files and its own scratch, for good."""
        places = ", ".join(literal(str(place)) for place in (self.root, self.scratch))
        connection.execute(f"set allowed_directories = [{places}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")

    def names(self) -> list[str]:
        """Names of all tables, in order."""
        root = Path(self.root)
        logs = (*root.glob("*/_delta_log"), *root.glob("*/*/_delta_log"))
        return sorted(log.parent.relative_to(root).as_posix() for log in logs)

    def exists(self, name: str) -> bool:
        """Whether there is a table of this name."""
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self._path(name))

    def version(self, name: str) -> int:
        """The newest version of a table; raises ``WorkspaceError`` when it is absent."""
        return self._open(name).version()

    def columns(self, name: str) -> list[str]:
        """Names of a table's columns, in order; none when the table is absent."""
        return [field.name for field in self._open(name).schema().fields] if self.exists(name) else []

    def done(self, name: str, transaction: str) -> int | None:
        """The version that a transaction made; None when it was not done."""
        if not self.exists(name):
            return None
        made = self._open(name).transaction_version(transaction)
        return None if made is None else int(made)

    def append(
        self,
        name: str,
        stream: Any,
        *,
        transaction: str,
        partition_by: Sequence[str] = (),
        check: Callable[[], None] | None = None,
    ) -> int:
        """Add the rows of an Arrow C stream, and to the table the columns that it lacks.

        A DuckDB relation is such a stream. Writes nothing when the transaction was done before. Gives the
        version that the rows made. ``check`` runs after the last row and may still refuse them all by raising;
        its error, and one of the stream itself, comes out unchanged.
        """
        return self._write(
            name, _Guarded(stream, check), transaction, mode="append", partition_by=partition_by
        )

    def replace(self, name: str, stream: Any, *, transaction: str) -> int:
        """Make the stream the table's whole content, columns included; gives the version made.

        When the transaction was done before, nothing is written and the version made then is given, also
        when it is no longer the newest.
        """
        return self._write(name, _Guarded(stream, None), transaction, mode="overwrite", partition_by=())

    def replace_part(self, name: str, stream: Any, *, column: str, value: str, transaction: str) -> int:
        """Make the stream the whole content of one partition, whose text column ``column`` is ``value``.

        Other partitions stay, and all happens in one commit: a reader sees the old rows or the new ones,
        whoever is killed meanwhile. Of two who replace the same partition at once the later wins wholly.
        The rest is as with ``replace``.
        """
        return self._write(
            name,
            _Guarded(stream, None),
            transaction,
            mode="overwrite",
            partition_by=(column,),
            predicate=f"{quote(column)} = {literal(value)}",
        )

    def size(self, name: str, version: int | None = None) -> int:
        """Bytes of the data files of one version (the newest by default)."""
        return sum(self._open(name, version).get_add_actions()["size_bytes"].to_pylist())

    def bind(
        self, connection: DuckDBPyConnection, name: str, *, as_: str, version: int | None = None
    ) -> None:
        """Make a view ``as_`` of one version (the newest by default); rows come in no particular order."""
        self._view(connection, name, quote(as_), version)

    def bind_all(self, connection: DuckDBPyConnection) -> None:
        """Make a view of every table: ``raw/departures`` becomes ``raw.departures``."""
        for name in self.names():
            schema, _, table = name.rpartition("/")
            if schema:
                connection.execute(f"create schema if not exists {quote(schema)}")
            self._view(connection, name, f"{quote(schema or 'main')}.{quote(table)}", None)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with explained(self._path(name)):
            try:
                return DeltaTable(self._path(name), version=version)
            except TableNotFoundError as error:
                raise WorkspaceError(
                    t(
                        "There is no table {table} in the lake {root}. `relevo run` makes it.",
                        table=name,
                        root=self.root,
                    )
                ) from error

    def _write(
        self,
        name: str,
        stream: _Guarded,
        transaction: str,
        *,
        mode: Any,
        partition_by: Sequence[str],
        predicate: str | None = None,
    ) -> int:
        from deltalake.exceptions import CommitFailedError, DeltaError

        for attempt in range(TRIES):
            try:
                with explained(self._path(name)):
                    return self._commit(name, stream, transaction, mode, partition_by, predicate)
            except RelevoError:
                raise
            except Exception as error:
                if stream.failure is not None:
                    raise stream.failure from None
                raced = isinstance(error, CommitFailedError) or "already exists" in str(error)
                if raced and attempt + 1 < TRIES:
                    continue
                if isinstance(error, DeltaError | OSError):
                    raise self._unwritable(name, error) from error
                raise
        raise AssertionError(transaction)

    def _commit(
        self,
        name: str,
        stream: _Guarded,
        transaction: str,
        mode: Any,
        partition_by: Sequence[str],
        predicate: str | None,
    ) -> int:
        from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

        path = self._path(name)
        target: str | DeltaTable = path
        version = 0
        if self.exists(name):
            target = self._open(name)
            made = target.transaction_version(transaction)
            if made is not None:
                return int(made)
            version = target.version() + 1
        else:
            Path(path).mkdir(parents=True, exist_ok=True)
        new = isinstance(target, str)
        how: Any = "error" if new else mode  # what another writer made meanwhile is not made again
        shape: Any = "merge" if mode == "append" or predicate else "overwrite"
        write_deltalake(
            target,
            stream,
            mode=how,
            schema_mode=None if new else shape,
            predicate=None if new else predicate,
            partition_by=list(partition_by) or None,
            configuration=CONFIGURATION if new else None,
            writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP),
            commit_properties=CommitProperties(
                max_commit_retries=0,  # a commit makes the version it names, or none
                app_transactions=[Transaction(transaction, version)],
            ),
        )
        return version

    def _unwritable(self, name: str, error: Exception) -> WorkspaceError:
        return WorkspaceError(
            t(
                "The table {table} of the lake {root} cannot be written: {error}. Try again; if that does not help,"
                " check the disk.",
                table=name,
                root=self.root,
                error=first_line(error),
            )
        )

    def _view(self, connection: DuckDBPyConnection, name: str, qualified: str, version: int | None) -> None:
        view(connection, self._open(name, version), name, self._path(name), qualified)


class _Guarded:
    """A stream that remembers what it raised, for its reader wraps that beyond recognition."""

    def __init__(self, stream: Any, check: Callable[[], None] | None) -> None:
        self._stream, self._check = stream, check
        self.failure: BaseException | None = None

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        from arro3.core import RecordBatchReader

        reader = RecordBatchReader.from_arrow(self._stream)

        def batches() -> Iterator[Any]:
            try:
                yield from reader
                if self._check is not None:
                    self._check()
            except Exception as error:
                self.failure = error
                raise

        return RecordBatchReader.from_batches(reader.schema, batches()).__arrow_c_stream__(requested_schema)
