"""Collect: the journal's complete segments into the lake's tables of their streams, exactly once.

A segment goes in whole, in one transaction of the lake that bears the segment's name, and is removed
afterwards. Killed in between, the next collection finds the segment again, the lake knows the transaction,
and only the removal is done. Two collectors at once work on different segments.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from relevo import disk, taken
from relevo.journal import COUNTS, LABELS, PREDICTIONS, SHADOWS, STREAMS, closed, segments
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
DAMAGED_FOLDER = "damaged"
"""Where in the workspace damaged lines of journals are kept that are only read."""
_LONGEST = 16 << 20  # bytes of a line that DuckDB's JSON reader takes for certain
_BATCH = 4 << 20  # bytes of lines asked about at once, when a segment is damaged


# The request is the last field of a line, but for the page by which it came, and is taken as the text that it
# is: reading and writing it again would change numbers such as 1e5 and escapes. A line of another shape gives it
# as DuckDB writes it.
class Stream(NamedTuple):
    """How a journal's lines become rows of a table: the table ``segment`` of ``line`` and columns."""

    rows: str
    whole: str
    """What a row must be; others are damaged lines."""
    against: str = ""
    """What of the rows in ``sound`` is added to the lake's table, ``known``; all of them by default."""


_PREDICTIONS = r"""
create or replace temp table segment as
with lines as (
    select
        json as line,
        regexp_extract(json, ',\s*"request"\s*:\s*(.*?)(?:,"via":"[a-z]+")?\}\s*$', 1, 's') as tail
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
    line ->> '$.via' as via,
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
_COUNTS = r"""
create or replace temp table segment as
select
    json as line,
    json ->> '$.id' as id,
    json ->> '$.project' as project,
    json ->> '$.source' as source,
    json ->> '$.version' as version,
    json ->> '$.digest' as digest,
    cast(null as varchar) as period,
    json ->> '$.bins' as bins,
    try_cast(json ->> '$.size' as integer) as size,
    try_cast(try_cast(json ->> '$.hour' as timestamptz) as timestamp) as "hour",
    try_cast(json ->> '$.rows' as bigint) as "rows",
    try_cast(json ->> '$.refused' as bigint) as refused,
    try_cast(json ->> '$.failed' as bigint) as failed,
    try_cast(json -> '$.places' as integer[]) as places,
    try_cast(json -> '$.counts' as bigint[]) as counts
from read_json_objects(?, format = 'newline_delimited')
"""
_COUNTED = """coalesce(id is not null and project is not null and source is not null and version is not null
and digest is not null and bins is not null and size >= 0 and "hour" is not null
and "rows" >= 0 and refused >= 0 and failed >= 0
and len(places) = len(counts) and list_count(places) = len(places) and list_count(counts) = len(counts)
and (len(places) = 0 or (list_min(places) >= 0 and list_max(places) < size)), false)"""
# A segment's lines of an hour and a version become one row, whose counts are the sums.
_SUMMED = """
with whole as (
    select min(id) as id, project, source, version, digest, period, bins, size, "hour",
        cast(sum("rows") as bigint) as "rows", cast(sum(refused) as bigint) as refused,
        cast(sum(failed) as bigint) as failed
    from sound group by all
), cells as (
    select project, source, version, digest, bins, size, "hour", place, cast(sum(n) as bigint) as n
    from (select *, unnest(places) as place, unnest(counts) as n from sound) group by all
), lists as (
    select project, source, version, digest, bins, size, "hour",
        list(place order by place) as places, list(n order by place) as counts
    from cells group by all
)
select whole.*, coalesce(places, []) as places, coalesce(counts, []) as counts
from whole left join lists using (project, source, version, digest, bins, size, "hour")
"""
_STREAMS = {
    PREDICTIONS: Stream(_PREDICTIONS, _PREDICTED),
    LABELS: Stream(_LABELS, _LABELLED, _ANEW),
    SHADOWS: Stream(_SHADOWS, _SHADOWED),
    COUNTS: Stream(_COUNTS, _COUNTED, _SUMMED),
}


def collect_all(workspace: Workspace, *, report: Callable[[str], None] | None = None) -> dict[str, int]:
    """Move the complete segments of every stream into the lake; returns how many rows that were, by stream."""
    found = {stream: collect(workspace, stream, report=report) for stream in STREAMS}
    if workspace.journals and all(folder.is_dir() for folder in workspace.journals):
        taken.forget(workspace.root, {path.stem for folder in workspace.journals for path in _all(folder)})
    return found


def _all(folder: Path) -> Iterator[Path]:
    for stream in STREAMS:
        yield from segments(folder, stream)


def collect(
    workspace: Workspace, stream: str = PREDICTIONS, *, report: Callable[[str], None] | None = None
) -> int:
    """Move a stream's complete segments into the lake's table of that name; returns how many rows that were.

    A line that is no prediction or label (a disk gone bad, a file edited by hand) is kept aside in
    ``<segment>.damaged`` beside the journal, and ``report`` is given a sentence about it; by default it is
    logged as a warning. A label that repeats the one before it about the same prediction adds no row.
    Segments in ``workspace.journals`` are only read: their writers remove what is marked as taken.
    """
    say = report or logging.getLogger(__name__).warning
    rows = 0
    if workspace.logs.is_dir():
        for segment in closed(workspace.logs, stream):
            rows += _move(workspace, segment, stream, segment.path.parent, say)
            segment.remove()
    for folder in workspace.journals:
        if not folder.is_dir():
            say(t("The journal {folder} is absent: nothing is taken from it. Is it mounted?", folder=folder))
            continue
        for segment in closed(folder, stream, reading=True):
            if not taken.is_marked(workspace.root, segment.name):
                rows += _move(workspace, segment, stream, workspace.root / DAMAGED_FOLDER, say)
                taken.mark(workspace.root, segment.name)
    return rows


def _move(
    workspace: Workspace, segment: Segment, stream: str, aside: Path, say: Callable[[str], None]
) -> int:
    rows = 0
    if segment.bytes:
        with (
            workspace.scratch() as scratch,
            explained(segment.path),
            workspace.lake.connect() as connection,
        ):
            damaged = _read(connection, _whole(segment, scratch), _STREAMS[stream], scratch)
            if damaged:
                aside.mkdir(mode=0o700, exist_ok=True)
                aside /= segment.name + DAMAGED
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
    return rows


def _whole(segment: Segment, scratch: Path) -> Path:
    """A file of the segment's whole lines: itself, or a copy of them where more is in it that may not be cut off."""
    if segment.path.stat().st_size == segment.bytes:
        return segment.path
    copy = scratch / "whole.jsonl"
    with segment.path.open("rb") as source, copy.open("wb") as out:
        left = segment.bytes
        while left:
            piece = source.read(min(left, _BATCH))
            out.write(piece)
            left -= len(piece)
    return copy


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
