"""Keyed files of histories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
ADDS = {"relevo_materialisations": ""}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "relevo_materialisations",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("shape", sa.String(64), nullable=False),
        sa.Column("layout", sa.String(64), nullable=False),
        sa.Column("snapshot", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("newest", sa.String(40), nullable=False),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_relevo_materialisations"),
    )
    op.create_index(
        "ix_relevo_materialisations_project_number", "relevo_materialisations", ["project", "number"]
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("relevo_materialisations")
