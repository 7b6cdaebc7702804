"""Nulls: how often each column is empty in each file or batch, and the columns in which that differs.

A provider that begins, or ceases, to fill a column changes what a model learns and sees; this shows it piece
by piece. Two pieces differ when their shares are more than ``POINTS`` apart and a pooled two-proportion z-test
(Fleiss, Levin & Paik 2003, *Statistical Methods for Rates and Proportions*, section 3.1) says that chance
would not do it: at ``ALPHA``, divided by the number of pairs and columns looked at (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from relevo import casting, header, reading, spellings
from relevo.lake import explained
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.contract import Contract
    from relevo.lake import Lake
    from relevo.project import Table
    from relevo.records import Snapshot

MOST = 60
"""Pieces of a table that are counted, the newest."""
POINTS = 0.05
ALPHA = 0.01
EXPECTED = 5
"""Nulls and others that both pieces must have by their common share; with fewer the test does not hold."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One file or batch: its undamaged rows, and how many are null in each column of the contract."""

    source: str
    batch: str
    rows: int
    nulls: Mapping[str, int] = field(default_factory=dict)


def count(table: Table, contract: Contract, lake: Lake, raw: Snapshot) -> list[Counts]:
    """Count the newest pieces of a raw snapshot, in its order, in one pass over its rows."""
    columns = [name for name in lake.columns(raw.table) if name not in reading.RESERVED]
    found = header.match(contract, columns)
    names = [name for name in contract.names if name in found]
    condition = reading.in_force(table.source, [content for _, content in raw.files])
    connection = lake.connect()
    try:
        with explained(lake.scratch):
            lake.bind(connection, raw.table, as_="raw", version=raw.version)
            united = spellings.united(connection, "raw", contract, columns)
            cells = [united.get(found[name], quote(found[name])) for name in names]
            empty = [casting.null_sql(cell, table.nulls) for cell in cells]
            rows = connection.execute(
                f"""select {", ".join(["_file", _batch(lake, raw), "count(*)", *map(_times, empty)])}
                from raw where {condition} and _defect is null
                group by _file order by min(_ingested_at) desc, _file limit {MOST}"""
            ).fetchall()
    finally:
        connection.close()
    counted = {str(row[0]): row[1:] for row in rows}
    first = {content: name for name, content in reversed(raw.files)}
    return [
        Counts(
            source=name,
            batch=str(counted[content][0]),
            rows=int(counted[content][1]),
            nulls=_nulls(contract, names, counted[content]),
        )
        for name, content in raw.files
        if content in counted and first[content] == name
    ]


def _batch(lake: Lake, raw: Snapshot) -> str:
    known = "_batch" in lake.columns(raw.table)
    return "coalesce(any_value(_batch), any_value(_source))" if known else "any_value(_source)"


def _times(condition: str) -> str:
    return f"count(*) filter ({condition})"


def _nulls(contract: Contract, names: Sequence[str], row: Sequence[Any]) -> dict[str, int]:
    """By field; one without a column is null in every row."""
    counted = dict(zip(names, map(int, row[2:]), strict=True))
    return {name: counted.get(name, int(row[1])) for name in contract.names}


def differing(pieces: Sequence[Counts]) -> dict[str, list[float]]:
    """The columns whose share of nulls differs between two pieces, with the share in each piece."""
    pieces = [piece for piece in pieces if piece.rows]
    columns = list(pieces[0].nulls) if pieces else []
    looks = len(columns) * len(pieces) * (len(pieces) - 1) // 2
    if not looks:
        return {}
    critical = NormalDist().inv_cdf(1 - ALPHA / (2 * looks))
    found = {}
    for column in columns:
        counts = [(piece.nulls.get(column, 0), piece.rows) for piece in pieces]
        if any(_differ(one, other, critical) for one, other in combinations(counts, 2)):
            found[column] = [nulls / rows for nulls, rows in counts]
    return found


def _differ(one: tuple[int, int], other: tuple[int, int], critical: float) -> bool:
    distance = abs(one[0] / one[1] - other[0] / other[1])
    if distance <= POINTS:
        return False
    share = (one[0] + other[0]) / (one[1] + other[1])
    if min(share, 1 - share) * min(one[1], other[1]) < EXPECTED:
        return False
    return distance > critical * sqrt(share * (1 - share) * (1 / one[1] + 1 / other[1]))
