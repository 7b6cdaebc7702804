"""The target, from the name of a column or a condition over columns."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import header, sql
from relevo.casting import literal
from relevo.errors import DataError, Mistake, ProjectError
from relevo.scaffold.facts import Outcome
from relevo.scaffold.naming import in_sql, plain
from relevo.scaffold.vocabulary import NO, YES
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection
    from sqlglot import exp

    from relevo.scaffold.facts import Column, Opened

OPTION = "--target"
_ELAPSED = ("date_diff", "datediff", "date_sub", "datesub")
_SHOWN = 12


class _Level(NamedTuple):
    """The values that differ in capitals and accents alone."""

    values: tuple[Any, ...]
    rows: int

    @property
    def label(self) -> str:
        return str(self.values[0])


class _Wanted(NamedTuple):
    expression: str
    columns: tuple[int, ...]
    known: tuple[int, ...]
    positive: str
    negative: str
    why: str


def read(
    connection: DuckDBPyConnection,
    opened: Opened,
    columns: Sequence[Column],
    target: str,
    positive: str | None,
) -> Outcome:
    """Find the outcome; makes the table ``outcomes`` of ``_row`` and ``y``, null where it is unknown.

    Raises ``DataError`` or ``ProjectError`` that say exactly what a person must decide.
    """
    column = _column(columns, target)
    wanted = _of_column(column, positive) if column else _of_condition(opened, columns, target, positive)
    known = tuple(sql.Column(column.name, column.type) for column in columns)
    canonical, kind = sql.compile_expression(
        wanted.expression, columns=known, file="relevo new", field=OPTION
    )
    if kind != "boolean":
        problem = t("the expression is {type}, not boolean.", type=kind)
        raise ProjectError([Mistake("relevo new", OPTION, problem, t("Compare it with something."))])
    used = ", ".join(f"v{place} as {sql.quote(columns[place].name)}" for place in wanted.columns)
    positives, negatives, unknown = _evaluate(connection, canonical, used)
    if not positives or not negatives:
        raise DataError(
            t(
                "“{target}” is {value} in all {rows:,} rows that have an outcome, so there is nothing to tell apart."
                " Name another target, or bring rows of the other class.",
                target=target,
                value="true" if positives else "false",
                rows=positives + negatives,
            )
        )
    return Outcome(
        expression=wanted.expression, sql=canonical, columns=wanted.columns, known=wanted.known,
        positive=wanted.positive, negative=wanted.negative, why=wanted.why,
        positives=positives, negatives=negatives, unlabelled=unknown,
    )  # fmt: skip


def _evaluate(connection: DuckDBPyConnection, canonical: str, used: str) -> tuple[int, int, int]:
    import duckdb

    try:
        connection.execute(
            f"create or replace table outcomes as select _row, ({canonical}) as y"
            f" from (select _row, {used} from typed)"
        )
    except duckdb.Error as error:
        raise DataError(
            t(
                "{what} cannot be computed for every row: {error}. Write it so that such a row gives null, with"
                " case when … end for example.",
                what=OPTION,
                error=str(error).splitlines()[0],
            )
        ) from error
    ((positives, negatives, unknown),) = connection.execute(
        "select count(*) filter (y), count(*) filter (not y), count(*) filter (y is null) from outcomes"
    ).fetchall()
    return int(positives), int(negatives), int(unknown)


def _column(columns: Sequence[Column], target: str) -> Column | None:
    for spelling in ("header", "name"):
        for column in columns:
            if header.fold(getattr(column, spelling)) == header.fold(target):
                return column
    return None


def _levels(column: Column) -> list[_Level]:
    grouped: dict[str, list[tuple[Any, int]]] = {}
    for value, rows in column.levels or ():
        grouped.setdefault(_fold(value), []).append((value, rows))
    return [
        _Level(tuple(value for value, _ in same), sum(rows for _, rows in same)) for same in grouped.values()
    ]


def _fold(value: Any) -> str:
    return "1" if value is True else "0" if value is False else plain(str(value))


def _of_column(column: Column, positive: str | None) -> _Wanted:
    if not column.filled:
        raise DataError(
            t(
                "The column “{column}” has no value in any row, so it says nothing of an outcome. Name another target.",
                column=column.header,
            )
        )
    levels = _levels(column)
    if column.distinct == 1 or len(levels) == 1:
        raise DataError(
            t(
                "The target “{column}” is “{value}” in all {rows:,} rows that have one: there is nothing to tell"
                " apart. Name another target, or bring rows with the other outcome.",
                column=column.header,
                value=levels[0].label,
                rows=column.filled,
            )
        )
    if positive is not None:
        return _named(column, levels, positive)
    if len(levels) != 2:  # noqa: PLR2004 - yes and no
        raise DataError(_undecided(column, levels))
    first, second = levels
    said = {
        _fold(level.label): level
        for level, other in ((first, second), (second, first))
        if _fold(level.label) in YES and _fold(other.label) in NO
    }
    if said:
        (chosen,) = said.values()
        why = t("“{value}” is the yes.", value=_shown(chosen))
    else:
        chosen = min(levels, key=lambda level: level.rows)
        why = t(
            "“{value}” is the rarer value, and taken for the yes; to turn it around, run `relevo new` again with"
            " --positive.",
            value=_shown(chosen),
        )
    (other,) = [level for level in levels if level is not chosen]
    return _wanted(column, chosen, _label(column, other), why)


def _named(column: Column, levels: list[_Level], positive: str) -> _Wanted:
    fitting = [level for level in levels if any(str(value) == positive.strip() for value in level.values)]
    fitting = fitting or [level for level in levels if _fold(level.label) == plain(positive)]
    if not fitting and column.type in ("integer", "double"):
        fitting = [level for level in levels if _number(positive) == float(level.label)]
    if not fitting:
        raise DataError(
            t(
                "--positive: “{value}” is no value of “{column}”. Its values are: {values}.",
                value=positive,
                column=column.header,
                values=_listed(column, levels),
            )
        )
    chosen = fitting[0]
    others = [level for level in levels if level is not chosen]
    label = _label(column, others[0]) if len(others) == 1 else t("not {value}", value=_shown(chosen))
    return _wanted(column, chosen, label, t("“{value}” was named with --positive.", value=_shown(chosen)))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(level: _Level) -> str:
    return (
        {True: "true", False: "false"}.get(level.values[0], level.label)
        if isinstance(level.values[0], bool)
        else level.label
    )


def _label(column: Column, level: _Level) -> str:
    """What a decision is called: the text itself, or yes and no where it is a number or true and false."""
    if column.type == "text" and _fold(level.label) not in ("0", "1", "t", "f", "true", "false"):
        return level.label
    return ""


def _wanted(column: Column, chosen: _Level, negative: str, why: str) -> _Wanted:
    name, values = in_sql(column.name), chosen.values
    if column.type == "boolean":
        expression = name if values[0] else f"not {name}"
    else:
        written = [literal(value) if column.type == "text" else str(value) for value in values]
        expression = f"{name} = {written[0]}" if len(written) == 1 else f"{name} in ({', '.join(written)})"
    positive = _label(column, chosen) if negative else ""
    if not positive and negative and len(column.levels or ()) > 2:  # noqa: PLR2004 - more than yes and no
        positive = _shown(chosen)
    labels = (positive, negative) if positive and negative else (t("yes"), t("no"))
    return _Wanted(expression, (column.place,), (), *labels, why)


def _undecided(column: Column, levels: list[_Level]) -> str:
    name = _quoted(column.header)
    if levels:
        first = levels[0].label
        written = literal(first) if column.type == "text" else first
        return t(
            "The target “{column}” has {count} values: {values}. Relevo predicts yes or no, so a person must say"
            " which is the yes: --positive {example}, or a condition such as --target {condition}.",
            column=column.header,
            count=len(levels),
            values=_listed(column, levels),
            example=_word(levels[-1].label),
            condition=_word(f"{name} = {written}"),
        )
    if column.type == "text":
        condition = f"{name} in ('…', '…')"
    elif column.type in ("integer", "double"):
        condition = f"{name} > {column.middle:.6g}"
    else:
        condition = f"{name} > '{column.middle}'"
    return t(
        "The target “{column}” has some {count:,} values. Relevo predicts yes or no, so a person must say from which"
        " on it is a yes, for example with --target {condition}.",
        column=column.header,
        count=column.distinct,
        condition=_word(condition),
    )


def _listed(column: Column, levels: list[_Level]) -> str:
    shown = ", ".join(f"{_shown(level)[:40]} ({level.rows:,})" for level in levels[:_SHOWN])
    more = max(len(levels), column.distinct if column.levels is None else 0) - _SHOWN
    return f"{shown}, … (+{more})" if more > 0 else shown


def _quoted(name: str) -> str:
    return name if in_sql(name) == name else sql.quote(name)


def _word(text: str) -> str:
    """Write a word for a shell."""
    import shlex

    return (
        shlex.quote(text)
        if "'" not in text
        else f'"{text}"'.replace('""', '\\"')
        if '"' not in text
        else ('"' + text.replace('"', '\\"') + '"')
    )


def _of_condition(opened: Opened, columns: Sequence[Column], target: str, positive: str | None) -> _Wanted:
    from sqlglot import exp

    from relevo.sql.parse import parse_expression

    broken: list[Mistake] = []
    tree = parse_expression(target, OPTION, lambda *parts: broken.append(Mistake("relevo new", *parts)))
    if (
        tree is None
        or isinstance(tree, exp.Column | exp.Literal | exp.Alias)
        or not list(tree.find_all(exp.Column))
    ):
        looks_like_a_name = tree is None and not any(sign in target for sign in "<>=()'")
        if tree is None and broken and not looks_like_a_name:
            raise ProjectError(broken)
        raise DataError(_absent(opened, target))
    if positive is not None:
        problem = t("it goes with a column, and the target is a condition.")
        raise ProjectError([Mistake("relevo new", "--positive", problem, t("Leave it out."))])
    text, used = _renamed(target, tree, columns, opened)
    elapsed = _since(tree, columns)
    known = tuple(place for place in elapsed if len(used) > len(elapsed))
    why = t("True where the condition holds.")
    return _Wanted(text, tuple(dict.fromkeys(used)), known, t("yes"), t("no"), why)


def _renamed(
    target: str, tree: exp.Expression, columns: Sequence[Column], opened: Opened
) -> tuple[str, list[int]]:
    """Write the fields' names in place of the headers; everything else stays as it was written."""
    from sqlglot import exp

    pieces: list[tuple[int, int, str]] = []
    used: list[int] = []
    for node in tree.find_all(exp.Column):
        column = _column(columns, node.name)
        if column is None:
            raise DataError(_absent(opened, node.name))
        place = node.this.meta
        pieces.append((place["start"], place["end"] + 1, in_sql(column.name)))
        used.append(column.place)
    text = target
    for start, end, name in sorted(pieces, reverse=True):
        text = text[:start] + name + text[end:]
    return " ".join(text.split()), sorted(set(used))


