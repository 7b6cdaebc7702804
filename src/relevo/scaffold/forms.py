"""Ways of writing numbers and dates that no contract casts, but that SQL can read in features.sql."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relevo.casting import literal
from relevo.scaffold.facts import Form

if TYPE_CHECKING:
    from collections.abc import Collection

    from duckdb import DuckDBPyConnection

_DAY_FIRST = "{year} || '-' || substring({{x}}, 4, 2) || '-' || left({{x}}, 2)"
_MONTH_FIRST = "{year} || '-' || left({{x}}, 2) || '-' || substring({{x}}, 4, 2)"
_YEAR = "substring({{x}}, 7, 4)"
_TIME = {
    "": ("", "date"),
    " [0-9]{2}:[0-9]{2}": (" || substring({x}, 11, 6) || ':00'", "timestamp"),
    " [0-9]{2}:[0-9]{2}:[0-9]{2}": (" || substring({x}, 11, 9)", "timestamp"),
}


def _dates() -> list[Form]:
    found = []
    for time, (tail, kind) in _TIME.items():
        for name, order, first, second in (
            ("DD/MM/YYYY", _DAY_FIRST, "[0-3][0-9]", "[01][0-9]"),
            ("MM/DD/YYYY", _MONTH_FIRST, "[01][0-9]", "[0-3][0-9]"),
        ):
            day = order.replace("{year}", _YEAR).replace("{{x}}", "{x}")
            pattern = f"^{first}[/.-]{second}[/.-][0-9]{{4}}{time}$"
            label = name + {"": "", " [0-9]{2}:[0-9]{2}": " HH:MM"}.get(time, " HH:MM:SS")
            found.append(Form(label, kind, pattern, f"try_cast({day}{tail} as {kind})"))
    found.append(
        Form(
            "YYYY/MM/DD",
            "date",
            "^[0-9]{4}/[0-9]{2}/[0-9]{2}$",
            "try_cast(replace({x}, '/', '-') as date)",
        )
    )
    found.append(
        Form(
            "YYYY-MM-DDTHH:MM:SSZ",
            "timestamp",
            "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$",
            "try_cast(replace(left({x}, 19), 'T', ' ') as timestamp)",
        )
    )
    return found


NUMBERS = (
    Form("1,5", "double", "^[+-]?[0-9]+(,[0-9]+)?$", "try_cast(replace({x}, ',', '.') as double)"),
    Form(
        "1.234,5",
        "double",
        "^[+-]?[0-9]{1,3}([.]?[0-9]{3})*(,[0-9]+)?$",
        "try_cast(replace(replace({x}, '.', ''), ',', '.') as double)",
    ),
    Form(
        "1,234.5",
        "double",
        "^[+-]?[0-9]{1,3}(,[0-9]{3})*([.][0-9]+)?$",
        "try_cast(replace({x}, ',', '') as double)",
    ),
    Form(
        "12.5%", "double", "^[+-]?[0-9]+([.][0-9]+)? ?%$", "try_cast(trim(replace({x}, '%', '')) as double)"
    ),
    Form(
        "$1,234.5",
        "double",
        "^[$€£] ?[0-9]{1,3}(,?[0-9]{3})*([.][0-9]+)?$",
        "try_cast(trim(replace(replace(replace(replace({x}, '$', ''), '€', ''), '£', ''), ',', '')) as double)",
    ),
)
DATES = tuple(_dates())
AMBIGUOUS = "ambiguous"
_THOUSANDS = "^[+-]?[0-9]{1,3}(,[0-9]{3})+$"
POINTS = NUMBERS[1]
_POINT = re.compile("[+-]?[0-9]*[.][0-9]*(?:[eE][+-]?[0-9]+)?")
_PARTED = "[+-]?[1-9][0-9]{0,2}([.][0-9]{3})+"
_SEVERAL = 2


def decimal(text: str) -> bool:
    """Whether a number has a point that can part no thousands: ``1.5``, or ``0.250``."""
    return bool(_POINT.fullmatch(text)) and not re.fullmatch(_PARTED, text)


def parted(texts: Collection[str]) -> bool:
    """Whether all points in a sample of a column may part thousands, and one does."""
    return not any(map(decimal, texts)) and any(re.fullmatch(_PARTED, text) for text in texts)


def points(connection: DuckDBPyConnection, place: int, without: str) -> tuple[str, int, int, str] | None:
    """Settle on all rows that a column's points part thousands.

    Gives one such text, how many cells can be read so, how many cannot, and one of these; None where the
    points are decimal, where the numbers are codes such as 007, or where one value alone has a point.
    """
    cell = f"c{place}"
    good = f"regexp_full_match({cell}, {literal(POINTS.pattern[1:-1])})"
    thousands = f"regexp_full_match({cell}, {literal(_PARTED)})"
    point = f"regexp_full_match({cell}, {literal(_POINT.pattern)}) and not {thousands}"
    ((one, values, others, filled, read, stray),) = connection.execute(
        f"""select min({cell}) filter ({thousands}), count(distinct {cell}) filter ({thousands}),
            count(*) filter ({point} or regexp_full_match({cell}, '[+-]?0[0-9]+')),
            count(*), count(*) filter ({good}), min({cell}) filter (not {good})
        from cells where {cell} is not null and {without}"""
    ).fetchall()
    return None if others or values < _SEVERAL else (str(one), read, filled - read, stray or "")


def find(connection: DuckDBPyConnection, place: int, without: str, delimiter: str) -> Form | None:
    """Find the form that every cell of a column has; ``without`` is SQL for the cells that count.

    Days and months that are never above 12 cannot be told apart: the form is then named ``AMBIGUOUS``.
    """
    if _fitting(connection, "sampled", place, without, delimiter) is None:
        return None
    return _fitting(connection, "cells", place, without, delimiter)


def _fitting(
    connection: DuckDBPyConnection, source: str, place: int, without: str, delimiter: str
) -> Form | None:
    cell = f"c{place}"
    forms = (*NUMBERS, *DATES)
    counts = ", ".join(
        f"count(*) filter (regexp_full_match({cell}, {literal(form.pattern[1:-1])})"
        f" and {form.sql.format(x=cell)} is not null)"
        for form in forms
    )
    (row,) = connection.execute(
        f"select count(*), count(*) filter (regexp_full_match({cell}, {literal(_THOUSANDS[1:-1])})"
        f" or not contains({cell}, ',')), count(*) filter (regexp_matches({cell}, '[,%$€£/.T-]')), {counts}"
        f" from {source} where {cell} is not null and {without}"
    ).fetchall()
    total, thousands, signs, *matched = (int(count) for count in row)
    fitting = [form for form, count in zip(forms, matched, strict=True) if signs and count == total]
    if not fitting:
        return None
    days = [form for form in fitting if form in DATES]
    if len(days) > 1:
        return Form(AMBIGUOUS, "text", "", "")
    if days:
        return days[0]
    # 1,234 reads as a thousand where commas part cells, and as one and a bit where they part nothing else
    if thousands == total and delimiter == "," and NUMBERS[2] in fitting:
        return NUMBERS[2]
    return fitting[0]
