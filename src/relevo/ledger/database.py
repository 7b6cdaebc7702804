"""The database behind the ledger: connections, transactions, and what goes wrong with them.

SQLite runs in WAL mode, so readers never wait for a writer, with ``synchronous=FULL``: a commit is on the
disk when it returns. Under NORMAL a release that was answered could be gone after a loss of power; FULL
costs one flush a commit, and a run commits a few dozen times.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, NullPool, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from relevo.errors import LedgerError
from relevo.ledger import schema
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_BEGIN = "relevo_begin"
_SETTLED = 1_000_000_000  # nanoseconds


class Database:
    """Transactions on the ledger's database, opened at first use and migrated when its schema is behind.

    ``timeout`` is how many seconds a transaction waits for another's, or for a server to answer. With
    ``create`` a SQLite file that is absent is made, once: a ledger that vanishes later is an error.
    """

    def __init__(self, url: str | Path, *, timeout: float, create: bool) -> None:
        self.url = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else _parsed(url)
        self.file = _file(self.url)
        self.shown = str(self.file) if self.file else self.url.render_as_string(hide_password=True)
        self._timeout = timeout
        self._create = create
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._writer: Engine | None = None
        self._identity: tuple[int, ...] = ()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the ledger."""
        with self._explained():
            engine, _ = self._ready()
            with engine.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that commits all or nothing; on SQLite no other writes meanwhile."""
        with self._explained():
            _, writer = self._ready()
            with writer.begin() as connection:
                yield connection

    def stamp(self) -> tuple[int, ...] | None:
        """What changes with every commit to a SQLite file; None when only a query can tell.

        It is when the file and its log were last written, by the kernel's clock, which has ticks of a few
        milliseconds: two commits may fall into one. So a stamp is given only when it is ``_SETTLED`` old.
        """
        if self.file is None:
            return None
        found: list[int] = []
        for path in (self.file, self.file.with_name(f"{self.file.name}-wal")):
            try:
                stat = path.stat()
            except OSError:  # no log: all is in the file; no file: the query says so
                stat = None
            if (
                stat is None or not stat.st_size
            ):  # an empty log comes with the first reader and goes with the last
                found += (0, 0, 0)
            else:
                found += (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        newest = max(found[2], found[5])
        return tuple(found) if found[0] and time.time_ns() - newest > _SETTLED else None

    def close(self) -> None:
        """Close idle connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _ready(self) -> tuple[Engine, Engine]:
        identity = self._identify()
        if self._engine is None or self._writer is None or identity != self._identity:
            with self._opening:
                if self._engine is None or self._writer is None or self._identify() != self._identity:
                    self._open()
        return self._engine, self._writer  # type: ignore[return-value]  # _open set both

    def _identify(self) -> tuple[int, ...]:
        """Tell the file apart from one put in its place, and this process from one it was forked from."""
        if self.file is None:
            return (os.getpid(),)
        try:
            stat = self.file.stat()
        except FileNotFoundError as error:
            if self._engine is None and self._create:
                return ()
            raise LedgerError(
                t(
                    "The ledger {ledger} is absent. Run `relevo run` to make one, or restore it from a backup.",
                    ledger=self.shown,
                )
            ) from error
        except OSError as error:
            raise LedgerError(
                t(
                    "The ledger {ledger} cannot be used: {error}. {remedy}",
                    ledger=self.shown,
                    error=error.strerror,
                    remedy=_remedy("SQLITE_CANTOPEN"),
                )
            ) from error
        return os.getpid(), stat.st_dev, stat.st_ino

    def _open(self) -> None:
        if self._engine is not None:  # its connections are to a replaced file, or a parent process's own
            self._engine.dispose(close=self._identity[0] == os.getpid())
        engine = self._sqlite() if self.file else _server(self.url, self._timeout)
        writer = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with engine.begin() as connection:
            current = schema.is_current(connection)
        if not current:
            if self.file:
                self._to_wal(engine)
            with writer.begin() as connection:
                schema.migrate(connection)
        self._engine, self._writer = engine, writer
        self._identity = self._identify()

    def _sqlite(self) -> Engine:
        assert self.file is not None
        uri, log = self.file.absolute().as_uri(), self.file.with_name(f"{self.file.name}-wal")
        mode = "rwc" if self._create and self._engine is None else "rw"
        frozen = self.file.exists() and not os.access(self.file.parent, os.W_OK)

        def connect() -> sqlite3.Connection:
            # Where SQLite may not make the files beside a WAL ledger, it opens one that has no writer as it lies
            # (sqlite.org/wal.html, "Read-Only Databases"), for one call only: there may be a writer at the next.
            how = "ro&immutable=1" if frozen and not log.exists() else mode
            connection = sqlite3.connect(
                f"{uri}?mode={how}",
                uri=True,
                timeout=self._timeout,
                isolation_level=None,  # transactions are begun below, not guessed by the driver
                check_same_thread=False,  # the pool gives a connection to one thread at a time
            )
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma synchronous = full")
            return connection

        engine = (
            create_engine("sqlite://", creator=connect, poolclass=NullPool)
            if frozen
            else create_engine(
                "sqlite://", creator=connect, poolclass=QueuePool, pool_timeout=max(self._timeout, 0.1)
            )
        )
        event.listen(engine, "begin", _begin)
        return engine

    def _to_wal(self, engine: Engine) -> None:
        """Switch a new file to WAL. Two processes may try at once, and SQLite does not wait here."""
        until = time.monotonic() + self._timeout
        raw = engine.raw_connection()
        try:
            while True:
                try:
                    raw.driver_connection.execute("pragma journal_mode = wal")  # type: ignore[union-attr]
                except sqlite3.OperationalError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.01)
                else:
                    return
        finally:
            raw.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise LedgerError(
                t(
                    "The ledger refuses the record: {error}. It names something that is not there, or repeats "
                    "something that is.",
                    error=error.orig,
                )
            ) from error
        except (DBAPIError, sqlite3.Error) as error:
            raise self._away(error) from error
        except SQLAlchemyError as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> LedgerError:
        cause: Any = getattr(error, "orig", error)
        return LedgerError(
            t(
                "The ledger {ledger} cannot be used: {error}. {remedy}",
                ledger=self.shown,
                error=str(cause).strip(),
                remedy=_remedy(getattr(cause, "sqlite_errorname", "")),
            )
        )


