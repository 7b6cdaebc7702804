"""The loader's allow-list: every operator that a tree may hold, with its types and its Python.

Signatures are written as in ``relevo.sql.operators`` (a test compares the two tables), kept apart so that
what a package may ask of this process is decided here alone. A null argument makes the result null unless
the emitter has a rule of its own for the operator.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """``python`` has ``{n}`` for argument n, maybe several times, and ``{t}`` for a fresh local."""

    arguments: tuple[str, ...]
    result: str
    python: str
    raises: bool = False
    may_be_null: bool = False


def _operator(signature: str, python: str) -> Operator:
    arguments, result = signature.split(" -> ")
    return Operator(tuple(arguments.split()), result, python)


def _fails(signature: str, python: str) -> Operator:
    made = _operator(signature, python)
    return Operator(made.arguments, made.result, python, raises=True)


def _tries(signature: str, python: str) -> Operator:
    made = _operator(signature, python)
    return Operator(made.arguments, made.result, python, may_be_null=True)


_CHECKED = "({t} if -9223372036854775808 <= ({t} := %s) <= 9223372036854775807 else overflow())"
_DAY = "date|timestamp"

_CASTS = {
    "integer_to_double": _operator("integer -> double", "float({0})"),
    "integer_to_text": _operator("integer -> text", "str({0})"),
    "integer_to_boolean": _operator("integer -> boolean", "({0} != 0)"),
    "double_to_boolean": _operator("double -> boolean", "({0} != 0.0)"),
    "double_to_text": _operator("double -> text", "repr({0})"),
    "double_to_integer": _fails("double -> integer", "double_to_integer({0})"),
    "try_double_to_integer": _tries("double -> integer", "attempt(double_to_integer, {0})"),
    "boolean_to_integer": _operator("boolean -> integer", "(1 if {0} else 0)"),
    "boolean_to_double": _operator("boolean -> double", "(1.0 if {0} else 0.0)"),
    "boolean_to_text": _operator("boolean -> text", "('true' if {0} else 'false')"),
    "date_to_text": _operator("date -> text", "{0}.isoformat()"),
    "date_to_timestamp": _operator("date -> timestamp", "datetime({0}.year, {0}.month, {0}.day)"),
    "timestamp_to_text": _operator("timestamp -> text", "timestamp_to_text({0})"),
    "timestamp_to_date": _operator("timestamp -> date", "{0}.date()"),
    "text_to_integer": _fails("text -> integer", "text_to_integer({0})"),
    "text_to_double": _fails("text -> double", "text_to_double({0})"),
    "text_to_boolean": _fails("text -> boolean", "text_to_boolean({0})"),
    "text_to_date": _fails("text -> date", "text_to_date({0})"),
    "text_to_timestamp": _fails("text -> timestamp", "text_to_timestamp({0})"),
    "try_text_to_integer": _tries("text -> integer", "attempt(text_to_integer, {0})"),
    "try_text_to_double": _tries("text -> double", "attempt(text_to_double, {0})"),
    "try_text_to_boolean": _tries("text -> boolean", "attempt(text_to_boolean, {0})"),
    "try_text_to_date": _tries("text -> date", "attempt(text_to_date, {0})"),
    "try_text_to_timestamp": _tries("text -> timestamp", "attempt(text_to_timestamp, {0})"),
}

_NUMBERS = {
    "add_integer": _fails("integer integer -> integer", _CHECKED % "{0} + {1}"),
    "subtract_integer": _fails("integer integer -> integer", _CHECKED % "{0} - {1}"),
    "multiply_integer": _fails("integer integer -> integer", _CHECKED % "{0} * {1}"),
    "add_double": _operator("double double -> double", "({0} + {1})"),
    "subtract_double": _operator("double double -> double", "({0} - {1})"),
    "multiply_double": _operator("double double -> double", "({0} * {1})"),
    "divide": _operator("double double -> double", "({0} / {1} if {1} else over_zero({0}, {1}))"),
    "divide_integer": _fails("integer integer -> integer", "divide_integer({0}, {1})"),
    "modulo_integer": _fails("integer integer -> integer", "modulo_integer({0}, {1})"),
    "modulo_double": _operator("double double -> double", "modulo_double({0}, {1})"),
    "negate_integer": _fails("integer -> integer", _CHECKED % "-{0}"),
    "negate_double": _operator("double -> double", "(-{0})"),
    "abs_integer": _fails("integer -> integer", _CHECKED % "abs({0})"),
    "abs_double": _operator("double -> double", "abs({0})"),
    "sign_integer": _operator("integer -> integer", "(({0} > 0) - ({0} < 0))"),
    "sign_double": _operator("double -> integer", "(({0} > 0.0) - ({0} < 0.0))"),
    "round_integer": _fails("integer integer! -> integer", "round_integer({0}, {1})"),
    "round": _operator("double -> double", "round_double({0})"),
    "round_places": _operator("double integer! -> double", "round_places({0}, {1})"),
    "power": _operator("double double -> double", "power({0}, {1})"),
    "atan2": _operator("double double -> double", "atan2({0}, {1})"),
    "floor": _operator("double -> double", "floor_double({0})"),
    "ceil": _operator("double -> double", "ceil_double({0})"),
    "trunc": _operator("double -> double", "trunc_double({0})"),
    "ln": _operator("double -> double", "logarithm(log, {0})"),
    "log10": _operator("double -> double", "logarithm(log10, {0})"),
    "log2": _operator("double -> double", "logarithm(log2, {0})"),
    "exp": _operator("double -> double", "exponential({0})"),
    "sqrt": _operator("double -> double", "real(sqrt, {0})"),
    "cbrt": _operator("double -> double", "cbrt({0})"),
    "radians": _operator("double -> double", "radians({0})"),
    "degrees": _operator("double -> double", "degrees({0})"),
    "isnan": _operator("double -> boolean", "({0} != {0})"),
    "isinf": _operator("double -> boolean", "isinf({0})"),
    "isfinite": _operator("double -> boolean", "isfinite({0})"),
    **{
        name: _operator("double -> double", f"real({name}, {{0}})")
        for name in ("sin", "cos", "tan", "asin", "acos")
    },
    "atan": _operator("double -> double", "atan({0})"),
}

# NaN equals NaN and is greater than every other double.
_LOGIC = {
    "and": _operator("boolean... -> boolean", ""),
    "or": _operator("boolean... -> boolean", ""),
    "and_then": _operator("boolean... -> boolean", ""),
    "or_else": _operator("boolean... -> boolean", ""),
    "not": _operator("boolean -> boolean", "(not {0})"),
    "is_null": _operator("any -> boolean", "({0} is None)"),
    "is_true": _operator("boolean -> boolean", "({0} is True)"),
    "is_false": _operator("boolean -> boolean", "({0} is False)"),
    "in": _operator("any any!... -> boolean", ""),
    "case": _operator("case -> any", ""),
    "coalesce": _operator("any... -> any", ""),
    "greatest": _operator("any... -> any", "greatest({all})"),
    "least": _operator("any... -> any", "least({all})"),
    "equal": _operator("plain plain -> boolean", "({0} == {1})"),
    "differ": _operator("plain plain -> boolean", "({0} != {1})"),
    "less": _operator("plain plain -> boolean", "({0} < {1})"),
    "at_most": _operator("plain plain -> boolean", "({0} <= {1})"),
    "equal_double": _operator("double double -> boolean", "({0} == {1} or ({0} != {0} and {1} != {1}))"),
    "differ_double": _operator("double double -> boolean", "({0} != {1} and ({0} == {0} or {1} == {1}))"),
    "less_double": _operator("double double -> boolean", "(({0} < {1} or {1} != {1}) and {0} == {0})"),
    "at_most_double": _operator("double double -> boolean", "({0} <= {1} or {1} != {1})"),
    "distinct": _operator("plain plain -> boolean", "({0} != {1})"),
    "distinct_double": _operator("double double -> boolean", "({0} != {1} and ({0} == {0} or {1} == {1}))"),
}

_TEXTS = {
    "lower": _operator("text -> text", "({0}.lower() if {0}.isascii() else lower({0}))"),
    "upper": _operator("text -> text", "({0}.upper() if {0}.isascii() else upper({0}))"),
    "length": _operator("text -> integer", "len({0})"),
    "trim": _operator("text -> text", "{0}.strip(' ')"),
    "ltrim": _operator("text -> text", "{0}.lstrip(' ')"),
    "rtrim": _operator("text -> text", "{0}.rstrip(' ')"),
    "trim_of": _operator("text text -> text", "{0}.strip({1})"),
    "ltrim_of": _operator("text text -> text", "{0}.lstrip({1})"),
    "rtrim_of": _operator("text text -> text", "{0}.rstrip({1})"),
    "substring": _fails("text integer -> text", "substring({0}, {1})"),
    "substring_length": _fails("text integer integer -> text", "substring({0}, {1}, {2})"),
    "left": _fails("text integer -> text", "left({0}, {1})"),
    "right": _operator("text integer -> text", "right({0}, {1})"),
    "replace": _operator("text text text -> text", "({0}.replace({1}, {2}) if {1} else {0})"),
    "concat": _operator("text... -> text", ""),
    "append": _operator("text text -> text", "({0} + {1})"),
    "position": _operator("text text -> integer", "({0}.find({1}) + 1)"),
    "starts_with": _operator("text text -> boolean", "{0}.startswith({1})"),
    "ends_with": _operator("text text -> boolean", "{0}.endswith({1})"),
    "contains": _operator("text text -> boolean", "({1} in {0})"),
    "like": _operator("text text -> boolean", "like({0}, pattern({1}))"),
    "like_escape": _operator("text text! text! -> boolean", "like({0}, pattern({1}, {2}))"),
}

_DATES = {
    "int32": _fails("integer -> integer", "int32({0})"),
    "add_days": _fails("date integer -> date", "add_days({0}, {1})"),
    "subtract_days": _fails("date integer -> date", "add_days({0}, -{1})"),
    "days_between": _operator("date date -> integer", "({0}.toordinal() - {1}.toordinal())"),
    "add_interval": _fails(
        "timestamp integer! integer! integer! -> timestamp", "add_interval({0}, {1}, {2}, {3})"
    ),
    "epoch": _operator("timestamp -> double", "(microseconds({0}) / 1e6)"),
    "last_day": _operator(f"{_DAY} -> date", "last_day({0})"),
    "dayname": _operator(f"{_DAY} -> text", "DAYS[{0}.weekday()]"),
    "monthname": _operator(f"{_DAY} -> text", "MONTHS[{0}.month]"),
    "make_date": _fails("integer integer integer -> date", "date({0}, {1}, {2})"),
    "strftime": _operator(f"{_DAY} text! -> text", "strftime({0}, {1})"),
    "year": _operator(f"{_DAY} -> integer", "{0}.year"),
    "month": _operator(f"{_DAY} -> integer", "{0}.month"),
    "day": _operator(f"{_DAY} -> integer", "{0}.day"),
    "quarter": _operator(f"{_DAY} -> integer", "(({0}.month + 2) // 3)"),
    "week": _operator(f"{_DAY} -> integer", "{0}.isocalendar()[1]"),
    "isoyear": _operator(f"{_DAY} -> integer", "{0}.isocalendar()[0]"),
    "yearweek": _operator(f"{_DAY} -> integer", "yearweek({0})"),
    "dayofyear": _operator(f"{_DAY} -> integer", "dayofyear({0})"),
    "dayofweek": _operator(f"{_DAY} -> integer", "({0}.isoweekday() % 7)"),
    "isodow": _operator(f"{_DAY} -> integer", "{0}.isoweekday()"),
    "hour": _operator("timestamp -> integer", "{0}.hour"),
    "minute": _operator("timestamp -> integer", "{0}.minute"),
    "second": _operator("timestamp -> integer", "{0}.second"),
    "millisecond": _operator("timestamp -> integer", "({0}.second * 1000 + {0}.microsecond // 1000)"),
    "microsecond": _operator("timestamp -> integer", "({0}.second * 1000000 + {0}.microsecond)"),
    "epoch_ms": _operator("timestamp -> integer", "epoch_ms({0})"),
    "trunc_year": _operator("timestamp -> timestamp", "datetime({0}.year, 1, 1)"),
    "trunc_quarter": _operator(
        "timestamp -> timestamp", "datetime({0}.year, ({0}.month - 1) // 3 * 3 + 1, 1)"
    ),
    "trunc_month": _operator("timestamp -> timestamp", "datetime({0}.year, {0}.month, 1)"),
    "trunc_week": _fails("timestamp -> timestamp", "trunc_week({0})"),
    "trunc_day": _operator("timestamp -> timestamp", "datetime({0}.year, {0}.month, {0}.day)"),
    "trunc_hour": _operator("timestamp -> timestamp", "{0}.replace(minute=0, second=0, microsecond=0)"),
    "trunc_minute": _operator("timestamp -> timestamp", "{0}.replace(second=0, microsecond=0)"),
    "trunc_second": _operator("timestamp -> timestamp", "{0}.replace(microsecond=0)"),
    "diff_year": _operator("timestamp timestamp -> integer", "({1}.year - {0}.year)"),
    "diff_quarter": _operator("timestamp timestamp -> integer", "diff_quarter({0}, {1})"),
    "diff_month": _operator(
        "timestamp timestamp -> integer", "(({1}.year - {0}.year) * 12 + {1}.month - {0}.month)"
    ),
    "diff_week": _operator(
        "timestamp timestamp -> integer", "toward_zero({1}.toordinal() - {0}.toordinal(), 7)"
    ),
    "diff_day": _operator("timestamp timestamp -> integer", "({1}.toordinal() - {0}.toordinal())"),
    "diff_hour": _operator("timestamp timestamp -> integer", "boundaries({0}, {1}, 3600000000)"),
    "diff_minute": _operator("timestamp timestamp -> integer", "boundaries({0}, {1}, 60000000)"),
    "diff_second": _operator("timestamp timestamp -> integer", "boundaries({0}, {1}, 1000000)"),
    "diff_millisecond": _operator("timestamp timestamp -> integer", "boundaries({0}, {1}, 1000)"),
    "diff_microsecond": _operator(
        "timestamp timestamp -> integer", "(microseconds({1}) - microseconds({0}))"
    ),
    "span_week": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 604800000000)"),
    "span_day": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 86400000000)"),
    "span_hour": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 3600000000)"),
    "span_minute": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 60000000)"),
    "span_second": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 1000000)"),
    "span_millisecond": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 1000)"),
    "span_microsecond": _operator("timestamp timestamp -> integer", "whole({0}, {1}, 1)"),
}

OPERATORS = {**_CASTS, **_NUMBERS, **_LOGIC, **_TEXTS, **_DATES}
LAZY = ("case", "coalesce", "and_then", "or_else")
