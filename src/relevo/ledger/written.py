"""What was written is still as it was: the chain of a project's releases, within a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from relevo.ledger import chain
from relevo.ledger.tables import heads, releases, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection


def verify(connection: Connection, project: str) -> None:
    """Check the chain of releases; raises ``LedgerError`` naming the first row that is not as it was written."""
    query = select(releases).where(releases.c.project == project).order_by(releases.c.number)
    packages = select(versions.c.version, versions.c.digest).where(versions.c.project == project)
    head = connection.execute(select(heads).where(heads.c.project == project)).first()
    chain.verify(
        project,
        connection.execute(query).mappings().all(),
        (head.number, head.hash) if head else None,
        {row.version: row.digest for row in connection.execute(packages)},
    )
