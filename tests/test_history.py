"""Nothing that is learned from or judged by was seen before it was known."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relevo import clean, examples, history, ingest, leaks, load
from relevo.errors import DataError
from relevo.lake import Lake
from relevo.sql import Column
from support import shop

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.records import Snapshot


def tables_of(definition: Definition, lake: Lake) -> dict[str, Snapshot]:
    """Ingest and clean every table."""
    found = {}
    for table in definition.project.tables:
        contract = definition.contracts[table.name]
        raw = ingest.ingest(table, contract, lake, definition.project.root, None)
        where = definition.where_sql.get(table.name)
        found[table.name] = clean.clean(table, contract, lake, raw, limit=0.0, where_sql=where)
    return found


def read(lake: Lake, snapshot: Snapshot) -> list[dict[str, Any]]:
    """All rows of a snapshot."""
    connection = lake.connect()
    lake.bind(connection, snapshot.table, as_="t", version=snapshot.version)
    result = connection.execute("from t")
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_no_example_sees_a_row_known_later_than_itself(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Each example's features are those of someone who had seen only what was known at its time."""
    folder = tmp_path_factory.mktemp("shop")
    rng = random.Random(seed)
    events, entered = shop.stream(rng), shop.tiers(rng)
    definition = load(shop.write(folder / "p", events, entered))
    lake = Lake(folder / "lake", scratch=folder / "scratch", threads=1)
    tables = tables_of(definition, lake)
    made = history.make(definition, lake, tables)
    proof = leaks.prove(
        definition, lake, tables, leaks.of_histories(definition, made) + leaks.of_examples(definition)
    )
    assert len(proof.cuts) >= 4
    found = examples.make(definition, lake, {**tables, **made})
    names = [column.name for column in definition.plan.features]
    rows = read(lake, found)
    assert len(rows) == 49 * 12
    for row in rows:
        wanted = shop.expected(events, entered, row["request"]["customer"], row["_time"])
        assert tuple(row[name] for name in names) == pytest.approx(wanted), row


LEAKS = {
    "stamped with the event's time": (
        (
            "select customer, bought_at as known_at, row_number() over w as receipts, sum(amount) over w as total,"
            " amount as last_amount from receipts window w as (partition by customer order by bought_at, number)"
            " qualify row_number() over (partition by customer, bought_at order by recorded_at desc) = 1"
        ),
        "total",
    ),
    "whole-history totals": (
        (
            "select customer, recorded_at as known_at, count(*) over () as receipts,"
            " amount as total, amount as last_amount from receipts"
        ),
        "receipts",
    ),
    "rows that only later data makes": (
        (
            "select customer, (select min(recorded_at) from receipts) as known_at, 1 as receipts, 2.0 as total,"
            " 3.0 as last_amount from receipts group by customer"
        ),
        "only with later data",
    ),
    "rows that later data stamps anew": (
        (
            "select customer, max(recorded_at) as known_at, 1 as receipts, 2.0 as total, 3.0 as last_amount"
            " from receipts group by customer"
        ),
        "only without later data",
    ),
}


@pytest.fixture
def stream() -> list[shop.Event]:
    return shop.stream(random.Random(5), 120)


@pytest.mark.parametrize("kind", LEAKS)
def test_a_history_that_sees_the_future_is_refused(
    tmp_path: Path, stream: list[shop.Event], kind: str
) -> None:
    sql, named = LEAKS[kind]
    definition = load(shop.write(tmp_path / "p", stream, shop.tiers(random.Random(5)), history=sql))
    lake = Lake(tmp_path / "lake", scratch=tmp_path / "scratch")
    tables = tables_of(definition, lake)
    with pytest.raises(DataError, match=r"history\.sql sees the future") as refused:
        leaks.prove(definition, lake, tables, leaks.of_histories(definition, {}))
    assert named in str(refused.value)


def test_the_row_that_is_told_is_one_of_what_is_told() -> None:
    """Of rows with other values, not of one that is not there at all."""
    query = leaks.Query("history.sql", "", ("key", "known"), "known", (Column("total", "double"),))
    rows = (
        "select key, timestamp '2024-01-01' as known, {}::double as total"
        " from (select '{}' || i as key from range(5000) t(i) union all select 'old')"
    )
    with duckdb.connect() as connection:
        connection.execute("create table whole as " + rows.format(5.0, "new"))
        connection.execute("create temp table part as " + rows.format(1.0, "gone"))
        with pytest.raises(DataError, match=r"another value of total.*for example key = old"):
            leaks._compare(connection, query, "whole", datetime(2024, 2, 1))


def test_examples_chosen_with_the_future_in_sight_are_refused(
    tmp_path: Path, stream: list[shop.Event]
) -> None:
    """A customer becomes a candidate only once it is known: who buys later may not be listed before."""
    sql = shop.EXAMPLES.replace(
        "select unnest(range(1, 13)) as customer", "select distinct customer from receipts where amount > 80"
    )
    definition = load(shop.write(tmp_path / "p", stream, shop.tiers(random.Random(5)), examples=sql))
    lake = Lake(tmp_path / "lake", scratch=tmp_path / "scratch")
    tables = tables_of(definition, lake)
    with pytest.raises(DataError, match=r"examples\.sql sees the future.*only with later data"):
        leaks.prove(definition, lake, tables, leaks.of_examples(definition))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select customer, null::timestamp as known_at, 1 as receipts, 2.0 as total, 3.0 as last_amount from receipts",
         "have no known_at"),
        (("select customer, timestamp '2024-01-05' as known_at, 1 as receipts, 2.0 as total, 3.0 as last_amount"
         " from receipts"), "share customer = "),
        (("select customer, recorded_at as known_at, cast(chr(65) as integer) as receipts, 2.0 as total,"
         " 3.0 as last_amount from receipts"), "the query stops"),
    ],
)  # fmt: skip
def test_rows_without_a_clear_moment_are_refused(
    tmp_path: Path, stream: list[shop.Event], sql: str, message: str
) -> None:
    definition = load(shop.write(tmp_path / "p", stream, shop.tiers(random.Random(5)), history=sql))
    lake = Lake(tmp_path / "lake", scratch=tmp_path / "scratch")
    with pytest.raises(DataError, match=message):
        history.make(definition, lake, tables_of(definition, lake))


def test_the_same_example_twice_is_refused(tmp_path: Path, stream: list[shop.Event]) -> None:
    sql = shop.EXAMPLES + " union all select 1, timestamp '2024-01-03', timestamp '2024-01-04', true"
    definition = load(shop.write(tmp_path / "p", stream, shop.tiers(random.Random(5)), examples=sql))
    lake = Lake(tmp_path / "lake", scratch=tmp_path / "scratch")
    tables = tables_of(definition, lake)
    tables |= history.make(definition, lake, tables)
    with pytest.raises(DataError, match=r"2 rows are the same example \(customer = 1"):
        examples.make(definition, lake, tables)
