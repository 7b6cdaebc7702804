"""A scheduler in this process, with tasks that are tiny real commands."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relevo.scheduler.loop import Scheduler
from relevo.scheduler.task import Task
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relevo.records import Job
    from relevo.scheduler.task import When

PROJECT = "flights"
MONDAY = datetime(2031, 5, 5, 12, tzinfo=UTC)
SETTINGS = "[up]\npoll = 0.1\nlease = 60\nfarewell = '1s'\n"
HELLO = "print('hello')"
PATIENCE = 180.0
"""Seconds for a job: it has a low priority, and the machine may have other work."""


def python(code: str, *whens: When, name: str = "task", **options: Any) -> Task:
    """A task that runs a line of Python."""
    return Task(name=name, command=("-c", code), whens=whens, **options)


def scheduler(root: Path, *tasks: Task, holder: str = "one", settings: str = SETTINGS) -> Scheduler:
    """Make a scheduler in a workspace of its own."""
    (root / "relevo.toml").write_text(settings)
    return Scheduler(Workspace.open(root), PROJECT, holder, tasks)


def until(made: Scheduler, now: datetime, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Tick with the clock standing still until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        made.tick(now)
        time.sleep(0.01)


def settle(made: Scheduler, now: datetime) -> None:
    """Tick at this time until nothing runs."""
    made.tick(now)
    until(made, now, lambda: not made.running)


def look(made: Scheduler, now: datetime) -> None:
    """Tick so often that files which rest are seen to do so, and what they lead to is done."""
    for _ in range(3):
        made.tick(now)
        time.sleep(1.1 * made.pause)
    settle(made, now)


def die(made: Scheduler) -> None:
    """End as by kill -9: what it began ends with it, and it tells nobody."""
    for one in made._running.values():
        one.child.kill("as if by kill -9")
        assert one.child.wait(PATIENCE) is not None


def ran(made: Scheduler, name: str = "task") -> list[Job]:
    """The jobs of a task that were begun, oldest due first."""
    jobs = made._workspace.ledger.agenda.jobs(PROJECT, 1000)
    return sorted((j for j in jobs if j.name == name and j.status != "skipped"), key=lambda j: j.due_at)


def dues(made: Scheduler, name: str = "task") -> list[str]:
    """When those jobs were due, to the minute."""
    return [job.due_at[:16] for job in ran(made, name)]
