"""A ledger moves whole or not at all, and the earlier one says where it went."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from relevo.errors import LedgerError
from relevo.ledger import Ledger, copying, schema
from relevo.ledger.tables import metadata
from support import postgres, processes
from support.ledgers import a_run, a_step, a_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Opening = Callable[[Any], Ledger]

SERVER = os.environ.get("RELEVO_TEST_POSTGRES", "")


def silent(line: str) -> None:
    """Tell nobody."""


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    if not SERVER:
        pytest.skip("RELEVO_TEST_POSTGRES is not set to a Postgres URL")
    with postgres.schema(SERVER) as found:
        yield found


@pytest.fixture
def opened() -> Iterator[Opening]:
    """Open ledgers that are closed after the test."""
    made: list[Ledger] = []

    def open_(place: Any) -> Ledger:
        made.append(Ledger(place))
        return made[-1]

    yield open_
    for ledger in made:
        ledger.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A ledger with something in many of its tables."""
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    for number in range(3):
        run = a_run("flights", message="Año 2026: “listo”")
        ledger.start_run(run)
        ledger.save_step(a_step(run, wall_seconds=0.1 + number / 3, peak_rss_bytes=5_000_000_000))
        ledger.add_version(a_version("flights", f"1.0.{number}"))
        ledger.release("flights", "champion", f"1.0.{number}", who="a", why="b", act="release")
    ledger.close()
    return path


def everything(ledger: Ledger) -> dict[str, list[Any]]:
    with ledger._database.reading() as connection:
        return {
            table.name: sorted(
                map(tuple, connection.execute(text(f'select * from "{table.name}"')).all()), key=repr
            )
            for table in metadata.sorted_tables
        }


def test_all_rows_move_and_the_chain_goes_on_there(source: Path, target: str, opened: Opening) -> None:
    before = everything(opened(source))
    copied = copying.move(source, target, tell=silent)
    assert (copied.rows["relevo_releases"], copied.projects, copied.before) == (3, ("flights",), False)
    moved = opened(target)
    assert everything(moved) == before
    moved.verify("flights")
    run = a_run("flights")
    moved.start_run(run)
    moved.save_step(a_step(run))  # numbered after those that came
    moved.release("flights", "champion", "1.0.0", who="a", why="back", act="rollback")
    moved.verify("flights")
    assert [release.number for release in moved.releases("flights")] == [1, 2, 3, 4]
    moved.close()


def test_the_earlier_one_says_where_it_went_also_to_who_has_it_open(
    source: Path, target: str, opened: Opening
) -> None:
    before = opened(source)
    assert before.champion("flights") is not None
    copying.move(source, target, tell=silent)
    for ledger in (before, opened(source)):
        with pytest.raises(LedgerError, match=r"ledger\.db moved to .*Set RELEVO_LEDGER"):
            ledger.champion("flights")
        with pytest.raises(LedgerError, match="moved to"):
            ledger.start_run(a_run("flights"))


def test_done_again_it_says_so_and_changes_nothing(source: Path, target: str) -> None:
    first = copying.move(source, target, tell=silent)
    again = copying.move(source, target, tell=silent)
    assert (again.rows, again.projects, again.before) == (first.rows, first.projects, True)
    with pytest.raises(LedgerError, match=r"moved to .* before"):
        copying.move(source, source.with_name("third.db"), tell=silent)


def kill_at(where: str, source: Path, target: str) -> None:
    """Move a ledger in this process, and kill it right after the copy, or before the earlier one is closed."""
    real = getattr(copying, where)

    def last(*given: Any) -> None:
        if where == "_copy":
            real(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(copying, where, last)
    copying.move(source, target, tell=silent)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["_copy", "_close"])
def test_killed_it_is_as_before_and_goes_on(source: Path, target: str, where: str, opened: Opening) -> None:
    """Before the copy is committed, and after it but before the earlier ledger is closed."""
    assert processes.ended(processes.start(kill_at, where, source, target)) == -signal.SIGKILL
    earlier = opened(source)
    assert earlier.champion("flights") is not None
    earlier.start_run(a_run("flights", message="since then"))
    earlier.close()
    if where == "_close":
        with pytest.raises(LedgerError, match="has not ended"):
            opened(target).champion("flights")
    copying.move(source, target, tell=silent)
    found = opened(target)
    assert "since then" in {run.message for run in found.runs("flights")}
    assert len(found.runs("flights")) == 4
    found.close()


def test_what_is_not_read_back_alike_stops_it(
    source: Path, target: str, monkeypatch: pytest.MonkeyPatch, opened: Opening
) -> None:
    real, seen = copying._rows, 0

    def losing(connection: Any, table: Any) -> Any:
        nonlocal seen
        seen += table.name == "relevo_steps"
        for part in real(connection, table):
            yield part[:-1] if seen == 2 and table.name == "relevo_steps" else part  # when it is read back

    monkeypatch.setattr(copying, "_rows", losing)
    with pytest.raises(LedgerError, match=r"relevo_steps: 2 rows were read back.*Nothing was changed"):
        copying.move(source, target, tell=silent)
    assert opened(source).champion("flights") is not None
    assert opened(target).runs("flights") == []


