"""A Postgres server of a test's own, which it may kill."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from relevo.ids import uuid7
from support.mailing import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 300.0


def programs() -> Path | None:
    """The folder of the server's programs; None where there are none, or root has no other user to run them."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    usable = bool(folders) and (os.getuid() != 0 or _user() is not None)
    return folders[-1] if usable else None


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


class Server:
    """A server on a port of 127.0.0.1, with the database ``test``; it trusts everybody there."""

    def __init__(self, folder: Path, bins: Path) -> None:
        self._folder, self._bins = folder, bins
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        user = _user() if os.getuid() == 0 else None
        self._as: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        name = user.pw_name if user else pwd.getpwuid(os.getuid()).pw_name
        self._name = name
        command = [
            bins / "initdb",
            "-D",
            folder / "data",
            *["-A", "trust", "-N", "-E", "UTF8", "--no-locale"],
        ]
        subprocess.run([str(part) for part in command], check=True, capture_output=True, **self._as)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{self._name}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers; the first time on a port that is free then."""
        first, until = not self.port, time.monotonic() + LONGEST
        while not self._started(free_port() if first else self.port, until):
            assert time.monotonic() < until, f"the server does not start on port {self.port}"

    def _started(self, port: int, until: float) -> bool:
        """Whether it answers in the end; it has ended where another took the port first."""
        self.port = port
        command = [self._bins / "postgres", "-D", self._folder / "data", "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"]
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        engine = create_engine(self.url)
        while self.process.poll() is None:
            try:
                with engine.connect() as connection:
                    connection.execute(text("select 1"))
            except OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                engine.dispose()
                return True
        return False

    def kill(self) -> None:
        """End it as a loss of power does: what was committed stays, nothing else."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(LONGEST)
            self.process = None


@cache
def _database(given: str) -> str:
    """The URL of a database of this process's own, since migrations in one wait for each other.

    It is dropped in the end. Where none may be made it is the one that is ``given``.
    """
    name, engine = "relevo_" + uuid7().replace("-", ""), create_engine(given, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"create database {name}"))
    except ProgrammingError:
        return given
    finally:
        engine.dispose()
    atexit.register(_drop, given, name, os.getpid())
    return make_url(given).set(database=name).render_as_string(hide_password=False)


def _drop(given: str, name: str, owner: int) -> None:
    if os.getpid() == owner:
        with create_engine(given, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"drop database {name} with (force)"))


@contextmanager
def schema(given: str) -> Iterator[str]:
    """Make an empty schema on the server of this URL for the block, and give the URL that leads to it."""
    given = _database(given)
    name = "relevo_" + uuid7().replace("-", "")
    engine = create_engine(given, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create schema {name}"))
    try:
        yield f"{given}{'&' if '?' in given else '?'}options=-csearch_path%3D{name}"
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"drop schema {name} cascade"))
        engine.dispose()


@contextmanager
def server(bins: Path) -> Iterator[Server]:
    """Start a server for the block."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        made = Server(folder, bins)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
