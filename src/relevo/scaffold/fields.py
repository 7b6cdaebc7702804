"""A column as a field of a contract: its type, its rules, and what a person should know about it."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

from relevo import examples
from relevo.scaffold import vocabulary
from relevo.scaffold.layout import WIDTH, Call, lines, text, wrapped
from relevo.scaffold.naming import words
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.scaffold.facts import Column

CHOICES = 30
"""Levels up to which the texts of a column are listed, and others refused."""
_LISTED = 800
"""Characters that such a list may take."""
_TWICE = 2
"""How often each must have been seen: one seen once is not the last new one."""
_PYTHON = {
    "text": "str",
    "integer": "int",
    "double": "float",
    "boolean": "bool",
    "date": "date",
    "timestamp": "datetime",
}
_NARROW = 3
"""How much the lengths of codes may differ for a pattern to say so."""
_LONGEST_CODE = 12
_TAKEN = (
    "Request",
    "Row",
    "Files",
    "Gate",
    "Project",
    "Table",
    "Target",
    "Tuning",
    "Literal",
    "Field",
    "BaseModel",
)


class Rule(NamedTuple):
    """A field's type as Python writes it, its arguments, and lines for the comment above.

    ``listed`` is the type's own definition, where its texts are too many for the field's line.
    """

    annotation: str
    arguments: tuple[str | Call, ...]
    notes: tuple[str, ...]
    listed: Call | None = None

    @property
    def imports(self) -> frozenset[str]:
        """What the field needs besides ``BaseModel``."""
        found = {self.annotation.split(" ")[0]} & {"date", "datetime"}
        found |= {"Field"} if self.arguments not in ((), ("None",)) else set()
        return frozenset(
            found | ({"Literal"} if self.listed or self.annotation.startswith("Literal[") else set())
        )


def is_code(column: Column) -> bool:
    """Whether whole numbers are names rather than amounts, as in ``admission_type_id``."""
    return (
        column.type == "integer"
        and bool(vocabulary.CODES.intersection(words(column.header)))
        and column.distinct > 2  # noqa: PLR2004 - two values are as good as an amount
    )


def may_be_id(column: Column) -> bool:
    """Whether the examples will look at the field as at a possible id."""
    bounds = {bound.split("=")[0] for bound in _bounds(column)} if column.type == "integer" else set()
    return examples.may_be_id(
        column.type, listed=_choices(column) is not None, bounded=bounds >= {"ge", "le"}
    )


def rule(column: Column, *, required: bool = False, inline: bool = False) -> Rule:
    """Say what a field may hold; ``required`` allows no null whatever the data has.

    ``inline`` lists no more texts than its line holds, for a field that is only a comment.
    """
    null = " | None" if column.nulls and not required else ""
    choices = _choices(column)
    literal = Call("Literal", choices or (), "[]")
    fits = len(f"    # {column.name}: {literal.flat()}{null} = Field(") <= WIDTH
    if not fits and inline:
        choices = None
    arguments: list[str | Call] = ["None"] if null else []
    if column.header != column.name:
        arguments.append(f"alias={text(column.header)}")
    if choices is None:
        arguments += _bounds(column) if column.type in ("integer", "double") else _shape(column)
        arguments += _examples(column)
    annotation = _PYTHON[column.type] if choices is None else literal.flat()
    listed = literal if choices is not None and not fits else None
    if listed:
        annotation = type_name(column)
    return Rule(annotation + null, tuple(arguments), tuple(_notes(column)), listed)


def type_name(column: Column) -> str:
    """What the list of a column's texts is called: no name that a project has already."""
    name = "".join(part.capitalize() for part in column.name.split("_"))
    return f"{name}Level" if name in _TAKEN else name


def written(column: Column, *, required: bool = False, inline: bool = False, depth: int = 1) -> list[str]:
    """Write a field with its comment."""
    made = rule(column, required=required, inline=inline)
    found = [line for note in made.notes for line in wrapped(note, "# ", WIDTH - 6)]
    head = f"{column.name}: {made.annotation}"
    if made.arguments in ((), ("None",)):
        body = [head + (" = None" if made.arguments else "")]
    else:
        body = lines(Call("Field", made.arguments), depth, f"{head} = ")
    return [*("    " * depth + line for line in found), *(_indented(line, depth) for line in body)]


def _indented(line: str, depth: int) -> str:
    return line if line.startswith("    ") else "    " * depth + line


