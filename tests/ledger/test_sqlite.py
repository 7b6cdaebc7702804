from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from relevo.errors import LedgerError
from relevo.ledger import Ledger
from support.agendas import AgendaConformance
from support.alarms import AlarmsConformance, WatchConformance
from support.ledgers import LedgerConformance, a_run, a_version


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder with blanks, ñ and #" / "ledger.db"


@pytest.fixture
def url(file: Path) -> str:
    file.parent.mkdir()
    return f"sqlite:///{file}"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(url, timeout=60)


class TestSQLite(LedgerConformance):
    """SQLite obeys the laws of the ledger."""


class TestSQLiteWatch(WatchConformance):
    """The same of windows and decisions."""


class TestSQLiteAlarms(AlarmsConformance):
    """The same of alerts and messages."""


class TestSQLiteAgenda(AgendaConformance):
    """SQLite obeys the laws of the agenda."""


class TestPlace:
    """The file: made once, then expected."""

    def test_it_is_made_at_first_use_in_wal_mode(self, ledger: Ledger, file: Path) -> None:
        assert not file.exists()
        ledger.runs("flights")
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("pragma journal_mode").fetchone() == ("wal",)

    def test_a_path_may_have_any_name(self, tmp_path: Path) -> None:
        file = tmp_path / "is it 100%41?mode=ro#.db"
        Ledger(file).runs("flights")
        assert file.is_file()

    def test_every_connection_flushes_commits_and_checks_references(self, ledger: Ledger) -> None:
        with ledger._database.reading() as connection:
            assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
            assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1

    def test_a_server_does_not_make_one(self, url: str, file: Path) -> None:
        with pytest.raises(LedgerError, match=r"is absent. Run `relevo run`"):
            Ledger(url, create=False).champion("flights")
        assert not file.exists()

    def test_a_file_that_vanishes_is_an_error_and_one_that_comes_back_is_followed(
        self, ledger: Ledger, url: str, file: Path
    ) -> None:
        ledger.add_version(a_version("flights", "1.0.0"))
        ledger.release("flights", "champion", "1.0.0", who="", why="", act="promote")
        ledger.close()
        kept = file.rename(file.with_name("kept.db"))
        with pytest.raises(LedgerError, match="is absent"):
            ledger.champion("flights")
        Ledger(url).add_version(a_version("flights", "2.0.0"))
        assert [version.version for version in ledger.versions("flights")] == ["2.0.0"]
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        kept.replace(file)
        champion = ledger.champion("flights")
        assert champion is not None
        assert champion.version == "1.0.0"

    @pytest.mark.parametrize(
        ("content", "message"), [(b"no database at all" * 100, "not a ledger"), (None, "cannot be used")]
    )
    def test_what_is_no_ledger_is_named(
        self, url: str, file: Path, content: bytes | None, message: str
    ) -> None:
        if content is None:
            file.mkdir()
        else:
            file.write_bytes(content)
        with pytest.raises(LedgerError, match=message) as error:
            Ledger(url).champion("flights")
        assert str(file) in str(error.value)

    def test_a_locked_ledger_is_an_error_in_time(self, ledger: Ledger, url: str, file: Path) -> None:
        ledger.add_version(a_version("flights", "1.0.0"))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("begin immediate")
            hasty = Ledger(url, timeout=0.1)
            with pytest.raises(LedgerError, match=r"database is locked\. Another process is writing"):
                hasty.start_run(a_run("flights"))
            with hasty._database.reading() as connection:
                assert connection.exec_driver_sql("pragma busy_timeout").scalar() == 100  # milliseconds
            assert len(ledger.versions("flights")) == 1, "readers do not wait for a writer"

    @pytest.mark.skipif(os.getuid() != 0, reason="takes root to act as a user who may not write")
    @pytest.mark.parametrize(("mode", "found"), [(0o755, "readonly"), (0o700, "Permission denied")])
    def test_a_ledger_that_may_not_be_written_says_so(self, mode: int, found: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/ledger.db"
            Ledger(url).runs("flights")
            Path(folder).chmod(mode)
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(65534)
                    Ledger(url, timeout=0.1).finish_run("x", status="failed")
                except LedgerError as error:
                    os.write(writer, str(error).encode())
                finally:
                    os._exit(0)
            os.close(writer)
            os.waitpid(child, 0)
            said = os.read(reader, 10_000).decode()
            os.close(reader)
            assert re.search(f"{found}.*your user", said), said

    @pytest.mark.parametrize(
        "url", ["sqlite://", "sqlite:///:memory:", "nonsense", "oracle9://x", "mysql://u:secret@h/d"]
    )
    def test_a_url_that_cannot_serve_is_named(self, url: str) -> None:
        with pytest.raises(LedgerError) as error:
            Ledger(url).runs("flights")
        assert "secret" not in str(error.value)

    def test_a_fork_opens_its_own_connections(self, ledger: Ledger) -> None:
        ledger.add_version(a_version("flights", "1.0.0"))
        child = os.fork()
        if child == 0:
            try:
                ledger.release("flights", "champion", "1.0.0", who="child", why="", act="promote")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert [row.who for row in ledger.releases("flights")] == ["child"]


class TestCost:
    """A server asks in little memory."""

    def test_importing_the_ledger_loads_neither_alembic_nor_pydantic(self) -> None:
        code = "import sys, relevo.ledger; print([m for m in ('alembic', 'pydantic', 'duckdb') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


KILLED = """
import sys
from relevo.ledger import Ledger
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    ledger.release("flights", "champion", f"1.0.{number % 2}", who="", why="", act="promote")
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_loses_no_release_that_returned_and_breaks_no_chain(ledger: Ledger, url: str) -> None:
    for number in (0, 1):
        ledger.add_version(a_version("flights", f"1.0.{number}"))
    for attempt in range(3):
        before = len(ledger.releases("flights"))
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            seen = [writer.stdout.readline() for _ in range(5 + 7 * attempt)]
            writer.send_signal(signal.SIGKILL)
            seen += writer.stdout.readlines()
        returned = len([line for line in seen if line.strip().isdigit()])
        ledger.verify("flights")
        kept = len(ledger.releases("flights")) - before
        # The first may have been where the alias stood already; the last may have been killed before it said so.
        assert returned - 1 <= kept <= returned + 1
