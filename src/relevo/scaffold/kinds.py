"""Which type each column has, which of its texts mean null, and the table ``typed`` that follows from both.

Whether a text is of a type is asked of the very SQL that will clean it (``relevo.casting``).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relevo.casting import cleaning_query, literal
from relevo.contract import Contract, Field
from relevo.scaffold import forms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from relevo.scaffold.facts import Form

WIDE = (
    "?", "na", "n/a", "n.a.", "#n/a", "#n/d", "n/d", "nd", "s/d", "s/i", "nan", "null", "none", "nil", "-", "--",
    ".", "\\n", "missing", "unknown", "undefined", "desconocido", "sin dato", "sin datos", "(null)", "<na>",
)  # fmt: skip
"""Small letters: what means null in a column of numbers or dates."""
NARROW = ("?", "NA", "N/A", "#N/A", "n/a", "null", "NULL", "nan", "NaN", "\\N", "<NA>", "(null)")
"""What means null in a column of texts; ``None``, ``-`` and ``unknown`` may be values there."""
PLAUSIBLE = ("None", "none", "-", "unknown", "Unknown", "missing", "desconocido")
SAMPLE = 4_000
GROUP = 16
"""Columns asked about in one query."""
MOST_STRAYS = 0.005
_CODE = re.compile("[+-]?0[0-9]+|[0-9]{16,}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = ("true", "t", "yes", "y", "on", "false", "f", "no", "n", "off")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ Tt_][0-9]{2}:[0-9]{2}.*)?")
_BESIDE_COMMAS = (";", "\t")
"""What parts the cells of files whose numbers may have decimal commas, and points between thousands."""
_ENOUGH = 0.8
_WORDS = 3
_NUMBERS_BEFORE_WORDS = 20


@dataclass
class Kind:
    """What a column is, while it is being found out."""

    place: int
    type: str = "text"
    form: Form | None = None
    marks: dict[str, int] = field(default_factory=dict)
    strays: int = 0
    stray: str = ""
    parted: str = ""
    """A number of it whose points were taken to part thousands, where they might be decimal."""


def find(connection: DuckDBPyConnection, columns: int, rows: int, delimiter: str) -> list[Kind]:
    """Tell the type of every column of ``cells``: guessed from a sample, settled on all rows."""
    share = max(1, rows // SAMPLE)
    connection.execute(
        f"create or replace temp table sampled as select * from cells where hash(_row) % {share} = 0"
        f" and _defect is null"
    )
    found = [Kind(place) for place in range(columns)]
    guesses, parted = [], set()
    decimal = delimiter not in _BESIDE_COMMAS
    for kind in found:
        sample = connection.execute(f"select c{kind.place} from sampled").fetchall()
        guesses.append(_guess([cell for (cell,) in sample]))
        if decimal:
            continue
        texts = {cell for (cell,) in sample if cell is not None}
        decimal = guesses[-1] == "double" and any(map(forms.decimal, texts))
        if forms.parted(texts):
            parted.add(kind.place)
    for kind, guess in zip(found, guesses, strict=True):
        if not decimal and kind.place in parted and _settle_points(connection, kind):
            continue
        _settle(connection, kind, guess)
        if kind.type == "text":
            _settle_text(connection, kind, delimiter)
    return found


def _settle_points(connection: DuckDBPyConnection, kind: Kind) -> bool:
    """Take the points for those that part thousands, as where commas are decimal; False when they cannot be."""
    cell, empty = f"c{kind.place}", ", ".join(map(literal, WIDE))
    found = forms.points(connection, kind.place, f"lower({cell}) not in ({empty})")
    if found is None or found[2] > MOST_STRAYS * found[1]:
        return False
    kind.form = forms.POINTS
    kind.parted, _, kind.strays, kind.stray = found
    kind.marks = dict(
        connection.execute(
            f"select {cell}, count(*) from cells where lower({cell}) in ({empty}) group by 1 order by 1"
        ).fetchall()
    )
    return True


def cast(
    places: Sequence[tuple[int, str]], source: str, nulls: Sequence[str] = (), carry: Sequence[str] = ()
) -> str:
    """Write the SELECT of columns as types (``v3_integer`` of ``c3``), null where the text is not of the type."""
    fields = tuple(
        Field(name=f"v{place}_{type_}", alias=f"c{place}", type=type_, nullable=True)
        for place, type_ in places
    )
    names = sorted({f"c{place}" for place, _ in places})
    carried = {name: name for name in carry or names}
    return cleaning_query(Contract("cells", fields), names, nulls).select(source, carried)


def _guess(cells: Sequence[str | None]) -> str:
    """The narrowest type that most of the sampled cells seem to have; text when none does."""
    counts = Counter(cell for cell in cells if cell is not None and cell.lower() not in WIDE)
    if any(_CODE.fullmatch(cell) for cell in counts):
        return "text"  # as a number, 007 would lose its zeros and a card's number its last digits
    found = Counter[str]()
    for cell, count in counts.items():
        found.update(dict.fromkeys(_looks(cell), count))
    least = max(1.0, _ENOUGH * counts.total())
    if found["boolean"] >= least:
        return "boolean"
    if found["double"] >= least:
        # pandas writes whole numbers as 1.0 where there are nulls; without, the point is meant
        whole = found["integer"] == found["double"] and (found["point"] < found["double"] or None in cells)
        return "integer" if whole else "double"
    return next((type_ for type_ in ("date", "timestamp") if found[type_] >= least), "text")


def _looks(cell: str) -> Iterator[str]:
    number = _NUMBER.fullmatch(cell)
    if number:
        yield "double"
        if not (number[1] or "").strip(".0") and not number[2]:
            yield "integer"
        if number[1]:
            yield "point"
    elif cell.lower() in _BOOLEANS:
        yield "boolean"
    elif day := _DAY.fullmatch(cell):
        yield "timestamp"
        if not day[1]:
            yield "date"


def _settle(connection: DuckDBPyConnection, kind: Kind, guess: str) -> None:
    """Take the guess if all rows bear it out, counting the texts that do not."""
    days = ("date", "timestamp")  # a midnight in every row is no time of day
    types = {"integer": ("integer", "double"), "date": days, "timestamp": days, "text": ()}.get(
        guess, (guess,)
    )
    if not types:
        return
    cell, place = f"c{kind.place}", kind.place
    query = cast([(place, type_) for type_ in types], "cells")
    asked = ", ".join(f"count(v{place}_{type_}), approx_count_distinct(v{place}_{type_})" for type_ in types)
    ((filled, *counts),) = connection.execute(f"select count({cell}), {asked} from ({query})").fetchall()
    goods = counts[::2]
    good = max(goods)
    chosen = goods.index(good)  # the narrower of two types that hold the same rows
    others: list[tuple[str, int]] = []
    if filled > good:
        others = connection.execute(
            f"select {cell}, count(*) from ({query}) where v{place}_{types[chosen]} is null and {cell} is not null"
            " group by 1 order by 2 desc, 1 limit 100"
        ).fetchall()
    marks, rest = _marks(others, many=counts[2 * chosen + 1] > _NUMBERS_BEFORE_WORDS)
    strays = filled - good - sum(marks.values())
    codes = guess == "boolean" or any(_is_code(text) for text in rest)
    if good and strays <= (0 if codes else MOST_STRAYS * good):
        kind.type, kind.marks, kind.strays = types[chosen], marks, strays
        kind.stray = next(iter(rest), "")


def _marks(others: Sequence[tuple[str, int]], *, many: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Part the texts among numbers in those that mean null and those that are mistakes.

    A few words that come again and again, among ``many`` numbers, mean null whatever they are.
    """
    marks = {text: count for text, count in others if text.lower() in WIDE}
    rest = {text: count for text, count in others if text not in marks}
    words = len(rest) <= _WORDS and not any(letter.isdigit() for text in rest for letter in text)
    if many and words and all(count > 1 for count in rest.values()):
        return marks | rest, {}
    return marks, rest


def _is_code(text: str) -> bool:
    """Whether letters and digits stand together, as in the flight 1104A: then the numbers are codes too."""
    return any(letter.isdigit() for letter in text) and any(letter.isalpha() for letter in text)


def _settle_text(connection: DuckDBPyConnection, kind: Kind, delimiter: str) -> None:
    cell = f"c{kind.place}"
    listed = ", ".join(map(literal, NARROW))
    counted = connection.execute(
        f"select {cell}, count(*) from cells where {cell} in ({listed}) group by 1 order by 1"
    ).fetchall()
    kind.marks = dict(counted)
    ((codes,),) = connection.execute(
        f"select count(*) filter (length({cell}) <> 2 or {cell} <> upper({cell})) from cells"
        f" where {cell} is not null and {cell} not in ({listed})"
    ).fetchall()
    if not codes:
        kind.marks.pop("NA", None)  # among codes of two capitals it is Namibia
    kind.form = forms.find(connection, kind.place, f"{cell} not in ({listed})", delimiter)
