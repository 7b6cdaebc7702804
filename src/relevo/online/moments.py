"""Dates as DuckDB 2.0 calculates them, within Python's years 1 to 9999; beyond them is an error."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from relevo.online.runtime import toward_zero

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def microseconds(moment: datetime) -> int:
    """Count from 1970."""
    return (moment - EPOCH) // _MICROSECOND


def boundaries(start: datetime, end: datetime, unit: int) -> int:
    """How many multiples of the unit lie between: ``date_diff``."""
    return microseconds(end) // unit - microseconds(start) // unit


def whole(start: datetime, end: datetime, unit: int) -> int:
    """How many whole units lie between: ``date_sub``."""
    return toward_zero((end - start) // _MICROSECOND, unit)


def diff_quarter(start: date, end: date) -> int:
    """Count the quarters begun between."""
    return (end.year - start.year) * 4 + (end.month - 1) // 3 - (start.month - 1) // 3


def yearweek(day: date) -> int:
    """ISO year and week as one number."""
    year, week, _ = day.isocalendar()
    return year * 100 + week


def dayofyear(day: date) -> int:
    """Count from 1 January."""
    return day.toordinal() - date(day.year, 1, 1).toordinal() + 1


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, half away from zero."""
    count = microseconds(moment)
    return (count + 500) // 1000 if count >= 0 else -((500 - count) // 1000)


def month_length(year: int, month: int) -> int:
    """Days in a month."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)  # noqa: PLR2004 - February
    return _LENGTHS[month] + leap


def last_day(day: date) -> date:
    """Find the month's last day."""
    return date(day.year, day.month, month_length(day.year, day.month))


def add_days(day: date, count: int) -> date:
    """``date + n``."""
    return date.fromordinal(day.toordinal() + count)


def add_interval(moment: datetime, months: int, days: int, micros: int) -> datetime:
    """Add months, clipped to the month's end, then days, then the rest."""
    if months:
        year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
        day = min(moment.day, month_length(year, month + 1))
        moment = moment.replace(year=year, month=month + 1, day=day)
    return moment + timedelta(days=days, microseconds=micros)


def trunc_week(moment: datetime) -> datetime:
    """Find the Monday."""
    return datetime.fromordinal(moment.toordinal() - moment.weekday())


def timestamp_to_text(moment: datetime) -> str:
    """ISO with a blank; of the fraction only its significant digits."""
    written = moment.isoformat(" ")
    return written.rstrip("0") if moment.microsecond else written


@lru_cache(256)
def _pieces(form: str) -> tuple[str, ...]:
    """Cut a format into codes (``%Y``) and the text between."""
    pieces: list[str] = []
    at = 0
    while at < len(form):
        end = at + 2 if form[at] == "%" else (form + "%").index("%", at)
        pieces.append(form[at:end])
        at = end
    return tuple(pieces)


STRFTIME: dict[str, Callable[[date], str]] = {
    "%Y": lambda m: f"{m.year:04d}",
    "%y": lambda m: f"{m.year % 100:02d}",
    "%m": lambda m: f"{m.month:02d}",
    "%d": lambda m: f"{m.day:02d}",
    "%H": lambda m: f"{getattr(m, 'hour', 0):02d}",
    "%I": lambda m: f"{(getattr(m, 'hour', 0) + 11) % 12 + 1:02d}",
    "%M": lambda m: f"{getattr(m, 'minute', 0):02d}",
    "%S": lambda m: f"{getattr(m, 'second', 0):02d}",
    "%f": lambda m: f"{getattr(m, 'microsecond', 0):06d}",
    "%p": lambda m: "PM" if getattr(m, "hour", 0) >= 12 else "AM",  # noqa: PLR2004 - noon
    "%j": lambda m: f"{dayofyear(m):03d}",
    "%a": lambda m: DAYS[m.weekday()][:3],
    "%A": lambda m: DAYS[m.weekday()],
    "%b": lambda m: MONTHS[m.month][:3],
    "%B": lambda m: MONTHS[m.month],
    "%u": lambda m: str(m.isoweekday()),
    "%w": lambda m: str(m.isoweekday() % 7),
    "%V": lambda m: f"{m.isocalendar()[1]:02d}",
    "%G": lambda m: f"{m.isocalendar()[0]:04d}",
    "%%": lambda _: "%",
}


def unknown_codes(form: str) -> list[str]:
    """The codes in ``form`` that this process does not know."""
    return [piece for piece in _pieces(form) if piece[0] == "%" and piece not in STRFTIME]


def strftime(moment: date, form: str) -> str:
    """Format without the machine's locale or its C library."""
    return "".join(STRFTIME[piece](moment) if piece[0] == "%" else piece for piece in _pieces(form))
