"""The table of commands: what is done for a project without a person, and when."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import durations
from relevo.errors import Mistake, ProjectError
from relevo.scheduler.due import refuse
from relevo.scheduler.task import RUN, Appears, Cron, Every, Task
from relevo.sources import Files, Folder
from relevo.texts import t
from relevo.upkeep import bytes_of

if TYPE_CHECKING:
    from relevo.project import Project
    from relevo.scheduler.task import When
    from relevo.upkeep import UpSettings

MINUTE = 60.0
REFUSED = 3
"""Exit code of a run whose model the gate refused: a result, no failure."""
_WINDOWS = {"hour": "5 * * * *", "day": "5 0 * * *", "week": "5 0 * * 1"}
"""Five minutes after a window ends: what was answered last is in the lake by then."""
_LABELS = "labels/_delta_log/*.json"
_PATIENCE = 3600.0  # seconds between two jobs for labels that come all the time, and two first runs


def tasks_of(
    project: Project, folder: Path, settings: UpSettings, *, lake: Path, serving: bool
) -> list[Task]:
    """List a project's tasks. ``lake`` is its lake's folder.

    With ``serving`` the service collects what it logs. Raises ``ProjectError`` for a time that is none.
    """
    zone = project.monitor.timezone
    data = _patterns(project, folder)
    windows: list[When] = [Cron(_WINDOWS[unit], zone) for unit in project.monitor.windows if unit in _WINDOWS]
    if data:
        windows.append(Appears(data))
    windows.append(Appears((str(lake / _LABELS),), pause=_PATIENCE, name=t("labels")))
    own = tuple(str(Path(glob.escape(str(folder))) / pattern) for pattern in ("*.py", "*.sql"))
    begun: list[When] = [Appears((*data, *own), each=True)]  # what made it fail may be mended in the project
    if not data:  # nothing tells when a database or a service has rows
        begun.append(Every(_PATIENCE))
    schedule = project.retrain.schedule if project.retrain is not None else ""
    table: list[tuple[str, str, list[When], str, str, tuple[int, ...]]] = [
        # name, command, when, what it needs, group, exit codes that are fine
        ("first run", "run", begun, "no champion", RUN, (0, REFUSED)),
        ("run", "run", _cron(schedule, zone, "Retrain.schedule"), "champion", RUN, (0, REFUSED)),
        ("collect", "collect", [] if serving else [Every(MINUTE)], "journal", "", (0,)),
        ("monitor", "monitor", windows, "champion", RUN, (0,)),
        ("cases", "cases", _cron(settings.cases, zone, "up.cases"), "champion", "", (0,)),
        ("deliver", "deliver", [Every(MINUTE)], "deliveries", "", (0,)),
        ("report", "report", _cron(settings.report, zone, "up.report"), "champion", "", (0,)),
    ]
    return [
        Task(
            name=name,
            command=("-m", "relevo", command, str(folder)),
            whens=tuple(whens),
            needs=needs,
            group=group,
            fine=fine,
            tries=settings.tries,
            timeout=durations.parse(settings.timeout).total_seconds(),
            memory_limit=bytes_of(settings.memory_limit) if settings.memory_limit else 0,
        )
        for name, command, whens, needs, group, fine in table
        if whens
    ]


def _cron(expression: str, zone: str, field: str) -> list[When]:
    if not expression:
        return []
    when = Cron(expression, zone)
    if problem := refuse(when):
        file = "relevo.toml" if field.startswith("up.") else "project.py"
        raise ProjectError([Mistake(file, field, problem, t("Leave it empty for never."))])
    return [when]


def _patterns(project: Project, folder: Path) -> tuple[str, ...]:
    """The absolute patterns of the tables that are read from files."""
    found = []
    for table in project.tables:
        if isinstance(table.source, Files | Folder):
            files = table.source.files if isinstance(table.source, Folder) else table.source
            written = Path(files.pattern).expanduser()
            found.append(str(written if written.is_absolute() else Path(glob.escape(str(folder))) / written))
    return tuple(found)
