"""Runs the migrations on the connection that ``relevo.ledger.schema`` hands over."""

from __future__ import annotations

from alembic import context

from relevo.ledger.schema import VERSION_TABLE
from relevo.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
