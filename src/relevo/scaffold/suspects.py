"""Columns that should not be learned from: they say nothing, or they know the outcome already.

A column alone is measured by its ROC-AUC. For a number that is the probability that a positive has the
greater value (Hanley & McNeil 1982), turned so that it is at least one half. A column of texts is scored by the
share of positives among the *other* half of the rows with its value, so a value of its own earns nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relevo.scaffold import vocabulary
from relevo.scaffold.facts import Left
from relevo.scaffold.naming import words
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from relevo.scaffold.facts import Column, Outcome

LEAK = 0.99
STRONG = 0.95
SAMPLE = 100_000
"""Rows of each class that are looked at."""
FEWEST = 8
"""Rows of the rarer class below which a perfect column may well be chance."""
ONE_CLASS = 30
_UNIQUE = 0.95
_FEW_ROWS = 20
_FREE_TEXT = 40
_LEVELS = 1_000
_COMMON = 0.9
_HARDLY_EMPTY = 0.001
_MOST = 0.5
_PARTS = ("day", "month", "year", "isodow", "hour")
_SAME = 0.999


class _Figures(NamedTuple):
    auc: float
    null_positive: float
    """Share of the positives without a value."""
    null_negative: float
    single: str
    """The class all of whose rows have one single value, if there is one."""
    share: float
    """Share of that value in the other class."""


def find(connection: DuckDBPyConnection, columns: Sequence[Column], outcome: Outcome) -> list[Left]:
    """List what is to be left out of the request, in the file's order, and what deserves a look (soft)."""
    used = {place for place in outcome.columns if place not in outcome.known}
    _sample(connection, outcome)
    families = dict(_families(columns, outcome))
    parts = dict(_parts(connection, columns, outcome, used))
    found = []
    for column in columns:
        if column.place in outcome.columns:
            continue
        reason = _useless(connection, column) or families.get(column.place) or parts.get(column.place)
        if reason:
            found.append(Left(column, reason))
        else:
            found += _leaks(connection, column, outcome)
    return found


def _sample(connection: DuckDBPyConnection, outcome: Outcome) -> None:
    keep = " or ".join(
        f"(y = {side} and hash(_row) % {max(1, -(-rows // SAMPLE))} = 0)"
        for side, rows in (("true", outcome.positives), ("false", outcome.negatives))
    )
    connection.execute(
        f"create or replace temp table looked as select typed.*, y from typed join outcomes using (_row) where {keep}"
    )


def _useless(connection: DuckDBPyConnection, column: Column) -> str:
    if not column.filled:
        return t("it is empty in every row")
    if column.distinct == 1 and column.nulls <= _HARDLY_EMPTY * column.rows:
        ((value,),) = connection.execute(f"select min(c{column.place}) from cells").fetchall()
        return t("it is “{value}” in every row", value=str(value)[:40])
    return _names_rows(column) if column.rows >= _FEW_ROWS else ""


def _names_rows(column: Column) -> str:
    """Say why a column tells rows apart rather than what they have in common."""
    if column.increasing:
        return t("it only ever grows from row to row: it numbers the rows")
    text = column.type == "text" and column.form is None
    if column.unique and (
        text or (column.type == "integer" and vocabulary.IDS.intersection(words(column.header)))
    ):
        return t("every row has a value of its own: an id says nothing of new rows")
    if not text or column.distinct < _UNIQUE * column.filled:
        return ""
    if column.longest >= _FREE_TEXT and column.spaced > _MOST:
        return t("it is free text of up to {longest:,} characters", longest=column.longest)
    return t(
        "it has {distinct:,} values in {filled:,} rows, nearly one for each",
        distinct=column.distinct,
        filled=column.filled,
    )


