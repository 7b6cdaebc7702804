"""The proof against leaks from the future: what was known at a moment must not depend on what came later.

The clean tables are cut at several moments: only rows known by then are left. Every query is computed again
on the cut tables. A row that says it was known by then must be there as it is on the whole tables; one that
differs was made with knowledge from later, whatever its stamp says. Which times a query of examples takes (the
newest twelve weeks, say) may move with the data: examples are compared at the times that both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from relevo.definition import known_sql
from relevo.errors import DataError
from relevo.history import compute
from relevo.sql import Column, quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.records import Snapshot

VERSION = 2
"""Raised when the same inputs would be proven otherwise."""
SHARES = (0.1, 0.75)
"""Where the rows' stamps are cut, as shares of the distinct ones."""
LATEST = 2
"""How many of the rows that came latest are cut off just before they were known."""
ROUNDING = 1e-9
"""How far two sums of the same doubles may differ, relatively: their order is not fixed."""


@dataclass(frozen=True)
class Proof:
    """The moments at which the tables were cut, and how many rows were compared."""

    cuts: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Query:
    """A query to prove: ``key`` names its rows, and ``known_at`` says when the ``values`` beside it were known.

    ``made`` is its result, where the lake has it; ``times`` the column whose values may differ.
    """

    file: str
    sql: str
    key: tuple[str, ...]
    known_at: str
    values: tuple[Column, ...]
    made: Snapshot | None = None
    times: str = ""


def of_histories(definition: Definition, made: Mapping[str, Snapshot]) -> list[Query]:
    """The histories' queries, with the tables that they made."""
    return [
        Query(
            history.relation.file,
            history.relation.sql,
            (*history.key, history.known_at),
            history.known_at,
            history.values,
            made.get(history.name),
        )
        for history in definition.histories
    ]


def of_examples(definition: Definition) -> list[Query]:
    """The query of the examples, if there is one: also which rows there are must not depend on the future."""
    rows, project = definition.examples, definition.project
    if not rows.sql or project.examples is None:
        return []
    known_at = str(project.target.known_at)
    key = (*definition.request.names, project.examples.time)
    values = [Column(f.name, f.type) for f in rows.contract.fields if f.name not in (*key, known_at)]
    time = project.examples.time
    return [Query(project.examples.sql, rows.sql, key, known_at, tuple(values), times=time)]


def prove(
    definition: Definition, lake: Lake, clean: Mapping[str, Snapshot], queries: Sequence[Query]
) -> Proof:
    """Cut the tables and compare; raises ``DataError`` naming the query and columns that see the future."""
    compared = 0
    connection = lake.connect()
    try:
        for table, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=table, version=snapshot.version)
        for number, query in enumerate(queries):
            if query.made is None:
                compute(connection, f"whole{number}", query.file, query.sql)
            else:
                lake.bind(connection, query.made.table, as_=f"made{number}", version=query.made.version)
                connection.execute(f"create temp view whole{number} as from made{number}")
        cuts = _cuts(connection, definition, clean, queries)
        connection.execute("create schema cut")
        for cut in cuts:
            _cut(connection, definition, clean, cut)
            for number, query in enumerate(queries):
                compute(connection, "part", query.file, query.sql)
                compared += _compare(connection, query, f"temp.whole{number}", cut)
                connection.execute("drop table temp.part")
            connection.execute("set search_path = 'main'")
    finally:
        connection.close()
    return Proof(tuple(str(cut) for cut in cuts), compared)


def _cuts(
    connection: DuckDBPyConnection,
    definition: Definition,
    clean: Mapping[str, Snapshot],
    queries: Sequence[Query],
) -> list[datetime]:
    """Moments at shares of the stamps there are, and just before the rows that came latest were known."""
    found: set[datetime] = set()
    stamps = " union ".join(
        f"select cast({quote(query.known_at)} as timestamp) as known from whole{number}"
        for number, query in enumerate(queries)
    )
    if stamps:
        shares = ", ".join(str(share) for share in SHARES)
        ((moments,),) = connection.execute(
            f"select quantile_disc(known, [{shares}]) from ({stamps}) where known is not null"
        ).fetchall()
        found.update(moments or ())
    for table in definition.project.tables:
        if table.name in clean and table.known_at and table.event_time and table.known_at != table.event_time:
            known = known_sql(table, definition.contracts[table.name])
            late = connection.execute(
                f"select {known} from {quote(table.name)} where {known} is not null"
                f" order by {known} - cast({quote(table.event_time)} as timestamp) desc limit {LATEST}"
            ).fetchall()
            found.update(moment - timedelta(microseconds=1) for (moment,) in late)
    return sorted(found)


