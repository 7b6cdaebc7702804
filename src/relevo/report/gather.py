"""Gathering a week: from the ledger what was seen, decided and done, from the lake what was answered."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
from deltalake.exceptions import DeltaError

from relevo import clock, collect, outcomes, scores, trends, withheld
from relevo.errors import RelevoError
from relevo.findings import SEVERITIES, Finding
from relevo.journal import PREDICTIONS
from relevo.lake import explained
from relevo.lake.engine import first_line
from relevo.records import CHAMPION, WITHDRAW
from relevo.report.facts import Changed, Counted, Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.alarm import Alarm
    from relevo.definition import Definition
    from relevo.ledger import Ledger
    from relevo.records import Release, Window
    from relevo.report.weeks import Week
    from relevo.workspace import Workspace

LATE = timedelta(days=7)
"""A window that was looked at so much later than it ended belongs to the week in which it was looked at."""
_ALL = 100_000


def gather(definition: Definition, workspace: Workspace, week: Week) -> Facts:
    """Read all that is known of a week. What cannot be read is named in ``unread``, and the rest is there."""
    project, ledger = definition.name, workspace.ledger
    unread: list[str] = []
    answered: list[Counted] = []
    scored: list[Counted] = []
    reviews: list[dict[str, Any]] = []
    with _tolerated(unread):
        if workspace.logs.is_dir():
            collect.collect_all(workspace, report=unread.append)
    with _tolerated(unread):
        answered = _answered(workspace, project, week)
    with _tolerated(unread):
        scored = _scored(workspace, project, week)
    with _tolerated(unread):
        reviews = _reviews(workspace, project, week)
    windows = _windows(ledger, project, week)
    releases = ledger.releases(project)
    return Facts(
        project=project,
        description=definition.project.description,
        positive=definition.project.target.positive,
        metrics=list(dict.fromkeys([definition.project.monitor.metric, definition.project.metric])),
        week=week,
        over=clock.now() >= week.ended_at,
        champion=ledger.version(project, version) if (version := _champion(releases, week)) else None,
        answered=answered,
        scored=scored,
        windows=windows,
        reviews=reviews,
        changed=_changed(windows),
        alarms=_alarms(ledger, project, week),
        failed=[
            one
            for one in ledger.outbox.all(project, limit=_ALL)
            if one.status == "failed" and week.has(_moment(str(one.message.get("made_at") or one.due_at)))
        ],
        decisions=[
            d for d in reversed(ledger.watch.decisions(project, limit=_ALL)) if week.has(_moment(d.at))
        ],
        runs=[
            run
            for run in reversed(ledger.runs(project, limit=_ALL))
            if run.status != "watched" and week.has(_moment(run.finished_at or run.started_at))
        ],
        releases=[one for one in releases if week.has(_moment(one.released_at))],
        jobs=[
            job
            for job in ledger.agenda.jobs(project, limit=_ALL)
            if job.status == "failed" and week.has(_moment(job.finished_at or job.started_at))
        ],
        withheld=[
            str(decision.evidence["pieces"].get(piece, piece))
            for piece, decision in withheld.withheld(ledger, project, until=week.ended_at).items()
        ],
        trends=trends.of(ledger, project, until=week.ended_at, limits=trends.limits(workspace)),
        unread=unread,
    )


@contextmanager
def _tolerated(unread: list[str]) -> Iterator[None]:
    """Note what cannot be read, and go on: a damaged table is no reason to say nothing of the rest."""
    try:
        yield
    except (RelevoError, OSError, duckdb.Error, DeltaError) as error:
        unread.append(first_line(error))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _champion(releases: Sequence[Release], week: Week) -> str:
    moved = [r for r in releases if r.alias == CHAMPION and _moment(r.released_at) < week.ended_at]
    return moved[-1].version if moved and moved[-1].act != WITHDRAW else ""


def _answered(workspace: Workspace, project: str, week: Week) -> list[Counted]:
    lake = workspace.lake
    if not lake.exists(PREDICTIONS):
        return []
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, PREDICTIONS, as_="predictions")
        found = connection.execute(
            """select version, count(*), count(*) filter (decision) from predictions
               where project = ? and "at" >= ? and "at" < ? group by version order by min("at")""",
            [project, *(end.astimezone(UTC).replace(tzinfo=None) for end in (week.began_at, week.ended_at))],
        ).fetchall()
    return [Counted(version=version, rows=rows, positive=positive) for version, rows, positive in found]


def _scored(workspace: Workspace, project: str, week: Week) -> list[Counted]:
    lake, name = workspace.lake, scores.table_of(project)
    if not lake.exists(name):
        return []
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, name, as_="scores")
        found = connection.execute(
            f"""select _version, count(*), count(*) filter (_positive), {scores.PERIOD}, max(_scored_at)
                from scores group by _version, {scores.PERIOD} order by 4"""
        ).fetchall()
    return [
        Counted(version=version, rows=rows, positive=positive, period=str(period))
        for version, rows, positive, period, at in found
        if week.has(_moment(at))
    ]


def _reviews(workspace: Workspace, project: str, week: Week) -> list[dict[str, Any]]:
    """The reviews that were made in the week."""
    lake, name = workspace.lake, outcomes.reviews_of(project)
    if not lake.exists(name):
        return []
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, name, as_="reviews")
        found = connection.execute(f"select {scores.PERIOD}, reviewed_at from reviews").fetchall()
    fresh = {period for period, at in found if week.has(_moment(at))}
    return [one for one in outcomes.read(lake, project) if one["period"] in fresh]


def _windows(ledger: Ledger, project: str, week: Week) -> list[Window]:
    every = ledger.watch.windows(project, looked_since=week.began_at, limit=_ALL)
    return sorted((one for one in every if _belongs(one, week)), key=lambda one: (one.began_at, one.number))


def _belongs(window: Window, week: Week) -> bool:
    """Whether a window ended in the week; of one that was looked at much later, whether that was in it."""
    ended, looked = _moment(window.ended_at), _moment(window.made_at)
    if looked - ended > LATE:
        return week.has(looked)
    return week.began_at < ended <= week.ended_at


def _changed(windows: Sequence[Window]) -> list[Changed]:
    found: dict[str, Changed] = {}
    for window in windows:
        for data in window.findings:
            one = Finding.of_json(data)
            known = found.get(one.signal)
            times = known.times + 1 if known is not None else 1
            if known is None or _rank(one) <= _rank(known.finding):
                found[one.signal] = Changed(finding=one, window=window, times=times)
            else:
                found[one.signal] = Changed(finding=known.finding, window=known.window, times=times)
    return sorted(found.values(), key=lambda one: _rank(one.finding))


def _rank(finding: Finding) -> tuple[int, float, float]:
    """Worst first: by severity, by how unlikely it is, and by how much was moved."""
    p = finding.p if finding.p is not None else 0.0
    return SEVERITIES.index(finding.severity), p, -abs((finding.value or 0.0) - (finding.expected or 0.0))


def _alarms(ledger: Ledger, project: str, week: Week) -> list[Alarm]:
    """The alerts as they were when the week ended: those that were not over, and those to which something happened."""
    found = []
    for alarm in ledger.alerts.all(project, resolved=True, limit=_ALL):
        until = [event for event in alarm.events if _moment(event.at) < week.ended_at]
        if not until:
            continue
        alarm = type(alarm)(alarm.alert, tuple(until))  # noqa: PLW2901 - as it was when the week ended
        if alarm.state != "resolved" or any(week.has(_moment(event.at)) for event in until):
            found.append(alarm)
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.alert.opened_at))
