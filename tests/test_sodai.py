"""The sodai example's SQL sees nothing that was not known yet, and means what it says."""

from __future__ import annotations

import importlib.util
import itertools
import math
import random
from collections import defaultdict
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from relevo.sql import Column, LookupTable, compile_features

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SODAI = Path(__file__).parents[1] / "examples" / "sodai"
HISTORIES = {"pairs": ("customer_id", "product_id"), "visits": ("customer_id",), "sales": ("product_id",)}
CUTS = [datetime(2024, 9, 2), datetime(2024, 10, 16), datetime(2024, 11, 21), datetime(2024, 12, 22, 12)]
EVER = datetime(2000, 1, 1)
NEWEST = date(2025, 1, 12)
BATCH = "purchase_date between date '2025-01-01' and date '2025-01-05'"
TYPES = {
    "BIGINT": "integer",
    "INTEGER": "integer",
    "TINYINT": "integer",
    "DOUBLE": "double",
    "TIMESTAMP": "timestamp",
}
DOZEN = 12
WEEKS = 9


@cache
def sample() -> ModuleType:
    """The example's own ``sample.py``."""
    spec = importlib.util.spec_from_file_location("sodai_sample", SODAI / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 40 customers and 30 products, with two later batches."""
    folder = tmp_path_factory.mktemp("sodai")
    sample().write(folder, batches=2, clients=40, goods=30)
    return folder


@pytest.fixture
def base(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The clean tables as a project sees them."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""create table purchases as select distinct customer_id, product_id, order_id,
                    cast(purchase_date as date) as purchase_date, items
                from read_parquet('{data}/purchases/*.parquet', union_by_name=true);
                create table customers as select customer_id, customer_type from '{data}/clientes.parquet';
                create table products as select product_id from '{data}/productos.parquet'"""
        )
        yield connection


def sql(name: str) -> str:
    """Read one of the example's files."""
    return (SODAI / name).read_text(encoding="utf-8")


def cut(base: duckdb.DuckDBPyConnection, query: str, known: datetime) -> str:
    """Make the query read only the purchases whose day was over at ``known``."""
    table = f"cut_{known:%Y%m%d%H}"
    base.execute(
        f"create or replace table {table} as select * from purchases"
        f" where cast(purchase_date as timestamp) + interval 1 day <= timestamp '{known}'"
    )
    assert "from purchases" in query
    return query.replace("from purchases", f"from {table}")


def differing(
    base: duckdb.DuckDBPyConnection, query: str, column: str, known: datetime, since: datetime
) -> list[tuple[Any, ...]]:
    """Rows between ``since`` and ``known`` that are not the same when later purchases are not there."""
    base.execute("create or replace temp table whole as " + query)
    base.execute("create or replace temp table earlier as " + cut(base, query, known))
    within = f"where {column} >= timestamp '{since}' and known_at <= timestamp '{known}'"
    assert base.execute(f"select count(*) from earlier {within}").fetchall()[0][0] > DOZEN
    return base.execute(
        f"(select * from whole {within} except all select * from earlier {within}) union all"
        f" (select * from earlier {within} except all select * from whole {within})"
    ).fetchall()


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("known", CUTS)
def test_history_does_not_change_when_later_purchases_come(
    base: duckdb.DuckDBPyConnection, name: str, known: datetime
) -> None:
    """The cutting proof, and one row per key and time."""
    query = sql(f"history_{name}.sql")
    assert differing(base, query, "known_at", known, EVER) == []
    keys = ", ".join(HISTORIES[name])
    twice = f"select 1 from whole group by {keys}, known_at having count(*) > 1"
    assert base.execute(twice).fetchall() == []


def test_the_proof_finds_a_total_of_the_whole_history(base: duckdb.DuckDBPyConnection) -> None:
    """A window without an end sees the future, and the proof says so."""
    query = sql("history_pairs.sql").replace(
        "row_number() over pair as times", "count(*) over (partition by customer_id, product_id) as times"
    )
    assert query != sql("history_pairs.sql")
    assert differing(base, query, "known_at", CUTS[0], EVER) != []


