"""Damaged CSV files, and that care changes nothing about good ones."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import reading
from relevo.contract import Contract, Field
from relevo.reading import rows
from relevo.sources import Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTRACT = Contract("C", tuple(Field(name=name, alias=name, type="text") for name in "abc"))
QUERY = "select a, b, c, _row, _defect, _line from ({sql}) order by _row"


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def read(engine: duckdb.DuckDBPyConnection, content: str, source: Files, *, with_care: bool) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(content.encode())
        file = reading.File(path, "a.csv", "csv")
        layout = reading.inspect(engine, file, source, CONTRACT)
        found = rows.read(engine, file, source, CONTRACT, Path(folder), layout=layout, with_care=with_care)
        return engine.execute(QUERY.format(sql=found.sql)).fetchall()


def written(table: Sequence[Sequence[str]], source: Files, end: str) -> str:
    out = io.StringIO()
    same = source.escape == source.quote
    writer = csv.writer(
        out,
        delimiter=source.delimiter or ",",
        quotechar=source.quote,
        doublequote=same,
        escapechar=None if same else source.escape,
        quoting=csv.QUOTE_ALL,
        lineterminator=end,
    )
    writer.writerows([list("abc"), *table])
    return out.getvalue()


CELL = st.text("ab ,;\"'\\\n\r\tñ", max_size=6)
SOURCES = st.sampled_from(
    [Files("*"), Files("*", delimiter=";"), Files("*", quote="'", escape="'"), Files("*", escape="\\")]
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=8), SOURCES, st.sampled_from(["\n", "\r\n"]))
def test_good_rows_are_the_same_read_fast_or_with_care(
    engine: duckdb.DuckDBPyConnection, table: list[tuple[str, str, str]], source: Files, end: str
) -> None:
    content = written(table, source, end)
    expected = [(*row, number, None, None) for number, row in enumerate(table, 1)]
    assert read(engine, content, source, with_care=True) == expected
    assert read(engine, content, source, with_care=False) == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text('ab,"\n', max_size=12), max_size=8).map("\n".join))
def test_no_text_is_lost_whatever_the_damage(engine: duckdb.DuckDBPyConnection, body: str) -> None:
    found = read(engine, f"a,b,c\n{body}", Files("*"), with_care=True)
    assert [row[3] for row in found] == list(range(1, len(found) + 1))
    kept = "".join(cell for row in found for cell in (*row[:3], row[5]) if cell is not None)
    for letter in "ab":
        assert kept.count(letter) == body.count(letter)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text('ab, "\n\r', max_size=12), max_size=8).map("\n".join))
def test_what_is_read_fast_is_read_alike_with_care(engine: duckdb.DuckDBPyConnection, body: str) -> None:
    content = f"a,b,c\n{body}"
    try:
        fast = read(engine, content, Files("*"), with_care=False)
    except duckdb.Error:
        return
    assert read(engine, content, Files("*"), with_care=True) == fast


@pytest.mark.parametrize("source", [Files("*", quote="", escape=""), Files("*", quote="")])
def test_without_quotes_a_quote_is_a_letter(engine: duckdb.DuckDBPyConnection, source: Files) -> None:
    content = 'a,b,c\n"1,2",\'3\nx\n'
    assert read(engine, content, source, with_care=True) == [
        ('"1', '2"', "'3", 1, None, None),
        (None, None, None, 2, "1 fields, the header has 3", "x"),
    ]
    assert read(engine, content.removesuffix("x\n"), source, with_care=False) == [
        ('"1', '2"', "'3", 1, None, None)
    ]
