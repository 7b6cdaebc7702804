"""The operators of the tree, with their types and their DuckDB SQL.

A signature reads ``argument argument -> result``. ``any`` stands for one type throughout a signature and
``plain`` for one that is not double; ``a|b`` allows either; ``!`` marks a constant; ``...`` repeats the
last argument. ``relevo.online.operators`` holds the same signatures with the Python of each operator;
a test compares the two tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}

# The texts that a cast accepts. DuckDB alone accepts more (0x1F, 1_000, 'infinity' as a date, year -44);
# the canonical SQL refuses those too, so that both executions agree.
_SPACE = "[ \\x09-\\x0d]*"
_NUMBER = "[0-9]+[.]?[0-9]*|[.][0-9]+"
_YEAR = "([1-9][0-9][0-9][0-9]|0[1-9][0-9][0-9]|00[1-9][0-9]|000[1-9])"
_DATE = f"{_YEAR}-[0-9]{{1,2}}-[0-9]{{1,2}}"
_CLOCK = "([01]?[0-9]|2[0-3]):[0-9]{1,2}:[0-9]{1,2}([.][0-9]{1,6})?"
TEXT_FORMS = {
    "integer": f"{_SPACE}[+-]?({_NUMBER}){_SPACE}",
    "double": f"{_SPACE}[+-]?(({_NUMBER})([eE][+-]?[0-9]{{1,4}})?|[iI][nN][fF]|[nN][aA][nN]){_SPACE}",
    "boolean": "(?i:true|t|yes|y|1|false|f|no|n|0)",
    "date": f"{_SPACE}{_DATE}{_SPACE}",
    "timestamp": f"{_DATE}([ T]{_CLOCK})?",
}


def reads_as(text: str, target: str) -> bool:
    """Tell whether a cast of this text succeeds; times are read as far as Python's calendar goes."""
    if not re.fullmatch(TEXT_FORMS[target], text):
        return False
    if target not in ("date", "timestamp"):
        return True
    day, _, clock = text.strip().replace("T", " ").partition(" ")
    try:
        date(*(int(part) for part in day.split("-")))
        if clock.strip():
            datetime.strptime(clock.strip().partition(".")[0], "%H:%M:%S")  # noqa: DTZ007 - only its form matters
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Operator:
    """``sql`` has one ``{n}`` per argument; ``raises`` tells that some values make DuckDB stop."""

    arguments: tuple[str, ...]
    result: str
    sql: str
    raises: bool = False


def _operator(signature: str, sql: str, *, raises: bool = False) -> Operator:
    arguments, result = signature.split(" -> ")
    return Operator(tuple(arguments.split()), result, sql, raises)


def _fails(signature: str, sql: str) -> Operator:
    return _operator(signature, sql, raises=True)


def _function(name: str) -> str:
    return name + "({0})"


_DAY = "date|timestamp"
DAY_PARTS = (
    "year",
    "month",
    "day",
    "quarter",
    "week",
    "isoyear",
    "yearweek",
    "dayofyear",
    "dayofweek",
    "isodow",
)
CLOCK_PARTS = ("hour", "minute", "second", "millisecond", "microsecond", "epoch_ms")
TRUNCATIONS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
DIFFERENCES = (*TRUNCATIONS, "millisecond", "microsecond")
SPANS = ("week", "day", "hour", "minute", "second", "millisecond", "microsecond")
DOUBLE_FUNCTIONS = (
    "floor", "ceil", "trunc", "ln", "log10", "log2", "exp", "sqrt", "cbrt", "sin", "cos", "tan",
    "asin", "acos", "atan", "radians", "degrees",
)  # fmt: skip


