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
    Index(None, "project", "started_at"),
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
