"""Materialise: the newest row of each key of a history becomes a keyed file, for whoever answers one by one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from relevo import digest as digests
from relevo import disk, keyed, lookups
from relevo.errors import RelevoError
from relevo.lake import explained, first_line
from relevo.package import manifest as manifests
from relevo.package.model import MANIFEST
from relevo.records import Materialisation, now
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from relevo.records import Snapshot
    from relevo.workspace import Workspace

    History = Mapping[str, Any]
    """An entry of a manifest's ``histories``."""

KEPT = 2
"""Files kept of a history in one layout: a server may be about to open the one before the newest."""
_ORPHANED = 3600.0  # seconds after which a file that no record names is nobody's
_TABLE = "history"


def materialise(workspace: Workspace, project: str, history: History, snapshot: Snapshot) -> Materialisation:
    """Make the keyed file of a history from its table in the lake and record it.

    Nothing is done when the newest one was made of the same snapshot, and its file is whole.
    """
    return _saved(workspace, [_of_table(workspace, project, history, snapshot)])[0]


def recompute(
    workspace: Workspace, project: str, history: History, tables: Mapping[str, Snapshot]
) -> Materialisation:
    """Make the keyed file of a history that the project no longer has, from its own SQL over the clean tables.

    Its SQL sees nothing but the lake. Raises ``duckdb.Error`` when the tables are no longer as it needs them.
    """
    return _saved(workspace, [_of_query(workspace, project, history, tables)])[0]


def materialise_all(
    workspace: Workspace,
    project: str,
    histories: Sequence[History],
    snapshots: Mapping[str, Snapshot],
    tables: Mapping[str, Snapshot],
    *,
    report: Callable[[str], None] | None = None,
) -> list[Materialisation]:
    """Bring every keyed file up to date: the project's, the champion's and those of the version before it.

    They are recorded at one moment, so that nobody looks up histories of two states of the lake.

    ``histories`` are the project's entries, ``snapshots`` their tables in the lake by name, ``tables`` the
    clean tables. What a released package looks up in a way that the project no longer does is computed by the
    package's own SQL; when that fails the file it has stays, and ``report`` is told. Old files are removed.
    """
    say = report or logging.getLogger(__name__).warning
    done: dict[tuple[str, str, str], Materialisation] = {}
    shapes = {(str(h["name"]), str(h["shape"])) for h in histories}
    for history in (*histories, *_released(workspace, project, say)):
        name, shape = str(history["name"]), str(history["shape"])
        same = name, shape, lookups.layout(history)
        if same in done:
            continue
        if (name, shape) in shapes:
            done[same] = _of_table(workspace, project, history, snapshots[name])
            continue
        try:
            done[same] = _of_query(workspace, project, history, tables)
        except (RelevoError, duckdb.Error) as error:
            say(
                t(
                    "The history “{name}” of a released version cannot be made anew ({error}); it stays as it was.",
                    name=name,
                    error=first_line(error),
                )
            )
    made = _saved(workspace, list(done.values()))
    sweep(workspace, project)
    return made


def sweep(workspace: Workspace, project: str) -> None:
    """Remove the files that neither the newest materialisations need nor, soon, any server."""
    kept: dict[tuple[str, str, str], list[str]] = {}
    known = set()
    for made in workspace.ledger.materialisations(project):  # newest first
        files = kept.setdefault((made.name, made.shape, made.layout), [])
        known.add(made.sha256)
        if len(files) < KEPT and made.sha256 not in files:
            files.append(made.sha256)
    needed = {digest for files in kept.values() for digest in files}
    with disk.explained(workspace.lookups):
        for path in workspace.lookups.glob(f"*{lookups.SUFFIX}"):
            old = path.stem in known or time.time() - path.stat().st_mtime > _ORPHANED
            if path.stem not in needed and old:
                path.unlink(missing_ok=True)


