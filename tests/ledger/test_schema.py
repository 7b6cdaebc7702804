from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from relevo.errors import LedgerError
from relevo.ledger import Ledger, schema
from relevo.ledger.tables import metadata
from support.ledgers import a_run, a_version

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Table
    from sqlalchemy.schema import SchemaItem


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_the_known_revisions_are_those_in_the_package() -> None:
    config = Config()
    config.set_main_option("script_location", "relevo.ledger:migrations")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.KNOWN


def test_the_migrations_make_the_tables_as_they_are_declared(url: str) -> None:
    ledger = Ledger(url)
    ledger.runs("flights")

    def ours(item: SchemaItem | Table, name: str | None, kind: str, *_: object) -> bool:
        return not (kind == "table" and name == schema.VERSION_TABLE)

    with ledger._database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_object": ours, "version_table": schema.VERSION_TABLE},
        )
        assert compare_metadata(context, metadata) == []


def test_a_ledger_of_a_newer_relevo_is_left_alone(url: str, tmp_path: Path) -> None:
    Ledger(url).runs("flights")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute(f"update {schema.VERSION_TABLE} set version_num = '9999'")
        connection.commit()
    with pytest.raises(LedgerError, match=r"schema 9999.*pip install --upgrade relevo"):
        Ledger(url).runs("flights")


def test_alembic_is_not_imported_when_the_schema_is_current(url: str) -> None:
    code = "import sys; from relevo.ledger import Ledger; Ledger(sys.argv[1]).runs('x');"
    code += "print('alembic' in sys.modules)"
    command = [sys.executable, "-c", code, url]
    printed = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert printed == ["True\n", "False\n"]


@pytest.mark.slow
def test_processes_that_migrate_at_once_do_not_collide(url: str) -> None:
    code = (
        "import sys, alembic.command, sqlalchemy; from relevo.ledger import Ledger; print('ready', flush=True)\n"
        "sys.stdin.readline(); Ledger(sys.argv[1], timeout=120).runs('flights')"
    )
    command = [sys.executable, "-c", code, url]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=300)
    assert [process.returncode for process in started] == [0, 0, 0, 0]
    Ledger(url).add_version(a_version("flights", "1.0.0"))


def test_a_ledger_of_an_earlier_relevo_is_migrated_and_keeps_what_it_holds(url: str, tmp_path: Path) -> None:
    made = Ledger(url)
    made.add_version(a_version("flights", "1.0.0"))
    release = made.release("flights", "champion", "1.0.0", who="ana", why="", act="promote")
    renewed = a_run("flights", plan={"because": "d1", "steps": []})
    for run in (renewed, a_run("flights"), a_run("flights", plan={"because": ""})):
        made.start_run(run)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        for later in ("materialisations", "keys", "windows", "alert_events", "alerts", "deliveries"):
            connection.execute(f"drop table relevo_{later}")
        for later in ("decisions", "jobs", "leases", "mirrored"):
            connection.execute(f"drop table relevo_{later}")
        connection.execute("alter table relevo_releases drop column facts")
        connection.execute("drop index ix_relevo_runs_project_because")
        connection.execute("alter table relevo_runs drop column because")
        connection.execute(f"update {schema.VERSION_TABLE} set version_num = '0001'")
        connection.commit()
    ledger = Ledger(url)
    assert ledger.materialisations("flights") == []
    assert [version.version for version in ledger.versions("flights")] == ["1.0.0"]
    assert ledger.releases("flights") == [release]
    assert ledger.led_to("flights") == [renewed]
    ledger.verify("flights")


def test_a_migration_that_is_killed_leaves_nothing_behind(url: str, tmp_path: Path) -> None:
    """The last statement of the migration fails as a kill would; the next process begins anew."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("create table relevo_heads (x)")
    with pytest.raises(LedgerError, match="relevo_heads already exists"):
        Ledger(url).runs("flights")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        names = [
            name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
        ]
        assert names == ["relevo_heads"]
        connection.execute("drop table relevo_heads")
    assert Ledger(url).runs("flights") == []