@pytest.mark.parametrize("known", CUTS[2:])
def test_examples_do_not_change_when_later_purchases_come(
    base: duckdb.DuckDBPyConnection, known: datetime
) -> None:
    """Weeks that are still among the newest have the same rows and outcomes as before."""
    query = sql("examples.sql")
    oldest = base.sql(query).aggregate("min(start)").fetchall()[0][0]
    assert differing(base, query, "start", known, oldest) == []


def test_examples_are_nine_weeks_asked_twice(base: duckdb.DuckDBPyConnection) -> None:
    """Mondays and Wednesdays of the newest complete weeks, each pair once, each outcome the truth."""
    base.execute("create temp table made as " + sql("examples.sql"))
    starts = [row[0].date() for row in base.execute("select distinct start from made order by 1").fetchall()]
    monday = NEWEST - timedelta(days=6)
    expected = [monday - timedelta(weeks=n) + timedelta(days=d) for n in range(WEEKS) for d in (0, 2)]
    assert starts == sorted(expected)
    twice = "select 1 from made group by customer_id, product_id, start having count(*) > 1"
    assert base.execute(twice).fetchall() == []
    wrong = """select * from made m where bought <> exists (
        select 1 from purchases p where p.customer_id = m.customer_id and p.product_id = m.product_id and items > 0
        and purchase_date >= start and purchase_date < known_at)"""
    assert base.execute(wrong).fetchall() == []
    assert base.execute("select distinct isodow(known_at) from made").fetchall() == [(1,)]
    lately = """select count(*) from (
        select distinct p.customer_id, p.product_id, m.start from purchases p, (select distinct start from made) m
        where items > 0 and p.purchase_date < m.start and p.purchase_date >= m.start - interval 28 days
        ) anti join made using (customer_id, product_id, start)"""
    assert base.execute(lately).fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("ends", "start"),
    [
        (date(2024, 12, 29), datetime(2024, 12, 30)),  # Sunday
        (date(2024, 12, 28), datetime(2024, 12, 30)),  # Saturday, and nothing sold on Sunday
        (date(2024, 12, 30), datetime(2025, 1, 1)),  # Monday: the rest of the week is asked for
        (date(2024, 12, 31), datetime(2025, 1, 1)),
        (date(2025, 1, 1), datetime(2025, 1, 6)),
    ],
)
def test_population_starts_after_the_newest_purchase(
    base: duckdb.DuckDBPyConnection, ends: date, start: datetime
) -> None:
    """Every customer times every product, from one moment, for which there is history."""
    base.execute(f"delete from purchases where purchase_date > date '{ends}'")
    base.execute(
        f"update purchases set purchase_date = date '{ends}'"
        " where purchase_date = (select max(purchase_date) from purchases)"
    )
    made = base.execute(sql("population.sql")).fetchall()
    assert len(made) == len(set(made)) == 40 * 30
    assert {row[2] for row in made} == {start}
    for name in HISTORIES:
        assert base.sql(sql(f"history_{name}.sql")).aggregate("max(known_at)").fetchall() == [(start,)]


def test_outcomes_are_of_weeks_that_are_over(base: duckdb.DuckDBPyConnection) -> None:
    """The files of a loop, one after the other: each is the outcome of what was asked before it."""
    base.execute("create table later as from purchases")
    asked = datetime(2025, 1, 1)
    base.execute("delete from purchases where purchase_date >= date '2025-01-01'")
    before = base.execute(sql("outcomes.sql")).fetchall()
    assert max(row[2] for row in before) == datetime(2024, 12, 25)
    base.execute(f"insert into purchases from later where {BATCH}")
    after = base.execute(sql("outcomes.sql")).fetchall()
    assert set(before) < set(after)
    batch = f"select distinct customer_id, product_id from later where items > 0 and {BATCH}"
    assert sorted(row[:2] for row in after if row[2] == asked) == sorted(base.execute(batch).fetchall())
    assert len(after) == len(set(after))


