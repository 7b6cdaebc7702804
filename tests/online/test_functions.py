"""Every function and operator against DuckDB, over rows of awkward values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.parity import agree, examples

NUMBERS = [
    "i1 + i2", "i1 - i2", "i1 * i2", "i1 / i2", "i1 // i2", "i1 % i2", "-i1", "abs(i1)", "sign(i1)", "round(i1)",
    "round(i1, -1)", "round(i1, -3)", "round(i1, 2)", "x1 + x2", "x1 - x2", "x1 * x2", "x1 / x2", "x1 % x2", "-x1",
    "abs(x1)", "sign(x1)", "round(x1)", "round(x1, 1)", "round(x1, 2)", "round(x1, 15)", "round(x1, -1)",
    "round(x1, -15)", "floor(x1)", "ceil(x1)", "ceiling(i1)", "trunc(x1)", "ln(x1)", "log(x1)", "log10(x1)", "log2(x1)",
    "exp(x1)", "sqrt(x1)", "cbrt(x1)", "x1 ** x2", "pow(x1, i2)", "x1 ^ 2", "sin(x1)", "cos(x1)", "tan(x2)",
    "asin(x1)", "acos(x1)", "atan(x1)", "atan2(x1, x2)", "radians(x1)", "degrees(x2)", "isnan(x1)", "isinf(x1)",
    "isfinite(x1)",
    "mod(i1, i2)", "mod(x1, i2)", "pi()", "i1 + x1", "i1 + 2.5", "i1 // 7", "x1 / 3", "x1 / 0", "2.5 + 0.1",
    "-9223372036854775808",
    "i1 % 3", "7 % i1", "1e300 * x1",
]  # fmt: skip
LOGIC = [
    "b1 and b2", "b1 or b2", "not b1", "b1 and b2 and b3", "b1 or b2 or null", "b1 is true", "b1 is not true",
    "b1 is false", "b1 is not false", "b1 is null", "x1 is not null", "i1 = i2", "i1 <> i2", "i1 < i2", "i1 <= i2",
    "i1 > i2",
    "i1 >= i2", "x1 = x2", "x1 <> x2", "x1 < x2", "x1 <= x2", "x1 > x2", "x1 >= x2", "x1 > 1.5", "x1 >= 1.5",
    "1.5 > x1", "1.5 >= x1",
    "x1 = 0", "x1 <> 1.5", "i1 = x1", "i1 < x2", "s1 < s2", "s1 = 'abc'", "b1 = b2", "b1 < b2", "d1 < d2",
    "t1 <= t2", "d1 < t1",
    "d1 = '2024-02-29'", "t1 > '2000-01-01'", "i1 is distinct from i2", "i1 is not distinct from i2",
    "x1 is distinct from x2", "x1 is not distinct from 1.5", "s1 is distinct from null", "i1 in (1, 2, 2024)",
    "i1 not in (1, null)", "x1 in (0, 1.5)", "s1 in ('a', 'abc', s2)", "i1 in (i2, i3)", "i1 in (null)",
    "i1 between i2 and i3", "x1 between 0 and x2", "x1 not between 0 and 1", "i2 between null and 3",
    "case when i1 > 0 then 'p' when i1 < 0 then 'n' end", "case i2 when 1 then 1.5 when 2 then i1 else x1 end",
    "case when b1 then i1 else null end", "case b1 when true then 1 when false then 0 end", "if(b1, i1, i2)",
    "coalesce(i1, i2, 7)", "coalesce(x1, i2)",
    "coalesce(null, s1, 'none')", "ifnull(s1, s2)", "nullif(i2, i3)", "nullif(x1, x2)", "greatest(i1, i2, i3)",
    "least(i1, 3)", "greatest(x1, x2)", "least(x1, x2, i1)", "greatest(s1, s2)", "least(b1, b2)", "greatest(null, i1)",
    "case when i2 <> 0 then 5 % i2 end", "i2 <> 0 and 5 % i2 = 1", "i2 = 0 or 5 % i2 = 1",
    "(i2 <> 0 and 5 % i2 = 1) or b1",
    "case when i2 <> 0 and 5 % i2 = 1 then 1 else 0 end", "coalesce(nullif(i2, 0), 5 % i2)", "i2 in (0, 5 % i2)",
    "i2 between 0 and 5 % i2", "5 % i2 between 0 and 3", "greatest(0, 5 % i2)", "concat('x', 5 % i2)",
    "if(i2 = 0, 0, 5 // i2)", "not (b1 and 5 % i2 = 1)",
    "null + (5 % i2)", "i1 + 1 > 5", "5 - i1 < i2", "i1 * 2 = 6", "(5 % i2) is null", "b1 = (5 % i2 = 1)",
]  # fmt: skip
TEXT = [
    "lower(s1)", "upper(s1)", "length(s1)", "len(s1)", "trim(s1)", "ltrim(s1)", "rtrim(s1)", "trim(s1, 'abc ')",
    "ltrim(s1, s2)", "rtrim(s1, 'c')", "trim(s1, '')", "substring(s1, 2)", "substring(s1, i2)",
    "substring(s1, i2, i3)", "substr(s1, -2, 1)",
    "substring(s1 from 2 for 3)", "substring(s1, i1)", "substring(s1, 1, i1)", "left(s1, 2)", "left(s1, i1)",
    "right(s1, 2)", "right(s1, i1)", "replace(s1, 'a', 'bb')",
    "replace(s1, s2, s3)", "concat(s1, s2)", "concat(s1, i1, x1, b1, d1, t1, null)", "s1 || s2", "s1 || i1",
    "s1 || null", "position('b' in s1)",
    "strpos(s1, s2)", "instr(s1, '')", "starts_with(s1, 'a')", "s1 ^@ s2", "ends_with(s1, s2)", "contains(s1, s2)",
    "suffix(s1, 'c')", "prefix(s1, s2)", "s1 like 'a%'", "s1 like '%c'", "s1 like '%b%'", "s1 like 'abc'",
    "s1 like 'a_c'", "s1 like '%_'", "s1 like ''", "s1 like '%'", "s1 like '%%a%%'",
    "s1 like s2", "s1 not like 'a%c'", "s1 ilike 'A%'", "s1 ilike s2", "s1 not ilike '%ς%'",
    "s1 like 'a!%%' escape '!'", "s1 like '%!_%' escape '!'",
    "s1 like '%a%b%c'", "s1 like '_a%'", "s1 like '%ab_'", "s1 like '_%_'", "s1 = upper(lower(s1))",
]  # fmt: skip
PARTS = ["year", "month", "day", "quarter", "week", "isoyear", "yearweek", "dayofyear", "dayofweek", "isodow",
    "hour", "minute",
         "second", "millisecond", "microsecond", "epoch", "epoch_ms", "weekday", "dayofmonth", "weekofyear",
         "dayname", "monthname"]  # fmt: skip
UNITS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"]
MOMENTS = [
    "d1 + 1", "d1 - 366", "d1 + i2", "i2 + d1", "d1 - d2", "d1 + interval 1 month", "d1 - interval 1 year",
    "t1 + interval '1 month 3 days'",
    "t1 - interval '1 day 12 hours'", "t1 + interval 90 minute", "interval 1 day + t1", "t1 + interval '-3 months'",
    "t1 - interval 3 quarter", "t1 + interval '1500 milliseconds'",
    "date_add(d1, interval 2 week)", "date_add(d1, 3)", "last_day(d1)", "last_day(t1)", "make_date(2024, 2, i3)",
    "make_date(i1, 1, 1)", "cast(t1 as date)", "cast(d1 as timestamp)",
    "coalesce(d1, t1)", "greatest(d1, d2)", "date '2024-02-29' + i2", "date_trunc('day', d1)",
    "case when b1 then d1 else t1 end", *(f"date_trunc('{unit}', t1)" for unit in UNITS[:8]),
]  # fmt: skip
CASTS = [
    "cast(x1 as bigint)", "try_cast(x1 as bigint)", "cast(i1 as double)", "cast(i1 as boolean)",
    "cast(x1 as boolean)", "cast(b1 as bigint)", "cast(b1 as double)",
    "cast(i1 as varchar)", "cast(x1 as varchar)", "cast(b1 as varchar)", "cast(d1 as varchar)",
    "cast(t1 as varchar)", "s1::bigint", "s1::double", "s1::boolean",
    "cast(cast(s1 as date) as varchar)", "cast(cast(s1 as timestamp) as varchar)", "try_cast(s1 as bigint)",
    "try_cast(s1 as double)", "try_cast(s1 as boolean)",
    "cast(try_cast(s1 as date) as varchar)", "cast(try_cast(s1 as timestamp) as varchar)", "cast(x1 / x2 as varchar)",
]  # fmt: skip
CODES = ["%Y-%m-%d", "%H:%M:%S.%f", "%y %j", "%a %A %b %B", "%I %p", "%u %w %V %G", "100%% é %d"]


@pytest.mark.parametrize("expression", [*NUMBERS, *LOGIC, *TEXT, *CASTS])
def test_agrees_with_duckdb(expression: str) -> None:
    """Values, nulls and errors are DuckDB's, row by row."""
    agree(expression)


