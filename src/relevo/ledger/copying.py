"""Copy a ledger to another database, whole or not at all, and close the earlier one.

1. In one transaction all rows are copied to the new database, read back and compared, and the chain of releases is
   verified there; ``schema.MOVING`` keeps everybody out of it. Meanwhile nobody writes to the earlier one.
2. In one transaction the tables of the earlier ledger get other names, and ``schema.MOVED`` says where they went, so
   that processes that have it open stop reading what is no longer the truth. No row is removed.
3. ``schema.MOVING`` is removed.

Killed in 1, nothing has happened; killed between, the same call goes on: rows that came to the earlier ledger since are
copied too, as the copy is made anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from relevo import digest as digests
from relevo.errors import LedgerError
from relevo.ledger import schema, written
from relevo.ledger.database import Database
from relevo.ledger.tables import leases, metadata, releases
from relevo.records import now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

CHUNK = 1_000
BEFORE = "moved_"
"""What the names of the earlier ledger's tables begin with when it is closed."""


@dataclass
class Copied:
    """Rows by table, and the projects whose chains were verified; ``before`` says that the rows were there already.

    ``ledger`` is the URL that is to be set from now on, without a secret.
    """

    rows: dict[str, int] = field(default_factory=dict)
    projects: tuple[str, ...] = ()
    before: bool = False
    ledger: str = ""


def move(
    source: str | Path, target: str | Path, *, timeout: float = 5.0, tell: Callable[[str], None]
) -> Copied:
    """Move the ledger at ``source`` to ``target``; both are as ``Ledger`` takes them.

    Raises ``LedgerError`` when one of them is away, when something is scheduled from the earlier one, when another
    ledger is at ``target``, or when what was written there is not what was read.
    """
    old = Database(source, timeout=timeout, create=False, although_closed=True)
    new = Database(target, timeout=timeout, create=True, although_closed=True)
    if old.setting == new.setting:
        raise LedgerError(t("The ledger is at {place} already.", place=new.shown))
    try:
        with old.writing() as reader:
            moved = schema.said(reader, schema.MOVED)
            if moved is None:
                _hold(reader)
                with new.writing() as writer:
                    copied = _copy(reader, writer, old.shown, new.shown, tell)
                _close(reader, new.setting)
        if moved is not None:
            copied = _already(old, new, moved)
        with new.writing() as writer:
            if schema.said(writer, schema.MOVING) is not None:
                writer.execute(text(f"drop table {schema.MOVING}"))
    finally:
        old.close()
        new.close()
    copied.ledger = new.setting
    return copied


def is_closed(place: str | Path, *, timeout: float = 5.0) -> bool:
    """Whether the ledger at ``place`` was moved elsewhere."""
    database = Database(place, timeout=timeout, create=False, although_closed=True)
    try:
        with database.reading() as reader:
            return schema.said(reader, schema.MOVED) is not None
    finally:
        database.close()


def _already(old: Database, new: Database, moved: str) -> Copied:
    """What an earlier call did, which was killed before its last step or has ended."""
    if moved != new.setting:
        raise LedgerError(t("The ledger {ledger} moved to {place} before.", ledger=old.shown, place=moved))
    with new.reading() as reader:
        rows = {table.name: _size(reader, table) for table in metadata.sorted_tables}
        return Copied(rows, _projects(reader), before=True)


def _hold(reader: Connection) -> None:
    """Let nobody write to the earlier ledger until this transaction ends; SQLite does so anyway."""
    if reader.dialect.name == "postgresql":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        reader.execute(text(f"lock table {names} in exclusive mode"))
    found = reader.execute(select(leases).where(leases.c.until > now()).limit(1)).first()
    if found is not None:
        raise LedgerError(
            t(
                "{holder} schedules what is done with this ledger. Stop `relevo up` there first, or wait until "
                "{until}.",
                holder=found.holder,
                until=found.until,
            )
        )


def _copy(
    reader: Connection, writer: Connection, origin: str, place: str, tell: Callable[[str], None]
) -> Copied:
    _make_room(writer, origin, place)
    copied = Copied()
    for table in metadata.sorted_tables:
        read = _Sum()
        for rows in _rows(reader, table):
            read.add(rows)
            try:
                writer.execute(insert(table), rows)
            except DBAPIError as error:
                raise LedgerError(
                    t(
                        "{table} cannot be copied: {error}. Nothing was changed.",
                        table=table.name,
                        error=str(error.orig).strip(),
                    )
                ) from error
        _go_on_counting(writer, table)
        wrote = _Sum()
        for rows in _rows(writer, table):
            wrote.add(rows)
        if (read.count, read.total) != (wrote.count, wrote.total):
            raise LedgerError(
                t(
                    "{table}: {wrote:,} rows were read back that are not the {read:,} that were written. Nothing was "
                    "changed.",
                    table=table.name,
                    wrote=wrote.count,
                    read=read.count,
                )
            )
        copied.rows[table.name] = read.count
        tell(t("{table}: {rows:,} rows", table=table.name, rows=read.count))
    copied.projects = _projects(writer)
    for project in copied.projects:
        written.verify(writer, project)
    return copied


def _make_room(writer: Connection, origin: str, place: str) -> None:
    """Say that a ledger is being brought to ``place``; raises ``LedgerError`` when another one is or was there."""
    left = schema.said(writer, schema.MOVED)
    if left is not None:
        raise LedgerError(
            t(
                "{place} still keeps a ledger that moved from there to {left}. Give this one another file, database or "
                "schema.",
                place=place,
                left=left,
            )
        )
    before = schema.said(writer, schema.MOVING)
    if before is None:
        there = [table.name for table in metadata.sorted_tables if _size(writer, table)]
        if there:
            raise LedgerError(
                t(
                    "There is a ledger at that place already ({table} has rows). Give this one a database of its own, "
                    "or a schema: …?options=-csearch_path%3DNAME",
                    table=there[0],
                )
            )
        schema.say(writer, schema.MOVING, origin)
        return
    if before != origin:
        raise LedgerError(
            t("Moving the ledger {origin} to that place was begun and has not ended.", origin=before)
        )
    for table in reversed(metadata.sorted_tables):
        writer.execute(delete(table))


def _close(reader: Connection, place: str) -> None:
    schema.say(reader, schema.MOVED, place)
    for table in metadata.sorted_tables:
        reader.execute(text(f"alter table {table.name} rename to {BEFORE}{table.name}"))


def _rows(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    result = connection.execute(select(table), execution_options={"yield_per": CHUNK}).mappings()
    for part in result.partitions(CHUNK):
        yield [dict(row) for row in part]


def _size(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _projects(connection: Connection) -> tuple[str, ...]:
    query = select(releases.c.project).distinct().order_by(releases.c.project)
    return tuple(connection.execute(query).scalars())


def _go_on_counting(writer: Connection, table: Table) -> None:
    """Let Postgres number the next row after those that came with numbers of their own."""
    (key, *others) = table.primary_key.columns
    counted = not others and isinstance(key.type, Integer | BigInteger)
    if counted and writer.dialect.name == "postgresql":
        newest = select(func.coalesce(func.max(key), 0) + 1).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table.name, key.name)
        writer.execute(select(func.setval(sequence, newest, False)))  # noqa: FBT003 - SQL's own


class _Sum:
    """A digest of rows in any order, since two databases sort texts otherwise: the sum of theirs."""

    def __init__(self) -> None:
        self.count = self.total = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        self.count += len(rows)
        for row in rows:
            text_ = json.dumps(row, sort_keys=True, default=str).encode()
            self.total = (self.total + int(digests.of_bytes(text_), 16)) % (1 << 256)
