"""The split: by time, by group, or at random, always one under which every part has both classes."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import durations, examples, parts
from relevo.errors import DataError, TrainingError
from relevo.scaffold import suspects, vocabulary
from relevo.scaffold.facts import Cut
from relevo.scaffold.fields import may_be_id
from relevo.scaffold.naming import words
from relevo.split import WORDS, GroupSplit, RepeatedStratifiedSplit, StratifiedSplit, TimeSplit
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.scaffold.facts import Column, Left, Outcome
    from relevo.split import Split

TINY: Split = RepeatedStratifiedSplit(repeats=3)
"""For data with few rows of the rarer class, of which a held-out part would hold too few to tell anything."""
FEW = 200
"""Rows of the rarer class below which data is tiny."""
REPEATABLE = 5_000
"""Rows up to which every row can be judged out of fold in a minute or two."""
TEST = 0.2
_MOST_NULLS = 0.02
_FEWEST_MOMENTS = 20
_SHOWN = 5
_CODED = 0.5
"""Share of the texts with a digit and no blank above which they look like codes that someone gave to things."""


def choose(
    connection: DuckDBPyConnection, columns: Sequence[Column], outcome: Outcome, left: Sequence[Left]
) -> Cut:
    """Choose a split that works; raises ``DataError`` when none does, saying what is missing."""
    if outcome.rarer < 2:  # noqa: PLR2004 - one to learn from and one to judge by
        raise DataError(_too_few(outcome))
    hard = {found.column.place: found.reason for found in left if not found.soft}
    free = {place for place in outcome.columns if place not in outcome.known} | set(hard)
    time = _event_time(columns, free)
    grouping = suspects.groups(columns, dict.fromkeys(free, ""))
    group = grouping[0] if grouping else None
    target = _target(connection)
    why: list[str] = []
    if time is not None:
        moments = _moments(connection, time)
        found = _first(_by_time(moments), target, moments, None)
        if found is not None:
            seconds = durations.parse(found.test).total_seconds() if isinstance(found, TimeSplit) else 0.0
            gone = tuple(suspects.passing(connection, grouping, time, seconds))
            back = [column for column in grouping if column.place not in {item.column.place for item in gone}]
            return Cut(found, (*_why_time(found, time, moments, target), *_beside(back)), time, left=gone)
        why.append(
            t(
                "“{column}” looks like the time of a row, but no newest part of it has enough of both outcomes.",
                column=time.header,
            )
        )
    else:
        why += _unread_times(columns)
    if group is not None:
        names = _names(connection, group)
        found = _first(_shares(GroupSplit(group.name)), target, None, names)
        if found is not None:
            why.append(
                t(
                    "{distinct:,} values of “{column}” stand in {rows:,} rows: rows that share one are never parted.",
                    distinct=group.distinct,
                    column=group.header,
                    rows=group.filled,
                )
            )
            return Cut(found, tuple(why), None, group)
    tiny = outcome.rarer < FEW and len(target) <= REPEATABLE
    base = TINY if tiny else StratifiedSplit()
    found = _first(_shares(base), target, None, None) or _first(
        _shares(StratifiedSplit()), target, None, None
    )
    if found is None:
        raise DataError(_too_few(outcome))
    if not why:
        why.append(
            t("No column says when a row happened or which rows belong together: rows are drawn at random.")
        )
    if outcome.rarer < FEW:
        why.append(
            t("There are only {rows:,} rows of the rarer outcome: expect wide intervals.", rows=outcome.rarer)
        )
    because, more = _because(connection, [column for column in columns if column.place not in hard])
    if because and isinstance(found, StratifiedSplit | RepeatedStratifiedSplit):
        found = replace(found, because=because)
    return Cut(found, (*why, *more))


def _because(connection: DuckDBPyConnection, columns: Sequence[Column]) -> tuple[str, list[str]]:
    """Say why rows may be drawn one by one, where the examples will ask; no word when a column may be an id.

    ``columns`` are those of the contract. The second part are notes beside the split.
    """
    many = [column for column in columns if column.distinct >= examples.SEVERAL and may_be_id(column)]
    if many:
        told = examples.content([f"v{column.place}" for column in columns])
        connection.execute(
            f"create or replace temp table drawn as select typed.*, {told} as _content"
            " from typed join outcomes using (_row) where y is not null"
        )
    asked = [column for column in many if examples.repeats(connection, f"v{column.place}", "drawn")]
    doubtful = [column for column in asked if _may_name(connection, column)]
    if doubtful:
        return "", [
            t(
                "“{column}” comes again and may be an id: “relevo run” will ask you to write"
                ' GroupSplit(by="{name}") and import it (from relevo import GroupSplit), or to say why chance is'
                ' right in {words} words or more: because="…".',
                column=column.header,
                name=column.name,
                words=WORDS,
            )
            for column in doubtful[:1]
        ]
    written = [column.name for column in asked if column.form is not None]
    kinds = [column.name for column in asked if column.form is None]
    said = [t("{columns}: numbers or dates, not ids", columns=_listed(written))] if written else []
    said += [t("{columns}: taken for categories, not for ids", columns=_listed(kinds))] if kinds else []
    notes = [
        t(
            "{columns}: many values that come again, taken for categories. If one of them says which customer or"
            " thing a row is about, import GroupSplit from relevo and write GroupSplit(by=…) instead.",
            columns=_listed(kinds),
        )
    ]
    return "; ".join(said), notes if kinds else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _may_name(connection: DuckDBPyConnection, column: Column) -> bool:
    """Whether a column whose values come again may say which thing a row is about: its name or its texts do."""
    named = vocabulary.IDS.intersection(words(column.header))
    value = f"v{column.place}"
    if column.form is not None:
        if not named or column.form.type != "double":
            return False
        whole = f"coalesce({column.form.sql.format(x=value)} % 1, 0) = 0"
    elif named or vocabulary.CODES.intersection(words(column.header)) or column.type != "text":
        return bool(named)
    else:
        whole = f"regexp_matches({value}, '[0-9@]') and not contains({value}, ' ')"
    ((share,),) = connection.execute(
        f"select avg(({whole})::int) from drawn where {value} is not null"
    ).fetchall()
    return bool(share == 1 if column.form is not None else share > _CODED)


def _too_few(outcome: Outcome) -> str:
    return t(
        "Only {rarer} of {rows:,} rows have the rarer outcome: too few to learn from some and be judged by others."
        " Bring more rows of it, or name another target.",
        rarer=outcome.rarer,
        rows=outcome.positives + outcome.negatives,
    )


def _event_time(columns: Sequence[Column], without: set[int]) -> Column | None:
    """The column that most likely says when a row happened; never a birth date."""
    found = []
    for column in columns:
        named = set(words(column.header))
        if column.type not in ("timestamp", "date") or column.place in without or named & vocabulary.BIRTH:
            continue
        if column.nulls > _MOST_NULLS * column.rows or column.distinct < _FEWEST_MOMENTS:
            continue
        found.append(
            (bool(named & vocabulary.LATE), not named & vocabulary.TIMES, str(column.middle), column.place)
        )
    return columns[min(found)[3]] if found else None


def _unread_times(columns: Sequence[Column]) -> list[str]:
    return [
        t(
            "“{column}” holds dates written as {form}, which no contract reads: written as 2017-01-31 (23:30:00) it"
            " could be the time to split by.",
            column=column.header,
            form=column.form.name if column.form and column.form.type != "text" else "DD/MM/YYYY, MM/DD/YYYY",
        )
        for column in columns
        if column.form is not None
        and column.form.type != "double"
        and column.distinct >= _FEWEST_MOMENTS
        and not vocabulary.BIRTH.intersection(words(column.header))
    ][:1]


def _beside(groups: Sequence[Column]) -> list[str]:
    return [
        t(
            "“{column}” repeats as well: if the model will be asked about ones it has never seen, use"
            ' GroupSplit("{name}") instead.',
            column=group.header,
            name=group.name,
        )
        for group in groups[:1]
    ]


def _target(connection: DuckDBPyConnection) -> NDArray[np.bool_]:
    found = connection.execute("select y from outcomes where y is not null order by _row").fetchnumpy()["y"]
    return np.asarray(found, bool)


def _moments(connection: DuckDBPyConnection, time: Column) -> NDArray[np.datetime64]:
    """The time of each row with an outcome; rows without a time are in quarantine and not here."""
    found = connection.execute(
        f"select cast(v{time.place} as timestamp) as time from typed join outcomes using (_row)"
        f" where y is not null order by _row"
    ).fetchnumpy()["time"]
    return np.asarray(np.ma.filled(found, np.datetime64("NaT")), "datetime64[us]")


def _names(connection: DuckDBPyConnection, group: Column) -> list[str | None]:
    found = connection.execute(
        f"select cast(v{group.place} as varchar) from typed join outcomes using (_row)"
        f" where y is not null order by _row"
    ).fetchall()
    return [name for (name,) in found]


def _by_time(moments: NDArray[np.datetime64]) -> Iterator[Split]:
    known = np.sort(moments[~np.isnat(moments)])
    for test in (TEST, 0.3, 0.4, 0.1):
        start = known[int((1 - test) * (len(known) - 1))]
        window = _duration((known[-1] - start) / np.timedelta64(1, "s"))
        for folds in (4, 3, 2):
            yield TimeSplit(test=window, folds=folds)


def _duration(seconds: float) -> str:
    for unit, size, least in (("d", 86400, 10), ("h", 3600, 10), ("min", 60, 10)):
        if seconds >= least * size:
            return f"{math.ceil(seconds / size)}{unit}"
    return f"{max(1, math.ceil(seconds))}s"


def _shares(base: Split) -> Iterator[Split]:
    yield base
    given = {field.name for field in fields(base)}
    fewest = (5, 3) if isinstance(base, RepeatedStratifiedSplit) else (5, 3, 2)
    for test in (TEST, 0.3, 0.4, 0.5):
        for folds in fewest:
            changes: dict[str, Any] = {"test": test, "folds": folds}
            yield replace(base, **{name: value for name, value in changes.items() if name in given})


def _first(
    splits: Iterator[Split],
    target: NDArray[np.bool_],
    time: NDArray[np.datetime64] | None,
    group: Sequence[str | None] | None,
) -> Split | None:
    """The first split under which every part has both classes, as the run will ask."""
    if time is not None:
        known = ~np.isnat(time)
        time, target = time[known], target[known]
    ids = np.char.mod("%d", np.arange(len(target))).tolist()
    for split in splits:
        try:
            parts.assign(split, time=time, group=group, target=target, ids=ids)
        except TrainingError:
            continue
        return split
    return None


def _why_time(
    split: Split, time: Column, moments: NDArray[np.datetime64], target: NDArray[np.bool_]
) -> list[str]:
    assert isinstance(split, TimeSplit)
    known = ~np.isnat(moments)
    cut = parts.assign(split, time=moments[known], group=None, target=target[known], ids=())
    test = cut.part == "test"
    return [
        t(
            "“{column}” says when a row happened: the newest {test} ({share:.0%} of the rows, {rate:.1%} positive)"
            " judge.",
            column=time.header,
            test=split.test,
            share=float(test.mean()),
            rate=float(target[known][test].mean()),
        )
    ]
