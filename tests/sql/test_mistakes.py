"""Every mistake in ``features.sql`` has a message of its own, with a remedy; all come at once."""

import pytest

from relevo.errors import ProjectError
from relevo.sql import Column, LookupTable, compile_expression, compile_features

REQUEST = (
    Column("scheduled_at", "timestamp"),
    Column("airline", "text"),
    Column("seats", "integer"),
    Column("price", "double"),
    Column("open", "boolean"),
)
HOLIDAYS = LookupTable(
    "holidays", ("day",), (Column("day", "date"), Column("name", "text"), Column("airline", "text"))
)
ROUTES = LookupTable("routes", ("a", "b"), (Column("a", "text"), Column("b", "text")))
WEIGHTS = LookupTable("weights", ("kg",), (Column("kg", "double"),))


def mistakes(text: str) -> list[str]:
    """The mistakes of a query, one line each."""
    with pytest.raises(ProjectError) as caught:
        compile_features(text, request=REQUEST, lookups=[HOLIDAYS, ROUTES, WEIGHTS], outcome=["departed_at"])
    return [str(mistake) for mistake in caught.value.mistakes]


EXPRESSIONS = [
    ("airlin", "There is no column airlin. Did you mean airline?"),
    ("zzz", "The columns are scheduled_at, airline, seats, price, open."),
    ("departed_at is null", "departed_at is known only afterwards."),
    ("q.airline", "There is no table q here. The tables are request."),
    ("sha256(airline)", "The function sha256() is not supported. The supported functions are abs,"),
    ("uper(airline)", "Did you mean upper()"),
    ("iif(open, 1, 2)", "Did you mean if()?"),
    ("sum(seats)", "sum() looks at more than one row. Aggregate in history.sql"),
    ("count(*)", "count() looks at more than one row."),
    ("today()", "today() gives another answer at another time. Use a column of the request."),
    ("row_number() over ()", "a window function cannot be used in a feature."),
    ("(select 1)", "a subquery cannot be used in a feature."),
    ("seats in (select 1)", "a subquery cannot be used in a feature."),
    ("exists (select 1)", "a subquery cannot be used in a feature."),
    ("[1, 2]", "a list cannot be used in a feature."),
    ("airline ~ 'x'", "~ cannot be used in a feature."),
    ("$1", "a parameter cannot be used in a feature."),
    ("seats & 1", "& cannot be used in a feature."),
    ("airline + 1", "+ does not take (text, integer). Write a CAST"),
    ("hour(seats)", "hour() does not take (integer)."),
    ("abs()", "abs() does not take ()."),
    ("coalesce(airline, seats)", "coalesce() mixes the types text, integer."),
    ("case when open then 1 else 'x' end", "CASE mixes the types integer, text."),
    ("case when seats then 1 end", "A condition of CASE is not boolean."),
    ("seats and open", "AND joins something that is not boolean."),
    ("seats = airline", "= mixes the types integer, text."),
    ("scheduled_at > 'yesterday'", "> mixes the types text, timestamp."),
    ("1 < seats < 5", "One comparison is compared with another."),
    ("price // 2", "// divides integers; with a double DuckDB answers as / does."),
    ("cast(price as decimal(10, 2))", "A CAST to DECIMAL(10, 2) is not supported."),
    ("cast(open as date)", "A boolean cannot be cast to date."),
    ("cast('2024-02-30' as date) is null", "'2024-02-30' cannot be read as date. Write it as YYYY-MM-DD"),
    ("'x'::bigint", "'x' cannot be read as integer."),
    ("5 % 0", "% has no column in it here. Write its result instead."),
    ("9223372036854775807 + 1", "+ has no column in it here."),
    ("cast(2.5 as bigint)", "CAST has no column in it here."),
    ("99999999999999999999", "99999999999999999999 does not fit 64 bits."),
    ("-(-9223372036854775808)", "9223372036854775808 does not fit 64 bits."),
    ("1e999", "1e999 is beyond the largest double."),
    ("round(price, seats)", "The places of round() must be a written whole number."),
    ("date_part('eon', scheduled_at)", "date_part() does not know the part eon. Use one of year,"),
    ("date_diff('day', scheduled_at)", "date_diff('unit', from, to) was given 2 arguments."),
    ("date_sub('month', scheduled_at, scheduled_at)", "date_sub() does not know the part month."),
    ("strftime(scheduled_at, '%Q')", "The format of strftime() must be a written text"),
    ("scheduled_at + interval (seats) day", "An interval must be written out"),
    ("airline like 'a!' escape '!'", "ESCAPE needs LIKE, a written pattern"),
    ("if(open, 1)", "if(condition, value, otherwise) was given 2 arguments."),
    ("not seats", "NOT does not take (integer)."),
    ("scheduled_at", "A timestamp cannot be a feature. Turn it into a number"),
    ("cast(scheduled_at as date)", "A date cannot be a feature."),
]


