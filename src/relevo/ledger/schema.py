"""Is the schema the one this software knows? If it is behind, migrate; only then is Alembic imported.

Two tables of their own say that a ledger is closed: ``MOVED`` where it went, when ``copying`` took it elsewhere, and
``MOVING`` from where one is being brought here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text

from relevo.errors import LedgerError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision in ``migrations/versions``, oldest first."""
VERSION_TABLE = "relevo_alembic_version"
MOVED, MOVING = "relevo_moved", "relevo_moving"
_ADVISORY = 0x72656C65766F  # “relevo”


def is_current(connection: Connection) -> bool:
    """Whether the schema is the newest known; raises ``LedgerError`` when it is newer than that."""
    found = _found(connection)
    if found is not None and found not in KNOWN:
        raise LedgerError(
            t(
                "The ledger has schema {found}; this version of Relevo knows up to {known}. A newer Relevo wrote it: "
                "upgrade this one with `pip install --upgrade relevo`.",
                found=found,
                known=KNOWN[-1],
            )
        )
    return found == KNOWN[-1]


def migrate(connection: Connection) -> None:
    """Bring the schema up to date within the caller's transaction, which alone may write.

    On SQLite it began with BEGIN IMMEDIATE; on Postgres an advisory lock lets one process through at a
    time. Whoever comes second finds the work done.
    """
    _alone(connection)
    if is_current(connection):
        return
    from alembic import command

    command.upgrade(_config(connection), "head")


def lower(connection: Connection, revision: str, *, discard: bool) -> None:
    """Take the schema back to ``revision``, for an earlier Relevo, within the caller's transaction.

    Raises ``LedgerError`` when there is no such revision, or when that forgets rows and ``discard`` is not set.
    """
    _alone(connection)
    found = _found(connection)
    passed = KNOWN[: KNOWN.index(found) + 1] if found else ()
    if revision not in passed:
        raise LedgerError(
            t(
                "The ledger has schema {found}; it cannot go back to {revision}. Schemas are: {known}.",
                found=found,
                revision=revision,
                known=", ".join(KNOWN),
            )
        )
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    undone = [scripts.get_revision(name).module for name in passed[passed.index(revision) + 1 :]]
    held = {table: rows for script in undone for table, rows in _held(connection, script.ADDS).items()}
    if held and not discard:
        raise LedgerError(
            t(
                "Schema {revision} has no place for {rows}. With --discard they are forgotten; keep a copy of the "
                "database first.",
                revision=revision,
                rows=", ".join(f"{table} ({rows:,})" for table, rows in held.items()),
            )
        )
    command.downgrade(config, revision)


def closed(connection: Connection, ledger: str) -> LedgerError | None:
    """The error of whoever uses a ledger that was moved elsewhere, or is being brought here; None when it is open."""
    place = said(connection, MOVED)
    if place is not None:
        return LedgerError(
            t(
                "The ledger {ledger} moved to {place}. Set RELEVO_LEDGER to that URL, or ledger in relevo.toml.",
                ledger=ledger,
                place=place,
            )
        )
    origin = said(connection, MOVING)
    if origin is not None:
        return LedgerError(
            t(
                "Moving the ledger {origin} to {ledger} has not ended. Type `relevo migrate --to URL` again where it "
                "was begun.",
                origin=origin,
                ledger=ledger,
            )
        )
    return None


def say(connection: Connection, table: str, place: str) -> None:
    """Write ``MOVED`` or ``MOVING``."""
    connection.execute(text(f"create table {table} (place text not null)"))
    connection.execute(text(f"insert into {table} values (:place)"), {"place": place})


def said(connection: Connection, table: str) -> str | None:
    """What ``MOVED`` or ``MOVING`` says; None when it is not there."""
    if not inspect(connection).has_table(table):
        return None
    return str(connection.execute(text(f"select place from {table}")).scalar())


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "relevo.ledger:migrations")
    config.attributes["connection"] = connection
    return config


def _held(connection: Connection, adds: Mapping[str, str]) -> dict[str, int]:
    """How many rows would be forgotten, by what a migration adds: a table, or a column that is not empty in them."""
    found = {}
    for table, column in adds.items():
        where = f" where {column} <> ''" if column else ""
        rows = connection.execute(text(f"select count(*) from {table}{where}")).scalar() or 0
        if rows:
            found[f"{table}.{column}" if column else table] = int(rows)
    return found


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"select version_num from {VERSION_TABLE}")).scalar()
    return found
