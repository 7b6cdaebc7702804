"""The lake: versions, idempotence, several writers, and disks that refuse."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from relevo.errors import DataError, WorkspaceError
from relevo.lake import Lake, explained, literal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", scratch=tmp_path / "scratch")


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def rows(lake: Lake, name: str, version: int | None = None) -> list[tuple[Any, ...]]:
    with lake.connect() as connection:
        lake.bind(connection, name, as_="found", version=version)
        return connection.execute("select * from found order by all").fetchall()


def test_an_append_is_readable_and_gives_its_version(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    assert lake.append("raw/a", engine.sql("select 1 as x"), transaction="one") == 0
    assert lake.append("raw/a", engine.sql("select 2 as x"), transaction="two") == 1
    assert rows(lake, "raw/a") == [(1,), (2,)]
    assert rows(lake, "raw/a", version=0) == [(1,)]


def test_the_same_transaction_writes_once(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    for transaction in ("one", "two", "one"):
        made = lake.append("raw/a", engine.sql("select 1 as x"), transaction=transaction)
    assert made == 0
    assert rows(lake, "raw/a") == [(1,), (1,)]
    assert lake.done("raw/a", "two") == 1
    assert lake.done("raw/a", "three") is None


def test_columns_new_to_a_table_are_added(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    lake.append("raw/a", engine.sql("select 'p' as x, date '2017-01-01' as d"), transaction="one")
    lake.append("raw/a", engine.sql("select 'q' as y, 'r' as x"), transaction="two")
    assert lake.columns("raw/a") == ["x", "d", "y"]
    assert [(x, y) for x, _, y in rows(lake, "raw/a")] == [("p", None), ("r", "q")]


def test_replacing_changes_columns_and_keeps_old_versions(
    lake: Lake, engine: duckdb.DuckDBPyConnection
) -> None:
    first = lake.replace("clean/a", engine.sql("select 1 as x"), transaction="one")
    lake.replace("clean/a", engine.sql("select 'q' as y where false"), transaction="two")
    assert rows(lake, "clean/a") == []
    assert lake.columns("clean/a") == ["y"]
    assert lake.replace("clean/a", engine.sql("select 3 as x"), transaction="one") == first
    assert rows(lake, "clean/a", version=first) == [(1,)]


def test_values_of_every_type_come_back(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    query = """select 1::bigint as i, 1.5::double as d, true as b, 'ñ' as t, date '2016-02-29' as day,
        timestamp '2017-01-01 23:30:00.123456' as ts, ['a', null] as l, {'x': 1, 'y': 'q'} as s, null::varchar as n"""
    lake.append("raw/a", engine.sql(query), transaction="one")
    assert rows(lake, "raw/a") == engine.execute(query).fetchall()


def test_partitions_come_back_with_their_types(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    query = "select i, date '2017-01-01' + i::int as day, ['a/b é', null, 'c'][i] as p from range(1, 4) t(i)"
    lake.append("predictions", engine.sql(query), transaction="one", partition_by=["day", "p"])
    assert rows(lake, "predictions") == engine.execute(query).fetchall()


def test_replacing_a_part_leaves_the_others_and_happens_in_one_commit(
    lake: Lake, engine: duckdb.DuckDBPyConnection
) -> None:
    def put(period: str, query: str, transaction: str) -> int:
        rows = engine.sql(f"select *, {literal(period)} as period from ({query})")
        return lake.replace_part("scores/a", rows, column="period", value=period, transaction=transaction)

    assert put("it's one", "select unnest([1, 2]) as x", "t1") == 0
    assert put("two", "select 3 as x", "t2") == 1
    assert put("it's one", "select 4 as x, 'new' as y", "t3") == 2
    assert rows(lake, "scores/a") == [(3, "two", None), (4, "it's one", "new")]
    assert rows(lake, "scores/a", version=1) == [(1, "it's one"), (2, "it's one"), (3, "two")]
    assert put("two", "select 9 as x", "t2") == 1, "the same transaction writes once"
    assert put("two", "select 5 as x where false", "t4") == 3
    assert rows(lake, "scores/a") == [(4, "it's one", "new")]
    foreign = engine.sql("select 1 as x, 'three' as period")
    with pytest.raises(WorkspaceError, match="scores/a"):
        lake.replace_part("scores/a", foreign, column="period", value="two", transaction="t5")
    assert rows(lake, "scores/a") == [(4, "it's one", "new")]


KILLED = """
import os, signal, sys, duckdb
from pathlib import Path
from arro3.core import RecordBatchReader
from relevo.lake import Lake
lake = Lake(sys.argv[1], scratch=Path(sys.argv[1]) / "scratch")
class Stream:
    def __arrow_c_stream__(self, requested_schema=None):
        reader = RecordBatchReader.from_arrow(
            duckdb.sql("select i as x, random() as r, 'one' as period from range(1_000_000) t(i)"))
        def batches():
            for place, batch in enumerate(reader):
                if place == 6:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch
        return RecordBatchReader.from_batches(reader.schema, batches()).__arrow_c_stream__(requested_schema)
