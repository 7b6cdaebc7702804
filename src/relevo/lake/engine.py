"""The engine: DuckDB on a short lead, and what it and deltalake say when they stop, as Relevo's own errors."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import disk
from relevo.errors import DataError, RelevoError, WorkspaceError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb import DuckDBPyConnection

_SYSTEM_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
)


def connect(*, memory_limit: str, threads: int | None, scratch: Path) -> DuckDBPyConnection:
    """Open an engine of its own, without tables: its memory is limited and it never goes to the network."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(scratch / "duckdb"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    try:
        connection = duckdb.connect(config=config)
    except duckdb.Error as error:
        raise WorkspaceError(
            t(
                "The engine does not start: {error}. Check memory_limit and threads in relevo.toml.",
                error=first_line(error),
            )
        ) from error
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    connection.execute("set scheduler_process_partial = true")  # or Ctrl-C waits for its threads to be done
    return connection


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn what DuckDB and deltalake say of disks and memory into ``WorkspaceError``; let the rest through."""
    try:
        yield
    except RelevoError:
        raise
    except OSError as error:
        if error.errno is None:
            _explain(error, Path(path))
            raise
        raise disk.explain(error, Path(path)) from error
    except Exception as error:
        _explain(error, Path(path))
        raise


def _explain(error: Exception, path: Path) -> None:
    text = str(error)
    if "Out of Memory Error" in text:
        raise WorkspaceError(
            t(
                "The memory limit is too small for this ({error}). Raise memory_limit in relevo.toml.",
                error=first_line(error),
            )
        ) from error
    number = re.search(r"os error (\d+)|Os \{ code: (\d+)", text)
    code = int(number[1] or number[2]) if number else None
    if code is None and "IO Error" in text:
        code = next((known for known in _SYSTEM_ERRORS if os.strerror(known) in text), None)
    if code in _SYSTEM_ERRORS:
        raise disk.explain(OSError(code, os.strerror(code)), path) from error


@contextmanager
def running(file: str) -> Iterator[None]:
    """Say of a project's query that stops at the rows that are there which one it was."""
    with reworded(
        lambda error: t(
            "{file}: the query stops: {error}. Write it so that no row does that.", file=file, error=error
        )
    ):
        yield


@contextmanager
def reworded(say: Callable[[str], str]) -> Iterator[None]:
    """Turn what DuckDB says of a query or its rows into a ``DataError`` as ``say`` puts it; memory is neither."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise DataError(say(first_line(error))) from error


def first_line(error: BaseException) -> str:
    """The first line of a library's message, without a final period."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def escape_glob(path: str) -> str:
    """Write a path so that DuckDB takes its ``*``, ``?`` and ``[`` as they are."""
    return re.sub(r"([*?\[])", r"[\1]", path)
