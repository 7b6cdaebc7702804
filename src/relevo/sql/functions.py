"""The functions that ``features.sql`` may call: the one catalogue behind compiler, messages and docs."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Function:
    """A function under all its ``names``; ``operators`` are tried by type, none means its own rule."""

    names: tuple[str, ...]
    form: str
    group: str
    operators: tuple[str, ...] = ()


def _simple(group: str, *forms: str) -> tuple[Function, ...]:
    """Functions with one operator of their own name: ``name(argument, …)``."""
    return tuple(Function((form.split("(")[0],), form, group, (form.split("(")[0],)) for form in forms)


SUPPORTED: tuple[Function, ...] = (
    Function(("abs",), "abs(number)", "numbers", ("abs_integer", "abs_double")),
    Function(("sign",), "sign(number)", "numbers", ("sign_integer", "sign_double")),
    Function(("round",), "round(number [, places])", "numbers"),
    Function(("ceil", "ceiling"), "ceil(number)", "numbers", ("ceil",)),
    Function(("trunc",), "trunc(number)", "numbers", ("trunc",)),
    Function(("log10", "log"), "log10(number)", "numbers", ("log10",)),
    Function(("pow", "power"), "pow(number, number)", "numbers", ("power",)),
    Function(("mod",), "mod(number, number)", "numbers", ("modulo_integer", "modulo_double")),
    Function(("pi",), "pi()", "numbers"),
    *_simple(
        "numbers",
        "floor(number)", "ln(number)", "log2(number)", "exp(number)", "sqrt(number)", "cbrt(number)",
        "sin(number)", "cos(number)", "tan(number)", "asin(number)", "acos(number)", "atan(number)",
        "atan2(number, number)", "radians(number)", "degrees(number)", "isnan(number)", "isinf(number)",
        "isfinite(number)",
    ),
    Function(("coalesce",), "coalesce(value, …)", "choice"),
    Function(("ifnull",), "ifnull(value, otherwise)", "choice"),
    Function(("nullif",), "nullif(value, value)", "choice"),
    Function(("if",), "if(condition, value, otherwise)", "choice"),
    Function(("greatest",), "greatest(value, …)", "choice"),
    Function(("least",), "least(value, …)", "choice"),
    Function(("lower", "lcase"), "lower(text)", "text", ("lower",)),
    Function(("upper", "ucase"), "upper(text)", "text", ("upper",)),
    Function(("length", "len", "char_length", "character_length"), "length(text)", "text", ("length",)),
    Function(("trim",), "trim(text [, characters])", "text", ("trim", "trim_of")),
    Function(("ltrim",), "ltrim(text [, characters])", "text", ("ltrim", "ltrim_of")),
    Function(("rtrim",), "rtrim(text [, characters])", "text", ("rtrim", "rtrim_of")),
    Function(
        ("substring", "substr"), "substring(text, start [, length])", "text", ("substring", "substring_length")
    ),
    *_simple("text", "left(text, count)", "right(text, count)", "replace(text, part, new)"),
    Function(("concat",), "concat(value, …)", "text"),
    Function(("position", "strpos", "instr"), "strpos(text, part)", "text", ("position",)),
    Function(("starts_with", "prefix"), "starts_with(text, part)", "text", ("starts_with",)),
    Function(("ends_with", "suffix"), "ends_with(text, part)", "text", ("ends_with",)),
    *_simple("text", "contains(text, part)"),
    *_simple(
        "dates",
        "year(date)", "month(date)", "day(date)", "quarter(date)", "week(date)", "isoyear(date)", "yearweek(date)",
        "dayofyear(date)", "dayofweek(date)", "isodow(date)", "hour(date)", "minute(date)", "second(date)",
        "millisecond(date)", "microsecond(date)", "epoch(date)", "epoch_ms(date)", "last_day(date)",
        "dayname(date)", "monthname(date)", "make_date(year, month, day)",
    ),
    Function(("dayofmonth",), "dayofmonth(date)", "dates", ("day",)),
    Function(("weekday",), "weekday(date)", "dates", ("dayofweek",)),
    Function(("weekofyear",), "weekofyear(date)", "dates", ("week",)),
    Function(("date_part", "datepart"), "date_part('part', date)", "dates"),
    Function(("date_diff", "datediff"), "date_diff('unit', from, to)", "dates"),
    Function(("date_sub", "datesub"), "date_sub('unit', from, to)", "dates"),
    Function(("date_trunc", "datetrunc"), "date_trunc('unit', date)", "dates"),
    Function(("date_add",), "date_add(date, interval)", "dates"),
    Function(("strftime",), "strftime(date, 'format')", "dates"),
)  # fmt: skip

BY_NAME = {name: function for function in SUPPORTED for name in function.names}

# What people reach for that has a supported equivalent under an unlike name.
INSTEAD = {
    "iif": "if", "nvl": "coalesce", "isnull": "coalesce", "to_char": "strftime", "dow": "dayofweek",
    "doy": "dayofyear", "format": "concat", "printf": "concat", "concat_ws": "concat", "regexp_matches": "contains",
    "epoch_us": "epoch", "fmod": "mod", "strlen": "length", "make_timestamp": "make_date", "age": "date_diff",
}  # fmt: skip


def nearest(name: str) -> list[str]:
    """The supported names most like ``name``, at most three; empty when nothing is."""
    if name.lower() in INSTEAD:
        return [INSTEAD[name.lower()]]
    return get_close_matches(name.lower(), BY_NAME, n=3, cutoff=0.6)