def _released(workspace: Workspace, project: str, say: Callable[[str], None]) -> Iterator[History]:
    """The histories of the version in force and of the one before it, to which a rollback goes."""
    last = next(reversed(workspace.ledger.releases(project, "champion")), None)
    for number in (last.version, last.previous) if last is not None else ():
        version = workspace.ledger.version(project, number) if number else None
        if version is None:
            continue
        try:
            path = workspace.blobs.folder(version.digest) / MANIFEST
            yield from manifests.parse(orjson.loads(path.read_bytes())).histories
        except RelevoError as error:  # a package that nobody could load needs no look-ups
            say(str(error))


def _of_table(workspace: Workspace, project: str, history: History, snapshot: Snapshot) -> Materialisation:
    def bind(connection: DuckDBPyConnection) -> str:
        workspace.lake.bind(connection, snapshot.table, as_=_TABLE, version=snapshot.version)
        return quote(_TABLE)

    return _made(workspace, project, history, snapshot.id, bind)


def _of_query(
    workspace: Workspace, project: str, history: History, tables: Mapping[str, Snapshot]
) -> Materialisation:
    read = digests.of_json([history["shape"], {name: table.id for name, table in tables.items()}])

    def bind(connection: DuckDBPyConnection) -> str:
        for name, table in tables.items():
            workspace.lake.bind(connection, table.table, as_=name, version=table.version)
        workspace.lake.enclose(connection)
        connection.execute(f"create temp table {_TABLE} as select * from (\n{history['sql']}\n)")
        return quote(_TABLE)

    return _made(workspace, project, history, read, bind)


def _saved(workspace: Workspace, made: Sequence[Materialisation]) -> list[Materialisation]:
    """Record those that are new."""
    fresh = [one for one in made if not one.number]
    numbered = iter(workspace.ledger.save_materialisations(fresh) if fresh else ())
    return [one if one.number else next(numbered) for one in made]


def _made(
    workspace: Workspace,
    project: str,
    history: History,
    read: str,
    bind: Callable[[DuckDBPyConnection], str],
) -> Materialisation:
    """The newest materialisation if nothing was read since, else a new file, not yet recorded."""
    name, shape, layout = str(history["name"]), str(history["shape"]), lookups.layout(history)
    last = workspace.ledger.materialisation(project, name, shape, layout)
    if last is not None and last.snapshot == read and _whole(workspace, last):
        return last
    connection = workspace.lake.connect()
    try:
        with workspace.scratch() as scratch, explained(workspace.lookups):
            source = bind(connection)
            query = f"select max({quote(history['known_at'])}) from {source} where {_present(history)}"
            newest = connection.execute(query).fetchall()[0][0]
            rows = _rows(connection, _newest_rows(history, source))
            built = keyed.build(scratch / "rows", rows, len(history["key"]), history["types"])
            made = Materialisation(
                project=project,
                name=name,
                shape=shape,
                layout=layout,
                snapshot=read,
                sha256=built.sha256,
                rows=built.rows,
                bytes=built.bytes,
                newest=newest.isoformat(sep=" ") if newest is not None else "",
                made_at=now(),
            )
            disk.publish(scratch / "rows", lookups.place(workspace.lookups, made))
    finally:
        connection.close()
    return made


def _whole(workspace: Workspace, made: Materialisation) -> bool:
    path = lookups.place(workspace.lookups, made)
    with disk.explained(path):
        return path.is_file() and digests.of_file(path) == made.sha256


def _newest_rows(history: History, source: str) -> str:
    """SQL of the newest row of each key, in the keys' order."""
    columns = ", ".join(map(quote, history["columns"]))
    key = ", ".join(map(quote, history["key"]))
    stamp = quote(history["known_at"])
    return (
        f"select {columns} from {source} where {_present(history)} "
        f"qualify row_number() over (partition by {key} order by {stamp} desc) = 1 order by {key}"
    )


def _present(history: History) -> str:
    """SQL that leaves out what is never joined: a null key, and a row of which nobody says when it was known."""
    return " and ".join(f"{quote(name)} is not null" for name in (*history["key"], history["known_at"]))


def _rows(connection: DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    result = connection.execute(query)
    while part := result.fetchmany(keyed.CHUNK):
        yield from part
