"""Releases say how a challenger is tried, and the evidence of what no person did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
ADDS = {"relevo_releases": "facts"}


def upgrade() -> None:
    """Add the column; empty where a release has no facts, so that earlier hashes stay as they are."""
    op.add_column("relevo_releases", sa.Column("facts", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("relevo_releases", "facts")
