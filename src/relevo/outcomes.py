"""Outcomes: former scores judged by what happened, one review for each period, in ``reviews/<project>``."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import digest as digests
from relevo import review as reviewing
from relevo.casting import SQL_TYPES
from relevo.ids import uuid7
from relevo.lake import explained, literal, running
from relevo.performance import Answered
from relevo.records import now
from relevo.scores import PERIOD, table_of
from relevo.sql import quote
from relevo.sql.plan import TIME
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.records import Snapshot

SCORED = ("_version", "_rule", "_scored_at", "_hindsight", "_inputs")


@dataclass(frozen=True)
class _Period:
    """The scores of a period that can be judged."""

    name: str
    time: datetime
    scored: Mapping[str, Any]
    identity: str


def reviews(place: Path | str | Workspace) -> list[dict[str, Any]]:
    """List what became of the scores of each period that has come, in order of time.

    ``place`` is a project's folder or workspace. Each review has ``period``, ``version``, ``rule``,
    ``scored_at``, ``hindsight``, ``rows``, ``outcomes``, ``missed``, ``positive``, ``model`` and ``naive``
    (metrics with ``value``, ``low`` and ``high``), their ``difference`` in F1, and ``segments``.
    """
    workspace = place if isinstance(place, Workspace) else Workspace.open(Path(place), create=False)
    return read(workspace.lake, workspace.project_name())


def read(lake: Lake, project: str) -> list[dict[str, Any]]:
    """The reviews of a project in the lake."""
    name = reviews_of(project)
    if not lake.exists(name):
        return []
    with lake.connect() as connection:
        lake.bind(connection, name, as_="reviews")
        found = connection.execute(f"select figures from reviews order by _time, {PERIOD}").fetchall()
    return [json.loads(figures) for (figures,) in found]


def reviews_of(project: str) -> str:
    """Name of the lake table with a project's reviews."""
    return f"reviews/{project}"


def judge(
    definition: Definition,
    lake: Lake,
    clean: Mapping[str, Snapshot],
    *,
    tell: Callable[[str], None] = lambda text: None,  # noqa: ARG005 - silent unless someone listens
) -> int:
    """Judge each scored period that has outcomes, or is followed by some; gives how many were judged anew.

    A period is judged again only when its scores or its outcomes changed; its new review takes the place
    of the old one.
    """
    outcomes, wanted = definition.outcomes, definition.project.population
    scores = table_of(definition.name)
    if outcomes is None or wanted is None or not lake.exists(scores):
        return 0
    if not set(definition.request.names) <= set(lake.columns(scores)):
        tell(t("The request has other fields than its former scores, which cannot be judged any more."))
        return 0
    with _opened(definition, lake, clean) as connection:
        before = {row["period"]: row["identity"] for row in read(lake, definition.name)}
        periods = _periods(connection)
        fresh = [period for period in periods if before.get(period.name) != period.identity]
        for period in fresh:
            found = _judge(connection, definition, period)
            _record(lake, connection, definition.name, period, found)
            tell(told(found))
    return len(fresh)


@contextmanager
def _opened(
    definition: Definition, lake: Lake, clean: Mapping[str, Snapshot]
) -> Iterator[DuckDBPyConnection]:
    """Open a connection that sees the scores as ``_scores`` and what happened as ``_outcomes``."""
    outcomes, wanted = definition.outcomes, definition.project.population
    assert outcomes is not None
    assert wanted is not None
    with explained(lake.root), lake.connect() as connection:
        for name, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
        lake.bind(connection, table_of(definition.name), as_="_scores")
        fields = definition.request.fields
        listed = ", ".join(
            f"cast({quote(field.name)} as {SQL_TYPES[field.type]}) as {quote(field.name)}" for field in fields
        )
        with running(outcomes.file):
            connection.execute(
                f"create temp table _outcomes as select distinct {listed},"
                f" cast({quote(wanted.time)} as timestamp) as {quote(TIME)} from (\n{outcomes.sql}\n)"
            )
        yield connection


def answered(
    definition: Definition, lake: Lake, clean: Mapping[str, Snapshot]
) -> Iterator[tuple[str, datetime, str, Answered]]:
    """The scores of each period in order of time, with what happened: its name, time, version and rows.

    ``outcome`` is unknown throughout a period that no outcome has followed yet. Outcomes that were not in the
    population have no score and are in no window; ``judge`` counts them as missed. Segments are the slices. One
    period's rows are in memory at a time. Without outcomes or scores, or when the request has other fields than
    these, there are none.
    """
    scores = table_of(definition.name)
    if definition.outcomes is None or definition.project.population is None or not lake.exists(scores):
        return
    if not set(definition.request.names) <= set(lake.columns(scores)):
        return
    with _opened(definition, lake, clean) as connection:
        periods = connection.execute(
            f"""select {PERIOD}, any_value({TIME}), any_value(_version),
                any_value({TIME}) <= (select max({TIME}) from _outcomes)
            from _scores group by {PERIOD} order by 2"""
        ).fetchall()
        for name, time, version, came in periods:
            rows, segments = _rows(connection, definition, name)
            happened = np.asarray(rows["_truth"], np.float64)
            yield (
                name,
                time,
                version,
                Answered(
                    probability=np.asarray(rows["_probability"], np.float64),
                    decision=np.asarray(rows["_positive"], bool),
                    outcome=happened if came else np.full(len(happened), np.nan),
                    slices={one: rows[f"_segment_{one}"].tolist() for one in segments},
                ),
            )