def test_a_pairs_history_is_what_python_counts(base: duckdb.DuckDBPyConnection) -> None:
    """Thirty pairs at random moments, as-of join included, so that a row written long ago is still true."""
    base.execute("create temp table pairs as " + sql("history_pairs.sql"))
    days = defaultdict(set)
    for customer, product, day in base.execute(
        "select customer_id, product_id, purchase_date from purchases where items > 0"
    ).fetchall():
        days[customer, product].add(day)
    rng = random.Random(0)
    asked = []
    for pair in rng.sample(sorted(days), 30):
        start = date(2024, 9, 2) + timedelta(days=7 * rng.randrange(18) + rng.choice((0, 2)))
        before = sorted(day for day in days[pair] if day < start)
        if before:
            asked.append((*pair, datetime.combine(start, time()), counted(before, start)))
    assert len(asked) > DOZEN
    for customer, product, start, expected in asked:
        found = base.execute(
            """select days_since, times, weeks4, days4, same4, same26, fading30, gaps, gap_days from pairs
               where customer_id = ? and product_id = ? and known_at <= ? order by known_at desc limit 1""",
            [customer, product, start],
        ).fetchall()
        assert found == [expected]


def counted(before: list[date], start: date) -> tuple[int | None, ...]:
    """The same columns, counted one day at a time."""
    ages = [(start - day).days for day in before]
    half_year = [age for age in ages if age <= 182]
    gaps = [(day - earlier).days for earlier, day in itertools.pairwise(before) if (start - day).days <= 182]
    yesterday = start - timedelta(days=1)
    this_monday = yesterday - timedelta(days=yesterday.weekday())
    weeks = {(this_monday - (day - timedelta(days=day.weekday()))).days // 7 for day in before}
    same = set()
    for lag in range(1, 27):
        first = start - timedelta(weeks=lag)
        last = first + timedelta(days=6 - first.weekday())
        if any(first <= day <= last and (start - day).days <= 182 for day in before):
            same.add(lag)
    return (
        min(*ages, 183),
        len(before),
        len([week for week in weeks if week < 4]),
        len([age for age in ages if age <= 28]),
        len([lag for lag in same if lag <= 4]),
        len(same),
        sum(round(1000 * math.exp(-age / 30)) for age in half_year),
        len(gaps),
        sum(gaps) if gaps else None,
    )


def test_features_compile_and_show_nulls_for_a_pair_never_bought(base: duckdb.DuckDBPyConnection) -> None:
    """``features.sql`` against the histories' own columns, and what it says of strangers."""
    request = (Column("customer_id", "integer"), Column("product_id", "integer"))
    lookups = []
    for name, key in HISTORIES.items():
        columns = base.execute("describe " + sql(f"history_{name}.sql")).fetchall()
        lookups.append(LookupTable(name, key, tuple(Column(row[0], TYPES[row[1]]) for row in columns)))
        base.execute(
            f"create table {name} as select * from ({sql(f'history_{name}.sql')})"
            f" qualify known_at = max(known_at) over (partition by {', '.join(key)})"
        )
    plan = compile_features(sql("features.sql"), request=request, lookups=lookups)
    assert {column.type for column in plan.features} == {"integer", "double"}
    base.execute("create table request as select customer_id, product_id from customers, products")
    made = base.execute(plan.batch_sql(["customer_id", "product_id"])).fetchall()
    assert len(made) == 40 * 30
    names = ["customer_id", "product_id", *(column.name for column in plan.features)]
    known = set(base.execute("select distinct customer_id, product_id from purchases").fetchall())
    rows = [dict(zip(names, row, strict=True)) for row in made]
    strangers = [row for row in rows if (row["customer_id"], row["product_id"]) not in known]
    assert strangers
    assert all(row[name] is None for row in strangers for name in names if name.startswith("pair_"))
    values = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(value) for value in values)


def test_the_sample_only_grows(data: Path, tmp_path: Path) -> None:
    """A later batch is a further file; those before it stay as they are."""
    sample().write(tmp_path, batches=1, clients=40, goods=30)
    with duckdb.connect() as connection:
        for file in sorted(tmp_path.rglob("*.parquet")):
            other = data / file.relative_to(tmp_path)
            assert (
                connection.execute(f"select * from '{file}' except all select * from '{other}'").fetchall()
                == []
            )
    assert not (tmp_path / "purchases" / "batch_t2.parquet").exists()
    assert (data / "purchases" / "batch_t2.parquet").exists()
