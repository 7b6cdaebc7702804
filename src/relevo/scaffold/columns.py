"""The columns of a file as facts: figures of the typed values, from all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.casting import literal
from relevo.scaffold import kinds, naming
from relevo.scaffold.facts import Column
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from relevo.scaffold.facts import Opened

LEVELS = 60
"""Distinct values up to which all of them are listed."""
CODES = ("[A-Z]", "[0-9]", "[A-Z0-9]")
_PLAIN = {"text": "{cell}", "integer": "try_cast({cell} as bigint)", "double": "try_cast({cell} as double)"}
_NEARLY = 0.5
_EXACT = 200_000
_FIGURES = 11


def read(
    connection: DuckDBPyConnection, opened: Opened
) -> tuple[tuple[Column, ...], tuple[str, ...], tuple[str, ...]]:
    """Give the columns, the texts that mean null, and what was decided about texts that may be either.

    Makes the table ``typed`` of the undamaged rows: ``_row`` and ``v0``, ``v1``, … .
    """
    found = kinds.find(connection, len(opened.headers), opened.rows, opened.source.delimiter or ",")
    nulls = tuple(sorted({mark for kind in found for mark in kind.marks}))
    _type(connection, found, nulls)
    names = naming.identifiers(opened.headers)
    columns = [
        column
        for start in range(0, len(found), kinds.GROUP)
        for column in _figures(connection, found[start : start + kinds.GROUP], opened, names)
    ]
    said = [*_points(found, opened), *_kept_words(connection, found, opened, nulls)]
    return tuple(columns), nulls, tuple(said)


def _type(connection: DuckDBPyConnection, found: Sequence[kinds.Kind], nulls: tuple[str, ...]) -> None:
    """Make ``typed``; where every text was found to be of the type, a plain cast gives the same and costs less."""
    plain = {kind.place: _PLAIN[kind.type] for kind in found if kind.type in _PLAIN and not kind.strays}
    marks = ", ".join(map(literal, nulls))
    empty = f"when {{cell}} in ({marks}) then null " if nulls else ""
    others = [(kind.place, kind.type) for kind in found if kind.place not in plain]
    source = "(select * from cells where _defect is null)"
    if others:
        carried = ["_row", *(f"c{place}" for place in plain)]
        source = f"({kinds.cast(others, source, nulls, carried)})"
    chosen = []
    for kind in found:
        cell = f"c{kind.place}"
        value = f"v{kind.place}_{kind.type}"
        if kind.place in plain:
            made = plain[kind.place].format(cell=cell)
            value = f"case {empty.format(cell=cell)}else {made} end" if nulls else made
        chosen.append(f"{value} as v{kind.place}")
    connection.execute(f"create or replace table typed as select _row, {', '.join(chosen)} from {source}")


def _figures(
    connection: DuckDBPyConnection, found: Sequence[kinds.Kind], opened: Opened, names: Sequence[str]
) -> list[Column]:
    asked = [expression for kind in found for expression in _asked(kind)]
    (row,) = connection.execute(f"select count(*), {', '.join(asked)} from typed").fetchall()
    rows = int(row[0])
    columns = []
    for number, kind in enumerate(found):
        filled, near, low, high, middle, shortest, longest, spaced, *codes = row[
            1 + number * _FIGURES : 1 + (number + 1) * _FIGURES
        ]
        distinct, levels = _distinct(connection, kind.place, filled, near)
        columns.append(
            Column(
                place=kind.place, header=opened.headers[kind.place], name=names[kind.place], type=kind.type,
                rows=rows, form=kind.form, marks=kind.marks, strays=kind.strays, stray=kind.stray,
                filled=filled, distinct=distinct, levels=levels, low=low, high=high, middle=middle,
                shortest=shortest or 0, longest=longest or 0, spaced=(spaced or 0) / max(1, filled),
                increasing=kind.type == "integer" and distinct == filled > 1
                and _increasing(connection, kind.place),
                kinds=frozenset(code for code, count in zip(CODES, codes, strict=True) if count == filled > 0),
            )
        )  # fmt: skip
    return columns


def _asked(kind: kinds.Kind) -> list[str]:
    value = f"v{kind.place}"
    if kind.type == "text":
        spaced = f"count(*) filter (contains({value}, ' '))"
        codes = [f"count(*) filter (regexp_full_match({value}, {literal(code + '+')}))" for code in CODES]
        shape = ["null", "null", "null", f"min(length({value}))", f"max(length({value}))", spaced, *codes]
    else:
        low, high = ("min", "max") if kind.type != "boolean" else ("bool_and", "bool_or")
        middle = "null" if kind.type == "boolean" else f"approx_quantile({value}, 0.5)"
        shape = [f"{low}({value})", f"{high}({value})", middle, *["0"] * 6]
    return [f"count({value})", f"approx_count_distinct({value})", *shape]


def _distinct(
    connection: DuckDBPyConnection, place: int, filled: int, near: int
) -> tuple[int, tuple[tuple[Any, int], ...] | None]:
    """Count exactly where it matters or costs little: few values, which are listed, few rows, or most of them."""
    value = f"v{place}"
    if near <= 2 * LEVELS:
        levels = connection.execute(
            f"select {value}, count(*) from typed where {value} is not null group by 1 order by 2 desc, 1"
        ).fetchall()
        listed = tuple((level, int(count)) for level, count in levels)
        return len(listed), listed if len(listed) <= LEVELS else None
    if near >= _NEARLY * filled or filled <= _EXACT:
        ((exact,),) = connection.execute(f"select count(distinct {value}) from typed").fetchall()
        return int(exact), None
    return int(near), None


def _increasing(connection: DuckDBPyConnection, place: int) -> bool:
    ((steps,),) = connection.execute(
        f"""select count(*) from (
            select v{place} - lag(v{place}) over (order by _row) as step from typed where v{place} is not null
        ) where step <= 0"""
    ).fetchall()
    return not steps


def _points(found: Sequence[kinds.Kind], opened: Opened) -> list[str]:
    return [
        t(
            "“{text}” in {column} is taken for {number}, with points between thousands, as every point there has"
            " three digits after it and cells are not parted by commas; if its point is decimal, make it a float and"
            " take it as it is in features.sql.",
            text=kind.parted,
            column=opened.headers[kind.place],
            number=kind.parted.replace(".", ""),
        )
        for kind in found
        if kind.parted
    ]


def _kept_words(
    connection: DuckDBPyConnection, found: Sequence[kinds.Kind], opened: Opened, nulls: tuple[str, ...]
) -> list[str]:
    """Say of texts that may mean null, or may be a value, what they are taken for."""
    said: list[str] = []
    words = [word for word in kinds.PLAUSIBLE if word not in nulls]
    texts = [kind for kind in found if kind.type == "text"]
    if not texts or not words:
        return said
    asked = ", ".join(
        f"count(*) filter (c{kind.place} = {literal(word)})" for kind in texts for word in words
    )
    (row,) = connection.execute(f"select {asked} from cells").fetchall()
    counts = iter(row)
    for kind in texts:
        for word in words:
            count = next(counts)
            if count:
                said.append(
                    t(
                        "“{word}” in {column} ({share:.0%} of the rows) is taken for a value; if it means null,"
                        " add it to nulls.",
                        word=word,
                        column=opened.headers[kind.place],
                        share=count / opened.rows,
                    )
                )
    return said
