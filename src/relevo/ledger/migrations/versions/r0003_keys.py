"""API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
ADDS = {"relevo_keys": ""}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "relevo_keys",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("rate", sa.Double),
        sa.Column("concurrency", sa.Integer),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.String(40), nullable=False),
        sa.Column("revoked_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="pk_relevo_keys"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("relevo_keys")