def _remedy(name: str) -> str:
    kind = "_".join(name.split("_")[:2])
    return {
        "SQLITE_BUSY": t("Another process is writing to it for long; wait for it or stop it."),
        "SQLITE_CANTOPEN": t("Check that its folder is there and that your user may read and write it."),
        "SQLITE_READONLY": t("Give your user the right to write it and its folder."),
        "SQLITE_PERM": t("Give your user the right to write it and its folder."),
        "SQLITE_FULL": t("The disk is full: free some space, then try again."),
        "SQLITE_NOTADB": t("The file is not a ledger; restore it from a backup."),
        "SQLITE_CORRUPT": t("The file is damaged; restore it from a backup."),
    }.get(kind, t("Check that the database is there and answers."))


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    connection.connection.cursor().execute(begin)


def _server(url: URL, timeout: float) -> Engine:
    arguments = {"connect_timeout": max(1, round(timeout))} if url.get_backend_name() == "postgresql" else {}
    try:
        return create_engine(url, connect_args=arguments, pool_pre_ping=True, pool_timeout=timeout)
    except ModuleNotFoundError as error:
        raise LedgerError(
            t(
                "The ledger's database needs {module}, which is not installed. Type: pip install {module}",
                module=error.name,
            )
        ) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise LedgerError(
            t(
                "The ledger's URL “{url}” is not one of SQLAlchemy's. Write sqlite:///path/to/ledger.db or "
                "postgresql+psycopg://user@host/database.",
                url=url.partition("@")[2] or url,
            )
        ) from error
    return parsed


def _file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise LedgerError(
            t("A ledger in memory would be forgotten. Write sqlite:///path/to/ledger.db in relevo.toml.")
        )
    return Path(url.database)
