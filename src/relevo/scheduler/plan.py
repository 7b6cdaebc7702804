"""What a project wants done, asked of a short-lived process that loads ``project.py``, and again when it changes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import leash
from relevo.errors import WorkspaceError
from relevo.scheduler.task import Task
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 30.0  # seconds that loading a project may take
_STATES = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Planned:
    """A project's name and its tasks."""

    project: str
    tasks: tuple[Task, ...]


class Plan:
    """Reads a project's tasks; ``changed`` says when to read them again. ``serving``: a service runs beside."""

    def __init__(self, folder: Path, *, serving: bool) -> None:
        self._folder = folder
        self._command = [
            sys.executable,
            "-m",
            "relevo.cli.tasks",
            str(folder),
            *(["--serving"] if serving else []),
        ]
        self._read: _STATES = {}

    def read(self) -> Planned:
        """Load the project in a process; raises ``WorkspaceError`` with what that said when it cannot be loaded."""
        self._read = dict(self._states())
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                self._command,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                env=leash.held(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkspaceError(
                t(
                    "{folder}: loading project.py took longer than {seconds:.0f} s.",
                    folder=self._folder,
                    seconds=_PATIENCE,
                )
            ) from error
        if done.returncode:
            raise WorkspaceError(
                done.stderr.strip()[-4096:] or t("It ended with exit code {code}.", code=done.returncode)
            )
        found = json.loads(done.stdout)
        return Planned(found["project"], tuple(Task.from_json(task) for task in found["tasks"]))

    def changed(self) -> bool:
        """Whether the project's Python files or its settings are others than were read."""
        return dict(self._states()) != self._read

    def _states(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for path in sorted([*self._folder.glob("*.py"), *self._folder.glob("relevo.toml")]):
            try:
                stat = path.stat()
            except OSError:  # gone since
                continue
            yield path.name, (stat.st_size, stat.st_mtime_ns)