def _casts() -> dict[str, Operator]:
    table = {
        "double_to_text": _operator(
            "double -> text", "CASE WHEN isnan({0}) THEN 'nan' ELSE CAST({0} AS VARCHAR) END"
        )
    }
    safe = [
        ("integer", "double"), ("integer", "text"), ("integer", "boolean"), ("double", "boolean"),
        ("boolean", "integer"), ("boolean", "double"), ("boolean", "text"), ("date", "text"),
        ("date", "timestamp"), ("timestamp", "text"), ("timestamp", "date"),
    ]  # fmt: skip
    for source, target in safe:
        sql = f"CAST({{0}} AS {SQL_TYPES[target]})"
        table[f"{source}_to_{target}"] = _operator(f"{source} -> {target}", sql)
    table["double_to_integer"] = _fails("double -> integer", "CAST({0} AS BIGINT)")
    table["try_double_to_integer"] = _operator("double -> integer", "TRY_CAST({0} AS BIGINT)")
    for target, form in TEXT_FORMS.items():
        known = f"regexp_full_match({{0}}, '{form}')"
        cast = f"CAST(CASE WHEN {known} THEN {{0}} ELSE 'not accepted: ' || {{0}} END AS {SQL_TYPES[target]})"
        table[f"text_to_{target}"] = _fails(f"text -> {target}", cast)
        table[f"try_text_to_{target}"] = _operator(f"text -> {target}", f"TRY_{cast}")
    return table


def _numbers() -> dict[str, Operator]:
    # add(), subtract(), multiply() rather than + - *: DuckDB's optimiser turns `n + 1 > 5` into `n > 4`,
    # which hides the overflow.
    table = {
        "add_integer": _fails("integer integer -> integer", "add({0}, {1})"),
        "subtract_integer": _fails("integer integer -> integer", "subtract({0}, {1})"),
        "multiply_integer": _fails("integer integer -> integer", "multiply({0}, {1})"),
        "add_double": _operator("double double -> double", "({0} + {1})"),
        "subtract_double": _operator("double double -> double", "({0} - {1})"),
        "multiply_double": _operator("double double -> double", "({0} * {1})"),
        "divide": _operator("double double -> double", "({0} / {1})"),
        "divide_integer": _fails("integer integer -> integer", "({0} // {1})"),
        "modulo_integer": _fails("integer integer -> integer", "({0} % {1})"),
        "modulo_double": _operator("double double -> double", "({0} % {1})"),
        "negate_integer": _fails("integer -> integer", "subtract(CAST(0 AS BIGINT), {0})"),
        "negate_double": _operator("double -> double", "(-{0})"),
        "abs_integer": _fails("integer -> integer", "abs({0})"),
        "abs_double": _operator("double -> double", "abs({0})"),
        "sign_integer": _operator("integer -> integer", "CAST(sign({0}) AS BIGINT)"),
        "sign_double": _operator("double -> integer", "CAST(sign({0}) AS BIGINT)"),
        "round_integer": _fails("integer integer! -> integer", "round({0}, CAST({1} AS INTEGER))"),
        "round": _operator("double -> double", "round({0})"),
        "round_places": _operator("double integer! -> double", "round({0}, CAST({1} AS INTEGER))"),
        "power": _operator("double double -> double", "pow({0}, {1})"),
        "atan2": _operator("double double -> double", "atan2({0}, {1})"),
    }
    for name in DOUBLE_FUNCTIONS:
        table[name] = _operator("double -> double", _function(name))
    for name in ("isnan", "isinf", "isfinite"):
        table[name] = _operator("double -> boolean", _function(name))
    return table


def _logic() -> dict[str, Operator]:
    table = {
        "and": _operator("boolean... -> boolean", "({all AND})"),
        "or": _operator("boolean... -> boolean", "({all OR})"),
        "and_then": _operator("boolean... -> boolean", "{and_then}"),
        "or_else": _operator("boolean... -> boolean", "{or_else}"),
        "not": _operator("boolean -> boolean", "(NOT {0})"),
        "is_null": _operator("any -> boolean", "({0} IS NULL)"),
        "is_true": _operator("boolean -> boolean", "({0} IS NOT DISTINCT FROM true)"),
        "is_false": _operator("boolean -> boolean", "({0} IS NOT DISTINCT FROM false)"),
        "in": _operator("any any!... -> boolean", "({0} IN ({rest}))"),
        "case": _operator("case -> any", "{case}"),
        "coalesce": _operator("any... -> any", "coalesce({all})"),
        "greatest": _operator("any... -> any", "greatest({all})"),
        "least": _operator("any... -> any", "least({all})"),
    }
    for name, sign in (("equal", "="), ("differ", "<>"), ("less", "<"), ("at_most", "<=")):
        table[name] = _operator("plain plain -> boolean", f"({{0}} {sign} {{1}})")
        table[f"{name}_double"] = _operator("double double -> boolean", f"({{0}} {sign} {{1}})")
    table["distinct"] = _operator("plain plain -> boolean", "({0} IS DISTINCT FROM {1})")
    table["distinct_double"] = _operator("double double -> boolean", "({0} IS DISTINCT FROM {1})")
    return table


