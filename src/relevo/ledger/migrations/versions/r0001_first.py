"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of the first release."""
    _runs()
    _results()
    _registry()


def _runs() -> None:
    op.create_table(
        "relevo_runs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("finished_at", sa.String(40), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_relevo_runs"),
    )
    op.create_index("ix_relevo_runs_project_started_at", "relevo_runs", ["project", "started_at"])
    op.create_table(
        "relevo_steps",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("inputs", sa.String(64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("wall_seconds", sa.Double, nullable=False),
        sa.Column("cpu_seconds", sa.Double, nullable=False),
        sa.Column("peak_rss_bytes", sa.BigInteger, nullable=False),
        sa.Column("rows_in", sa.BigInteger, nullable=False),
        sa.Column("rows_out", sa.BigInteger, nullable=False),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_relevo_steps"),
        sa.ForeignKeyConstraint(["run"], ["relevo_runs.id"], name="fk_relevo_steps_run"),
    )
    op.create_index("ix_relevo_steps_run", "relevo_steps", ["run"])
    op.create_index("ix_relevo_steps_name_inputs", "relevo_steps", ["name", "inputs"])


def _results() -> None:
    op.create_table(
        "relevo_trials",
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("candidate", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("training_score", sa.Double),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("run", "candidate", "number", name="pk_relevo_trials"),
        sa.ForeignKeyConstraint(["run"], ["relevo_runs.id"], name="fk_relevo_trials_run"),
    )
    op.create_table(
        "relevo_snapshots",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("table", sa.String(200), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_relevo_snapshots"),
    )
    op.create_index("ix_relevo_snapshots_project_id", "relevo_snapshots", ["project", "id"])
    op.create_index("ix_relevo_snapshots_project_table", "relevo_snapshots", ["project", "table"])


def _registry() -> None:
    op.create_table(
        "relevo_versions",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("algorithm", sa.String(200), nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_relevo_versions"),
        sa.UniqueConstraint("project", "version", name="uq_relevo_versions_project_version"),
        sa.UniqueConstraint("project", "digest", "status", name="uq_relevo_versions_project_digest_status"),
    )
    op.create_table(
        "relevo_releases",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("alias", sa.String(200), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(40), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("act", sa.String(20), nullable=False),
        sa.Column("released_at", sa.String(40), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("project", "number", name="pk_relevo_releases"),
        sa.ForeignKeyConstraint(
            ["project", "version"],
            ["relevo_versions.project", "relevo_versions.version"],
            name="fk_relevo_releases_project",
        ),
    )
    op.create_index(
        "ix_relevo_releases_project_alias_number", "relevo_releases", ["project", "alias", "number"]
    )
    op.create_table(
        "relevo_heads",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_relevo_heads"),
    )
