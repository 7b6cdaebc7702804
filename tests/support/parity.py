"""Run one expression through DuckDB and through the online function, and compare row by row."""

from __future__ import annotations

import math
import os
import random
from datetime import date, datetime, timedelta
from functools import cache
from itertools import zip_longest
from typing import Any

import duckdb
from hypothesis import settings

from relevo.online import FeatureError, compile_tree
from relevo.online.operators import OPERATORS
from relevo.sql import Column, FeaturePlan, compile_features, quote

EXAMPLES = int(os.environ.get("RELEVO_EXAMPLES", "1"))
COLUMNS = tuple(
    Column(name + number, type_)
    for name, type_ in (
        ("i", "integer"), ("x", "double"), ("s", "text"), ("b", "boolean"), ("d", "date"), ("t", "timestamp"),
    )
    for number in ("1", "2", "3")
)  # fmt: skip
SQL_TYPES = {"integer": "BIGINT", "double": "DOUBLE", "text": "VARCHAR", "boolean": "BOOLEAN", "date": "DATE",
             "timestamp": "TIMESTAMP"}  # fmt: skip
MOST_ERRORS = 4


def examples(count: int) -> settings:
    """Deterministic; RELEVO_EXAMPLES multiplies the number of examples."""
    return settings(max_examples=count * EXAMPLES, derandomize=True, deadline=None, database=None)


INTEGERS = [0, 1, -1, 2, -2, 3, 5, 7, -7, 10, 15, -15, 31, 59, 60, 100, 366, 2024, 2**31, -(2**31), 2**53 + 1,
            2**62, -(2**62), 2**63 - 1, -(2**63), 2**63 - 2, 10**18]  # fmt: skip
DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.5, 0.1, 0.49999999999999994, 2.675, 1.005,
           -1.005, 155.0, 123.456, 1e15, 1e16, 1e-5, 1e-4, 123456789.125, 2.0**52, 2.0**52 + 1, 4503599627370497.5,
           2.0**53, 2.0**63,
           -(2.0**63), 9.2e18, 1e300, -1e300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf,
           math.nan]  # fmt: skip
TEXTS = ["", " ", "a", "A", "abc", "ABC", " abc ", "\tabc\n", "abcabc", "aXbXc", "%", "_", "a%c", "a_c", "a\\c",
    "!", "x" * 30,
         "ß", "ẞ", "İ", "\u0131", "ΑΣ", "ας", "Σ", "ﬁ", "ŉ", "ᾳ", "ǆ", "é", "e\u0301", "👍🏽", "日本", "ñandú", "ÑANDÚ",
         "0", "1", "-1", " 12 ", "+7", "1.5", "2.5", "-0.5", ".5", "5.", ".", "1e3", "1E-2", "0x1F", "1_000", "--1",
         "+", "inf", "-Inf",
         "nan", "NaN", "infinity", "1e400", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
         "-9223372036854775809", "9223372036854775807.4", "9223372036854775807.5", "0.49999", "1.49999", "12a",
         "true", "TRUE", " true", "t", "F", "yes", "No", "y",
         "on", "2024-02-29", "2023-02-29", " 2024-2-9 ", "0001-01-01", "0000-01-01", "9999-12-31", "10000-01-01",
         "2024/02/29", "24-1-1", "2024-13-01", "2024-01-01 10:11:12", "2024-01-01T10:11:12.5",
         "2024-01-01 24:00:00", "2024-01-01 10:60:00", "2024-01-01 1:2:3", "2024-01-01 10:11:12.1234567",
         "2024-01-01 10:11:12Z", "2024-01-01 10:11:12+02", "infinity", "epoch", "2024-01-01 10:11", "2024-01-01x",
         "2024-01-01 (BC)"]  # fmt: skip
DATES = [date(1970, 1, 1), date(1969, 12, 31), date(2024, 2, 29), date(2023, 2, 28), date(2024, 12, 31),
         date(2025, 1, 1), date(2024, 12, 30), date(2021, 1, 3), date(2021, 1, 4), date(2000, 2, 29), date(1900, 3,
         1), date(1900, 2, 28),
         date(2024, 1, 31), date(2024, 3, 31), date(2024, 8, 31), date(1582, 10, 15), date(999, 5, 5), date(20, 1, 1),
         date(2100, 2, 28)]  # fmt: skip
_TIMES = [timedelta(), timedelta(hours=23, minutes=59, seconds=59, microseconds=999999), timedelta(hours=12),
          timedelta(hours=5, minutes=4, seconds=3, microseconds=120000), timedelta(microseconds=1),
          timedelta(hours=13, seconds=59, microseconds=999500)]  # fmt: skip
