"""Silence: whether anything is usual in a window in which nothing came, and for how long rows are waited for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from relevo import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.monitor.champion import Watching
    from relevo.records import Window

_WEEK = timedelta(days=7)
_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": _WEEK}
TIMES = 2
"""How many times as late as any before must rows be to be missed."""
_HOUR = len("2026-01-01T00")


class Usual:
    """Tells of windows without rows whether they are to be looked at: whether something came before them.

    Of hours it must have come in the same one a week before: many are silent at night and on Sundays.
    """

    def __init__(self, watching: Watching, source: str, unit: str) -> None:
        self._hours: dict[str, int] = {}
        self._unit = unit
        if unit == "hour":
            rows = watching.workspace.ledger.watch.rows_of(watching.definition.name, source, unit)
            self._hours = {name[:_HOUR]: count for name, count in rows.items()}

    def add(self, window: Window) -> None:
        """Take in one that was looked at just now."""
        self._hours[window.name[:_HOUR]] = window.rows

    def came(self, began: str, began_at: str, before: Sequence[Window]) -> bool:
        """Whether something came before a window that began at a local time, ``began``, by the windows ``before``."""
        if self._unit == "hour":
            local = datetime.fromisoformat(began).replace(tzinfo=None) - _WEEK
            return self._hours.get(local.isoformat()[:_HOUR], 0) > 0
        moment = datetime.fromisoformat(began_at)
        return any(one.rows and datetime.fromisoformat(one.ended_at) <= moment for one in before)


def awaited(before: Sequence[Window], unit: str) -> datetime | None:
    """The moment by which the rows of all windows that had ended should have come; None where nothing is known.

    It lies back by twice as long as any of the windows ``before`` took to be there. One that was looked at late counts
    as having come late.
    """
    late = [
        datetime.fromisoformat(one.made_at) - datetime.fromisoformat(one.ended_at)
        for one in before
        if one.rows
    ]
    if not late or unit not in _STEP:
        return None
    return clock.now() - max(TIMES * max(late), _STEP[unit])
