"""Random well-typed expressions against DuckDB: nulls, branches and errors in combination."""

from hypothesis import given, reject
from hypothesis import strategies as st

from relevo.errors import ProjectError
from support.parity import agree, examples

# Per type: leaves, and forms whose {type} places take expressions. Functions that differ in the last place
# between libraries stay out: test_functions compares them one by one.
LEAVES = {
    "integer": ["i1", "i2", "i3", "0", "1", "7", "-3", "null::bigint", "length(s1)"],
    "double": ["x1", "x2", "x3", "0.5", "-2.5", "1e3", "cast(null as double)"],
    "text": ["s1", "s2", "s3", "''", "'abc'", "'É'", "null::varchar"],
    "boolean": ["b1", "b2", "b3", "true", "false", "null::boolean"],
    "date": ["d1", "d2", "date '2024-02-29'"],
    "timestamp": ["t1", "t2", "d3::timestamp", "timestamp '2024-02-29 12:00:00'"],
}
FORMS = {
    "integer": [
        "({integer} + {integer})", "({integer} - {integer})", "({integer} * {integer})", "({integer} // {integer})",
        "({integer} % {integer})", "(-{integer})", "abs({integer})", "sign({double})", "round({integer}, -1)",
        "cast({double} as bigint)", "try_cast({double} as bigint)", "try_cast({text} as bigint)",
        "cast({boolean} as bigint)", "cast({text} as bigint)",
        "length({text})", "strpos({text}, {text})", "year({date})", "hour({timestamp})", "isodow({date})",
        "dayofyear({timestamp})",
        "date_diff('day', {date}, {timestamp})", "date_diff('week', {timestamp}, {timestamp})",
        "date_diff('month', {timestamp}, {timestamp})", "({date} - {date})",
        "case when {boolean} then {integer} else {integer} end",
        "case when {boolean} then {integer} when {boolean} then {integer} end",
        "case {integer} when {integer} then {integer} end", "coalesce({integer}, {integer})",
        "nullif({integer}, {integer})", "greatest({integer}, {integer}, {integer})", "least({integer}, {integer})",
        "if({boolean}, {integer}, {integer})",
    ],
    "double": [
        "({double} + {double})", "({double} - {integer})", "({double} * {double})", "({double} / {double})",
        "({integer} / {integer})",
        "({double} % {double})", "(-{double})", "abs({double})", "round({double})", "round({double}, 2)",
        "floor({double})",
        "ceil({double})", "trunc({double})", "sqrt({double})", "cast({integer} as double)",
        "try_cast({text} as double)",
        "case when {boolean} then {double} else {integer} end", "coalesce({double}, {integer}, {double})",
        "nullif({double}, {double})",
        "greatest({double}, {double})", "least({double}, {double}, 1)", "ifnull({double}, {double})",
        "epoch({timestamp})",
    ],
    "text": [
        "({text} || {text})", "concat({text}, {integer}, {boolean})", "lower({text})", "upper({text})",
        "trim({text})", "substring({text}, {integer}, {integer})",
        "left({text}, {integer})", "right({text}, {integer})", "replace({text}, {text}, {text})",
        "cast({integer} as varchar)",
        "cast({double} as varchar)", "cast({date} as varchar)", "cast({timestamp} as varchar)",
        "cast({boolean} as varchar)", "strftime({timestamp}, '%Y-%m-%d %H:%M')",
        "case when {boolean} then {text} when {boolean} then {text} else {text} end", "coalesce({text}, {text})",
        "nullif({text}, {text})", "least({text}, {text})",
    ],
    "boolean": [
        "({boolean} and {boolean})", "({boolean} or {boolean})", "({boolean} and {boolean} and {boolean})",
        "(not {boolean})", "({integer} < {integer})", "({integer} >= {double})",
        "({double} <= {double})", "({double} = {double})", "({text} < {text})", "({text} = {text})",
        "({date} < {timestamp})", "({integer} <> {integer})",
        "({integer} is null)", "({text} is not null)", "({double} is distinct from {double})",
        "({integer} is not distinct from {integer})", "({boolean} is true)", "({boolean} is not false)",
        "({integer} in (1, {integer}, null))", "({double} not in (0.5, {double}))", "({text} in ('abc', 'a'))",
        "({integer} between {integer} and {integer})", "({double} not between {double} and {double})",
        "({text} like {text})", "({text} like '%a%')", "starts_with({text}, {text})", "contains({text}, {text})",
        "(5 % {integer} = 1)",
        "case when {boolean} then {boolean} else {boolean} end", "coalesce({boolean}, {boolean})",
        "cast({integer} as boolean)", "isnan({double})", "(cast({text} as bigint) > 3)", "try_cast({text} as boolean)",
    ],
    "date": ["cast({timestamp} as date)", "last_day({date})", "({date} + sign({integer}))",
    "case when {boolean} then {date} else {date} end", "coalesce({date}, {date})",
             "try_cast({text} as date)", "greatest({date}, {date})"],
    "timestamp": ["date_trunc('month', {timestamp})", "({timestamp} + interval 1 month)",
    "({date} - interval '1 day 1 hour')", "cast({date} as timestamp)", "coalesce({timestamp}, {date})",
                  "case when {boolean} then {timestamp} else {date} end", "date_trunc('hour', {timestamp})"],
}  # fmt: skip


@st.composite
def expression(draw: st.DrawFn, kind: str, depth: int) -> str:
    """A well-typed expression; a drawn place may repeat an earlier one, so that parts are shared."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(LEAVES[kind]))
    form = draw(st.sampled_from(FORMS[kind]))
    drawn: dict[str, list[str]] = {}
    while "{" in form:
        start = form.index("{")
        wanted = form[start + 1 : form.index("}", start)]
        earlier = drawn.setdefault(wanted, [])
        if earlier and draw(st.integers(0, 3)) == 0:
            part = draw(st.sampled_from(earlier))
        else:
            part = draw(expression(wanted, depth - 1))
        earlier.append(part)
        form = form[:start] + part + form[form.index("}", start) + 1 :]
    return form


@examples(500)
@given(st.data(), st.sampled_from(["integer", "double", "text", "boolean"]), st.integers(1, 4))
def test_random_expressions(data: st.DataObject, kind: str, depth: int) -> None:
    """Both executions agree on expressions of up to four levels."""
    try:
        agree(data.draw(expression(kind, depth)), folds=True)
    except ProjectError:
        reject()  # a written text that is no number, which the compiler sees


@examples(60)
@given(st.data())
def test_features_that_share_parts(data: st.DataObject) -> None:
    """Several features with common sub-expressions: what one evaluates early must not fail another."""
    shared = data.draw(expression("integer", 2))
    test = data.draw(expression("boolean", 2))
    try:
        features = (
            f"case when {test} then {shared} end",
            f"coalesce(i3, {shared})",
            f"{test} and {shared} > 0",
        )
        agree(*features, folds=True)
        agree(*features, shared, folds=True)
    except ProjectError:
        reject()