TIMESTAMPS = [
    datetime(day.year, day.month, day.day) + _TIMES[n % len(_TIMES)] for n, day in enumerate(DATES * 2)
]
BOOLEANS = [True, False]
_POOLS: dict[str, list[Any]] = {"integer": INTEGERS, "double": DOUBLES, "text": TEXTS, "boolean": BOOLEANS,
                                "date": DATES, "timestamp": TIMESTAMPS}  # fmt: skip
ROWS = 300


@cache
def rows() -> list[dict[str, Any]]:
    """Every special value in every column, against random other ones; one value in eight is null."""
    dice = random.Random(20240229)
    columns = []
    for number, column in enumerate(COLUMNS):
        pool = [*_POOLS[column.type], None]
        if column.type in ("integer", "double") and number % 3:
            small = [value for value in pool if value is None or abs(value) < 100]
            pool = [*small, *small, *pool]
        values = [*pool, *(dice.choice([*pool, None]) for _ in range(ROWS - len(pool)))]
        dice.shuffle(values)
        columns.append(values[:ROWS])
    names = [column.name for column in COLUMNS]
    return [dict(zip(names, values, strict=True)) for values in zip_longest(*columns)]


@cache
def database() -> duckdb.DuckDBPyConnection:
    """One table ``pool`` with all rows and their number."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    declared = ", ".join(f"{quote(column.name)} {SQL_TYPES[column.type]}" for column in COLUMNS)
    connection.execute(f"CREATE TABLE pool (row BIGINT, {declared})")
    marks = ", ".join("?" for _ in range(len(COLUMNS) + 1))
    values = [[number, *row.values()] for number, row in enumerate(rows())]
    connection.executemany(f"INSERT INTO pool VALUES ({marks})", values)
    return connection


def compiled(*expressions: str, casts: bool = False) -> FeaturePlan:
    """Compile expressions over COLUMNS as features f0, f1, …; ``casts`` turns moments into texts."""
    wrapped = [f"CAST(({text}) AS VARCHAR)" if casts else f"({text})" for text in expressions]
    selected = ", ".join(f"{text} AS f{number}" for number, text in enumerate(wrapped))
    return compile_features(f"SELECT {selected} FROM request", request=COLUMNS)


def same(left: object, right: object) -> bool:
    """Equal, of one type; doubles to twelve digits, as libraries differ in the last place."""
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right or math.isclose(left, right, rel_tol=1e-12, abs_tol=0.0)
    return type(left) is type(right) and left == right


def batch(plan: FeaturePlan, numbers: list[int]) -> list[tuple[Any, ...]]:
    """What DuckDB answers for these rows, in order."""
    chosen = ", ".join(str(number) for number in numbers)
    sql = f"WITH request AS (SELECT * FROM pool WHERE row IN ({chosen})) {plan.batch_sql(['row'])} ORDER BY 1"
    return [row[1:] for row in database().execute(sql).fetchall()]


def agree(*expressions: str, casts: bool = False, folds: bool = False) -> None:
    """Assert that both executions give the same values, and fail at the same rows.

    ``folds`` forgives an error that DuckDB's optimiser has proved away (beside a null that it knows, as in
    ``nullif(s, s)``): the online function refuses the row, and never gives another value.
    """
    plan = compiled(*expressions, casts=casts)
    online = compile_tree(plan.tree)
    answers: dict[int, tuple[object, ...]] = {}
    failures: dict[int, FeatureError] = {}
    for number, row in enumerate(rows()):
        try:
            answers[number] = online(row, {})
        except FeatureError as raised:
            failures[number] = raised
    if answers:
        expected = batch(plan, list(answers))
        for (number, got), wanted in zip(answers.items(), expected, strict=True):
            assert all(map(same, got, wanted)), (expressions, rows()[number], got, wanted, plan.sql)
    for number, failure in list(failures.items())[:: max(1, len(failures) // MOST_ERRORS)]:
        _also_fails(plan, number, failure, folds=folds)


def _has_constant_parts(plan: FeaturePlan) -> bool:
    """Tell whether an operator has constants only, so that DuckDB may know its null beforehand."""
    fixed: list[bool] = []
    for kind, *arguments in plan.tree["nodes"]:  # type: ignore[attr-defined]
        fixed.append(kind == "constant" or (kind in OPERATORS and all(fixed[n] for n in arguments)))
        if fixed[-1] and kind != "constant":
            return True
    return False


def _also_fails(plan: FeaturePlan, number: int, failure: FeatureError, *, folds: bool) -> None:
    if isinstance(failure.__cause__, ValueError | OverflowError) and any(
        word in str(failure.__cause__) for word in ("year", "date value out of range", "ordinal")
    ):
        return  # outside Python's calendar: refused online, whatever DuckDB says
    try:
        found = batch(plan, [number])
    except duckdb.Error:
        return
    if folds and (None in found[0] or _has_constant_parts(plan)):
        return
    raise AssertionError((str(failure), found, rows()[number], plan.sql))