@pytest.mark.parametrize("part", PARTS)
def test_date_parts(part: str) -> None:
    agree(f"{part}(t1)", f"{part}(d1)")


@pytest.mark.parametrize("unit", UNITS)
def test_differences(unit: str) -> None:
    agree(f"date_diff('{unit}', t1, t2)", f"datediff('{unit}s', d1, d2)", f"date_diff('{unit}', d1, t2)")


@pytest.mark.parametrize("unit", UNITS[3:])
def test_whole_units(unit: str) -> None:
    agree(f"date_sub('{unit}', t1, t2)", f"datesub('{unit}', d1, d2)")


@pytest.mark.parametrize("expression", MOMENTS)
def test_moments(expression: str) -> None:
    agree(expression, casts=True)


@pytest.mark.parametrize("code", CODES)
def test_formats(code: str) -> None:
    agree(f"strftime(t1, '{code}')", f"strftime(d1, '{code}')")


@examples(60)
@given(st.text("0123456789+-.eE_xa ", max_size=12), st.sampled_from(["bigint", "double", "boolean"]))
def test_number_texts(text: str, target: str) -> None:
    """Any text is read, or refused, alike."""
    agree(f"try_cast(concat('{text}', left(s1, 0)) as {target})", f"concat('{text}', s1)::varchar")


@examples(60)
@given(st.text("0123456789-: T.", min_size=6, max_size=26), st.sampled_from(["date", "timestamp"]))
def test_moment_texts(text: str, target: str) -> None:
    agree(f"cast(try_cast(concat('{text}', left(s1, 0)) as {target}) as varchar)")


@examples(60)
@given(st.text("ab%_é", max_size=8), st.text("abcé", max_size=10))
def test_patterns(pattern: str, text: str) -> None:
    agree(
        f"concat('{text}', left(s1, 1)) like '{pattern}'", f"concat('{text}', left(s1, 1)) ilike '{pattern}'"
    )
