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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, NullPool, QueuePool, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from relevo.errors import LedgerError
from relevo.ledger import address, schema
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

_BEGIN = "relevo_begin"
_SETTLED = 1_000_000_000  # nanoseconds
_LIBPQ = ("psycopg", "psycopg2")
_PROBES = 3
_ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""By default each statement has a moment of its own. Writers keep that: behind a lock they must see what is newest."""
_LOCKED = "55P03"
_LONGEST = 2**31 - 1  # milliseconds


class Database:
    """Transactions on the ledger's database, opened at first use and migrated when its schema is behind.

    ``timeout`` is how many seconds a transaction waits for another's, or for a server to answer. With
    ``create`` a SQLite file that is absent is made, once: a ledger that vanishes later is an error. One that was
    moved elsewhere opens only ``although_closed``.
    """

    def __init__(
        self, url: str | Path, *, timeout: float, create: bool, although_closed: bool = False
    ) -> None:
        self.url = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else address.parsed(url)
        self.file = address.file(self.url)
        self.shown = str(self.file) if self.file else address.shown(self.url)
        """As people may see it."""
        self.setting = address.setting(self.file) if self.file else self.shown
        """The URL that opens it from anywhere, but for its password."""
        self._timeout = timeout
        self._create = create
        self._although_closed = although_closed
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._reader: Engine | None = None
        self._writer: Engine | None = None
        self._identity: tuple[int, ...] = ()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the ledger."""
        with self._explained():
            reader, _ = self._ready()
            with reader.begin() as connection:
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
        if self._reader is None or self._writer is None or identity != self._identity:
            with self._opening:
                if self._reader is None or self._writer is None or self._identify() != self._identity:
                    self._open()
        return self._reader, self._writer  # type: ignore[return-value]  # _open set both

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
        try:
            self._bring_up_to_date(engine, writer)
        except BaseException:
            engine.dispose()
            raise
        self._engine, self._writer = engine, writer
        self._reader = engine if self.file else engine.execution_options(**_ONE_MOMENT)
        self._identity = self._identify()

    def _bring_up_to_date(self, engine: Engine, writer: Engine) -> None:
        with engine.begin() as connection:
            closed = None if self._although_closed else schema.closed(connection, self.shown)
            if closed is not None:
                raise closed
            left = self._although_closed and schema.said(connection, schema.MOVED) is not None
            current = left or schema.is_current(connection)  # what was left behind stays as it is
        if not current:
            if self.file:
                self._to_wal(engine)
            with writer.begin() as connection:
                schema.migrate(connection)

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
        closed = None
        if self._engine is not None and "relevo_" in str(cause):  # was it moved while it was open?
            with suppress(SQLAlchemyError, sqlite3.Error), self._engine.begin() as connection:
                closed = schema.closed(connection, self.shown)
        if closed is not None:
            return closed
        return LedgerError(
            t(
                "The ledger {ledger} cannot be used: {error}. {remedy}",
                ledger=self.shown,
                error=str(cause).strip(),
                remedy=_remedy(_code(cause)),
            )
        )


def one_at_a_time(connection: Connection, project: str, what: str) -> None:
    """Let no other transaction that asks the same go on until this one ends; what was committed before is seen.

    On SQLite those that write wait for each other anyway.
    """
    if connection.dialect.name == "postgresql":
        lock = func.hashtextextended(f"{what} of {project}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(lock)))


def _code(cause: Any) -> str:
    """What a driver calls an error: SQLite's name, or the server's SQLSTATE."""
    names = ("sqlite_errorname", "sqlstate", "pgcode")
    return next((str(found) for name in names if (found := getattr(cause, name, None))), "")


def _remedy(name: str) -> str:
    kind = "_".join(name.split("_")[:2])
    return {
        "SQLITE_BUSY": t("Another process is writing to it for long; wait for it or stop it."),
        _LOCKED: t(
            "Another session keeps locked what is needed; wait for it, or find it in pg_stat_activity and end it."
        ),
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


def _patience(timeout: float) -> dict[str, int]:
    """What libpq is to do so that a host that vanished is noticed in about ``timeout`` seconds.

    It is asked whether it is there while nothing comes, and given up when it acknowledges nothing that was sent. That
    its kernel does for it: a statement may take as long as it takes.
    """
    seconds = max(1, round(timeout))
    return {
        "connect_timeout": seconds,
        "tcp_user_timeout": 1000 * seconds,
        "keepalives": 1,
        "keepalives_idle": seconds,
        "keepalives_interval": max(1, seconds // _PROBES),
        "keepalives_count": _PROBES,
    }


def _server(url: URL, timeout: float) -> Engine:
    said = _patience(timeout) if url.get_driver_name() in _LIBPQ else {}
    arguments = {name: value for name, value in said.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, pool_timeout=timeout)
    except ModuleNotFoundError as error:
        raise LedgerError(
            t(
                "The ledger's database needs {module}, which is not installed. Type: pip install {module}",
                module=error.name,
            )
        ) from error

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, args: Any, kwargs: Any) -> Any:
        """Wait for a server that is being started again, as long as for anything else."""
        until, wait = time.monotonic() + timeout, 0.05
        while True:
            try:
                return dialect.connect(*args, **kwargs)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() + wait > until:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, 1.0)

    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _waits_for_locks(timeout), insert=True)
    return engine


def _waits_for_locks(timeout: float) -> Callable[[Any, Any], None]:
    """Let a connection wait ``timeout`` seconds for a lock, unless its URL, user or database says how long."""
    longest = min(max(1, round(1000 * timeout)), _LONGEST)

    def connected(connection: Any, _: Any) -> None:
        before, connection.autocommit = connection.autocommit, True
        connection.cursor().execute(
            f"select set_config('lock_timeout', '{longest}', false) where current_setting('lock_timeout') = '0'"
        )
        connection.autocommit = before

    return connected
