"""Runs are found by the decision that they follow from."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
ADDS: dict[str, str] = {}
"""Nothing that would be forgotten: the plan says it too."""


def upgrade() -> None:
    """Add the column with what the plans say, and its index."""
    op.add_column("relevo_runs", sa.Column("because", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_relevo_runs_project_because", "relevo_runs", ["project", "because"])
    runs = sa.table("relevo_runs", sa.column("id"), sa.column("plan"), sa.column("because"))
    connection = op.get_bind()
    said = sa.select(runs.c.id, runs.c.plan).where(
        runs.c.plan.like('%"because":"%'), runs.c.plan.not_like('%"because":""%')
    )
    for run, plan in connection.execute(said).all():
        because = {"because": str(json.loads(plan).get("because") or "")}
        connection.execute(sa.update(runs).where(runs.c.id == run).values(because))


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_relevo_runs_project_because", "relevo_runs")
    op.drop_column("relevo_runs", "because")
