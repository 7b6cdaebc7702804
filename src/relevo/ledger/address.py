"""How the place of a ledger is written: SQLAlchemy's URL, and what of it people may see."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from relevo.errors import LedgerError
from relevo.texts import t

_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""What libpq takes as parameters of a URL and nobody else may know."""


def parsed(url: str) -> URL:
    """Read a URL; raises ``LedgerError`` when it is none of SQLAlchemy's."""
    try:
        found = make_url(url)
        found.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        scheme, colon, _ = url.partition(":")  # what follows may hold a password
        raise LedgerError(
            t(
                "The ledger's URL “{url}” is not one of SQLAlchemy's. Write sqlite:///path/to/ledger.db or "
                "postgresql+psycopg://user@host/database.",
                url=f"{scheme}:…" if colon else url,
            )
        ) from error
    if "@" in (found.host or ""):
        raise LedgerError(t("The password in the ledger's URL has an @. Write %40 in its place."))
    return found


def public(url: URL) -> URL:
    """A URL without a secret, wherever it stands."""
    query = url.difference_update_query(_SECRETS).query
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)


def shown(url: URL) -> str:
    """A URL as people may see it."""
    return public(url).render_as_string(hide_password=False)


def setting(file: Path) -> str:
    """The URL of an SQLite file, the same from every folder."""
    return URL.create("sqlite", database=str(file.absolute())).render_as_string()


def file(url: URL) -> Path | None:
    """The file of an SQLite ledger; None for a server's. Raises ``LedgerError`` for one in memory."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise LedgerError(
            t("A ledger in memory would be forgotten. Write sqlite:///path/to/ledger.db in relevo.toml.")
        )
    return Path(url.database)