def _texts() -> dict[str, Operator]:
    return {
        "lower": _operator("text -> text", "lower({0})"),
        "upper": _operator("text -> text", "upper({0})"),
        "length": _operator("text -> integer", "length({0})"),
        "trim": _operator("text -> text", "trim({0})"),
        "ltrim": _operator("text -> text", "ltrim({0})"),
        "rtrim": _operator("text -> text", "rtrim({0})"),
        "trim_of": _operator("text text -> text", "trim({0}, {1})"),
        "ltrim_of": _operator("text text -> text", "ltrim({0}, {1})"),
        "rtrim_of": _operator("text text -> text", "rtrim({0}, {1})"),
        "substring": _fails("text integer -> text", "substring({0}, {1})"),
        "substring_length": _fails("text integer integer -> text", "substring({0}, {1}, {2})"),
        "left": _fails("text integer -> text", "left({0}, {1})"),
        "right": _operator("text integer -> text", "right({0}, {1})"),
        "replace": _operator("text text text -> text", "replace({0}, {1}, {2})"),
        "concat": _operator("text... -> text", "concat({all})"),
        "append": _operator("text text -> text", "({0} || {1})"),
        "position": _operator("text text -> integer", "strpos({0}, {1})"),
        "starts_with": _operator("text text -> boolean", "starts_with({0}, {1})"),
        "ends_with": _operator("text text -> boolean", "ends_with({0}, {1})"),
        "contains": _operator("text text -> boolean", "contains({0}, {1})"),
        "like": _operator("text text -> boolean", "({0} LIKE {1})"),
        "like_escape": _operator("text text! text! -> boolean", "({0} LIKE {1} ESCAPE {2})"),
    }


def _dates() -> dict[str, Operator]:
    table = {
        "int32": _fails("integer -> integer", "CAST({0} AS INTEGER)"),
        "add_days": _fails("date integer -> date", "({0} + CAST({1} AS INTEGER))"),
        "subtract_days": _fails("date integer -> date", "({0} - CAST({1} AS INTEGER))"),
        "days_between": _operator("date date -> integer", "({0} - {1})"),
        "add_interval": _fails("timestamp integer! integer! integer! -> timestamp", "({0} + {interval})"),
        "epoch": _operator("timestamp -> double", "epoch({0})"),
        "last_day": _operator(f"{_DAY} -> date", "last_day({0})"),
        "dayname": _operator(f"{_DAY} -> text", "dayname({0})"),
        "monthname": _operator(f"{_DAY} -> text", "monthname({0})"),
        "make_date": _fails("integer integer integer -> date", "make_date({0}, {1}, {2})"),
        "strftime": _operator(f"{_DAY} text! -> text", "strftime({0}, {1})"),
    }
    for part in DAY_PARTS:
        table[part] = _operator(f"{_DAY} -> integer", _function(part))
    for part in CLOCK_PARTS:
        table[part] = _operator("timestamp -> integer", _function(part))
    for unit in TRUNCATIONS:
        table[f"trunc_{unit}"] = _operator("timestamp -> timestamp", f"date_trunc('{unit}', {{0}})")
    for unit in DIFFERENCES:
        table[f"diff_{unit}"] = _operator(
            "timestamp timestamp -> integer", f"date_diff('{unit}', {{0}}, {{1}})"
        )
    for unit in SPANS:
        table[f"span_{unit}"] = _operator(
            "timestamp timestamp -> integer", f"date_sub('{unit}', {{0}}, {{1}})"
        )
    return table


OPERATORS = {**_casts(), **_numbers(), **_logic(), **_texts(), **_dates()}
LAZY = ("case", "coalesce", "and_then", "or_else")
