"""Is the schema the one this software knows? If it is behind, migrate; only then is Alembic imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from relevo.errors import LedgerError
from relevo.texts import t

if TYPE_CHECKING:
    from sqlalchemy import Connection

KNOWN = ("0001", "0002", "0003", "0004")
"""Every revision in ``migrations/versions``, oldest first."""
VERSION_TABLE = "relevo_alembic_version"
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
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
    if is_current(connection):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "relevo.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"select version_num from {VERSION_TABLE}")).scalar()
    return found
