"""Arrivals: rows that came with their outcome after the champion was made, scored as it would have answered them.

They are honest: no row that the champion learned from, or was chosen by, is among them. Windows are those of the
rows' own time; where rows have none, the batches that they came in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from relevo import batch, clock
from relevo import digest as digests
from relevo.encoding import encode_columns
from relevo.lake import explained
from relevo.monitor.baselines import block_of
from relevo.spans import spans
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.monitor.baselines import Reference
    from relevo.package import ModelPackage
    from relevo.records import Snapshot

SLACK = 12
"""A window is complete when the newest row lies within this part of it from its end."""
FARTHEST = timedelta(days=65)
"""How far back windows are told in which nothing came."""
_NEVER = datetime(1, 1, 1)
_EMPTY = digests.of_json([0])
_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


@dataclass(frozen=True)
class Observed:
    """A window's rows, n of them: their counts and reconstruction errors, and what became of the labelled ones.

    ``began`` and ``ended`` are local; of a batch without times when it came. ``slices`` are columns of the request.
    ``inputs`` is a digest of the rows.
    """

    name: str
    began: str
    ended: str
    rows: int
    counts: NDArray[np.int64]
    errors: NDArray[np.float64] | None
    probability: NDArray[np.float64]
    target: NDArray[np.bool_]
    slices: Mapping[str, list[Any]]
    inputs: str
    pieces: tuple[str, ...] = ()
    """What the rows' pieces are known by, as ``withheld`` does; none where rows have no pieces."""
    whole: bool = True
    """Whether all rows of the window are this version's to be watched: of others their number says nothing."""


def observe(
    definition: Definition,
    lake: Lake,
    package: ModelPackage,
    reference: Reference,
    unit: str,
    *,
    examples: Snapshot,
    learned: Snapshot,
    clean: Mapping[str, Snapshot],
    histories: Mapping[str, Snapshot],
    known: Mapping[str, str],
    without: Collection[str] = (),
    awaited: datetime | None = None,
) -> Iterator[Observed]:
    """Give the windows of a unit that have rows in ``examples`` which are not in ``learned``, in order.

    A window is left out whose digest is in ``known``, by name, and the last one while it is not complete: until the
    newest row of all is within a twelfth of the unit from its end, or later. One of which other rows are in ``learned``
    is not whole: it has only those that came late. Nor is one of which rows came in the pieces ``without`` which the
    version was made, since they were withheld: they are left out, for they were looked at when they came.

    Windows after those learned from in which no row lies are among them, until that of the newest row. Those that
    ended by ``awaited``, a local time, are too: by then their rows would have come.
    """
    with explained(lake.root), lake.connect() as connection:
        for name, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
        lake.bind(connection, examples.table, as_="_examples", version=examples.version)
        lake.bind(connection, learned.table, as_="_learned", version=learned.version)
        block = block_of(unit, timed=unit != "batch")
        connection.execute(
            f"create temp table _new as select {block} as _block, * from _examples e where {unseen('_learned')}"
        )
        aside = _set_aside(connection, without)
        batch.bind_histories(connection, package, definition, lake, histories)
        blocks = _blocks(connection)
        found = connection.execute(f"select distinct {block} from _learned").fetchall()
        partial = {start for (start,) in found if start is not None}
        newest = max((last for _, _, last, _ in blocks if last is not None), default=_NEVER)
        if unit in _STEP:
            taken = partial | aside | {start for start, *_ in blocks}
            zone = definition.project.monitor.timezone
            gaps = _gaps(unit, zone, taken, max(partial, default=None), max(newest, awaited or newest))
            blocks = sorted(
                [*blocks, *((start, None, None, _EMPTY) for start in gaps)], key=lambda one: one[0]
            )
        for start, first, last, identity in blocks:
            name, ended = _named(unit, start, last)
            late = unit in _STEP and newest + _STEP[unit] / SLACK < ended
            if (late and identity != _EMPTY) or known.get(name) == identity:
                continue
            if identity == _EMPTY:
                yield nothing(reference, name, start.isoformat(), ended.isoformat(), identity)
                continue
            one = _one(connection, definition, package, reference, start, (name, first, ended, identity))
            yield replace(one, whole=start not in partial | aside)


def nothing(reference: Reference, name: str, began: str, ended: str, inputs: str) -> Observed:
    """A window without rows."""
    return Observed(
        name=name,
        began=began,
        ended=ended,
        rows=0,
        counts=np.zeros(reference.bins.size, np.int64),
        errors=None,
        probability=np.zeros(0),
        target=np.zeros(0, bool),
        slices={},
        inputs=inputs,
    )


