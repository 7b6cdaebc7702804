"""Spans: the hours, days and weeks of a time zone, as moments in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
"""Of each unit, but where clocks change."""


@dataclass(frozen=True)
class Span:
    """From ``began_at`` until just before ``ended_at``, both in UTC; ``name`` is its local beginning.

    Hours begin at the full local hour, days at midnight, weeks on Monday. When clocks are put back or forward an
    hour's name tells by its offset which one it is, and a day has 23 or 25 hours.
    """

    unit: str
    name: str
    began_at: datetime
    ended_at: datetime


def span(unit: str, timezone: str, moment: datetime) -> Span:
    """The span that a moment, with its zone, is in."""
    began = _floor(unit, timezone, moment)
    step = LENGTHS[unit]
    ended = _floor(unit, timezone, began + step)
    while ended <= began:  # a day of 25 hours, or an hour in which clocks were put back by half of one
        step += timedelta(hours=1)
        ended = _floor(unit, timezone, began + step)
    local = began.astimezone(ZoneInfo(timezone))
    name = local.isoformat(timespec="minutes") if unit == "hour" else local.date().isoformat()
    return Span(unit, name, began, ended)


def spans(unit: str, timezone: str, since: datetime, until: datetime) -> Iterator[Span]:
    """The spans that touch the time from ``since`` until just before ``until``, in order."""
    moment = since.astimezone(UTC)
    while moment < until:
        found = span(unit, timezone, moment)
        yield found
        moment = found.ended_at


def _floor(unit: str, timezone: str, moment: datetime) -> datetime:
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    if unit == "hour":
        return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    if unit == "week":
        day -= timedelta(days=day.weekday())
    return day.replace(tzinfo=zone).astimezone(UTC)
