"""Bringing logged predictions into the lake: another process does it, so that this one stays small."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import journal, taken
from relevo.errors import RelevoError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.journal import Journal
    from relevo.workspace import Workspace

_NICE = 10  # where the system has no idle class
_PAUSE = 5.0  # seconds between two looks for complete segments
_LONGEST = 300.0
PATIENCE = 120.0
"""Seconds that the last collection may take when the service stops."""
_log = logging.getLogger(__name__)


def backlog(folder: Path) -> int:
    """Bytes that are logged and not yet in the lake."""
    total = 0
    for path in folder.glob("*.jsonl"):
        with suppress(FileNotFoundError):  # collected this moment
            total += path.stat().st_size
    return total


def collector_of(workspace: Workspace, journals: Sequence[Journal] = ()) -> Collector | Leaving:
    """What becomes of the complete segments of this service's journals."""
    if workspace.own != workspace.root:
        return Clearing(workspace, journals)
    return (Collector if workspace.settings.serve.collect else Leaving)(workspace, journals)


class Collector:
    """Starts ``relevo collect`` whenever a segment of the journals is complete.

    It works when nobody else wants the processor; only at the end, when it is waited for, as others do. Of
    several workers one has the ``lead``; the others only end the segments that are old.
    """

    def __init__(self, workspace: Workspace, journals: Sequence[Journal] = ()) -> None:
        self._workspace = workspace
        self._journals = journals
        self.lead = True
        self._child: subprocess.Popen[bytes] | None = None
        self._pause = _PAUSE
        self._next = 0.0

    def tick(self) -> None:
        """Look whether there is something to collect, at most every few seconds; less often while it fails."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            self._pause = _PAUSE if code == 0 else min(2 * self._pause, _LONGEST)
            self._next = time.monotonic() + self._pause
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._pause
        for open_journal in self._journals:
            open_journal.roll()
        if self.lead and self._waiting():
            self._child = self._spawn()
            idle(self._child.pid)

    def finish(self) -> None:
        """Collect what the closed journals left, and wait for it."""
        self.wait()
        if self._waiting():
            self._wait(self._spawn())

    def wait(self) -> None:
        """Wait for what is being collected; another process does it where this one may not be hurried."""
        child = self._child
        if child is None:
            return
        if not hurry(child.pid) and child.poll() is None:
            child.kill()  # what it has not brought in yet, the next one does
            child.wait()
            child = self._spawn()
        self._wait(child)

    def _waiting(self) -> bool:
        try:
            return any(self._left(stream) for stream in journal.STREAMS)
        except RelevoError as error:
            _log.error("%s", error)
        return False

    def _left(self, stream: str) -> bool:
        with closing(journal.closed(self._workspace.logs, stream)) as segments:
            return next(segments, None) is not None

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "relevo", "collect", str(self._workspace.project)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - our own

    @staticmethod
    def _wait(child: subprocess.Popen[bytes]) -> None:
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _log.warning(
                "%s",
                t("Collecting the predictions takes long; process {pid} goes on with it.", pid=child.pid),
            )


class Leaving:
    """Leaves complete segments to whoever collects, who is elsewhere and waits for nobody.

    It has ``Collector``'s methods.
    """

    def __init__(self, workspace: Workspace, journals: Sequence[Journal] = ()) -> None:
        self._workspace = workspace
        self._journals = journals
        self.lead = True
        self._next = 0.0

    def tick(self) -> None:
        """End segments that are old, every few seconds, and see to those that are complete."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        for open_journal in self._journals:
            open_journal.roll()
        if self.lead:
            self.finish()

    def finish(self) -> None:
        """They stay where they are."""

    def wait(self) -> None:
        """Nothing is collected here."""


class Clearing(Leaving):
    """Removes segments that another process has brought into the lake: the service only reads the workspace."""

    def finish(self) -> None:
        """Remove what was taken."""
        try:
            for stream in journal.STREAMS:
                for segment in journal.closed(self._workspace.logs, stream):
                    if taken.is_marked(self._workspace.root, segment.name) or not segment.bytes:
                        segment.remove()
        except RelevoError as error:
            _log.error("%s", error)


def idle(pid: int) -> None:
    """Let a process work only when nobody else wants the processor."""
    with suppress(OSError):  # it is gone already
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)


def hurry(pid: int) -> bool:
    """Let a process and its threads work as others do; False where the system does not allow that, or it is gone."""
    if not hasattr(os, "SCHED_IDLE"):
        return True
    try:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        for thread in Path(
            f"/proc/{pid}/task"
        ).iterdir():  # those that were begun while it was idle are so too
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        return False
    return True