def _choices(column: Column) -> tuple[str, ...] | None:
    levels = sorted(level for level, _ in column.levels or ())
    if column.type == "integer" and len(levels) == 2:  # noqa: PLR2004 - yes and no, written as numbers
        return tuple(str(level) for level in levels)
    if column.type != "text" or not levels or len(levels) > CHOICES or column.form is not None:
        return None
    if column.levels and column.levels[-1][1] < _TWICE:
        return None
    found = tuple(text(level) for level in levels)
    return found if sum(map(len, found)) <= _LISTED else None


def _bounds(column: Column) -> list[str]:
    """The range found, widened by as much again; a number that was never negative stays so."""
    low, high = column.low, column.high
    named = set(words(column.header))
    whole = column.type == "integer"
    if low is None:
        return []
    if is_code(column):
        return ["ge=0"] if low >= 0 else []
    if low >= 0 and high <= 1:
        return ["ge=0", "le=1"]
    if low >= 0 and high <= 100 and named & vocabulary.PERCENT:  # noqa: PLR2004 - percent
        return ["ge=0", "le=100"]
    if low >= 0 and high <= 120 and named & vocabulary.AGE:  # noqa: PLR2004 - years of a life
        return ["ge=0", "le=120"]
    span = max(high - low, abs(high), abs(low)) if low == high else high - low
    least = 0 if low >= 0 else _round(low - span, up=False, whole=whole)
    most = 0 if high <= 0 and low < 0 else _round(high + span, up=True, whole=whole)
    return [f"ge={least}", f"le={most}"]


def _round(value: float, *, up: bool, whole: bool) -> int | float:
    """Round away from what was found, to two digits."""
    size = 10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 1.0
    size = max(size, 1.0) if whole else size
    steps = math.ceil(value / size) if up else math.floor(value / size)
    found = float(f"{steps * size:.6g}")
    return int(found) if found == int(found) and abs(found) < 1e15 else found  # noqa: PLR2004 - beyond, digits are lost


def _shape(column: Column) -> list[str]:
    if column.type != "text":
        return []
    if column.form is not None:
        return [f"pattern={text(column.form.pattern)}"] if column.form.pattern else []
    least, most = column.shortest, column.longest
    code = next((kind for kind in ("[0-9]", "[A-Z]", "[A-Z0-9]") if kind in column.kinds), None)
    if code and most - least < _NARROW and most <= _LONGEST_CODE:
        times = f"{{{least}}}" if least == most else f"{{{least},{most}}}"
        return [f"pattern={text(f'^{code}{times}$')}"]
    return [f"max_length={max(8, 2 ** math.ceil(math.log2(2 * max(1, most))))}"]


def _examples(column: Column) -> list[Call]:
    """One usual value, for the pages of the service: the middle one, or the most frequent."""
    value: object = column.middle
    if column.type == "text":
        value = column.levels[0][0] if column.levels and column.levels[0][1] > 1 else None
    if is_code(column):
        value = column.levels[0][0] if column.levels else None
    if value is None or column.type == "boolean" or len(str(value)) > 40:  # noqa: PLR2004 - short enough to show
        return []
    return [Call("examples=", (_literal(value),), "[]")]


def _literal(value: object) -> str:
    if isinstance(value, datetime):
        return text(f"{value:%Y-%m-%d %H:%M:%S}")
    if isinstance(value, date):
        return text(value.isoformat())
    if isinstance(value, float):
        return repr(float(f"{value:.4g}"))
    return text(value) if isinstance(value, str) else str(value)


def _notes(column: Column) -> Sequence[str]:
    found = []
    if column.form is not None and column.form.pattern:
        found.append(
            t(
                "Written as {form}: features.sql turns it into {type}.",
                form=column.form.name,
                type=_kind(column),
            )
        )
    elif column.form is not None:
        found.append(
            t(
                "Dates, but day and month cannot be told apart: a person must say, and write them as 2017-01-31."
            )
        )
    if column.strays:
        found.append(
            t("{count:,} rows hold something else, such as “{value}”: they go to quarantine.",
              count=column.strays, value=column.stray[:30])
        )  # fmt: skip
    return found


def _kind(column: Column) -> str:
    assert column.form is not None
    return {"double": t("a number"), "date": t("a date"), "timestamp": t("a time")}[column.form.type]