def _leaks(connection: DuckDBPyConnection, column: Column, outcome: Outcome) -> Iterator[Left]:
    figures = _figures(connection, column)
    soft = outcome.rarer < FEWEST
    classes = {"positive": outcome.positive, "negative": outcome.negative}
    if abs(figures.null_positive - figures.null_negative) >= 2 * LEAK - 1:
        filled, empty = ("negative", "positive") if figures.null_positive > 0.5 else ("positive", "negative")  # noqa: PLR2004
        reason = t(
            "it is filled for “{filled}” and empty for “{empty}” in {share:.1%} of the rows: that it is there gives"
            " the outcome away",
            filled=classes[filled],
            empty=classes[empty],
            share=(1 + abs(figures.null_positive - figures.null_negative)) / 2,
        )
        yield Left(column, reason, soft)
    elif figures.auc >= LEAK:
        reason = t(
            "alone it tells the outcome with a ROC-AUC of {auc:.4f}: it may be known only afterwards",
            auc=figures.auc,
        )
        yield Left(column, reason, soft)
    elif outcome.rarer >= ONE_CLASS and max(figures.null_positive, figures.null_negative) == 1.0:
        empty = "positive" if figures.null_positive == 1.0 else "negative"
        reason = t("it is empty in every row of “{empty}”", empty=classes[empty])
        yield Left(column, reason, min(figures.null_positive, figures.null_negative) > _MOST)
    elif outcome.rarer >= ONE_CLASS and figures.single:
        reason = t(
            "it has one single value in all rows of “{kind}”, and that value in {share:.0%} of the others",
            kind=classes[figures.single],
            share=figures.share,
        )
        yield Left(column, reason, figures.share > _MOST)
    elif figures.auc >= STRONG:
        yield Left(column, t("it is very strong alone (ROC-AUC {auc:.3f})", auc=figures.auc), soft=True)
    elif vocabulary.AFTERWARDS.intersection(words(column.header)):
        yield Left(column, t("its name sounds like something known only afterwards"), soft=True)


def _figures(connection: DuckDBPyConnection, column: Column) -> _Figures:
    value = f"v{column.place}"
    ((null_positive, null_negative),) = connection.execute(
        f"select avg(({value} is null)::int) filter (y), avg(({value} is null)::int) filter (not y) from looked"
    ).fetchall()
    ranked = column.type in ("integer", "double", "date", "timestamp")
    aucs = [0.5]
    if ranked:
        aucs.append(_auc(connection, f"select {value} as score, y from looked where {value} is not null"))
    if not ranked or column.distinct <= _LEVELS:
        aucs.append(_auc(connection, _by_level(value)))
    return _Figures(max(aucs), null_positive or 0.0, null_negative or 0.0, *_single(connection, value))


def _single(connection: DuckDBPyConnection, value: str) -> tuple[str, float]:
    for kind, inside, outside in (("positive", "y", "not y"), ("negative", "not y", "y")):
        ((own, others),) = connection.execute(
            f"""select avg(({value} = top)::int) filter ({inside}), avg(({value} = top)::int) filter ({outside})
            from looked, (select mode({value}) as top from looked where {inside}) where {value} is not null"""
        ).fetchall()
        if own == 1.0 and (others or 0.0) < _COMMON:
            return kind, float(others or 0.0)
    return "", 0.0


def _by_level(value: str) -> str:
    """Score each row by the rows with its value in the other half."""
    return f"""
        with halved as (select {value} as v, y, hash(_row, 7) % 2 as half from looked),
        rates as (select v, half, avg(y::int) as rate from halved group by v, half),
        prior as (select avg(y::int) as rate from halved)
        select coalesce(rates.rate, prior.rate) as score, y from prior, halved left join rates
        on rates.v is not distinct from halved.v and rates.half = 1 - halved.half"""


def _auc(connection: DuckDBPyConnection, scored: str) -> float:
    ((auc,),) = connection.execute(
        f"""with counted as (
            select score, count(*) filter (y) as p, count(*) filter (not y) as n from ({scored}) group by score
        ), below as (
            select p, n, sum(n) over (order by score) - n as lower from counted
        )
        select sum(p * (lower + n / 2)) / nullif(sum(p) * sum(n), 0) from below"""
    ).fetchall()
    return 0.5 if auc is None else max(float(auc), 1 - float(auc))


def _families(columns: Sequence[Column], outcome: Outcome) -> Iterator[tuple[int, str]]:
    """What is named as the outcome is: ``Des-O`` beside ``Des-I``, where ``Fecha-O`` is counted from ``Fecha-I``."""
    headers = {column.header: column for column in columns}
    for known in outcome.known:
        for place in outcome.columns:
            if place in outcome.known:
                continue
            before, after = columns[known].header, columns[place].header
            for own, other in _endings(before, after):
                for column in columns:
                    twin = _swapped(column.header, other, own)
                    if column.place not in outcome.columns and twin in headers:
                        yield (
                            column.place,
                            t(
                                "it is named as “{after}” is, which is known only afterwards; “{twin}” stands for it",
                                after=after,
                                twin=twin,
                            ),
                        )


