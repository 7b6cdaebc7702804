"""What is watched, decided and scheduled: windows, alerts, deliveries, decisions, jobs, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
ADDS = {
    "relevo_windows": "",
    "relevo_alerts": "",
    "relevo_alert_events": "",
    "relevo_deliveries": "",
    "relevo_decisions": "",
    "relevo_jobs": "",
    "relevo_leases": "",
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "relevo_windows",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("unit", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("began_at", sa.String(40), nullable=False),
        sa.Column("ended_at", sa.String(40), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("inputs", sa.String(64), nullable=False),
        sa.Column("figures", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_relevo_windows"),
        sa.UniqueConstraint(
            "project",
            "source",
            "unit",
            "name",
            "version",
            "inputs",
            name="uq_relevo_windows_project_source_unit_name_version_inputs",
        ),
    )
    op.create_table(
        "relevo_alerts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("signal", sa.String(200), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("opened_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_relevo_alerts"),
    )
    op.create_table(
        "relevo_alert_events",
        sa.Column("alert", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("alert", "number", name="pk_relevo_alert_events"),
        sa.ForeignKeyConstraint(
            ["alert"], ["relevo_alerts.id"], name="fk_relevo_alert_events_alert_relevo_alerts"
        ),
    )
    op.create_table(
        "relevo_deliveries",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("alert", sa.String(64), nullable=False),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("due_at", sa.String(40), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("sent_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_relevo_deliveries"),
    )
    op.create_table(
        "relevo_decisions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("cause", sa.String(40), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("window", sa.Integer, nullable=False),
        sa.Column("alert", sa.String(64), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_relevo_decisions"),
    )
    op.create_table(
        "relevo_jobs",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("due_at", sa.String(40), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("finished_at", sa.String(40), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "due_at", name="pk_relevo_jobs"),
    )
    op.create_table(
        "relevo_leases",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("until", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name="pk_relevo_leases"),
    )
    op.create_index("ix_relevo_windows_project_ended_at", "relevo_windows", ["project", "ended_at"])
    op.create_index("ix_relevo_alerts_project_opened_at", "relevo_alerts", ["project", "opened_at"])
    op.create_index(
        "ix_relevo_deliveries_project_status_due_at", "relevo_deliveries", ["project", "status", "due_at"]
    )
    op.create_index("ix_relevo_decisions_project_at", "relevo_decisions", ["project", "at"])


def downgrade() -> None:
    """Drop the tables, those that refer to others first."""
    for table in reversed(ADDS):
        op.drop_table(table)
