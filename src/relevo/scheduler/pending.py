"""Whether a task has something to do now: its due times, held against the jobs that the ledger knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from relevo.backoff import LONGEST, SHORTEST
from relevo.ledger.agenda import DONE, FAILED, SKIPPED
from relevo.scheduler.due import Times
from relevo.scheduler.files import Watch
from relevo.scheduler.task import After, Appears, Cron, Every

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.records import Job
    from relevo.scheduler.task import Task

SEEN = "seen"
"""The fact of a job that says which files it was begun for: a mark by the key of their patterns."""
_FIRST = 60.0 / SHORTEST  # a minute after the first failure, then two, up to two hours


@dataclass(frozen=True)
class Due:
    """Something to do: when it was due, and what is known of it."""

    at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


class Pending:
    """A task's whens, and what its files were at the last look."""

    def __init__(self, task: Task, pause: float) -> None:
        self.task = task
        self._times = [Times(when) for when in task.whens if isinstance(when, Cron | Every)]
        self._watches = [(when, Watch(when, pause)) for when in task.whens if isinstance(when, Appears)]
        self._after = [when.task for when in task.whens if isinstance(when, After)]

    def due(self, now: datetime, last: Job | None, done: Callable[[str], Job | None]) -> Due | None:
        """What is due and was not begun: the newest time alone, however many were missed.

        ``last`` is the job that was due last by now, ``done`` gives another task's. Before the first job of all,
        only files and other tasks are a reason: nothing was missed yet. See ``baseline``.
        """
        found = []
        if last is not None:
            found = [time for times in self._times if (time := times.last(now)) is not None]
        found += [time for name in self._after if (time := _done_at(done(name))) is not None and time <= now]
        found = [time for time in found if last is None or time > _time(last.due_at)]
        marks = {watch.key: mark for _, watch in self._watches if (mark := watch.look())}
        seen = _seen(last)
        for when, watch in self._watches:
            new = watch.key in marks and marks[watch.key] != seen.get(watch.key)
            if new and _since(last, now) >= timedelta(seconds=when.pause):
                found.append(now)
        return Due(max(found), {SEEN: {**seen, **marks}}) if found else None

    def baseline(self, now: datetime) -> datetime | None:
        """The time that counts as done when nothing is known of the task: what was due before it was there."""
        return max((time for times in self._times if (time := times.last(now)) is not None), default=None)

    def again(self, now: datetime, last: Job | None) -> bool:
        """Whether a job that failed should be tried once more: tries are left, and it has waited."""
        if last is None or last.status != FAILED or last.attempt >= self.task.tries:
            return False
        waited = now - _time(last.finished_at)
        return not timedelta(0) <= waited < _wait(last.attempt)  # below 0 the clock was set back


def _wait(attempt: int) -> timedelta:
    """How long to wait after an attempt; seconds of the clock, so that a rehearsal has the same story."""
    return timedelta(seconds=_FIRST * min(LONGEST, SHORTEST * 2 ** min(attempt - 1, 30)))


def _seen(last: Job | None) -> Mapping[str, str]:
    return last.facts.get(SEEN, {}) if last is not None else {}


def _since(last: Job | None, now: datetime) -> timedelta:
    """How long ago the last job was that really ran."""
    return now - _time(last.due_at) if last is not None and last.status != SKIPPED else timedelta.max


def _done_at(job: Job | None) -> datetime | None:
    return _time(job.finished_at) if job is not None and job.status == DONE else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
