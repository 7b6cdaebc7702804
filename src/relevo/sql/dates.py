"""Dates: parts, units, truncation, intervals and formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.operators import CLOCK_PARTS, DAY_PARTS, DIFFERENCES, SPANS, TRUNCATIONS
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relevo.sql.graph import Value
    from relevo.sql.lower import Lowering

# Other spellings of DuckDB's date parts.
_ALIASES = {
    "y": "year", "yr": "year", "years": "year", "yrs": "year", "mon": "month", "mons": "month", "months": "month",
    "d": "day", "days": "day", "dayofmonth": "day", "quarters": "quarter", "w": "week", "weeks": "week",
    "weekofyear": "week", "doy": "dayofyear", "dow": "dayofweek", "weekday": "dayofweek", "h": "hour", "hr": "hour",
    "hrs": "hour", "hours": "hour", "m": "minute", "min": "minute", "mins": "minute", "minutes": "minute",
    "s": "second", "sec": "second", "secs": "second", "seconds": "second", "ms": "millisecond",
    "msec": "millisecond", "msecs": "millisecond", "milliseconds": "millisecond", "us": "microsecond",
    "usec": "microsecond", "usecs": "microsecond", "microseconds": "microsecond",
}  # fmt: skip
STRFTIME_CODES = frozenset("YymdHIMSfjaAbBpuwVG%")
_MONTHS = {"year": 12, "quarter": 3, "month": 1}
_DAYS = {"week": 7, "day": 1}
_MICROSECONDS = {
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1000,
    "microsecond": 1,
}
_PIECE = re.compile(r"\s*([+-]?[0-9]{1,9})\s*([A-Za-z]+)\s*,?")


def _unit(low: Lowering, argument: exp.Expression, known: Iterable[str], function: str) -> str | None:
    """Read a written date part, in any of DuckDB's spellings."""
    written = str(argument.this).lower() if isinstance(argument, exp.Literal | exp.Var) else None
    unit = _ALIASES.get(written or "", written)
    if unit is not None and unit in known:
        return unit
    low.report(
        t(
            "{function} does not know the part {part}.",
            function=function,
            part=written or argument.sql("duckdb"),
        ),
        t("Use one of {parts}, in quotes.", parts=", ".join(known)),
    )
    return None


def _part(low: Lowering, written: exp.Expression, moment: exp.Expression, function: str) -> Value | None:
    unit = _unit(low, written, (*DAY_PARTS, *CLOCK_PARTS[:-1], "epoch"), function)
    value = low.value(moment)
    if unit is None or value is None:
        return None
    return low.typed([value], (unit,), f"{unit}()")


def extract(low: Lowering, node: exp.Expression) -> Value | None:
    """``EXTRACT(part FROM moment)``."""
    return _part(low, node.this, node.expression, "extract()")


def _date_part(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    if not _count(low, "date_part('part', date)", arguments, 2):
        return None
    return _part(low, arguments[0], arguments[1], "date_part()")


def _count(low: Lowering, form: str, arguments: list[exp.Expression], wanted: int) -> bool:
    if len(arguments) == wanted:
        return True
    low.report(
        t("{form} was given {count} arguments.", form=form, count=len(arguments)),
        t("Write {form}.", form=form),
    )
    return False


def _between(name: str, prefix: str, units: tuple[str, ...]) -> Callable[..., Value | None]:
    def rule(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
        if not _count(low, f"{name}('unit', from, to)", arguments, 3):
            return None
        unit = _unit(low, arguments[0], units, f"{name}()")
        values = low.values(arguments[1:])
        return None if unit is None else low.typed(values, (f"{prefix}_{unit}",), f"{name}()")

    return rule


def _date_trunc(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    if not _count(low, "date_trunc('unit', date)", arguments, 2):
        return None
    unit = _unit(low, arguments[0], TRUNCATIONS, "date_trunc()")
    value = low.value(arguments[1])
    if unit is None or value is None:
        return None
    return low.typed([value], (f"trunc_{unit}",), "date_trunc()")


def _strftime(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    if not _count(low, "strftime(date, 'format')", arguments, 2):
        return None
    values = low.values(arguments)
    if values is None:
        return None
    if values[0].kind == "literal":  # DuckDB takes them in either order
        values.reverse()
    form = low.graph.value_of(values[1]) if values[1].kind == "literal" else None
    codes = re.findall(r"%(.?)", form, re.DOTALL) if isinstance(form, str) else [""]
    if not set(codes) <= STRFTIME_CODES:
        low.report(
            t("The format of strftime() must be a written text of the codes that Relevo knows."),
            t("Use {codes}.", codes=" ".join(f"%{code}" for code in sorted(STRFTIME_CODES))),
        )
        return None
    return low.typed(values, ("strftime",), "strftime()")


def _date_add(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    if not _count(low, "date_add(date, interval)", arguments, 2):
        return None
    if isinstance(arguments[1], exp.Interval):
        return interval_of(low, arguments[0], arguments[1], 1)
    values = low.values(arguments)
    if values is not None and values[1].type == "integer":
        narrow = low.apply("int32", [values[1]], "date_add()")
        values = None if narrow is None else [values[0], narrow]
    return low.typed(values, ("add_days",), "date_add()")


def interval_of(low: Lowering, moment: exp.Expression, interval: exp.Interval, sign: int) -> Value | None:
    """``moment ± INTERVAL …``, a timestamp: months first (clipped to the month's end), then days, then time."""
    parts = _interval(interval)
    if parts is None:
        low.report(
            t("An interval must be written out, as whole numbers with units."),
            t(
                "Write for instance INTERVAL 3 MONTH or INTERVAL '1 day 12 hours'; for n days, add n to a date."
            ),
        )
        return None
    value = low.value(moment)
    if value is None:
        return None
    amounts = [low.graph.constant("integer", sign * part) for part in parts]
    return low.typed([value, *amounts], ("add_interval",), "INTERVAL")


def _interval(interval: exp.Interval) -> tuple[int, int, int] | None:
    amount, unit = interval.this, interval.args.get("unit")
    negative = isinstance(amount, exp.Neg)
    if negative:
        amount = amount.this
    if not isinstance(amount, exp.Literal) or (unit is not None and not isinstance(unit, exp.Var)):
        return None
    text = f"{'-' if negative else ''}{amount.this} {unit.this if unit is not None else ''}"
    months = days = microseconds = 0
    at = 0
    while at < len(text.rstrip()):
        piece = _PIECE.match(text, at)
        name = "" if piece is None else _ALIASES.get(piece[2].lower(), piece[2].lower())
        if piece is None or name not in {**_MONTHS, **_DAYS, **_MICROSECONDS}:
            return None
        months += int(piece[1]) * _MONTHS.get(name, 0)
        days += int(piece[1]) * _DAYS.get(name, 0)
        microseconds += int(piece[1]) * _MICROSECONDS.get(name, 0)
        at = piece.end()
    return (months, days, microseconds) if text.strip() else None


DATE_CALLS: dict[str, Callable[[Lowering, list[exp.Expression]], Value | None]] = {
    "date_part": _date_part,
    "date_diff": _between("date_diff", "diff", DIFFERENCES),
    "date_sub": _between("date_sub", "span", SPANS),
    "date_trunc": _date_trunc,
    "date_add": _date_add,
    "strftime": _strftime,
}
