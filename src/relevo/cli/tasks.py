"""``python -m relevo.cli.tasks PROJECT [--serving]``: loads a project and prints its tasks, for the scheduler.

In a process of its own, since what loads a project would stay in memory.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relevo.project import Project
    from relevo.scheduler.task import Task
    from relevo.workspace import Workspace


def tasks_in(workspace: Workspace, project: Project, *, serving: bool) -> list[Task]:
    """List the tasks of a project in its workspace."""
    from relevo.scheduler.tasks import tasks_of

    place = workspace.settings.lake or str(workspace.root / "lake")
    lake = workspace.project / place
    settings = workspace.settings
    collects = serving and settings.serve.collect
    return tasks_of(project, workspace.project, settings.up, lake=lake, serving=collects)


def main() -> None:
    """Print the project's name and its tasks as JSON."""
    from relevo import leash
    from relevo.cli.output import guarded

    leash.fasten()
    with guarded():
        from relevo.definition import load
        from relevo.workspace import Workspace

        with redirect_stdout(sys.stderr):  # what project.py prints is not ours to read
            project = load(Path(sys.argv[1])).project
        workspace = Workspace.open(Path(sys.argv[1]))
        found = tasks_in(workspace, project, serving="--serving" in sys.argv)
        sys.stdout.write(json.dumps({"project": project.name, "tasks": [task.to_json() for task in found]}))


if __name__ == "__main__":
    main()
