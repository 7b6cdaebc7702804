"""``python -m relevo.cli.scheduler PROJECT HOLDER [--serving]``: the scheduler's own process, which ``up`` starts.

It says what it is about in JSON lines on standard output, of which the first means that it is ready.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import clock, leash
from relevo.errors import LedgerError, RelevoError, WorkspaceError

if TYPE_CHECKING:
    from relevo.scheduler.loop import Scheduler
    from relevo.scheduler.plan import Plan, Planned
    from relevo.workspace import Workspace

_log = logging.getLogger(__name__)


class _Process:
    """Keeps the scheduler's tasks those of the project, and tells the parent what changed."""

    def __init__(self, workspace: Workspace, plan: Plan, planned: Planned, scheduler: Scheduler) -> None:
        self._workspace = workspace
        self._plan = plan
        self._planned = planned
        self._scheduler = scheduler
        self._parent = os.getppid()
        self._told: tuple[bool, Planned] | None = None
        self.stopping = False

    def go_on(self) -> bool:
        """Look after each tick whether the project changed; false when it is time to end."""
        if self.stopping or os.getppid() != self._parent:
            return False
        if self._plan.changed():
            try:
                self._planned = self._plan.read()
                self._scheduler.replace(self._planned.tasks)
            except RelevoError as error:
                _log.error("%s", error)
        if self._told != (self._scheduler.leads, self._planned):
            self._told = self._scheduler.leads, self._planned
            self._tell()
        return True

    def _tell(self) -> None:
        from relevo.scheduler.due import upcoming
        from relevo.scheduler.loop import SCHEDULE

        project = self._planned.project
        lease = None
        if not self._scheduler.leads:
            with suppress(LedgerError):  # the tick has told what is wrong
                lease = self._workspace.ledger.agenda.lease(project, SCHEDULE)
        document = {
            "project": project,
            "leads": self._scheduler.leads,
            "holder": lease.holder if lease else "",
            "tasks": [upcoming(task, clock.now()) for task in self._planned.tasks],
        }
        with suppress(OSError):  # nobody listens any more
            sys.stdout.write(json.dumps(document) + "\n")
            sys.stdout.flush()


def main() -> int:
    """Schedule until SIGTERM; returns the exit code."""
    leash.fasten()
    from relevo.scheduler.loop import Scheduler
    from relevo.scheduler.plan import Plan, Planned
    from relevo.workspace import Workspace

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("relevo").setLevel(logging.INFO)
    folder, holder = Path(sys.argv[1]).absolute(), sys.argv[2]
    try:
        workspace = Workspace.open(folder)
        plan = Plan(folder, serving="--serving" in sys.argv)
        try:
            planned = plan.read()
            workspace.remember(planned.project)
        except WorkspaceError as error:
            planned = Planned(_known(workspace, error), ())
            _log.error("%s", error)
        scheduler = Scheduler(workspace, planned.project, holder, planned.tasks)
        process = _Process(workspace, plan, planned, scheduler)
        scheduler.run(process.go_on, _signals(process))
    except RelevoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _known(workspace: Workspace, error: WorkspaceError) -> str:
    """The project that ran here before; raises ``error`` when none did."""
    try:
        return workspace.project_name()
    except RelevoError:
        raise error from None


def _signals(process: _Process) -> int:
    """End in order on SIGTERM and SIGINT; returns a descriptor that they make readable."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)

    def stop(*_: object) -> None:
        process.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


if __name__ == "__main__":
    sys.exit(main())
