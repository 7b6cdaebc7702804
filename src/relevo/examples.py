"""Examples: the rows that are learned from and judged by, with their features.

Each has the outcome, its time and group, its part and fold, the request as it would have been asked,
and the features as the batch path computes them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relevo import digest as digests
from relevo import durations, parts
from relevo.errors import DataError, RelevoError
from relevo.lake import first_line
from relevo.records import Snapshot
from relevo.split import WORDS, GroupSplit, RepeatedStratifiedSplit, TimeSplit, unexplained
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.sql import Column

VERSION = 4
"""Raised when the same inputs would give other examples."""
CARRIED = ("_id", "_time", "_group", "_known", "_part", "_fold", "_target", "_content", "_asked")
"""``_content`` is a digest of what the row says; ``_asked``, of what its request asks, is there for repeats only."""
SEVERAL, SHARED = 100, 0.02
"""An entity's id has this many values at least, and this share of the rows have one that comes again."""
SCATTERED = 0.2
"""A column with fewer values, as a share of the rows, is a category rather than an id."""


@dataclass(frozen=True)
class Examples:
    """Examples in memory, n rows in order of time and id. Texts are lists; a masked value is null.

    ``group`` is the number of each row's group, None where rows are not parted by groups. ``known`` is when each
    outcome became known, NaT where nothing says so.
    """

    ids: Sequence[str]
    time: NDArray[np.datetime64]
    known: NDArray[np.datetime64]
    target: NDArray[np.bool_]
    fold: NDArray[np.int64]
    features: tuple[Column, ...]
    columns: Mapping[str, Any]
    group: NDArray[np.int64] | None = None


def make(
    definition: Definition,
    lake: Lake,
    tables: Mapping[str, Snapshot],
    *,
    window: str = "",
    without: Sequence[str] = (),
) -> Snapshot:
    """Make the examples from snapshots of the clean tables and the histories, by name.

    With a ``window`` (``180d``) only of rows of that time before the newest; ``without`` are the pieces that are
    withheld. Raises ``DataError`` when there are none.
    """
    name = f"examples/{definition.name}"
    identity = snapshot_id(definition, tables, window=window, without=without)
    with bound(definition, lake, tables) as connection:
        with _computing(t("the target")):
            _assign(definition, connection, window, without)
        rows = _count(connection)
        with _computing(definition.project.features):
            version = lake.replace(name, _stream(definition, connection), transaction=f"examples:{identity}")
    return Snapshot(id=identity, table=name, version=version, rows=rows)


def snapshot_id(
    definition: Definition, tables: Mapping[str, Snapshot], *, window: str = "", without: Sequence[str] = ()
) -> str:
    """Digest of all that the examples depend on."""
    return digests.of_json(
        {
            "clean": {table: snapshot.id for table, snapshot in tables.items()},
            "request": definition.request.to_json(),
            "rows": [definition.examples.sql, definition.examples.event_time],
            "sql": definition.plan.sql,
            "target": definition.target_sql,
            "split": repr(definition.project.split),
            "version": VERSION,
            **({"known_at": known_at} if (known_at := definition.project.target.known_at) else {}),
            **({"window": window} if window else {}),
            **({"without": sorted(without)} if without else {}),
        }
    )


@contextmanager
def bound(definition: Definition, lake: Lake, tables: Mapping[str, Snapshot]) -> Iterator[DuckDBPyConnection]:
    """Open a connection that sees every table under its name, and the examples before features as ``clean``."""
    connection = lake.connect()
    try:
        for table, snapshot in tables.items():
            lake.bind(connection, snapshot.table, as_=table, version=snapshot.version)
        rows = definition.examples
        source = f"({_identified(definition)})" if rows.sql else quote(rows.name)
        connection.execute(f"create view clean as select * from {source}")
        yield connection
    finally:
        connection.close()


def _identified(definition: Definition) -> str:
    """The query's rows with an id: the digest of what is asked and when, which no two rows share."""
    rows = definition.examples
    cells = _cells([*definition.request.names, str(rows.event_time)])
    return f"select md5({cells}) as _id, * from ({rows.sql})"


@contextmanager
def _computing(what: str) -> Iterator[None]:
    """Say of an expression that stops at a value of some row which one it was."""
    import duckdb

    try:
        yield
    except RelevoError:
        raise
    except Exception as error:
        text = str(error)
        if not isinstance(error, duckdb.Error) and "C Data interface" not in text:
            raise
        raise DataError(
            t(
                "{what} cannot be computed for every row: {error}. Write it so that such a row gives null, with"
                " case when … end for example.",
                what=what,
                error=first_line(error),
            )
        ) from error