def _periods(connection: DuckDBPyConnection) -> list[_Period]:
    """The scored periods whose outcomes are there: some row is of that time or later."""
    scored = ", ".join(f"any_value({name})" for name in SCORED)
    found = connection.execute(
        f"""select {PERIOD}, any_value({TIME}), {scored} from _scores group by {PERIOD}
        having any_value({TIME}) <= (select max({TIME}) from _outcomes) order by 2"""
    ).fetchall()
    counted = {
        time: (rows, str(content))
        for time, rows, content in connection.execute(
            f"select {TIME}, count(*), sum(hash(o)) from _outcomes o group by {TIME}"
        ).fetchall()
    }
    periods = []
    for name, time, *values in found:
        row = dict(zip(SCORED, values, strict=True))
        content = [name, row, counted.get(time), reviewing.VERSION]
        periods.append(_Period(name, time, row, digests.of_json(content)))
    return periods


def _judge(connection: DuckDBPyConnection, definition: Definition, period: _Period) -> dict[str, Any]:
    rows, segments = _rows(connection, definition, period.name)
    same = _same(definition)
    ((missed,),) = connection.execute(
        f"""select count(*) from _outcomes o where o.{TIME} = ? and not exists
        (select 1 from _scores s where s.{PERIOD} = {literal(period.name)} and {same})""",
        [period.time],
    ).fetchall()
    ruled = not np.ma.getmaskarray(rows["_naive"]).any()
    seen = reviewing.Seen(
        np.asarray(rows["_probability"], np.float64),
        np.asarray(rows["_positive"], bool),
        np.asarray(rows["_naive"], bool) if ruled else None,
        np.asarray(rows["_truth"], bool),
        int(missed),
        {name: rows[f"_segment_{name}"].tolist() for name in segments},
    )
    plain = reviewing.judge(seen).to_json()
    apart = reviewing.by_segment(seen)
    return {
        "period": period.name,
        "identity": period.identity,
        "version": period.scored["_version"],
        "rule": period.scored["_rule"],
        "scored_at": period.scored["_scored_at"],
        "hindsight": period.scored["_hindsight"],
        **plain,
        "segments": {
            name: {value: judged.to_json() for value, judged in values.items()}
            for name, values in apart.items()
        },
    }


def _rows(
    connection: DuckDBPyConnection, definition: Definition, period: str
) -> tuple[dict[str, Any], list[str]]:
    """The scores of a period beside what happened, as columns, and the names of its segments."""
    population = definition.project.population
    assert population is not None
    known = {row[0] for row in connection.execute("describe _scores").fetchall()}
    segments = [name for name in population.segments if name in known and name != population.time]
    shown = "".join(f", s.{quote(name)} as {quote(f'_segment_{name}')}" for name in segments)
    rows = connection.execute(
        f"""select s._probability, s._positive, s._naive, o.{TIME} is not null as _truth{shown}
        from _scores s left join _outcomes o on {_same(definition)} where s.{PERIOD} = {literal(period)}"""
    ).fetchnumpy()
    return rows, segments


def _same(definition: Definition) -> str:
    """SQL: the outcome ``o`` is of what the score ``s`` is of."""
    return " and ".join(
        f"o.{quote(name)} is not distinct from s.{quote(name)}" for name in (*definition.request.names, TIME)
    )


def _record(
    lake: Lake, connection: DuckDBPyConnection, project: str, period: _Period, found: Mapping[str, Any]
) -> None:
    model, rule = found["model"]["f1"], (found["naive"] or {}).get("f1", {})
    connection.execute(
        "create or replace temp table _review (_time timestamp, version varchar, rule varchar, rows bigint,"
        " outcomes bigint, missed bigint, positive bigint, f1 double, f1_low double, f1_high double,"
        f" naive_f1 double, figures varchar, reviewed_at varchar, {PERIOD} varchar)"
    )
    values = [
        period.time,
        *(found[name] for name in ("version", "rule", "rows", "outcomes", "missed", "positive")),
        *(model[name] for name in ("value", "low", "high")),
        rule.get("value"),
        json.dumps(found),
        now(),
        period.name,
    ]
    connection.execute(f"insert into _review values ({', '.join('?' * len(values))})", values)
    lake.replace_part(
        reviews_of(project),
        connection.sql("from _review"),
        column=PERIOD,
        value=period.name,
        transaction=uuid7(),
    )


def told(found: Mapping[str, Any]) -> str:
    """A review as one line."""
    f1 = found["model"]["f1"]
    text = t(
        "{period}, {version}, {rule}: F1 {value:.3f} [{low:.3f}, {high:.3f}], {positive:,} of {rows:,} named,"
        " {outcomes:,} came true",
        period=found["period"],
        version=found["version"],
        rule=found["rule"],
        positive=found["positive"],
        rows=found["rows"],
        outcomes=found["outcomes"],
        **{name: float("nan") if f1[name] is None else f1[name] for name in ("value", "low", "high")},
    )
    if found["missed"]:
        text += t("; {missed:,} of them were not in the population", missed=found["missed"])
    if found["naive"]:
        gap = {n: float("nan") if v is None else v for n, v in found["difference"].items()}
        text += t(
            "; the rule of thumb {naive:.3f}, difference {value:+.3f} [{low:+.3f}, {high:+.3f}]",
            naive=found["naive"]["f1"]["value"],
            **gap,
        )
    if found["hindsight"]:
        text += t("; scored when outcomes were known already")
    return text
