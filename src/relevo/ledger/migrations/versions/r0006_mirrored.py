"""What another system, such as an MLflow server, was told of the ledger's facts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
ADDS = {"relevo_mirrored": ""}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "relevo_mirrored",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("remote", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("project", "server", "kind", "key", name="pk_relevo_mirrored"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("relevo_mirrored")
