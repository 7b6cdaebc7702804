"""The time, everywhere in Relevo. ``RELEVO_CLOCK`` makes it another one, to rehearse weeks in minutes.

The variable is ``START SPEED ANCHOR``: the moment ``START`` (ISO 8601) was at ``ANCHOR`` seconds of the real epoch,
and each real second since then is ``SPEED`` seconds. Every process of a rehearsal shares it through its environment.
Only the time of day is rehearsed; waiting and measuring go by the machine's own clock.
"""

from __future__ import annotations

import os
import time as _time
from datetime import UTC, datetime
from typing import NamedTuple

from relevo.errors import WorkspaceError
from relevo.texts import t

VARIABLE = "RELEVO_CLOCK"


class Pace(NamedTuple):
    """A rehearsed clock: at ``anchor`` real seconds it was ``start``; both count from the epoch."""

    start: float
    speed: float
    anchor: float

    def text(self) -> str:
        """What the variable must be."""
        return f"{datetime.fromtimestamp(self.start, UTC).isoformat()} {self.speed!r} {self.anchor!r}"


def read(text: str) -> Pace:
    """Read the variable; raises ``WorkspaceError`` when it is something else."""
    try:
        start, speed, anchor = text.split()
        moment = datetime.fromisoformat(start)
        found = Pace(
            (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), float(speed), float(anchor)
        )
    except ValueError as error:
        raise WorkspaceError(
            t(
                "{variable} is “{text}”. Write START SPEED ANCHOR: 2026-01-05T00:00:00+00:00 3600 1767571200.0",
                variable=VARIABLE,
                text=text[:100],
            )
        ) from error
    if not 0 < found.speed < float("inf"):
        raise WorkspaceError(t("{variable}: the speed must be above 0.", variable=VARIABLE))
    return found


_said = os.environ.get(VARIABLE)
pace = read(_said) if _said else None
"""The rehearsed clock; None when the time is the real one."""


def seconds() -> float:
    """Seconds since the epoch."""
    return _time.time() if pace is None else pace.start + (_time.time() - pace.anchor) * pace.speed


def nanoseconds() -> int:
    """Nanoseconds since the epoch."""
    return _time.time_ns() if pace is None else int(seconds() * 1e9)


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.fromtimestamp(seconds(), UTC)


def real(of: float) -> float:
    """How many real seconds so many seconds of the clock take."""
    return of if pace is None else of / pace.speed
