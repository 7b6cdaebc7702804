"""A query's answer, whole or what rose above a watermark: no row lost, none doubled."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from relevo.errors import DataError
from relevo.ids import uuid7
from relevo.sources import Query
from support.ingesting import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SERVER = os.environ.get("RELEVO_TEST_POSTGRES", "")
SELECT = "select id, name, seen from items"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Store:
    """A table ``items`` in an SQLite file of the project; ``seen`` is what rises."""

    def __init__(self, root: Path) -> None:
        self.path = root / "x.db"
        self.run("create table items (id integer, name text, seen)")

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executemany(statement, rows)

    def add(self, *rows: Sequence[Any]) -> None:
        self.run("insert into items values (?, ?, ?)", rows)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


WHOLE = Query(SELECT, "sqlite:///x.db")
RISING = Query(SELECT, "sqlite:///x.db", watermark="seen")


def test_a_whole_answer_takes_the_place_of_the_former(place: Place, store: Store) -> None:
    store.add((1, "a", 1), (2, None, 2), (2, None, 2))
    first = place.ingest(WHOLE)
    assert (first.rows, place.rows()) == (3, [("1", "a"), ("2", None), ("2", None)])
    store.run("delete from items where id = 1")
    second = place.ingest(WHOLE)
    assert (second.rows, second.id != first.id) == (2, True)
    store.add((1, "a", 1))
    third = place.ingest(WHOLE)
    assert (third.id, third.rows, len(place.rows())) == (first.id, 3, 5)
    assert place.ingest(WHOLE).changed is False


def test_a_snapshot_does_not_depend_on_the_order_of_the_answer(place: Place, store: Store) -> None:
    store.add(*((n, str(n), n) for n in range(50)))
    identities = set()
    for _ in range(3):
        place.ingest(WHOLE)
        assert place.last is not None
        identities.add(place.last.id)
        rows = list(range(50))
        random.Random(len(identities)).shuffle(rows)
        store.run("delete from items")
        store.add(*((n, str(n), n) for n in rows))
    assert len(identities) == 1


def test_an_empty_answer_is_said(place: Place, store: Store) -> None:
    for source in (WHOLE, RISING):
        with pytest.raises(DataError, match="items: the source gave no row"):
            place.ingest(source)


def test_only_rows_at_or_above_the_highest_watermark_are_asked_for(place: Place, store: Store) -> None:
    store.add((1, "a", 1), (2, "b", 2))
    assert place.ingest(RISING).rows == 2
    store.add((3, "late, below the watermark", 1), (4, "d", 3))
    found = place.ingest(RISING)
    assert (found.rows, place.ids()) == (3, [1, 2, 4])
    again = place.ingest(RISING)
    assert (again.changed, again.id) == (False, found.id)
    batches = place.rows("select distinct _batch from raw.items order by 1")
    assert [batch.split()[0::2] + batch.split()[3:] for (batch,) in batches] == [
        ["1", "number", "2"],
        ["2", "number", "3"],
    ]


def test_rows_with_the_very_watermark_that_was_highest_are_neither_lost_nor_doubled(
    place: Place, store: Store
) -> None:
    store.add((1, "a", 7), (2, None, 7))
    place.ingest(RISING)
    store.add((3, "c", 7), (2, None, 7), (1, "a", 7))  # two of them equal in all to rows taken
    assert place.ingest(RISING).rows == 5
    assert place.ids() == [1, 1, 2, 2, 3]
    assert place.ingest(RISING).changed is False
    store.add((4, "d", 7))
    assert (place.ingest(RISING).rows, place.ids()) == (6, [1, 1, 2, 2, 3, 4])
    found = place.clean(RISING)
    assert (found.rows, found.quarantined) == (6, 0)
    assert len(set(place.rows("select _id from clean.items"))) == 6
    assert [name for name, _ in place.ingest(RISING).files] == [f"sqlite:///x.db #{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_inserts_and_ingests_takes_each_row_once(place: Place, store: Store, seed: int) -> None:
    rng, high, count = random.Random(seed), 0, 0
    for _ in range(8):
        rows = []
        for _ in range(rng.randrange(6)):
            high += rng.choice((0, 0, 1))
            rows.append((rng.randrange(3), rng.choice(("a", None, "")), high))
        store.add(*rows)
        count += len(rows)
        if count:
            assert place.ingest(RISING).rows == count
    with closing(sqlite3.connect(store.path)) as connection:
        there = connection.execute("select cast(id as text), name, cast(seen as text) from items").fetchall()
    assert sorted(place.rows("select id, name, seen from raw.items"), key=repr) == sorted(there, key=repr)


def test_a_lag_finds_rows_that_were_committed_late(place: Place, store: Store) -> None:
    source = Query(SELECT, "sqlite:///x.db", watermark="seen", lag=5)
    store.add((1, "a", 10), (2, "b", 20))
    place.ingest(source)
    store.add((3, "late", 15), (4, "too late", 14))
    assert (place.ingest(source).rows, place.ids()) == (3, [1, 2, 3])
    with pytest.raises(DataError, match="a lag of '10min' cannot be taken from the watermark 20"):
        place.ingest(Query(SELECT, "sqlite:///x.db", watermark="seen", lag="10min"))


def test_texts_and_fractions_rise_too(place: Place, store: Store) -> None:
    store.add((1, "a", "2024-01-01 10:00:00"), (2, "b", "2024-01-02"))
    place.ingest(RISING)
    store.add((3, "c", "2024-01-02 00:00:01"))
    assert place.ingest(RISING).rows == 3
    other = Query("select id, name, id / 3.0 as seen from items", "sqlite:///x.db", watermark="seen")
    place.ingest(other)
    store.add((4, "d", None))
    assert place.ingest(other).rows == 4


def test_a_row_without_watermark_is_an_error(place: Place, store: Store) -> None:
    store.add((1, "a", 1))
    place.ingest(RISING)
    store.add((2, "b", None))
    with pytest.raises(DataError, match="a row has no “seen”"):
        place.ingest(RISING)
    with pytest.raises(DataError, match=r"gives no column “Other”.*id, name, seen"):
        place.ingest(Query(SELECT, "sqlite:///x.db", watermark="Other"))
    store.run("update items set seen = x'00'")
    with pytest.raises(DataError, match="A watermark cannot be a bytes"):
        place.ingest(Query(SELECT + " ", "sqlite:///x.db", watermark="seen"))


def test_columns_that_changed_are_an_error(place: Place, store: Store) -> None:
    source = Query("select * from items", "sqlite:///x.db", watermark="seen")
    store.add((1, "a", 1))
    place.ingest(source)
    store.run("alter table items add column more text default 'x'")
    with pytest.raises(DataError, match=r"other columns than before.*id, name, seen, more"):
        place.ingest(source)


def test_values_become_the_texts_of_their_kind(place: Place, store: Store) -> None:
    query = """select 1 as id, 'q"\n,;' as name, 0.1 as a, '' as b, null as c, x'00ff' as d, 1e300 as e,
               ':x %s \\' as f, 9007199254740993 as g"""
    place.ingest(Query(query, "sqlite:///x.db"))
    columns = "name, a, b, c, d, e, f, g"
    assert place.rows(f"select {columns} from raw.items") == [
        ('q"\n,;', "0.1", "", None, "\\x00ff", "1e+300", ":x %s \\", "9007199254740993")
    ]


@pytest.mark.parametrize(
    ("sql", "url", "message"),
    [
        (SELECT, "sqlite:///absent.db", r"no file .*absent\.db"),
        (SELECT, "nonsense", "no database URL"),
        (SELECT, "oddity://h/d", "no database URL"),
        (SELECT, "env:RELEVO_ABSENT_URL", "variable RELEVO_ABSENT_URL is not set"),
        ("select absent from items", "sqlite:///x.db", "cannot be answered: no such column: absent"),
        ("delete from items returning 1 as id, 2 as name", "sqlite:///x.db", "readonly database"),
        ("select 1 as id", "sqlite:///x.db", "no column “name”"),
        ("select 1 as id, 2 as name, 3 as _row", "sqlite:///x.db", "“_row” has a name that Relevo uses"),
        (SELECT, "postgresql://u:p4ss@127.0.0.1:1/d", r"postgresql://127\.0\.0\.1:1/d: the query cannot"),
    ],
)
def test_what_is_wrong_is_said_without_password(
    place: Place, store: Store, sql: str, url: str, message: str
) -> None:
    store.add((1, "a", 1))
    with pytest.raises(DataError, match=message) as caught:
        place.ingest(Query(sql, url))
    assert "p4ss" not in str(caught.value) + repr(Query(sql, url))
    assert not place.lake.exists("raw/items")


def test_a_large_answer_is_read_in_chunks(place: Place, store: Store) -> None:
    query = """with recursive n(id) as (select 1 union all select id + 1 from n where id < 100000)
               select id, 'row ' || id as name, id / 10 as seen from n"""
    source = Query(query, "sqlite:///x.db", watermark="seen")
    assert place.ingest(source).rows == 100_000
    assert place.ingest(source).changed is False


@pytest.mark.skipif(not SERVER, reason="RELEVO_TEST_POSTGRES is not set to a Postgres URL")
class TestPostgres:
    """The same on a server."""

    @pytest.fixture
    def schema(self) -> Iterator[str]:
        name = "relevo_" + uuid7().replace("-", "")
        self.run(f"create schema {name}")
        yield name
        self.run(f"drop schema {name} cascade")

    def run(self, *statements: str) -> None:
        engine = create_engine(SERVER, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def test_a_watermark_of_time(self, place: Place, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ITEMS_URL", SERVER)
        self.run(
            f"create table {schema}.items (id int, name text, seen timestamptz)",
            f"insert into {schema}.items select n, null, '2024-01-01 00:00:00+02'::timestamptz"
            " + n * interval '1 s' from generate_series(1, 25000) n",
        )
        query = f"select id, name, seen, seen::date::text as day from {schema}.items"
        source = Query(query, "env:ITEMS_URL", watermark="seen", lag="10s")
        assert place.ingest(source).rows == 25_000
        highest = f"(select max(seen) from {schema}.items)"
        self.run(
            f"insert into {schema}.items values (-1, 'tie', {highest}), (-2, 'late', {highest} - interval '5.5 s')",
            f"insert into {schema}.items values (-3, 'too late', {highest} - interval '11 s')",
        )
        assert place.ingest(source).rows == 25_002
        assert place.ingest(source).changed is False
        assert place.rows("select name from raw.items where name is not null order by 1") == [
            ("late",),
            ("tie",),
        ]
        assert place.rows("select seen from raw.items where id = '1'") == [("2023-12-31 22:00:01+00:00",)]
        ((origin,),) = place.rows("select distinct _source from raw.items")
        assert "@" not in origin

    def test_kinds_of_values_and_of_watermarks(self, place: Place, schema: str) -> None:
        del schema
        values = """1 as id, 'a%s' as name, 1.50::numeric as a, 0.1::float8 as b, true as c, '\\x00ff'::bytea as d,
                    '{"a": [1, 2.5]}'::jsonb as e, array[1, 2] as f, timestamp '2024-01-31 10:00:00.5' as g,
                    date '2024-01-31' as h, '00000000-0000-0000-0000-000000000001'::uuid as i"""
        place.ingest(Query(f"select {values}", SERVER))
        assert place.rows("select name, a, b, c, d, e, f, g, h, i from raw.items") == [
            (
                "a%s",
                "1.50",
                "0.1",
                "true",
                "\\x00ff",
                '{"a": [1, 2.5]}',
                "[1, 2]",
                "2024-01-31 10:00:00.500000",
                "2024-01-31",
                "00000000-0000-0000-0000-000000000001",
            )
        ]
        for column in "abghi":
            source = Query(f"select {values}", SERVER, watermark=column)
            assert place.ingest(source).rows == 1
            assert place.ingest(source).changed is False

    def test_it_only_reads(self, place: Place, schema: str) -> None:
        self.run(f"create table {schema}.items (id int, name text)")
        query = f"with x as (insert into {schema}.items values (1, 'a') returning *) select * from x"
        with pytest.raises(DataError, match="must not contain data-modifying statements"):
            place.ingest(Query(query, SERVER))
