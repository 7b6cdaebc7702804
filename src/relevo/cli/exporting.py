"""What ``relevo export`` does: make the texts of an engine's files, write them, and tell what became of each."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relevo import durations
from relevo.cli.output import REFUSED, document, say, table
from relevo.cli.tasks import tasks_in
from relevo.definition import load
from relevo.export import airflow as airflow_
from relevo.export import write
from relevo.scheduler.task import Cron
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.scheduler.task import Task


def airflow(folder: Path, to: Path, at: str, *, force: bool, json: bool) -> None:
    """Write the DAG file and its module."""
    definition = load(folder)
    files = dags(definition, folder=folder, at=at or str(folder.absolute()))
    put(files, to, engine=f"airflow {definition.name}", force=force, json=json)


def dags(definition: Definition, *, folder: Path, at: str) -> dict[str, str]:
    """The DAG file and its module, for workers that find the project at the path ``at``."""
    workspace = Workspace.open(folder)
    tasks = {task.name: task for task in tasks_in(workspace, definition.project, serving=True)}
    times = airflow_.Times(
        run=crons(tasks.get("run")),
        monitor=crons(tasks.get("monitor")),
        timezone=definition.project.monitor.timezone,
        tries=workspace.settings.up.tries,
        timeout=durations.parse(workspace.settings.up.timeout),
    )
    return airflow_.files(definition, folder=at, times=times)


def crons(task: Task | None) -> tuple[str, ...]:
    """The times of a task of ``relevo up`` that are cron's."""
    return tuple(when.expression for when in task.whens if isinstance(when, Cron)) if task else ()


def put(
    files: Mapping[str, str],
    to: Path,
    *,
    engine: str,
    force: bool,
    json: bool,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write an engine's files and tell what became of each; exit code 3 when one was edited, and nothing written.

    ``facts`` are told beside it in the JSON document.
    """
    done = write(files, to, engine=engine, force=force)
    refused = any(one.state == "edited" and one.path in files for one in done)
    if json:
        document(
            {
                "folder": str(to.absolute()),
                "written": not refused,
                "files": [asdict(one) for one in done],
                **(facts or {}),
            }
        )
    else:
        states = {
            "new": t("new"),
            "unchanged": t("unchanged"),
            "updated": t("updated"),
            "removed": t("removed"),
            "edited": t("edited by hand"),
            "replaced": t("replaced; yours is kept as NAME.orig"),
        }
        table([t("file"), t("what became of it")], [[one.path, states[one.state]] for one in done])
        for one in done:
            if one.diff:
                say(f"\n{one.diff.rstrip()}")
    if refused:
        if not json:
            say(
                "\n"
                + t(
                    "Nothing was written, for a file was edited by hand. Take the changes over yourself, write to"
                    " another folder, or type --force: yours is then kept as NAME.orig."
                )
            )
        sys.exit(REFUSED)
