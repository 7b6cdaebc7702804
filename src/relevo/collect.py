"""Collect: the journal's complete segments into the lake's ``predictions`` and ``shadows``, exactly once.

A segment goes in whole, in one transaction of the lake that bears the segment's name, and is removed
afterwards. Killed in between, the next collection finds the segment again, the lake knows the transaction,
and only the removal is done. Two collectors at once work on different segments.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from relevo import disk
from relevo.journal import LABELS, PREDICTIONS, SHADOWS, STREAMS, closed
from relevo.lake import explained
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from relevo.journal import Segment
    from relevo.lake import Lake
    from relevo.workspace import Workspace

DAMAGED = ".damaged"
_LONGEST = 16 << 20  # bytes of a line that DuckDB's JSON reader takes for certain
_BATCH = 4 << 20  # bytes of lines asked about at once, when a segment is damaged


# The request is the last field of a line and is taken as the text that it is: reading and writing it again
# would change numbers such as 1e5 and escapes. A line of another shape gives it as DuckDB writes it.
class Stream(NamedTuple):
    """How a journal's lines become rows of a table: the table ``segment`` of ``line`` and columns."""

    rows: str
    whole: str
    """What a row must be; others are damaged lines."""
    against: str = ""
    """Which of the rows in ``sound`` are added to the lake's table, ``known``; all of them by default."""


_PREDICTIONS = r"""
create or replace temp table segment as
with lines as (
    select
        json as line,
        regexp_extract(json, ',\s*"request"\s*:\s*(.*)\}\s*$', 1, 's') as tail
    from read_json_objects(?, format = 'newline_delimited')
)
select
    line,
    line ->> '$.id' as id,
    try_cast(try_cast(line ->> '$.at' as timestamptz) as timestamp) as "at",
    line ->> '$.project' as project,
    line ->> '$.version' as version,
    line ->> '$.digest' as digest,
    try_cast(line ->> '$.probability' as double) as probability,
    try_cast(line ->> '$.decision' as boolean) as decision,
    line ->> '$.label' as label,
    line ->> '$.histories' as histories,
    case when tail <> '' and json_valid(tail) then tail else cast(line -> '$.request' as varchar) end as request
from lines
"""
_PREDICTED = """id is not null and "at" is not null and project is not null and version is not null
and digest is not null and probability is not null and decision is not null and request is not null"""
_LABELS = r"""
create or replace temp table segment as
select
    json as line,
    json ->> '$.id' as id,
    try_cast(try_cast(json ->> '$.received_at' as timestamptz) as timestamp) as received_at,
    json ->> '$.project' as project,
    json ->> '$.prediction' as prediction,
    cast(nullif(json -> '$.key', 'null') as varchar) as "key",
    try_cast(try_cast(json ->> '$.time' as timestamptz) as timestamp) as "time",
    try_cast(json ->> '$.outcome' as boolean) as outcome,
    json ->> '$.label' as label,
    try_cast(try_cast(json ->> '$.at' as timestamptz) as timestamp) as "at"
from read_json_objects(?, format = 'newline_delimited')
"""
_LABELLED = """id is not null and received_at is not null and project is not null and outcome is not null
and label is not null and (prediction is not null or ("key" is not null and "time" is not null))"""
# A label that says what the one before it said of the same prediction adds nothing.
_ANEW = """
select * exclude (mine, before) from (
    select *, lag(id) over (
        partition by project, prediction, "key", "time" order by received_at, mine
    ) as before
    from (
        select *, true as mine from sound
        union all by name
        select *, false as mine from known
        where (project, coalesce(prediction, "key")) in (select (project, coalesce(prediction, "key")) from sound)
    )
)
where mine and before is distinct from id
"""
_SHADOWS = r"""
create or replace temp table segment as
select
    json as line,
    json ->> '$.id' as id,
    try_cast(try_cast(json ->> '$.at' as timestamptz) as timestamp) as "at",
    json ->> '$.project' as project,
    json ->> '$.version' as version,
    json ->> '$.digest' as digest,
    try_cast(json ->> '$.probability' as double) as probability,
    try_cast(json ->> '$.decision' as boolean) as decision,
    json ->> '$.label' as label,
    json ->> '$.histories' as histories,
    try_cast(json ->> '$.differs' as boolean) as differs
from read_json_objects(?, format = 'newline_delimited')
"""
_SHADOWED = """id is not null and "at" is not null and project is not null and version is not null
and digest is not null and probability is not null and decision is not null and differs is not null"""
_STREAMS = {
    PREDICTIONS: Stream(_PREDICTIONS, _PREDICTED),
    LABELS: Stream(_LABELS, _LABELLED, _ANEW),
    SHADOWS: Stream(_SHADOWS, _SHADOWED),
}