def test_an_altered_chain_does_not_move(source: Path, target: str, opened: Opening) -> None:
    engine = create_engine(f"sqlite:///{source}")
    with engine.begin() as connection:
        connection.execute(text("update relevo_releases set who = 'mallory' where number = 2"))
    engine.dispose()
    with pytest.raises(LedgerError, match="breaks at number 2"):
        copying.move(source, target, tell=silent)
    assert opened(source).champion("flights") is not None


def test_another_ledger_is_not_overwritten(source: Path, target: str, opened: Opening) -> None:
    there = opened(target)
    there.start_run(a_run("songs"))
    there.close()
    with pytest.raises(LedgerError, match="There is a ledger at that place already"):
        copying.move(source, target, tell=silent)
    assert [run.project for run in opened(target).runs("songs")] == ["songs"]


def test_a_scheduler_that_lives_stops_it(source: Path, target: str, opened: Opening) -> None:
    ledger = opened(source)
    lease = ledger.agenda.acquire("flights", "scheduler", "host:1", seconds=60, at=datetime.now(UTC))
    assert lease is not None
    with pytest.raises(LedgerError, match=r"host:1.*Stop `relevo up`"):
        copying.move(source, target, tell=silent)
    ledger.agenda.release(lease)
    copying.move(source, target, tell=silent)


def test_a_place_that_is_away_changes_nothing(source: Path, opened: Opening) -> None:
    with pytest.raises(LedgerError, match="cannot be used"):
        copying.move(source, "postgresql+psycopg://nobody@127.0.0.1:1/none", timeout=1, tell=silent)
    assert opened(source).champion("flights") is not None


def test_back_again(source: Path, target: str, tmp_path: Path, opened: Opening) -> None:
    before = everything(opened(source))
    copying.move(source, target, tell=silent)
    copying.move(target, f"sqlite:///{tmp_path / 'back.db'}", tell=silent)
    assert everything(opened(tmp_path / "back.db")) == before
    with pytest.raises(LedgerError, match="moved to"):
        opened(target).runs("flights")


def test_where_it_once_was_it_cannot_go_back_to(source: Path, target: str, opened: Opening) -> None:
    copying.move(source, target, tell=silent)
    with pytest.raises(
        LedgerError, match=r"ledger\.db still keeps a ledger that moved.*another file, database or schema"
    ):
        copying.move(target, source, tell=silent)
    assert opened(target).champion("flights") is not None


def test_one_that_moved_keeps_its_schema(source: Path, target: str) -> None:
    """Its tables have other names, so a newer Relevo could not bring them up to date."""
    copying.move(source, target, tell=silent)
    engine = create_engine(f"sqlite:///{source}")
    with engine.begin() as connection:
        connection.execute(text(f"update {schema.VERSION_TABLE} set version_num = '{schema.KNOWN[-2]}'"))
    assert copying.is_closed(source)
    assert copying.move(source, target, tell=silent).before
    with engine.begin() as connection:
        found = connection.execute(text(f"select version_num from {schema.VERSION_TABLE}")).scalar()
    engine.dispose()
    assert found == schema.KNOWN[-2]


class TestSchema:
    """An earlier schema, for an earlier Relevo."""

    def test_down_and_up_again(self, target: str, opened: Opening) -> None:
        ledger = opened(target)
        ledger.runs("flights")
        for revision in reversed(schema.KNOWN[:-1]):
            with ledger._database.writing() as connection:
                schema.lower(connection, revision, discard=False)
            with ledger._database.reading() as connection:
                assert (
                    connection.execute(text(f"select version_num from {schema.VERSION_TABLE}")).scalar()
                    == revision
                )
        ledger.close()
        again = opened(target)
        again.start_run(a_run("flights"))
        assert len(again.runs("flights")) == 1
        again.close()

    def test_rows_are_not_forgotten_without_leave(self, target: str, opened: Opening) -> None:
        ledger = opened(target)
        lease = ledger.agenda.acquire("flights", "scheduler", "host:1", seconds=60)
        assert lease is not None
        with pytest.raises(LedgerError, match=r"no place for relevo_leases \(1\)"):
            ledger.lower("0004", discard=False)
        assert ledger.agenda.lease("flights", "scheduler") == lease
        ledger.lower("0004", discard=True)
        ledger.close()
        assert opened(target).agenda.lease("flights", "scheduler") is None

    def test_an_unknown_schema(self, target: str, opened: Opening) -> None:
        with pytest.raises(LedgerError, match="cannot go back to 7"):
            opened(target).lower("7", discard=True)
