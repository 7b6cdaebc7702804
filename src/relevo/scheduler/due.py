"""When a task was due last, and is due next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from relevo.extras import need
from relevo.scheduler.task import After, Appears, Cron, Every
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.scheduler.task import Task

_SPANS = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 32, 366, 4 * 366, 9 * 366))
"""How far back a last time is looked for: a 29th of February may be eight years away."""
_FIELDS = 5


def refuse(when: Cron) -> str:
    """Why a cron expression or its time zone cannot be used; empty when they can."""
    cronsim = need("cronsim", "up")
    try:
        zone = ZoneInfo(when.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return t("“{zone}” is not a time zone. Write one such as America/Santiago.", zone=when.zone)
    usable = len(when.expression.split()) == _FIELDS
    try:
        usable = usable and next(cronsim.CronSim(when.expression, datetime(2000, 1, 1, tzinfo=zone)))
    except (cronsim.CronSimError, StopIteration):
        usable = False
    if usable:
        return ""
    return t(
        "“{expression}” is not a time of cron's. Write minute, hour, day, month and weekday: 0 3 * * 1",
        expression=when.expression,
    )


class Times:
    """The due times of a ``Cron`` or an ``Every``; asked with a time that rises, it seldom has to count."""

    def __init__(self, when: Cron | Every) -> None:
        self._when = when
        self._last: datetime | None = None
        self._next: datetime | None = None

    def last(self, now: datetime) -> datetime | None:
        """The newest due time that is not after ``now``, in UTC; None when there was none in nine years."""
        self._see(now)
        return self._last

    def next(self, now: datetime) -> datetime | None:
        """The first due time after ``now``, in UTC; None when there is none."""
        self._see(now)
        return self._next

    def _see(self, now: datetime) -> None:
        known = self._last is not None and self._last <= now
        if known and self._next is not None and now < self._next:
            return
        self._last, self._next = _around(self._when, now)


def _around(when: Cron | Every, now: datetime) -> tuple[datetime | None, datetime | None]:
    if isinstance(when, Every):
        length = timedelta(seconds=when.seconds)
        before = now - (now - datetime(1970, 1, 1, tzinfo=UTC)) % length
        return before, before + length
    last = following = None
    for span in _SPANS:  # always forward: backward, a time that the clock leaves out may fall elsewhere
        for found in _times(when, now - span):
            if found > now:
                following = found
                break
            last = found
        if last is not None:
            break
    return last, following


def _times(when: Cron, start: datetime) -> Iterator[datetime]:
    cronsim = need("cronsim", "up")
    for found in cronsim.CronSim(when.expression, start.astimezone(ZoneInfo(when.zone))):
        due = found.astimezone(UTC)
        if due > start:
            yield due


def upcoming(task: Task, now: datetime) -> dict[str, Any]:
    """What a task waits for, as JSON: its name, the next time by the clock (empty for none), files and other tasks."""
    times = [Times(when).next(now) for when in task.whens if isinstance(when, Cron | Every)]
    found = [time for time in times if time is not None]
    files = [when for when in task.whens if isinstance(when, Appears)]
    return {
        "name": task.name,
        "next": min(found).isoformat(timespec="seconds") if found else "",
        "files": [one for when in files for one in ([when.name] if when.name else when.patterns)],
        "after": [when.task for when in task.whens if isinstance(when, After)],
        "needs": task.needs,
    }