lake.replace_part("scores/a", Stream(), column="period", value="one", transaction="killed")
"""


def test_a_process_killed_amid_a_replacement_leaves_the_old_part(
    tmp_path: Path, lake: Lake, engine: duckdb.DuckDBPyConnection
) -> None:
    old = engine.sql("select 1 as x, 0.5 as r, 'one' as period")
    lake.replace_part("scores/a", old, column="period", value="one", transaction="t1")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, lake.root], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert [(x, period) for x, _, period in rows(lake, "scores/a")] == [(1, "one")]
    new = engine.sql("select 2 as x, 0.5 as r, 'one' as period")
    lake.replace_part("scores/a", new, column="period", value="one", transaction="t2")
    assert [(x, period) for x, _, period in rows(lake, "scores/a")] == [(2, "one")]


def test_all_tables_are_bound_by_schema_and_name(lake: Lake, engine: duckdb.DuckDBPyConnection) -> None:
    lake.append("raw/a", engine.sql("select 1 as x"), transaction="one")
    lake.append("predictions", engine.sql("select 2 as x"), transaction="one")
    assert lake.names() == ["predictions", "raw/a"]
    with lake.connect() as connection:
        lake.bind_all(connection)
        assert connection.execute("from raw.a union all from predictions").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize("folder", ["a b#é", "x*?", "q'x"])
def test_a_folder_may_have_an_odd_name(
    tmp_path: Path, folder: str, engine: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(tmp_path / folder, scratch=tmp_path / "scratch")
    for transaction in ("one", "two", "two"):
        lake.append("raw/a b", engine.sql("select 1 as x"), transaction=transaction)
    assert rows(lake, "raw/a b") == [(1,), (1,)]


@pytest.mark.parametrize("folder", ["50%20", "x[1]", "a|b"])
def test_a_folder_whose_name_delta_mistakes_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(WorkspaceError, match="RELEVO_WORKSPACE"):
        Lake(tmp_path / folder, scratch=tmp_path)


def test_only_folders_can_be_lakes_so_far(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="s3://bucket"):
        Lake("s3://bucket", scratch=tmp_path)


def test_an_absent_table_is_said_to_be_absent(lake: Lake) -> None:
    assert not lake.exists("raw/a")
    assert lake.names() == []
    with pytest.raises(WorkspaceError, match="raw/a"):
        lake.version("raw/a")


def test_an_error_of_the_stream_comes_out_and_commits_nothing(
    lake: Lake, engine: duckdb.DuckDBPyConnection
) -> None:
    def refuse() -> None:
        raise DataError("changed")

    with pytest.raises(DataError, match="changed"):
        lake.append("raw/a", engine.sql("select 1 as x"), transaction="one", check=refuse)
    assert not lake.exists("raw/a")
    with pytest.raises(Exception, match="broken stream"):
        lake.append("raw/a", engine.sql("select error('broken stream') as x"), transaction="one")
    assert lake.append("raw/a", engine.sql("select 1 as x"), transaction="one") == 0


def _write(root: str, place: int) -> list[int]:
    lake = Lake(root, scratch=Path(root) / "scratch")
    with duckdb.connect() as connection:
        return [
            lake.append(
                "raw/a", connection.sql(f"select {place} as x, {n} as n"), transaction=f"{place % 2}-{n}"
            )
            for n in range(3)
        ]


def test_writers_at_the_same_time_each_get_their_version_and_the_same_transaction_counts_once(
    tmp_path: Path, lake: Lake
) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = pool.starmap(_write, [(lake.root, place) for place in range(3)])
    assert made[0] == made[2]
    assert sorted({version for versions in made for version in versions}) == list(range(6))
    assert len(rows(lake, "raw/a")) == 6


FULL = """
import resource, sys, duckdb
from pathlib import Path
from relevo.errors import WorkspaceError
from relevo.lake import Lake
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
lake = Lake(sys.argv[1], scratch=Path(sys.argv[1]) / "scratch")
try:
    lake.append("raw/a", duckdb.sql("select random() as x from range(200_000)"), transaction="one")
except WorkspaceError as error:
    print(error)
assert not lake.exists("raw/a")
"""


def test_a_full_disk_is_said_to_be_full_and_commits_nothing(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "the disk is full" in found.stdout


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder that nobody may write")
def test_a_folder_that_cannot_be_written_is_said_so(
    tmp_path: Path, engine: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake("/sys/kernel/relevo", scratch=tmp_path)
    with pytest.raises(WorkspaceError, match="/sys/kernel/relevo"):
        lake.append("raw/a", engine.sql("select 1 as x"), transaction="one")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read(
    tmp_path: Path, lake: Lake, engine: duckdb.DuckDBPyConnection
) -> None:
    lake.append("raw/a", engine.sql("select 1 as x"), transaction="one")
    folders = [folder for folder in (tmp_path / "lake").rglob("*") if folder.is_dir()]
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert rows(lake, "raw/a") == [(1,)]
        with pytest.raises(WorkspaceError, match="may not be written"):
            lake.append("raw/a", engine.sql("select 1 as x"), transaction="two")
    finally:
        for folder in folders:
            folder.chmod(0o700)


def test_too_little_memory_is_said_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", memory_limit="10MB", scratch=tmp_path / "scratch")
    with (
        lake.connect() as connection,
        pytest.raises(WorkspaceError, match="memory_limit"),
        explained(tmp_path),
    ):
        connection.execute("select list(i) from range(100_000_000) t(i)").fetchall()


def test_the_engine_is_limited_and_stays_off_the_network(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", memory_limit="100MB", threads=1, scratch=tmp_path / "scratch")
    names = ("threads", "TimeZone", "autoinstall_known_extensions", "autoload_known_extensions")
    with lake.connect() as connection:
        found = [connection.execute(f"select current_setting('{name}')").fetchall()[0][0] for name in names]
    assert found == [1, "UTC", False, False]
    with pytest.raises(WorkspaceError, match="memory_limit"):
        Lake(tmp_path, memory_limit="much", scratch=tmp_path).connect()
