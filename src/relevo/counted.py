"""Counted: what the services and the runs over populations counted, out of the lake's table ``counts``.

A row holds the counts of one version within one hour (``hour``, UTC) as one process saw it, or of one ``period`` of
a population: ``rows`` answered and logged, ``refused`` and ``failed`` ones, and over the bins whose digest is ``bins``
the ``counts`` that are not 0 at their ``places`` of a vector of ``size``. ``source`` is one of those of
``relevo.bins``. Hours are sums over all their rows. A period that is scored again has a row more: the newest of a
version counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relevo.bins import REQUESTS, SCORES, Bins
from relevo.ids import uuid7
from relevo.journal import COUNTS
from relevo.lake import explained
from relevo.spans import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.spans import Span


@dataclass(frozen=True)
class Counted:
    """What was counted: numbers of rows, and the vector over the bins; empty for a package without a reference."""

    rows: int
    refused: int
    failed: int
    counts: NDArray[np.int64]

    def __add__(self, other: Counted) -> Counted:
        """Add what another process or hour counted over the same bins."""
        return Counted(
            self.rows + other.rows,
            self.refused + other.refused,
            self.failed + other.failed,
            self.counts + other.counts,
        )


@dataclass(frozen=True)
class Hours:
    """Hours that have anything, by their start (UTC). ``left_out`` are rows that were counted over other bins."""

    hours: Mapping[datetime, Counted]
    left_out: int


@dataclass(frozen=True)
class Period:
    """Whose counts a period's are; ``time`` is the population's own."""

    project: str
    version: str
    package: ModelPackage
    name: str
    time: datetime


class _Wanted(NamedTuple):
    project: str
    version: str
    bins: str
    sources: Sequence[str]


def read(
    lake: Lake,
    project: str,
    version: str,
    since: datetime,
    until: datetime,
    *,
    bins: Bins | None,
    sources: Sequence[str] = (REQUESTS,),
) -> Hours:
    """What services counted of a version in the hours that begin from ``since`` on and before ``until``, both aware.

    ``bins`` are those of the version's package. Recommendations are another source: they were chosen by the model
    and are no sample of what it is asked.
    """
    wanted = _Wanted(project, version, bins.digest if bins else "", sources)
    span = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (since, until)]
    with explained(lake.root), lake.connect() as connection:
        if not _bind(lake, connection, wanted, '"hour" >= ? and "hour" < ?', span):
            return Hours({}, 0)
        found = _sums(connection, '"hour"', bins)
        hours = {hour.replace(tzinfo=UTC): one for hour, one in found.items()}
        return Hours(hours, _left_out(connection))


def periods(lake: Lake, project: str, version: str, *, bins: Bins | None) -> dict[str, Counted]:
    """What runs over the population counted of a version, by the period's name, in order; each as scored last."""
    wanted = _Wanted(project, version, bins.digest if bins else "", (SCORES,))
    with explained(lake.root), lake.connect() as connection:
        if not _bind(lake, connection, wanted, "true", []):
            return {}
        connection.execute(
            "create or replace temp table _mine as select * from _mine"
            " qualify row_number() over (partition by period order by id desc) = 1"
        )
        return _sums(connection, "period", bins)


def windows(hours: Mapping[datetime, Counted], unit: str, zone: str = "UTC") -> dict[Span, Counted]:
    """Add hours up to the spans of a ``unit`` (``hour``, ``day``, or ``week`` from Monday) of the time zone ``zone``.

    An hour lies where it begins. The two that clocks go through in autumn are two spans.
    """
    found: dict[Span, Counted] = {}
    for hour, one in sorted(hours.items()):
        lies = span(unit, zone, hour)
        found[lies] = found[lies] + one if lies in found else one
    return found


def record(lake: Lake, connection: DuckDBPyConnection, of: Period, counted: Counted) -> None:
    """Put a period's counts into the lake; they take the place of what the version counted of it before."""
    bins = Bins.of(of.package)
    places = np.flatnonzero(counted.counts)
    row: dict[str, tuple[str, Any]] = {
        "id": ("varchar", uuid7()),
        "project": ("varchar", of.project),
        "source": ("varchar", SCORES),
        "version": ("varchar", of.version),
        "digest": ("varchar", of.package.digest),
        "period": ("varchar", of.name),
        "bins": ("varchar", bins.digest if bins else ""),
        "size": ("integer", len(counted.counts)),
        "hour": ("timestamp", of.time.replace(minute=0, second=0, microsecond=0)),
        "rows": ("bigint", counted.rows),
        "refused": ("bigint", counted.refused),
        "failed": ("bigint", counted.failed),
        "places": ("integer[]", places.tolist()),
        "counts": ("bigint[]", counted.counts[places].tolist()),
    }
    cells = ", ".join(f'cast(? as {kind}) as "{name}"' for name, (kind, _) in row.items())
    values = [value for _, value in row.values()]
    connection.execute(f"create or replace temp table _counted as select {cells}", values)
    lake.append(COUNTS, connection.sql("from _counted"), transaction=uuid7())


def _bind(
    lake: Lake, connection: DuckDBPyConnection, wanted: _Wanted, more: str, values: Sequence[Any]
) -> bool:
    """Make the tables ``_mine`` and ``_others``: of the bins wanted, and of other ones; False if there is nothing."""
    if not lake.exists(COUNTS):
        return False
    lake.bind(connection, COUNTS, as_="_counts")
    for name, same in (("_mine", "="), ("_others", "<>")):
        connection.execute(
            f"create or replace temp table {name} as select * from _counts where project = ? and version = ?"
            f" and bins {same} ? and list_contains(?, source) and {more}",
            [wanted.project, wanted.version, wanted.bins, list(wanted.sources), *values],
        )
    return True


def _sums(connection: DuckDBPyConnection, key: str, bins: Bins | None) -> dict[Any, Counted]:
    """The sums of ``_mine`` by a column, in its order."""
    connection.execute(
        f"create or replace temp table _placed as select *, dense_rank() over (order by {key}) - 1 as line from _mine"
    )
    numbers = connection.execute(
        f'select any_value({key}), sum("rows"), sum(refused), sum(failed) from _placed group by line order by line'
    ).fetchall()
    cells = connection.execute(
        """select line, place, cast(sum(n) as bigint) as n
        from (select line, unnest(places) as place, unnest(counts) as n from _placed) group by line, place"""
    ).fetchnumpy()
    whole = np.zeros((len(numbers), bins.size if bins else 0), np.int64)
    whole[cells["line"], cells["place"]] = cells["n"]
    return {
        start: Counted(int(rows), int(refused), int(failed), counts)
        for (start, rows, refused, failed), counts in zip(numbers, whole, strict=True)
    }


def _left_out(connection: DuckDBPyConnection) -> int:
    """Rows that were counted over other bins than those wanted."""
    found = connection.execute('select coalesce(sum("rows"), 0) from _others').fetchall()
    return int(found[0][0])