def _since(tree: exp.Expression, columns: Sequence[Column]) -> tuple[int, ...]:
    """The columns from which time is counted: they come before what is counted to."""
    from sqlglot import exp

    found: set[int] = set()
    others: set[int] = set()
    for node in tree.find_all(exp.Column):
        call = node.parent
        column = _column(columns, node.name)
        counted = isinstance(call, exp.Anonymous) and str(call.this).lower() in _ELAPSED
        first = counted and call is not None and call.expressions[1:2] == [node]
        if column is not None:
            (found if first and column.type in ("timestamp", "date") else others).add(column.place)
    return tuple(sorted(found - others))


def _absent(opened: Opened, target: str) -> str:
    known = {plain(name): name for name in opened.headers}
    near = get_close_matches(plain(target), known, n=3, cutoff=0.6)
    hint = t("Did you mean “{near}”?", near="”, “".join(known[name] for name in near)) + " " if near else ""
    return t(
        "{file}: there is no column “{target}”. {hint}A person must say what is to be predicted: a column that holds"
        ' the outcome, or a condition over the columns, such as --target "amount > 100" or --target'
        " \"date_diff('minute', planned, happened) > 15\". The columns are: {columns}.",
        file=opened.path.name,
        target=target,
        hint=hint,
        columns=", ".join(opened.headers),
    )
