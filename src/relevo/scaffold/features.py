"""``features.sql``: every column of the request as one feature or more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relevo.scaffold.fields import is_code
from relevo.scaffold.layout import clean, wrapped
from relevo.scaffold.naming import in_sql
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.scaffold.facts import Column, Found

_SEASON = 90
"""Days that data must cover for the month to mean anything."""
_WIDTH = 110


class Feature(NamedTuple):
    """One line of the SELECT, without its comma, and what it is."""

    sql: str
    name: str
    comment: str = ""


def write(found: Found) -> str:
    """Write the file; what was left out stands in it as comments."""
    head = [
        t("One row in, one row out: what is known when the question is asked."),
        t(
            "A text becomes the share of positives among the rows with its value; write more features as you wish."
        ),
    ]
    lines = [line for sentence in head for line in wrapped(sentence, "-- ")]
    lines.append("select")
    hard = [left for left in found.left if not left.soft]
    usable = [left for left in hard if left.column.filled]
    if usable:
        lines += wrapped(
            t("Left out; project.py says why. To bring one back, remove the -- here and the # there."),
            "    -- ",
        )
        for left in usable:
            lines += [f"    -- {feature.sql}," for feature in features(left.column, None)]
    taken = {column.name for column in found.all}
    kept = [feature for column in found.columns for feature in features(column, found.cut.time, taken)]
    for place, feature in enumerate(kept):
        comma = "," if place + 1 < len(kept) else ""
        note = f"  -- {clean(feature.comment)}" if feature.comment else ""
        lines.append(f"    {feature.sql}{comma}{note}")
    return "\n".join([*lines, "from request", ""])


def features(column: Column, time: Column | None, taken: set[str] | None = None) -> Iterator[Feature]:
    """What can be made of a column; ``time`` is the event time, ``taken`` the names of columns."""
    name = in_sql(column.name)
    kind = column.form.type if column.form is not None else column.type
    if kind in ("date", "timestamp"):
        value = column.form.sql.format(x=name) if column.form is not None else name
        yield from _of_time(column, value, kind, time, taken or set())
    elif column.form is not None and column.form.pattern:
        yield Feature(
            f"{column.form.sql.format(x=name)} as {name}",
            column.name,
            t("{form} as a number", form=column.form.name),
        )
    elif column.distinct == 1:
        yield Feature(f"{name} is not null as {name}", column.name, t("one value, or empty"))
    elif is_code(column):
        yield Feature(f"cast({name} as varchar) as {name}", column.name, t("a code, not an amount"))
    else:
        yield Feature(name, column.name, _comment(column))


def _comment(column: Column) -> str:
    if column.type == "boolean":
        return t("true or false")
    empty = t(", empty in {share:.1%}", share=column.nulls / column.rows) if column.nulls else ""
    if column.type == "text":
        return t("{count:,} values{empty}", count=column.distinct, empty=empty)
    return t("{low:g} to {high:g}{empty}", low=column.low, high=column.high, empty=empty)


def _of_time(
    column: Column, value: str, kind: str, time: Column | None, taken: set[str]
) -> Iterator[Feature]:
    def named(part: str) -> str:
        name = f"{column.name}_{part}"
        while name in taken:
            name += "_"
        taken.add(name)
        return in_sql(name)

    days = _covered(column)
    if time is not None and time.place != column.place:
        name = named("days_before")
        yield Feature(
            f"date_diff('day', {value}, {in_sql(time.name)}) as {name}",
            name,
            t("days from “{column}” to “{time}”", column=column.header, time=time.header),
        )
        return
    if kind == "timestamp":
        name = named("hour")
        yield Feature(f"hour({value}) as {name}", name)
    name = named("weekday")
    yield Feature(f"isodow({value}) as {name}", name, t("Monday is 1"))
    name = named("day")
    yield Feature(f"day({value}) as {name}", name)
    if days is None or days >= _SEASON:
        name = named("month")
        yield Feature(f"month({value}) as {name}", name)
    if time is None:
        name = named("year")
        yield Feature(f"year({value}) as {name}", name)


def _covered(column: Column) -> int | None:
    return (column.high - column.low).days if column.form is None and column.low is not None else None
