"""Weeks as ISO 8601 numbers them, from Monday to Monday in a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relevo import spans
from relevo.errors import RequestError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.spans import Span

_FORM = re.compile(r"(\d{4})-W(\d{2})")
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Week:
    """A week: ``name`` is ``2026-W46``, its ends are moments in UTC, ``first`` and ``last`` its Monday and Sunday."""

    name: str
    timezone: str
    began_at: datetime
    ended_at: datetime

    @property
    def first(self) -> date:
        """Its Monday."""
        return self.began_at.astimezone(ZoneInfo(self.timezone)).date()

    @property
    def last(self) -> date:
        """Its Sunday."""
        return self.first + timedelta(days=6)

    def has(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return self.began_at <= moment < self.ended_at


def read(text: str, timezone: str, now: datetime) -> Week:
    """Read a week's name; without one, the last that is over. Raises ``RequestError`` when it is none."""
    if not text:
        return _named(
            spans.span("week", timezone, spans.span("week", timezone, now).began_at - timedelta(days=1)),
            timezone,
        )
    found = _FORM.fullmatch(text)
    try:
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1) if found else None
        noon = datetime.combine(monday, time(12), ZoneInfo(timezone)) if monday is not None else None
        if noon is not None:
            return _named(spans.span("week", timezone, noon), timezone)
    except (ValueError, OverflowError):
        pass
    problem = t("“{week}” is no week. Write it as 2026-W46.", week=text)
    raise RequestError([{"field": "week", "problem": problem}])


def _named(span: Span, timezone: str) -> Week:
    monday = span.began_at.astimezone(ZoneInfo(timezone)).date()
    year, number, _ = monday.isocalendar()
    return Week(f"{year}-W{number:02d}", timezone, span.began_at, span.ended_at)
