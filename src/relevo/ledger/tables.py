"""The ledger's tables. ``migrations`` makes them; a test compares the two.

Records are kept as they are: times are ISO 8601 texts in UTC, which sort as they follow one another, and
what has no fixed shape is canonical JSON. The names start with ``relevo_`` since a database given by URL may
serve others too.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_ID = 64  # characters: a UUID, a SHA-256
_NAME = 200

runs = Table(
    "relevo_runs",
    metadata,
    Column("id", String(_ID), primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("finished_at", String(40), nullable=False),
    Column("plan", Text, nullable=False),
    Column("version", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("because", String(_ID), nullable=False, server_default=""),  # as in the plan, to be found by
    Index(None, "project", "started_at"),
    Index(None, "project", "because"),
)

steps = Table(
    "relevo_steps",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", String(_ID), ForeignKey("relevo_runs.id"), nullable=False),
    Column("name", String(_NAME), nullable=False),
    Column("inputs", String(_ID), nullable=False),
    Column("status", String(20), nullable=False),
    Column("output", Text, nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("wall_seconds", Double, nullable=False),
    Column("cpu_seconds", Double, nullable=False),
    Column("peak_rss_bytes", BigInteger, nullable=False),
    Column("rows_in", BigInteger, nullable=False),
    Column("rows_out", BigInteger, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Index(None, "run"),
    Index(None, "name", "inputs"),
)

trials = Table(
    "relevo_trials",
    metadata,
    Column("run", String(_ID), ForeignKey("relevo_runs.id"), primary_key=True),
    Column("candidate", String(_NAME), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("settings", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("score", Double),
    Column("training_score", Double),
    Column("seconds", Double, nullable=False),
)

snapshots = Table(
    "relevo_snapshots",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("id", String(_ID), nullable=False),
    Column("table", String(_NAME), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("files", Text, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("changed", Boolean, nullable=False),
    Index(None, "project", "id"),
    Index(None, "project", "table"),
)

versions = Table(
    "relevo_versions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("version", String(40), nullable=False),
    Column("digest", String(_ID), nullable=False),
    Column("run", String(_ID), nullable=False),
    Column("status", String(20), nullable=False),
    Column("algorithm", String(_NAME), nullable=False),
    Column("metrics", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    UniqueConstraint("project", "version"),
    UniqueConstraint("project", "digest", "status"),  # a package judged anew has a second number
)

releases = Table(
    "relevo_releases",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("alias", String(_NAME), nullable=False),
    Column("version", String(40), nullable=False),
    Column("digest", String(_ID), nullable=False),
    Column("previous", String(40), nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("act", String(20), nullable=False),
    Column("released_at", String(40), nullable=False),
    Column("previous_hash", String(_ID), nullable=False),
    Column("hash", String(_ID), nullable=False),
    Column("facts", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["project", "version"], ["relevo_versions.project", "relevo_versions.version"]),
    Index(None, "project", "alias", "number"),
)

heads = Table(
    "relevo_heads",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("hash", String(_ID), nullable=False),
)
"""The newest release of each project: locks the chain while it grows, and betrays rows removed from its end."""

materialisations = Table(
    "relevo_materialisations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("name", String(_NAME), nullable=False),
    Column("shape", String(_ID), nullable=False),
    Column("layout", String(_ID), nullable=False),
    Column("snapshot", String(_ID), nullable=False),
    Column("sha256", String(_ID), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("newest", String(40), nullable=False),
    Column("made_at", String(40), nullable=False),
    Index(None, "project", "number"),
)

keys = Table(
    "relevo_keys",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("id", String(_ID), primary_key=True),
    Column("name", String(_NAME), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("method", String(40), nullable=False),
    Column("salt", String(_ID), nullable=False),
    Column("digest", String(_ID), nullable=False),
    Column("rate", Double),
    Column("concurrency", Integer),
    Column("who", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("expires_at", String(40), nullable=False),
    Column("revoked_at", String(40), nullable=False),
)

windows = Table(
    "relevo_windows",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("source", String(20), nullable=False),
    Column("unit", String(20), nullable=False),
    Column("name", String(_NAME), nullable=False),
    Column("began_at", String(40), nullable=False),
    Column("ended_at", String(40), nullable=False),
    Column("version", String(40), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("inputs", String(_ID), nullable=False),
    Column("figures", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("made_at", String(40), nullable=False),
    UniqueConstraint("project", "source", "unit", "name", "version", "inputs"),
    Index(None, "project", "ended_at"),
)

alerts = Table(
    "relevo_alerts",
    metadata,
    Column("id", String(_ID), primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("signal", String(_NAME), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("opened_at", String(40), nullable=False),
    Index(None, "project", "opened_at"),
)

alert_events = Table(
    "relevo_alert_events",
    metadata,
    Column("alert", String(_ID), ForeignKey("relevo_alerts.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("event", String(20), nullable=False),
    Column("who", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("evidence", Text, nullable=False),
)

deliveries = Table(
    "relevo_deliveries",
    metadata,
    Column("id", String(_ID), primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("alert", String(_ID), nullable=False),
    Column("event", Integer, nullable=False),
    Column("channel", String(_NAME), nullable=False),
    Column("message", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("due_at", String(40), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("sent_at", String(40), nullable=False),
    Index(None, "project", "status", "due_at"),
)

decisions = Table(
    "relevo_decisions",
    metadata,
    Column("id", String(_ID), primary_key=True),
    Column("project", String(_NAME), nullable=False),
    Column("at", String(40), nullable=False),
    Column("cause", String(40), nullable=False),
    Column("action", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("window", Integer, nullable=False),
    Column("alert", String(_ID), nullable=False),
    Column("run", String(_ID), nullable=False),
    Column("version", String(40), nullable=False),
    Index(None, "project", "at"),
)

jobs = Table(
    "relevo_jobs",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("name", String(_NAME), primary_key=True),
    Column("due_at", String(40), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("holder", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("finished_at", String(40), nullable=False),
    Column("error", Text, nullable=False),
    Column("facts", Text, nullable=False),
)

mirrored = Table(
    "relevo_mirrored",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("server", String(_ID), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("key", String(_NAME), primary_key=True),
    Column("remote", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("at", String(40), nullable=False),
)
"""What another system, such as an MLflow server, holds of the ledger's facts, as far as it was told."""

leases = Table(
    "relevo_leases",
    metadata,
    Column("project", String(_NAME), primary_key=True),
    Column("name", String(_NAME), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("until", String(40), nullable=False),
)
