"""The keys to a project's service, in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from relevo.errors import LedgerError
from relevo.ledger import rows
from relevo.ledger.tables import keys
from relevo.records import ApiKey, now
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.ledger.database import Database


class Keyring:
    """Keys are added, and revoked once; the ledger's laws hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """Add a key."""
        with self._database.writing() as connection:
            connection.execute(insert(keys), rows.to_row(key))

    def all(self, project: str) -> list[ApiKey]:
        """List a project's keys, oldest first, those revoked or expired too."""
        query = select(keys).where(keys.c.project == project).order_by(keys.c.created_at, keys.c.id)
        with self._database.reading() as connection:
            return [rows.api_key(row) for row in connection.execute(query).mappings()]

    def revoke(self, project: str, identity: str) -> ApiKey:
        """Revoke a key for good; one revoked before keeps its time. Raises ``LedgerError`` when there is none."""
        same = (keys.c.project == project) & (keys.c.id == identity)
        with self._database.writing() as connection:
            connection.execute(update(keys).where(same, keys.c.revoked_at == "").values(revoked_at=now()))
            row = connection.execute(select(keys).where(same)).mappings().first()
        if row is None:
            raise LedgerError(
                t(
                    "{project} has no key {id}. `relevo keys list` shows those there are.",
                    project=project,
                    id=identity,
                )
            )
        return rows.api_key(row)

    def state(self, project: str) -> tuple[int, int]:
        """How many keys there are and how many were revoked: what a server must follow."""
        query = select(func.count(), func.count(func.nullif(keys.c.revoked_at, ""))).where(
            keys.c.project == project
        )
        with self._database.reading() as connection:
            made, revoked = connection.execute(query).one()
        return made, revoked
