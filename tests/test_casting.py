"""Contracts as SQL: the same texts are accepted, as the same values, as over HTTP."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relevo import validation
from relevo.casting import BLANKS, cleaning_query, re2
from relevo.contract import Contract, Field
from relevo.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TEXTS = {
    "integer": (
        "12 +12 -12 --1 12.0 12. .0 12.00 -12.000 12.5 1e3 1_000 1__0 _1 1_ 1_0.0 12.0_0 007 -0 +0 0.0 ١٢ 0x10"
        " 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 9223372036854775807.0"
        " 1e400 1,000 - + +-1 00000000000000000000000000012 -0012 +1_0 0_0 -.0 nan true"
    ),
    "double": (
        "1 1.5 .5 5. -.5 1e3 1E+3 1e-3 1e 1_000 1_000.5 1.0_0 1__0 _1 1_ nan NaN inf -inf Infinity 1e400 -1e400"
        " 1e-400 0x10 1,5 +1 +.5 . e5 1d 1f \u0661 1.e5 .e5 1_e5 1e_5 + - +-1 00.5 1e+ 1.7976931348623159e308"
        " 1.7976931348623157e308 0_1 _1.5 -_1 0.1 123456789.123456789 5e-324 true"
    ),
    "boolean": "true True tRuE 1 0 t T f F yes no on off y n ON 2 1.0 truee wahr 01",
    "date": (
        "2017-01-31 2017-02-29 2016-02-29 2017-1-1 2017/01/01 2017-01-01T00:00 2017-01-01T00:00:01 0001-01-01"
        " 2017-01-01T00:00:00.000 0000-01-01 9999-12-31 10000-01-01 2017-01-01Z 2017-01-01T00:00:00Z 20170101"
        " 2017-01-01T24:00:00 2017-01-01T00 2017-W01-1 2017-01-01_00:00 31/02/2017 today infinity 1483313400"
    ),
    "timestamp": (
        "2017-01-31T23:30:00 2017-01-31t23:30:00 2017-01-31_23:30:00 2017-01-31T23:30 2017-01-31T23 2017-01-31"
        " 2017-01-31T23:30:00.1 2017-01-31T23:30:00.123456 2017-01-31T23:30:00.1234567 2017-01-31T23:30:00.9999999"
        " 2017-01-31T23:30:00,5 2017-01-31T23:30:00. 2017-01-31T24:00:00 2017-01-31T23:60:00 2017-01-31T23:59:60"
        " 2017-01-31T23:30:00Z 2017-01-31T23:30:00+00:00 2017-01-31T23:30:00-03 2017-01-31T3:30:00 31/02/2017"
        " 2017-02-31T00:00:00 0001-01-01T00:00:00 0000-01-01T00:00:00 9999-12-31T23:59:59.999999 infinity epoch"
        " 10000-01-01T00:00:00 1800-01-01T00:00:00 2017-13-01T00:00:00 1483313400 20170131T233000"
    ),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def clean(
    engine: duckdb.DuckDBPyConnection, field: Field, texts: Sequence[str | None], nulls: Sequence[str] = ()
) -> list[tuple[Any, ...]]:
    """Give (value, refused, reasons, kinds) of each text."""
    engine.execute("create or replace table source (place integer, x varchar)")
    engine.executemany("insert into source values (?, ?)", list(enumerate(texts)))
    query = cleaning_query(Contract("C", (field,)), ["x"], nulls).select("source", {"_place": "place"})
    return engine.execute(f"select x, _refused, _reasons, _kinds from ({query}) order by _place").fetchall()


def over_http(field: Field, text: str) -> tuple[Any, bool]:
    validators = validation.build(Contract("C", (field,)))
    try:
        return validation.validate(validators, {"x": text})["x"], False
    except RequestError:
        return None, True


def alike(engine: duckdb.DuckDBPyConnection, field: Field, texts: Sequence[str]) -> None:
    found = [(value, refused) for value, refused, *_ in clean(engine, field, texts)]
    expected = [over_http(field, text) for text in texts]
    differing = [
        (text, mine, theirs)
        for text, mine, theirs in zip(texts, found, expected, strict=True)
        if mine[1] != theirs[1] or (not mine[1] and mine != theirs)
    ]
    assert differing == []


@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_and_a_request_accept_the_same_texts_as_the_same_values(
    engine: duckdb.DuckDBPyConnection, kind: str
) -> None:
    texts = TEXTS[kind].split()
    if kind in ("date", "timestamp"):
        texts += [text.replace("T", " ") for text in texts if "T" in text] + ["2017-01-31  23:30:00"]
    alike(engine, Field(name="x", alias="x", type=kind), texts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["integer", "double", "date", "timestamp"]),
    st.lists(st.text("0123456789+-._eE :TtZ,", min_size=1, max_size=12), min_size=1, max_size=40),
)
@example("timestamp", ["2017-01-31 23:30:00"])
def test_random_texts_are_accepted_alike(
    engine: duckdb.DuckDBPyConnection, kind: str, texts: list[str]
) -> None:
    trimmed = [text.strip(BLANKS) for text in texts if text.strip(BLANKS)]
    if trimmed:
        alike(engine, Field(name="x", alias="x", type=kind), trimmed)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        (Field(name="x", alias="x", type="integer", ge=0, lt=10), ["-1", "0", "9", "10"]),
        (Field(name="x", alias="x", type="double", gt=0.5, le=1.5), ["0.5", "0.6", "1.5", "1.6"]),
        (Field(name="x", alias="x", type="date", ge="2017-01-01"), ["2016-12-31", "2017-01-01"]),
        (
            Field(name="x", alias="x", type="timestamp", lt="2017-01-01 12:00:00"),
            ["2017-01-01 11:59:59.999999", "2017-01-01 12:00:00"],
        ),
        (Field(name="x", alias="x", type="text", choices=("I", "N")), ["I", "N", "i", "O"]),
        (
            Field(name="x", alias="x", type="text", min_length=2, max_length=3),
            ["ñ", "ñé", "ñéí", "ñéío", "e\u0301"],
        ),
        (Field(name="x", alias="x", type="text", pattern="^[A-Z]{4}$"), ["ABCD", "ABCDE", "abcd", "ABCD\nX"]),
        (Field(name="x", alias="x", type="text", pattern="[A-Z]{4}"), ["xABCDx", "ABC"]),
        (Field(name="x", alias="x", type="text", pattern=r"^\d+$"), ["12", "١٢", "a"]),
        (Field(name="x", alias="x", type="text", pattern=r"^[\w-]+\W\s?$"), ["ñ_1-٣!", "ñ!\u2003", "!"]),
    ],
)
def test_rules_are_those_of_a_request(
    engine: duckdb.DuckDBPyConnection, field: Field, texts: list[str]
) -> None:
    alike(engine, field, texts)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["a", "ñ", ".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "[a-z]", r"[\d_]", r"[^\w.]", "[]a]"]
        ),
        min_size=1,
        max_size=4,
    ).map("".join),
    st.lists(st.text("aZñ_ 1٣\u00a0\u2003.-]", min_size=1, max_size=4), min_size=1, max_size=20),
)
def test_patterns_mean_the_same(engine: duckdb.DuckDBPyConnection, pattern: str, texts: list[str]) -> None:
    engine.execute("create or replace table p (x varchar)")
    engine.executemany("insert into p values (?)", [[text] for text in texts])
    found = engine.execute("select regexp_matches(x, ?) from p", [re2(pattern)]).fetchall()
    field = Field(name="x", alias="x", type="text", pattern=pattern)
    assert [match for (match,) in found] == [not over_http(field, text)[1] for text in texts]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            "{}{}".format,
            st.sampled_from(["[A-C]", "[A-Ca1]", "B", "1"]),
            st.sampled_from(["", "{2}", "{0,2}", "+"]),
        ),
        min_size=1,
        max_size=3,
    ).map(lambda parts: f"^{''.join(parts)}$"),
    st.lists(st.text("ABCDa1 é*?", min_size=1, max_size=5), min_size=1, max_size=20),
)
def test_codes_are_checked_alike(engine: duckdb.DuckDBPyConnection, pattern: str, texts: list[str]) -> None:
    trimmed = [text.strip(BLANKS) for text in texts if text.strip(BLANKS)]
    if trimmed:
        field = Field(name="x", alias="x", type="text", pattern=pattern)
        alike(engine, field, trimmed)
        padded = clean(engine, field, [f" {text}\t" for text in trimmed])
        assert [found[:2] for found in padded] == [found[:2] for found in clean(engine, field, trimmed)]


def test_blanks_around_a_value_go_and_empty_is_null(engine: duckdb.DuckDBPyConnection) -> None:
    field = Field(name="x", alias="x", type="text", nullable=True)
    found = clean(engine, field, [" a b\t", "", "  ", None, "\u00a0x\u00a0", "None"])
    assert [value for value, *_ in found] == ["a b", None, None, None, "x", "None"]
    assert not any(refused for _, refused, *_ in found)


def test_texts_that_mean_null(engine: duckdb.DuckDBPyConnection) -> None:
    field = Field(name="x", alias="x", type="integer", nullable=True)
    found = clean(engine, field, ["?", " ? ", "n/a", "1", "??"], nulls=["?", "n/a"])
    assert [(value, refused) for value, refused, *_ in found] == [
        (None, False),
        (None, False),
        (None, False),
        (1, False),
        (None, True),
    ]


def test_a_field_that_is_not_required_takes_its_default(engine: duckdb.DuckDBPyConnection) -> None:
    field = Field(name="x", alias="x", type="double", required=False, default=0.5)
    assert [value for value, *_ in clean(engine, field, ["", None, "2"])] == [0.5, 0.5, 2.0]
    other = Field(name="y", alias="y", type="boolean", required=False, default=True)
    query = cleaning_query(Contract("C", (field, other)), ["x"]).select("(select 'a' as x)")
    assert engine.execute(f"select y, _refused, _kinds from ({query})").fetchall() == [
        (True, True, ["x: not a finite number"])
    ]


def test_all_reasons_are_given_with_the_values(engine: duckdb.DuckDBPyConnection) -> None:
    contract = Contract(
        "C",
        (
            Field(name="at", alias="Fecha-I", type="timestamp"),
            Field(name="kind", alias="TIPO'VUELO", type="text", choices=("I", "N")),
            Field(name="seats", alias="seats", type="integer", ge=1),
            Field(name="code", alias="code", type="text", pattern="^[A-Z]{2}$"),
        ),
    )
    query = cleaning_query(contract, ["fecha-i", "TIPO'VUELO", "seats", "code"])
    source = "(select '31/02/2017' as \"fecha-i\", 'O' as \"TIPO'VUELO\", '0' as seats, '' as code)"
    found = engine.execute(f"select _refused, _reasons, _kinds from ({query.select(source)})").fetchall()
    assert found == [
        (
            True,
            [
                "Fecha-I: “31/02/2017” is not a timestamp such as 2017-01-31 23:30:00",
                "TIPO'VUELO: “O” is not one of I, N",
                "seats: “0” is not ≥ 1",
                "code: is empty, but the contract allows no null",
            ],
            ["Fecha-I: not a timestamp", "TIPO'VUELO: not one of I, N", "seats: not ≥ 1", "code: empty"],
        )
    ]


def test_a_long_value_is_cut_in_its_reason(engine: duckdb.DuckDBPyConnection) -> None:
    field = Field(name="x", alias="x", type="integer")
    ((_, _, reasons, _),) = clean(engine, field, ["z" * 10_000])
    assert re.fullmatch("x: “z{200}” is not a whole number", reasons[0])


def test_doubles_are_finite(engine: duckdb.DuckDBPyConnection) -> None:
    field = Field(name="x", alias="x", type="double")
    found = clean(engine, field, ["1e308", "1e309", "-1e309", "NaN"])
    assert [value for value, *_ in found] == [1e308, None, None, None]
    assert math.isfinite(found[0][0])
