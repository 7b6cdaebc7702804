"""Predictions beside their outcomes, window by window, out of the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from relevo import clock, labels
from relevo.casting import literal
from relevo.performance import Answered
from relevo.spans import spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.contract import Contract
    from relevo.lake import Lake
    from relevo.spans import Span

_DAY = 86_400_000_000
"""In microseconds."""


def windows(
    lake: Lake,
    project: str,
    request: Contract,
    *,
    version: str,
    since: datetime,
    until: datetime,
    unit: str,
    timezone: str = "UTC",
    slices: Sequence[str] = (),
) -> Iterator[tuple[Span, Answered]]:
    """A version's predictions from ``since`` until just before ``until``, by hours, days or weeks of a time zone.

    Each window that has a prediction comes once, in order, whole or cut by the ends of the time; predictions without
    an outcome are in it. ``slices`` are fields of the request, by name. The columns of one window are in memory at a
    time, the rest is DuckDB's, on the disk where it has to be.
    """
    with lake.connect() as connection:
        _join(connection, lake, project, request, version, since, until, slices)
        query = 'select min("at"), max("at") from answered'
        ((first, last),) = connection.execute(query).fetchall()
        if first is None:
            return
        begin, end = max(since, first.replace(tzinfo=UTC)), min(until, last.replace(tzinfo=UTC))
        now = clock.now()
        for span in spans(unit, timezone, begin, until):
            if span.began_at > end:
                return
            found = _read(connection, span, slices, now)
            if len(found.outcome):
                yield span, found


def _join(
    connection: DuckDBPyConnection,
    lake: Lake,
    project: str,
    request: Contract,
    version: str,
    since: datetime,
    until: datetime,
    slices: Sequence[str],
) -> None:
    """Make the table ``answered``: a row for each prediction of the time, with its outcome where it is known."""
    labels.current(connection, lake, project, request).create_view("told")
    known = {field.name: field for field in request.fields}
    shown = "".join(
        f", {labels.cell('p.request', name, known.get(name))} as {_slice(place)}"
        for place, name in enumerate(slices)
    )
    connection.execute(
        f"""create or replace temp table answered as
        select p."at", p.probability, p.decision, told.outcome, told.received_at{shown}
        from _predictions p left join told using (id)
        where p.version = {literal(version)} and p."at" >= ? and p."at" < ? order by p."at", p.id""",
        [_naive(since), _naive(until)],
    )


def _read(connection: DuckDBPyConnection, span: Span, slices: Sequence[str], now: datetime) -> Answered:
    rows = connection.execute(
        'select * from answered where "at" >= ? and "at" < ?', [_naive(span.began_at), _naive(span.ended_at)]
    ).fetchnumpy()
    at = np.asarray(rows["at"], "datetime64[us]")
    told = np.ma.filled(np.ma.asarray(rows["received_at"]).astype("datetime64[us]"), np.datetime64("NaT"))
    outcome = np.ma.filled(np.ma.asarray(rows["outcome"]).astype(np.float64), np.nan)
    return Answered(
        probability=np.asarray(rows["probability"], np.float64),
        decision=np.asarray(rows["decision"], bool),
        outcome=outcome,
        age=_days(np.subtract(np.datetime64(_naive(now), "us"), at)),
        delay=_days(np.subtract(told, at)),
        slices={name: np.ma.asarray(rows[_slice(place)]).tolist() for place, name in enumerate(slices)},
    )


def _days(time: NDArray[np.timedelta64]) -> NDArray[np.float64]:
    """NaN where there is no time."""
    return np.where(np.isnat(time), np.nan, time.astype(np.int64) / _DAY)


def _slice(place: int) -> str:
    return f"slice_{place}"


def _naive(moment: datetime) -> datetime:
    """A moment as the lake writes it: in UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