def _endings(before: str, after: str) -> Iterator[tuple[tuple[str, bool], tuple[str, bool]]]:
    common = 0
    while common < min(len(before), len(after)) and before[common] == after[common]:
        common += 1
    if 1 < common < min(len(before), len(after)):
        yield (before[common:], True), (after[common:], True)
    common = 0
    while common < min(len(before), len(after)) and before[-1 - common] == after[-1 - common]:
        common += 1
    if 1 < common < min(len(before), len(after)):
        yield (before[:-common], False), (after[:-common], False)


def _swapped(name: str, part: tuple[str, bool], new: tuple[str, bool]) -> str | None:
    text, at_end = part
    if at_end and name.endswith(text):
        return name[: -len(text)] + new[0]
    if not at_end and name.startswith(text):
        return new[0] + name[len(text) :]
    return None


def _parts(
    connection: DuckDBPyConnection, columns: Sequence[Column], outcome: Outcome, used: set[int]
) -> Iterator[tuple[int, str]]:
    """What is the day or month of a moment of the outcome, and not of one that is known before."""
    times = ("timestamp", "date")
    after = [column for column in columns if column.place in used and column.type in times]
    before = [column for column in columns if column.place not in used and column.type in times]
    if not after:
        return
    for column in columns:
        few = column.levels is not None and 2 < len(column.levels) <= 31  # noqa: PLR2004 - up to the days of a month
        if not few or column.place in outcome.columns or column.type in times:
            continue
        best = _share_told(connection, column, after)
        if best[0] >= _SAME and best[0] > _share_told(connection, column, before)[0]:
            yield (
                column.place,
                t(
                    "it is the {part} of “{column}”, which is known only afterwards, in {share:.2%} of the rows",
                    part=_said(best[1]),
                    column=best[2],
                    share=best[0],
                ),
            )


def _said(part: str) -> str:
    return {
        "day": t("day"),
        "month": t("month"),
        "year": t("year"),
        "isodow": t("weekday"),
        "hour": t("hour"),
    }[part]


def _share_told(
    connection: DuckDBPyConnection, column: Column, moments: Sequence[Column]
) -> tuple[float, str, str]:
    """How much of a column a part of a moment tells: share, part, and the moment's header."""
    best = (0.0, "", "")
    for moment in moments:
        for part in _PARTS:
            if part == "hour" and moment.type == "date":
                continue
            ((share,),) = connection.execute(
                f"""select sum(most) / sum(rows) from (
                    select max(rows) as most, sum(rows) as rows from (
                        select {part}(v{moment.place}) as part, v{column.place} as v, count(*) as rows
                        from looked where v{moment.place} is not null and v is not null group by 1, 2
                    ) group by part
                )"""
            ).fetchall()
            best = max(best, (float(share or 0.0), part, moment.header))
    return best


def passing(
    connection: DuckDBPyConnection, ids: Sequence[Column], time: Column, seconds: float
) -> Iterator[Left]:
    """Ids whose values seldom come back in the newest ``seconds``: nothing can be learned of them."""
    for column in ids:
        ((share,),) = connection.execute(
            f"""with moments as (
                select v{column.place} as v, cast(v{time.place} as timestamp) as moment
                from typed where v{column.place} is not null
            ), marked as (
                select v, moment > (select max(moment) from moments) - to_seconds({seconds}) as new from moments
            )
            select avg((v in (select v from marked where not new))::int) from marked where new"""
        ).fetchall()
        if share is not None and share < _MOST:
            reason = t("only {share:.0%} of the newest rows have a value that was there before", share=share)
            yield Left(column, reason)


def groups(columns: Sequence[Column], left: Mapping[int, str]) -> list[Column]:
    """Columns that say which rows belong together, those with most values first."""
    found = [
        column
        for column in columns
        if column.place not in left
        and column.type in ("text", "integer")
        and column.form is None
        and column.spaced < 0.05  # noqa: PLR2004 - ids have no blanks
        and vocabulary.IDS.intersection(words(column.header))
        and 50 <= column.distinct <= 0.98 * column.filled  # noqa: PLR2004 - many, and 2 % of the rows share one
        and column.nulls <= 0.02 * column.rows
    ]
    return sorted(found, key=lambda column: -column.distinct)