def _assign(
    definition: Definition, connection: DuckDBPyConnection, window: str, without: Sequence[str]
) -> None:
    project = definition.project
    time = definition.examples.event_time
    group = project.split.by if isinstance(project.split, GroupSplit) else None
    known = project.target.known_at
    if definition.examples.sql:
        connection.execute("create temp table made as select * from clean")
        _check_distinct(definition, connection)
        connection.execute("create or replace view clean as select * from made")
    repeated = isinstance(project.split, RepeatedStratifiedSplit)
    asked = content(definition.request.names) if repeated else "cast(null as varchar)"
    connection.execute(
        f"""create temp table labelled as
        select _id, {f"cast({quote(time)} as timestamp)" if time else "cast(null as timestamp)"} as _time,
               {f"cast({quote(group)} as varchar)" if group else "cast(null as varchar)"} as _group,
               {f"cast({quote(known)} as timestamp)" if known else "cast(null as timestamp)"} as _known,
               ({definition.target_sql}) as _target, {content(definition.examples.contract.names)} as _content,
               {asked} as _asked
        from clean where ({definition.target_sql}) is not null order by _time, _id"""
    )
    if without:
        connection.execute("delete from labelled where split_part(_id, ':', 1) in ?", [list(without)])
    if window:
        old = "_time <= (select max(_time) from labelled) - cast(? as interval)"
        connection.execute(f"delete from labelled where {old}", [durations.parse(window)])
    read = connection.execute("select * from labelled").fetchnumpy()
    target = np.asarray(read["_target"], bool)
    if not len(target):
        raise DataError(
            t("No row of {table} has an outcome: the target is null in all.", table=definition.examples.name)
        )
    if unexplained(project.split):
        _refuse_entities(definition, connection)
    found = parts.assign(
        project.split,
        time=_moments(read["_time"]) if isinstance(project.split, TimeSplit) else None,
        group=_nullable(read["_group"]) if group else None,
        target=target,
        ids=_texts(read["_asked" if repeated else "_content"]),
        known=_moments(read["_known"]),
    )
    assigned = {"_id": read["_id"], "_part": np.asarray(found.part, object), "_fold": found.fold}
    connection.register("assigned", assigned)


def _stream(definition: Definition, connection: DuckDBPyConnection) -> Any:
    names = [field.name for field in definition.request.fields]
    copies = [f"_request_{place}" for place in range(len(names))]
    connection.execute(
        f"""create temp view request as
        select {", ".join(quote(name) for name in names)},
               {", ".join(f"{quote(name)} as {copy}" for name, copy in zip(names, copies, strict=True))},
               labelled._id, _time, _group, _known, _part, _fold, _target, _content, _asked
        from labelled join assigned using (_id) join clean using (_id)"""
    )
    packed = ", ".join(f"{quote(name)} := {copy}" for name, copy in zip(names, copies, strict=True))
    features = ", ".join(quote(column.name) for column in definition.plan.features)
    return connection.sql(
        f"""select {", ".join(CARRIED)}, struct_pack({packed}) as request, {features}
        from ({definition.plan.batch_sql((*CARRIED, *copies))}) order by _time, _id"""
    )


def read(lake: Lake, snapshot: Snapshot, features: Sequence[Column], *, part: str) -> Examples:
    """Read one part (``train`` or ``test``) of the examples."""
    connection = lake.connect()
    try:
        lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
        columns = [row[0] for row in connection.execute("describe examples").fetchall()]
        # An earlier release did not keep when outcomes became known.
        known = "_known" if "_known" in columns else "null::timestamp as _known"
        names = ", ".join(quote(column.name) for column in features)
        carried = f"_id, _time, {known}, _group, _fold, _target"
        query = f"select {carried}, {names} from examples where _part = ? order by _time, _id"
        found = connection.execute(query, [part]).fetchnumpy()
    finally:
        connection.close()
    return Examples(
        ids=_texts(found["_id"]),
        time=np.asarray(found["_time"], "datetime64[us]"),
        known=_moments(found["_known"]),
        target=np.asarray(found["_target"], bool),
        fold=np.asarray(np.ma.filled(found["_fold"], -1), np.int64),
        features=tuple(features),
        columns={column.name: found[column.name] for column in features},
        group=numbered(found["_group"]),
    )


def numbered(groups: Any) -> NDArray[np.int64] | None:
    """Number the groups of rows; one without a group is one of its own. None where no row has one."""
    there = ~np.ma.getmaskarray(groups)
    if not there.any():
        return None
    names, of_row = np.unique(np.asarray(np.ma.getdata(groups)[there], str), return_inverse=True)
    found = len(names) + np.arange(len(there))
    found[there] = of_row
    return found


