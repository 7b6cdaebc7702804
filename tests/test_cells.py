"""Cells in Python: the same requests as ``casting`` makes of a file in SQL, and the same rows refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import ValidationError

from relevo import validation
from relevo.casting import cleaning_query
from relevo.cells import Cells
from relevo.contract import Contract, Field
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTRACT = Contract(
    "C",
    (
        Field(name="at", alias="At", type="timestamp", nullable=True),
        Field(name="day", alias="Day", type="date", required=False, default="2020-02-29"),
        Field(name="count", alias="Count", type="integer", ge=-5, required=False, nullable=True),
        Field(name="size", alias="Size", type="double"),
        Field(name="flag", alias="Flag", type="boolean", required=False, default=True),
        Field(name="code", alias="Code", type="text", max_length=5),
        Field(name="kind", alias="Kind", type="text", choices=("I", "N"), required=False, default=None),
    ),
)
NULLS = ("?", "n/a")
COLUMNS = [field.alias for field in CONTRACT.fields]
VALUES = {
    "At": ["2017-01-31 23:30:00", "2017-01-31T23:30", "2017-02-30 00:00:00", "", "?", "x"],
    "Day": ["2017-01-31", " 2016-02-29\t", "2017-02-29", "", "n/a", "2017-01-31 00:00:00"],
    "Count": ["1", "-5", "-6", "1.0", "1e2", "", " ? ", "9223372036854775808", "1_0"],
    "Size": ["1.5", "1e400", "nan", ".5", "", "\u00a02 ", "1,5"],
    "Flag": ["true", "OFF", "2", "", "y"],
    "Code": ["ab", "abcdef", "", " a b ", "é", "?", "1.50"],
    "Kind": ["I", "i", "", "N "],
}
CELL = {name: st.one_of(st.none(), st.sampled_from(texts)) for name, texts in VALUES.items()}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def cleaned(
    engine: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[str | None]]
) -> list[dict[str, Any] | None]:
    """What SQL makes of texts; None for a refused row."""
    listed = ", ".join(f'"{name}" varchar' for name in COLUMNS)
    engine.execute(f"create or replace table source (place integer, {listed})")
    taken = ", ".join(["unnest(cast(? as integer[]))", *["unnest(cast(? as varchar[]))"] * len(COLUMNS)])
    engine.execute(
        f"insert into source select {taken}", [[*range(len(rows))], *map(list, zip(*rows, strict=True))]
    )
    query = cleaning_query(CONTRACT, COLUMNS, NULLS).select("source", {"_place": "place"})
    found = engine.execute(
        f"select _refused, {', '.join(map(quote, CONTRACT.names))} from ({query}) order by _place"
    ).fetchall()
    return [None if refused else dict(zip(CONTRACT.names, values, strict=True)) for refused, *values in found]


def validated(request: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the service's validator makes of a request; None when it refuses."""
    validators = validation.build(CONTRACT)
    try:
        row: dict[str, Any] = validators.one.validate_python(request)
    except ValidationError:
        return None
    return row


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*CELL.values()), min_size=1, max_size=30))
def test_rows_of_texts_mean_what_they_mean_in_a_file(
    engine: duckdb.DuckDBPyConnection, rows: list[tuple[str | None, ...]]
) -> None:
    columns = Cells(CONTRACT, NULLS).of_columns(COLUMNS)
    found = [validated(columns.of_texts(["" if cell is None else cell for cell in row])) for row in rows]
    assert found == cleaned(engine, rows)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*CELL.values()), min_size=1, max_size=30))
def test_objects_mean_the_same_and_a_field_left_out_is_null(
    engine: duckdb.DuckDBPyConnection, rows: list[tuple[str | None, ...]]
) -> None:
    cells = Cells(CONTRACT, NULLS)
    objects = [
        {f" {name.upper()}": cell for name, cell in zip(COLUMNS, row, strict=True) if cell is not None}
        for row in rows
    ]
    assert [validated(cells.of_object(one)) for one in objects] == cleaned(engine, rows)


@pytest.mark.parametrize(
    ("alias", "value", "text"),
    [
        ("Count", 7, "7"),
        ("Count", 7.0, "7.0"),
        ("Count", True, "true"),
        ("Count", 1e16, "1e+16"),
        ("Size", 7, "7"),
        ("Size", False, "false"),
        ("Flag", 1, "1"),
        ("Flag", 1.0, "1.0"),
        ("Code", 226, "226"),
        ("Code", 1.5, "1.5"),
        ("Code", True, "true"),
        ("Code", [1], "[1]"),
        ("Day", 20170131, "20170131"),
    ],
)
def test_a_value_of_another_type_counts_as_its_text(
    engine: duckdb.DuckDBPyConnection, alias: str, value: object, text: str
) -> None:
    plain = {"At": "2017-01-31 23:30:00", "Size": "1.5", "Code": "ab"}
    in_file = [({**plain, alias: text}).get(name) for name in COLUMNS]
    found = validated(Cells(CONTRACT).of_object({**plain, alias: value}))
    assert [found] == cleaned(engine, [in_file])


def test_a_number_may_mean_null_too() -> None:
    made = Cells(CONTRACT, ["999"]).of_object({"Size": 999, "Code": "a", "At": None})
    assert made == {"Size": None, "Code": "a", "At": None}


def test_keys_that_differ_in_capitals_alone_are_no_request() -> None:
    assert Cells(CONTRACT).of_object({"Size": 1, "size": 2}) is None


def test_unknown_values_are_counted_and_forbidden_ones_reach_the_validator() -> None:
    cells = Cells(CONTRACT)
    cells.of_object({"Other": 1, "Size": 1})
    cells.of_columns(["Size", "more", "Code", "still more"]).of_texts(["1", "x", "a", "y"])
    assert cells.unknown == 3
    strict = Contract("C", (Field(name="a", alias="A", type="integer"),), forbid_unknown=True)
    assert Cells(strict).of_object({"a": 1, "Other": 1}) == {"A": 1, "Other": 1}