def collect_all(workspace: Workspace, *, report: Callable[[str], None] | None = None) -> dict[str, int]:
    """Move the complete segments of every stream into the lake; returns how many rows that were, by stream."""
    return {stream: collect(workspace, stream, report=report) for stream in STREAMS}


def collect(
    workspace: Workspace, stream: str = PREDICTIONS, *, report: Callable[[str], None] | None = None
) -> int:
    """Move a stream's complete segments into the lake's table of that name; returns how many rows that were.

    A line that is no prediction or label (a disk gone bad, a file edited by hand) is kept aside in
    ``<segment>.damaged`` beside the journal, and ``report`` is given a sentence about it; by default it is
    logged as a warning. A label that repeats the one before it about the same prediction adds no row.
    """
    say = report or logging.getLogger(__name__).warning
    if not workspace.logs.is_dir():
        return 0
    return sum(_move(workspace, segment, stream, say) for segment in closed(workspace.logs, stream))


def _move(workspace: Workspace, segment: Segment, stream: str, say: Callable[[str], None]) -> int:
    rows = 0
    if segment.bytes:
        with (
            workspace.scratch() as scratch,
            explained(segment.path),
            workspace.lake.connect() as connection,
        ):
            damaged = _read(connection, segment.path, _STREAMS[stream], scratch)
            if damaged:
                aside = segment.path.with_suffix(DAMAGED)
                _keep(aside, b"".join(damaged), scratch)
                say(
                    t(
                        "Damaged lines in the journal: {count}. They are kept in {path}.",
                        count=len(damaged),
                        path=aside,
                    )
                )
            found = _new(connection, workspace.lake, stream)
            rows = len(found)
            if rows:
                workspace.lake.append(stream, found, transaction=segment.name)
    segment.remove()
    return rows


def _new(connection: DuckDBPyConnection, lake: Lake, stream: str) -> DuckDBPyRelation:
    """The rows to be added."""
    how = _STREAMS[stream]
    sound = f"select * exclude (line) from segment where {how.whole}"
    if not how.against:
        return connection.sql(sound)
    connection.execute(f"create temp table sound as {sound}")
    if lake.exists(stream):
        lake.bind(connection, stream, as_="known")
    else:
        connection.execute("create temp view known as from sound limit 0")
    return connection.sql(how.against)


def _read(connection: DuckDBPyConnection, path: Path, how: Stream, scratch: Path) -> list[bytes]:
    """Fill the table ``segment``, and return the lines that are not what they must be."""
    try:
        connection.execute(how.rows, [str(path)])
        damaged = []
    except duckdb.InvalidInputException:
        sound = scratch / "sound.jsonl"
        damaged = _divide(connection, path, sound)
        connection.execute(how.rows, [str(sound)])
    strange = connection.execute(f"select line from segment where not ({how.whole})").fetchall()
    return damaged + [f"{line}\n".encode() for (line,) in strange]


def _divide(connection: DuckDBPyConnection, path: Path, sound: Path) -> list[bytes]:
    """Copy the lines that hold one JSON object each to ``sound``, and return the others."""
    damaged = []
    with sound.open("wb") as out:
        for lines in _batches(path):
            texts = [_text(line) for line in lines]
            query = "select coalesce(json_type(case when json_valid(line) then line end) = 'OBJECT', false)"
            known = connection.execute(
                f"{query} from (select unnest(?::varchar[]) as line)", [texts]
            ).fetchall()
            for line, (good,) in zip(lines, known, strict=True):
                if good:
                    out.write(line)
                else:
                    damaged.append(line)
    return damaged


def _text(line: bytes) -> str | None:
    """Decode a line; None when it is too long or not UTF-8."""
    try:
        return line.decode() if len(line) <= _LONGEST else None
    except UnicodeDecodeError:
        return None


def _batches(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while batch := file.readlines(_BATCH):
            yield batch


def _keep(aside: Path, lines: bytes, scratch: Path) -> None:
    """Write the damaged lines whole or not at all; a collection killed afterwards writes the same again."""
    with disk.explained(aside):
        disk.write_synced(scratch / "damaged", lines)
        disk.publish(scratch / "damaged", aside)