def digests_of(lake: Lake, snapshot: Snapshot, column: str, *, part: str) -> list[str]:
    """Read ``_content`` or ``_asked`` of a part, in its order; none where an earlier release left them out."""
    connection = lake.connect()
    try:
        lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
        if column not in [row[0] for row in connection.execute("describe examples").fetchall()]:
            return []
        query = f"select {column} from examples where _part = ? order by _time, _id"
        return _texts(connection.execute(query, [part]).fetchnumpy()[column])
    finally:
        connection.close()


def _count(connection: DuckDBPyConnection) -> int:
    row = connection.execute("select count(*) from labelled").fetchall()[0]
    return int(row[0])


def content(names: Sequence[str]) -> str:
    """SQL of a digest of what these columns say, whichever file holds them: no part must change with the file."""
    return f"md5({_cells(names)})"


def _cells(names: Sequence[str]) -> str:
    cells = ", ".join(f"coalesce(cast({quote(name)} as varchar), chr(1))" for name in names)
    return f"concat_ws(chr(31), {cells})"


def _check_distinct(definition: Definition, connection: DuckDBPyConnection) -> None:
    names = [*definition.request.names, str(definition.examples.event_time)]
    listed = ", ".join(quote(name) for name in names)
    found = connection.execute(
        f"select {listed}, count(*) from made group by {listed} having count(*) > 1 limit 1"
    ).fetchall()
    if found:
        *values, count = found[0]
        row = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
        raise DataError(
            t(
                "{file}: {count} rows are the same example ({row}). Give each thing to predict one row at a time.",
                file=definition.project.examples.sql if definition.project.examples else "-",
                count=count,
                row=row,
            )
        )


def _refuse_entities(definition: Definition, connection: DuckDBPyConnection) -> None:
    """Raise ``DataError`` when a column looks like an entity's id that comes again."""
    split = type(definition.project.split).__name__
    for name in _possible_ids(definition):
        found = repeats(connection, name, "labelled join clean using (_id)")
        if found is not None:
            raise DataError(
                t(
                    "“{column}” looks like an id that comes again: {values:,} values in {rows:,} rows, of which"
                    " {shared:,} share theirs with another. Drawn at random, the same one would teach and judge."
                    ' Write GroupSplit(by="{column}") and import it in project.py (from relevo import GroupSplit), or'
                    ' say why in {words} words or more: {split}(…, because="…").',
                    column=name,
                    values=found.values,
                    rows=found.rows,
                    shared=found.shared,
                    words=WORDS,
                    split=split,
                )
            )


class Repeats(NamedTuple):
    """How often the values of a column come again: ``shared`` of its ``rows`` have the value of another."""

    values: int
    rows: int
    shared: int


def repeats(connection: DuckDBPyConnection, name: str, source: str) -> Repeats | None:
    """Count the values of a column of ``source`` if they come again as an entity's id does, else give None.

    Rows of one ``_content`` are copies and do not count.
    """
    query = f"""select count(*), coalesce(sum(rows), 0), coalesce(sum(rows) filter (rows > 1), 0) from (
        select count(distinct _content) as rows from {source}
        where {quote(name)} is not null group by {quote(name)})"""
    ((values, rows, shared),) = connection.execute(query).fetchall()
    alike = values >= SEVERAL and values > SCATTERED * rows and shared >= SHARED * rows
    return Repeats(values, int(rows), int(shared)) if alike else None


def may_be_id(kind: str, *, listed: bool, bounded: bool) -> bool:
    """Tell texts and whole numbers, but for choices and for numbers between two bounds, which measure something."""
    return kind in ("text", "integer") and not listed and not (kind == "integer" and bounded)


def _possible_ids(definition: Definition) -> list[str]:
    found = []
    for field in definition.examples.contract.fields:
        low, high = (
            any(getattr(field, rule) is not None for rule in pair) for pair in (("ge", "gt"), ("le", "lt"))
        )
        if may_be_id(field.type, listed=field.choices is not None, bounded=low and high):
            found.append(field.name)
    return found


def _moments(column: Any) -> NDArray[np.datetime64]:
    """Times as datetime64[us], NaT for null."""
    return np.ma.filled(np.ma.asarray(column).astype("datetime64[us]"), np.datetime64("NaT"))


def _nullable(column: Any) -> list[str | None]:
    hidden = np.ma.getmaskarray(column)
    return [None if null else str(value) for value, null in zip(np.ma.getdata(column), hidden, strict=True)]


def _texts(column: Any) -> list[str]:
    return [str(value) for value in column]