def _cut(
    connection: DuckDBPyConnection,
    definition: Definition,
    clean: Mapping[str, Snapshot],
    cut: datetime,
) -> None:
    """Let the tables' names stand for what was known at ``cut``."""
    for table in definition.project.tables:
        if table.name not in clean:
            continue
        known = known_sql(table, definition.contracts[table.name])
        condition = f" where {known} <= timestamp '{cut}'" if known else ""
        connection.execute(
            f"create or replace view cut.{quote(table.name)} as select * from main.{quote(table.name)}{condition}"
        )
    connection.execute("set search_path = 'cut,main'")


def _compare(connection: DuckDBPyConnection, query: Query, whole: str, cut: datetime) -> int:
    """Compare the rows known by ``cut``; gives how many there are."""
    alike = " and ".join(f"w.{quote(name)} is not distinct from p.{quote(name)}" for name in query.key)
    known = f"coalesce(w.{quote(query.known_at)}, p.{quote(query.known_at)}) <= timestamp '{cut}'"
    if query.times:
        time = quote(query.times)
        both = f"select {time} from {whole} intersect select {time} from temp.part"
        known += f" and coalesce(w.{time}, p.{time}) in ({both})"
    later, earlier = (f"{side}.{quote(query.known_at)} is null" for side in "pw")
    differs = [f"(not ({later} or {earlier}) and {_differs(column)})" for column in query.values]
    counts = ", ".join(f"count(*) filter ({test})" for test in [later, earlier, *differs])
    row = ", ".join(f"cast(coalesce(w.{quote(name)}, p.{quote(name)}) as varchar)" for name in query.key)
    kinds = [later, earlier, " or ".join(differs) or "false"]
    examples = ", ".join(f"any_value([{row}]) filter ({test})" for test in kinds)
    ((rows, *found),) = connection.execute(
        f"""select count(*), {counts}, {examples}
        from {whole} w full join temp.part p on {alike} where {known}"""
    ).fetchall()
    if any(found[: -len(kinds)]):
        raise DataError(_leak(query, found[: -len(kinds)], found[-len(kinds) :], cut))
    return int(rows)


def _differs(column: Column) -> str:
    whole, part = f"w.{quote(column.name)}", f"p.{quote(column.name)}"
    test = f"{whole} is distinct from {part}"
    if column.type == "double":
        near = f"abs({whole} - {part}) <= {ROUNDING} * greatest(abs({whole}), abs({part}))"
        test = f"({test} and not coalesce({near}, false))"
    return test


def _leak(query: Query, counts: Sequence[int], examples: Sequence[Sequence[str]], cut: datetime) -> str:
    """Tell one kind of leak: other values, else rows that later data brings, else rows that it takes away."""
    later, earlier, *differing = counts
    brought, taken, other = examples
    if any(differing):
        example = other
        columns = [column.name for column, count in zip(query.values, differing, strict=True) if count]
        what = t(
            "rows that say they were known by {cut} have another value of {columns} without later data",
            cut=cut,
            columns=", ".join(columns),
        )
    elif later:
        example = brought
        what = t(
            "{rows:,} rows that say they were known by {cut} are there only with later data",
            rows=later,
            cut=cut,
        )
    else:
        example = taken
        what = t(
            "{rows:,} rows that say they were known by {cut} are there only without later data",
            rows=earlier,
            cut=cut,
        )
    return t(
        "{file} sees the future: {what}, for example {row}. Use only rows known at the stamp, and stamp a row with the"
        " time from which all of it was known.",
        file=query.file,
        what=what,
        row=", ".join(f"{name} = {value}" for name, value in zip(query.key, example, strict=True)),
    )
