"""From a file to a project folder, whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import disk
from relevo.definition import load
from relevo.errors import DataError, WorkspaceError
from relevo.extras import need
from relevo.lake import check_path
from relevo.scaffold import columns as profiled
from relevo.scaffold import features, naming, outcome, splitting, suspects, writing
from relevo.scaffold.facts import Found
from relevo.scaffold.opening import open_file
from relevo.texts import t
from relevo.workspace import Settings, lake_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from relevo.scaffold.facts import Left

MEMORY = "1200MB"
THREADS = 4


@dataclass(frozen=True)
class Made:
    """A project that was written, and what was found on the way."""

    folder: Path
    name: str
    found: Found

    @property
    def next(self) -> str:
        """The command that comes next, as a shell takes it."""
        return f"relevo run {shlex.quote(str(self.folder))}"


def new(folder: Path, source: Path, target: str, *, positive: str | None = None, copy: bool = False) -> Made:
    """Profile ``source`` and write a project into ``folder``, which must not exist.

    ``copy`` brings the file into the project; otherwise it is read where it lies. Raises ``DataError`` and
    ``ProjectError`` about the file and the target, and ``WorkspaceError`` about the folder; then nothing is left.
    """
    if folder.exists() or folder.is_symlink():
        raise WorkspaceError(
            t("{folder} is there already; nothing was written. Choose another name.", folder=folder)
        )
    need("sqlglot", "train")
    whole = folder.absolute()
    check_path(lake_place(whole, Settings.read(whole)))  # before the work: the first run would be refused
    name = naming.slug(whole.name, "project", dash=True)
    parent = whole.parent
    with disk.explained(parent):
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".relevo-new-", dir=parent))
    try:
        found = _found(source, target, positive, scratch)
        made = scratch / "project"
        with disk.explained(scratch):
            _write(made, folder, found, name, copy=copy)
        load(made)  # a mistake here is ours, and no folder is left behind
        with disk.explained(parent):
            made.rename(folder)
            disk.sync_folder(parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Made(folder, name, found)


def _found(source: Path, target: str, positive: str | None, scratch: Path) -> Found:
    connection = _connect(scratch)
    try:
        opened = open_file(connection, source.expanduser().absolute(), scratch)
        columns, nulls, kept_words = profiled.read(connection, opened)
        result = outcome.read(connection, opened, columns, target, positive)
        left = suspects.find(connection, columns, result)
        cut = splitting.choose(connection, columns, result, left)
    finally:
        connection.close()
    left = sorted([*left, *cut.left], key=lambda item: item.column.place)
    without = {item.column.place for item in left if not item.soft}
    without |= set(result.columns) - set(result.known)
    without |= {cut.group.place} if cut.group is not None else set()
    request = tuple(column for column in columns if column.place not in without)
    if not request:
        raise DataError(_nothing_left(left))
    return Found(
        opened=opened, columns=request, outcome=result, left=tuple(left), cut=cut, nulls=nulls,
        kept_words=kept_words, all=columns,
    )  # fmt: skip


def _nothing_left(left: list[Left]) -> str:
    reasons = "; ".join(f"“{item.column.header}”: {item.reason}" for item in left[:10])
    return t(
        "No column is left to learn from. {reasons}. Bring columns that are known when the question is asked.",
        reasons=reasons,
    )


def _connect(scratch: Path) -> DuckDBPyConnection:
    """Open an engine that keeps its tables on disk, so that memory stays within its limit."""
    import duckdb

    connection = duckdb.connect(
        str(scratch / "profile.duckdb"),
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(scratch / "duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": min(THREADS, os.cpu_count() or 1),
        },
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    connection.execute("set scheduler_process_partial = true")  # or Ctrl-C waits for its threads to be done
    return connection


def _write(made: Path, folder: Path, found: Found, name: str, *, copy: bool) -> None:
    made.mkdir()
    path = found.opened.path
    if copy:
        (made / "data").mkdir()
        shutil.copyfile(path, made / "data" / path.name)
    pattern = f"data/{path.name}" if copy else _reference(path, folder.absolute())
    table = naming.slug(path.name.split(".")[0], "rows")
    files = {
        "project.py": writing.project(found, name, table, pattern),
        "features.sql": features.write(found),
        "cases.csv": writing.cases(found),
        "README.md": writing.readme(found, name, shlex.quote(str(folder))),
        ".gitignore": ".relevo/\n",
    }
    for file, content in files.items():
        (made / file).write_text(content, encoding="utf-8")


def _reference(path: Path, folder: Path) -> str:
    """Relative to the project when the file lies below the current directory, else absolute."""
    here = Path.cwd()
    if path.is_relative_to(here) and folder.is_relative_to(here):
        return Path(os.path.relpath(path, folder)).as_posix()
    return str(path)


def report(made: Made) -> dict[str, Any]:
    """What was found, for programs."""
    found, result = made.found, made.found.outcome
    return {
        "project": made.name,
        "folder": str(made.folder),
        "rows": found.opened.rows,
        "damaged": found.opened.damaged,
        "target": {
            "expression": result.expression,
            "positive": result.positive,
            "negative": result.negative,
            "positives": result.positives,
            "negatives": result.negatives,
            "unlabelled": result.unlabelled,
            "rate": result.rate,
            "why": result.why,
        },
        "split": {"choice": repr(found.cut.split), "why": list(found.cut.why)},
        "metric": writing.metric(found),
        "nulls": list(found.nulls),
        "fields": [
            {"name": column.name, "column": column.header, "type": column.type, "nulls": column.nulls}
            for column in found.columns
        ],
        "left_out": [item for item in _items(found) if not item.pop("soft")],
        "look_at": [item for item in _items(found) if item.pop("soft")],
        "next": made.next,
    }


def _items(found: Found) -> Iterator[dict[str, Any]]:
    for item in found.left:
        yield {"column": item.column.header, "reason": item.reason, "soft": item.soft}