@pytest.mark.parametrize(("expression", "message"), EXPRESSIONS)
def test_expressions(expression: str, message: str) -> None:
    """The message names the feature, says what is wrong, and what to write."""
    found = mistakes(f"select {expression} as f from request")
    assert len(found) == 1
    assert found[0].startswith("features.sql: f: ")
    assert message in found[0]


QUERIES = [
    ("select airline as a\nfrom request\nwhere (", "line 3"),
    ("select 'a from request", "something is not closed"),
    ("select 0x1F as a from request", "A number has letters stuck to it."),
    ("", "The file has 0 statements."),
    ("select 1 as a from request; select 2 as b from request", "The file has 2 statements."),
    ("delete from request", "The file has no SELECT."),
    ("select airline from request union select 'x' as airline from request", "UNION changes the number of rows."),
    ("with x as (select 1) select airline from request", "WITH has no place in a feature query."),
    ("select airline from request where open", "WHERE has no place"),
    ("select airline from request group by airline", "GROUP BY has no place"),
    ("select airline from request limit 5", "LIMIT has no place"),
    ("select airline from request order by 1", "ORDER BY has no place"),
    ("select distinct airline from request", "DISTINCT has no place"),
    ("select * from request", "SELECT * hides what the features are."),
    ("select request.* from request", "SELECT * hides what the features are."),
    ("select hour(scheduled_at) from request", "feature 1: The feature has no name. Add AS and a name."),
    ("select seats as a, price as A from request", "A: Two features have this name."),
    ("select airline from departures", "The features are read from departures. Write FROM request"),
    ("select 1 as a", "There is no FROM."),
    ("select b + 1 as a, seats as b from request", "There is no column b."),
    ("select airline from request left join holiday h on h.day = scheduled_at::date", "Did you mean holidays?"),
    ("select seats from request join holidays h on h.day = scheduled_at::date", "Only a LEFT JOIN"),
    ("select seats from request, holidays", "Only a LEFT JOIN"),
    ("select seats from request left join holidays using (day)", "Only a LEFT JOIN"),
    ("select seats from request left join holidays h on h.day > scheduled_at::date", "not by the key of holidays"),
    ("select seats from request left join holidays h on h.name = request.airline", "not by the key of holidays"),
    ("select seats from request left join routes r on r.a = request.airline", "The join leaves out b of the key."),
    ("select seats from request left join holidays h on h.day = scheduled_at",
    "day of holidays is a date, the expression a timestamp."),
    ("select seats from request left join weights w on w.kg = price", "a double cannot be a key"),
    ("select airline from request left join holidays h on h.day = scheduled_at::date",
    "The column airline is ambiguous."),
    ("select seats from request left join holidays request on request.day = scheduled_at::date",
    "Two tables are called request."),
]  # fmt: skip


@pytest.mark.parametrize(("query", "message"), QUERIES)
def test_queries(query: str, message: str) -> None:
    assert any(message in line for line in mistakes(query)), mistakes(query)


def test_all_mistakes_come_at_once() -> None:
    """One run shows every mistake, also several in one expression."""
    found = mistakes(
        "select airlin as a, uper(airline) || sum(seats) as b, departed_at as c, 1 as a from request"
    )
    assert len(found) == 5


def test_a_failed_feature_does_not_fail_those_that_use_it() -> None:
    assert len(mistakes("select airlin as a, length(a) as b from request")) == 1


def test_what_would_grow_without_bound_is_refused() -> None:
    """Aliases are written out in the SQL: thirty doublings are a thousand million operators."""
    doubled = ", ".join(f"length(concat(a{n}, a{n})) || '' as a{n + 1}" for n in range(30))
    found = mistakes(f"select airline || '' as a0, {doubled} from request")
    assert "too large" in found[0]


@pytest.mark.parametrize("text", ["(" * 500 + "1" + ")" * 500, "+".join(["seats"] * 300)])
def test_deep_nesting_is_a_mistake_and_no_crash(text: str) -> None:
    assert any("deep" in line or "too large" in line for line in mistakes(f"select {text} as a from request"))


def test_expressions_outside_features() -> None:
    """Target and where name their own file and field."""
    with pytest.raises(ProjectError, match=r"project\.py: target: There is no column b\. Did you mean"):
        compile_expression("b1 and b", columns=[Column("b1", "boolean")], file="project.py", field="target")
    with pytest.raises(ProjectError, match=r"where: SQL syntax error"):
        compile_expression("a >", columns=[Column("a", "integer")], file="project.py", field="where")
    with pytest.raises(ProjectError, match=r"where: This is not one expression"):
        compile_expression("select 1", columns=(), file="project.py", field="where")
