"""What ``features.sql`` compiles to: names, scope, look-ups, canonical SQL."""

import json

import duckdb
import pytest

from relevo.sql import SUPPORTED, Column, LookupTable, compile_expression, compile_features, quote
from relevo.sql.operators import OPERATORS

REQUEST = (
    Column("scheduled_at", "timestamp"),
    Column("airline", "text"),
    Column("Seats", "integer"),
    Column("price", "double"),
)
HOLIDAYS = LookupTable(
    "holidays", ("day",), (Column("day", "date"), Column("name", "text"), Column("rank", "integer"))
)
ROUTES = LookupTable(
    "routes",
    ("airline", "seats"),
    (Column("airline", "text"), Column("seats", "integer"), Column("km", "double")),
)


def answer(sql: str) -> list[tuple[object, ...]]:
    """Run SQL over one request, two holidays and one route."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE request AS SELECT TIMESTAMP '2024-09-18 13:05:00' AS scheduled_at, 'LAN' AS airline,"
        " 174::BIGINT AS Seats, 9.5::DOUBLE AS price, 'late' AS known_afterwards"
    )
    connection.execute(
        "CREATE TABLE holidays AS SELECT DATE '2024-09-18' AS day, 'Fiestas' AS name, 1 AS rank"
    )
    connection.execute(
        "CREATE TABLE routes AS SELECT 'LAN' AS airline, 174::BIGINT AS seats, 9.0::DOUBLE AS km"
    )
    return connection.execute(sql).fetchall()


def test_the_design_pages_example() -> None:
    """The query of the design page, its features and its one look-up."""
    plan = compile_features(
        """select airline, hour(scheduled_at) as hour, isodow(scheduled_at) as weekday,
                  case when hour between 5 and 11 then 'morning' when hour between 12 and 18 then 'afternoon'
                       else 'night' end as period_of_day,
                  h.day is not null as holiday
           from request left join holidays h on h.day = cast(scheduled_at as date)""",
        request=REQUEST,
        lookups=[HOLIDAYS],
    )
    assert [(c.name, c.type) for c in plan.features] == [
        ("airline", "text"),
        ("hour", "integer"),
        ("weekday", "integer"),
        ("period_of_day", "text"),
        ("holiday", "boolean"),
    ]
    assert plan.sql.startswith("SELECT ")
    assert [(use.name, use.key, use.columns) for use in plan.lookups] == [("holidays", ("day",), ())]
    assert answer(plan.sql) == [("LAN", 13, 3, "afternoon", True)]
    assert json.loads(json.dumps(plan.tree, allow_nan=False)) == plan.tree


def test_batch_sql_carries_columns_first() -> None:
    """Carried columns keep their names and stand first; they need not be in the contract."""
    plan = compile_features("select airline from request", request=REQUEST)
    assert answer(plan.batch_sql(["scheduled_at", "known_afterwards"]))[0][1:] == ("late", "LAN")
    assert plan.batch_sql(['a"b']).startswith('SELECT request."a""b" AS "a""b", ')
    assert quote('a"b') == '"a""b"'


def test_names_ignore_case_and_keep_the_contracts_spelling() -> None:
    """A bare column takes the contract's name, whatever the query's case."""
    plan = compile_features("SELECT AIRLINE, SEATS + 1 AS More FROM Request", request=REQUEST)
    assert [column.name for column in plan.features] == ["airline", "More"]


def test_a_column_wins_over_an_alias_of_its_name() -> None:
    """As in DuckDB: ``seats`` in the second feature is the request's."""
    plan = compile_features("select seats + 1 as seats, seats * 2 as twice from request", request=REQUEST)
    assert answer(plan.sql) == [(175, 348)]


def test_an_alias_is_known_to_its_right() -> None:
    plan = compile_features("select seats + 1 as a, a * a as b, b - a as c from request", request=REQUEST)
    assert answer(plan.sql) == [(175, 30625, 30450)]


def test_the_canonical_sql_does_not_see_further_columns_of_the_relation() -> None:
    """An alias is written out, so a training relation with a column of its name changes nothing."""
    plan = compile_features(
        "select price * 2 as known_afterwards, known_afterwards + 1 as x from request", request=REQUEST
    )
    assert answer(plan.sql) == [(19.0, 20.0)]


def test_lookups_join_by_one_or_more_key_columns_and_each_other() -> None:
    """Two joins of one table share its slots; a join may build on an earlier one."""
    plan = compile_features(
        """select r.km as km, h.name as holiday, g.rank as rank
           from request as q
           left join routes r on q.airline = r.airline and r.seats = q.seats
           left join holidays h on h.day = scheduled_at::date
           left join holidays g on g.day = h.day""",
        request=REQUEST,
        lookups=[HOLIDAYS, ROUTES],
    )
    assert [(use.name, use.columns) for use in plan.lookups] == [
        ("routes", ("km",)),
        ("holidays", ("name", "rank")),
    ]
    assert answer(plan.sql) == [(9.0, "Fiestas", 1)]


def test_decimal_literals_are_doubles() -> None:
    """2.675 is a DECIMAL in DuckDB; here a double, so that both executions round alike."""
    plan = compile_features(
        "select round(2.5, 0) as a, 1.1 + 2.2 as b, 1 / 4 as c from request", request=REQUEST
    )
    assert answer(plan.sql) == [(3.0, 1.1 + 2.2, 0.25)]


def test_integers_calculate_in_64_bits() -> None:
    """A literal is INTEGER in DuckDB: 2147483647 + 1 would stop there."""
    plan = compile_features(
        "select 2147483647 + 1 as a, seats * 100000000 as b from request", request=REQUEST
    )
    assert answer(plan.sql) == [(2147483648, 17400000000)]


def test_precedence_is_duckdbs() -> None:
    """The parser's reading of unparenthesised operators against DuckDB's own."""
    for text in (
        "-2 ** 2", "2 ** 3 ** 2", "7 // 2 * 2", "2 * 7 // 2", "1 - 2 || 3", "'a' || 1 + 2", "not 1 = 2 and false",
        "1 + 1 is null", "not null is null", "1 between 0 and 2 and true", "'a' || 'b' like 'ab'", "1 + 1 in (2)",
        "not 1 in (2)", "-5 % 3", "2 ** -1", "true or false and false", "not true or true",
        "1 is distinct from 2 and true",
        "8 / 4 / 2", "7 % 4 // 2", "- 3 // 2", "not 'a' like 'b'", "5 - 3 ** 2", "-2 ^ 2", "1 between 1 and 1 + 1",
    ):  # fmt: skip
        sql, _ = compile_expression(text, columns=(), file="f", field="x")
        found = duckdb.connect().execute(f"SELECT {sql}, {text}").fetchall()[0]
        assert found[0] == found[1], text


def test_expressions_for_target_and_where() -> None:
    columns = [Column("scheduled_at", "timestamp"), Column("departed_at", "timestamp")]
    sql, type_ = compile_expression(
        "date_diff('minute', scheduled_at, departed_at) > 15",
        columns=columns,
        file="project.py",
        field="target",
    )
    assert type_ == "boolean"
    assert sql == """(CAST(15 AS BIGINT) < date_diff('minute', "scheduled_at", "departed_at"))"""


def test_every_catalogued_operator_exists() -> None:
    for function in SUPPORTED:
        assert function.form
        assert all(name in OPERATORS for name in function.operators)


def test_columns_have_known_types() -> None:
    with pytest.raises(ValueError, match="not one of"):
        Column("a", "decimal")