def batches(lake: Lake, definition: Definition) -> dict[str, str]:
    """Names of the pieces that rows of the main table came in, by what their ids begin with."""
    name = f"raw/{definition.project.main_table.name}"
    if not lake.exists(name):
        return {}
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, name, as_="raw")
        found = connection.execute(
            "select left(_file, 16), any_value(_source) from raw where _file is not null group by all"
        ).fetchall()
    return dict(found)


def unseen(learned: str) -> str:
    """SQL of whether a row of examples, ``e``, came after those in the table ``learned``, and is none of them."""
    return (
        f"not exists (select 1 from {learned} l where l._id = e._id)"
        f" and (e._time is null or e._time >= (select min(_time) from {learned}))"
    )


def _set_aside(connection: DuckDBPyConnection, without: Collection[str]) -> set[Any]:
    """Leave the rows of pieces out; gives the blocks that they were in."""
    if not without:
        return set()
    theirs, pieces = "split_part(_id, ':', 1) in ?", [list(without)]
    found = connection.execute(f"select distinct _block from _new where {theirs}", pieces).fetchall()
    connection.execute(f"delete from _new where {theirs}", pieces)
    return {start for (start,) in found}


def _blocks(connection: DuckDBPyConnection) -> list[tuple[Any, datetime | None, datetime | None, str]]:
    """Each block's start, its first and last time, and a digest of its rows."""
    found = connection.execute(
        """select _block, min(_time), max(_time), count(*), cast(bit_xor(hash(_id, _content)) as varchar)
        from _new group by _block order by min(_time), _block"""
    ).fetchall()
    return [
        (start, first, last, digests.of_json([rows, content])) for start, first, last, rows, content in found
    ]


def _gaps(unit: str, zone: str, taken: set[Any], after: datetime | None, until: datetime) -> list[datetime]:
    """The local starts of windows ``after`` one that ended by a local time and that nothing is known of."""
    place, now = ZoneInfo(zone), clock.now()
    until = min(until, now.astimezone(place).replace(tzinfo=None))
    if after is None or until <= after:
        return []
    since = max(after + _STEP[unit], until - FARTHEST)
    every = spans(unit, zone, since.replace(tzinfo=place), until.replace(tzinfo=place))
    local = [one.began_at.astimezone(place).replace(tzinfo=None) for one in every]
    starts = {start if unit == "hour" else start.replace(hour=0) for start in local}
    return sorted(start for start in starts - taken if after < start and start + _STEP[unit] <= until)


def _named(unit: str, start: Any, last: datetime | None) -> tuple[str, datetime]:
    if unit == "batch":
        return str(start), last or _NEVER
    shown = start.isoformat(sep="T", timespec="hours") if unit == "hour" else start.date().isoformat()
    return shown, start + _STEP[unit]


def _one(
    connection: DuckDBPyConnection,
    definition: Definition,
    package: ModelPackage,
    reference: Reference,
    start: Any,
    named: tuple[str, datetime | None, datetime, str],
) -> Observed:
    name, first, ended, identity = named
    slices = list(definition.project.monitor.slices)
    fields = ", ".join(f"request.{quote(field)} as {quote(field)}" for field in package.request.names)
    connection.execute(
        f"create or replace temp table request as select {fields}, _time, _target as _outcome"
        " from _new where _block = ?",
        [start],
    )
    bins, made = reference.bins, reference.reconstruction
    counts = np.zeros(bins.size, np.int64)
    errors = np.zeros(3) if made is not None else None
    probability, target = [], []
    apart: dict[str, list[Any]] = {field: [] for field in slices}
    for part in batch.scored(connection, package, carry=["_outcome", *slices]):
        counts += bins.columns(part.features, part.probability)
        if made is not None and errors is not None:
            errors += made.errors(encode_columns(package.manifest.encoders, part.features))
        probability.append(part.probability)
        target.append(np.asarray(part.carried["_outcome"], bool))
        for field in slices:
            apart[field] += part.carried[field].tolist()
    found = np.concatenate(probability) if probability else np.zeros(0)
    return Observed(
        name=name,
        began=start.isoformat() if isinstance(start, datetime) else (first.isoformat() if first else ""),
        ended=ended.isoformat() if ended != _NEVER else "",
        rows=len(found),
        counts=counts,
        errors=errors,
        probability=found,
        target=np.concatenate(target) if target else np.zeros(0, bool),
        slices=apart,
        inputs=identity,
        pieces=_pieces(connection, start),
    )


def _pieces(connection: DuckDBPyConnection, start: Any) -> tuple[str, ...]:
    query = """select distinct split_part(_id, ':', 1) from _new
               where _block = ? and contains(_id, ':') order by 1 limit 100"""
    return tuple(str(piece) for (piece,) in connection.execute(query, [start]).fetchall())
