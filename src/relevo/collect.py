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
from relevo.journal import PREDICTIONS, closed
from relevo.lake import explained
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from relevo.journal import Segment
    from relevo.workspace import Workspace

TABLE = "predictions"
SHADOWS = "shadows"
SHADOW = "shadow"
"""The stream of what a shadow answered; its table is ``shadows``."""
DAMAGED = ".damaged"
_LONGEST = 16 << 20  # bytes of a line that DuckDB's JSON reader takes for certain
_BATCH = 4 << 20  # bytes of lines asked about at once, when a segment is damaged

# The request is the last field of a line and is taken as the text that it is: reading and writing it again
# would change numbers such as 1e5 and escapes. A line of another shape gives it as DuckDB writes it.
_ROWS = r"""
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
_WHOLE = """id is not null and "at" is not null and project is not null and version is not null
and digest is not null and probability is not null and decision is not null and request is not null"""


_SHADOW_ROWS = r"""
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
_SHADOW_WHOLE = """id is not null and "at" is not null and project is not null and version is not null
and digest is not null and probability is not null and decision is not null and differs is not null"""


class Kind(NamedTuple):
    """What a stream's lines become: their table, the SQL that reads them, and when a line is whole."""

    stream: str
    table: str
    rows: str
    whole: str


KINDS = (
    Kind(PREDICTIONS, TABLE, _ROWS, _WHOLE),
    Kind(SHADOW, SHADOWS, _SHADOW_ROWS, _SHADOW_WHOLE),
)


def collect(workspace: Workspace, *, report: Callable[[str], None] | None = None) -> int:
    """Move the complete segments into the lake and return how many predictions that were.

    A line that is no prediction (a disk gone bad, a file edited by hand) is kept aside in
    ``<segment>.damaged`` beside the journal, and ``report`` is given a sentence about it; by default it is
    logged as a warning.
    """
    say = report or logging.getLogger(__name__).warning
    if not workspace.logs.is_dir():
        return 0
    rows = {
        kind.stream: sum(
            _move(workspace, segment, kind, say) for segment in closed(workspace.logs, stream=kind.stream)
        )
        for kind in KINDS
    }
    return rows[PREDICTIONS]


def _move(workspace: Workspace, segment: Segment, kind: Kind, say: Callable[[str], None]) -> int:
    rows = 0
    if segment.bytes:
        with (
            workspace.scratch() as scratch,
            explained(segment.path),
            workspace.lake.connect() as connection,
        ):
            damaged = _read(connection, segment.path, kind, scratch)
            if damaged:
                aside = segment.path.with_suffix(DAMAGED)
                _keep(aside, b"".join(damaged), scratch)
                say(
                    t(
                        "Damaged lines in the prediction journal: {count}. They are kept in {path}.",
                        count=len(damaged),
                        path=aside,
                    )
                )
            found = connection.sql(f"select * exclude (line) from segment where {kind.whole}")
            rows = len(found)
            if rows:
                workspace.lake.append(kind.table, found, transaction=segment.name)
    segment.remove()
    return rows


def _read(connection: DuckDBPyConnection, path: Path, kind: Kind, scratch: Path) -> list[bytes]:
    """Fill the table ``segment``, and return the lines that are no predictions."""
    try:
        connection.execute(kind.rows, [str(path)])
        damaged = []
    except duckdb.InvalidInputException:
        sound = scratch / "sound.jsonl"
        damaged = _divide(connection, path, sound)
        connection.execute(kind.rows, [str(sound)])
    strange = connection.execute(f"select line from segment where not ({kind.whole})").fetchall()
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
