"""``jobs``: what is scheduled next, and what ran."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relevo import clock
from relevo.cli.output import document, say, table
from relevo.cli.tasks import tasks_in
from relevo.cli.up import told
from relevo.definition import load
from relevo.ledger.agenda import RUNNING
from relevo.scheduler.due import upcoming
from relevo.scheduler.loop import SCHEDULE
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Job


def jobs(folder: Path, limit: int, *, json: bool) -> None:
    """List the tasks and the newest jobs."""
    project = load(folder).project
    workspace = Workspace.open(folder, create=False)
    agenda = workspace.ledger.agenda
    tasks = [upcoming(task, clock.now()) for task in tasks_in(workspace, project, serving=True)]
    found = agenda.jobs(project.name, limit)
    lease = agenda.lease(project.name, SCHEDULE)
    if json:
        scheduler = asdict(lease) if lease else None
        document(
            {
                "project": project.name,
                "scheduler": scheduler,
                "tasks": tasks,
                "jobs": [asdict(job) for job in found],
            }
        )
        return
    if lease is None:
        say(t("Nobody schedules {project}. Type: relevo up", project=project.name))
    else:
        say(
            t(
                "{holder} schedules {project}, until {until} at least.",
                holder=lease.holder,
                project=project.name,
                until=lease.until[:19],
            )
        )
    say()
    table([t("task"), t("when")], [[task["name"], told(task, workspace.project)] for task in tasks])
    if found:
        say()
        columns = [t("job"), t("due"), t("status"), t("attempt"), t("took"), t("error")]
        table(columns, [_row(job) for job in found])


def _row(job: Job) -> list[Any]:
    return [
        job.name,
        job.due_at[:19].replace("T", " "),
        job.status,
        job.attempt or "",
        _took(job),
        job.error[:200],
    ]


def _took(job: Job) -> str:
    if job.status == RUNNING:
        began = datetime.fromisoformat(job.started_at)
        return t("{seconds:,.0f} s so far", seconds=max(0.0, (clock.now() - began).total_seconds()))
    return f"{job.facts['seconds']:,.1f} s" if "seconds" in job.facts else ""
