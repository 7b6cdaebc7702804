"""A clock that a test sets, and how long things take."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from relevo import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Clock:
    """Relevo's clock in this process; it goes on from where it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: str = "2026-01-05T08:00:00") -> None:
        self._monkeypatch = monkeypatch
        self.set(start)

    def set(self, moment: str) -> None:
        """Put the clock to a moment."""
        start = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
        self._monkeypatch.setattr(clock, "pace", clock.Pace(start, 1.0, time.time()))

    def go(self, **by: float) -> None:
        """Put it on, or back, by so many ``days``, ``hours``, ``minutes``."""
        self.set((clock.now() + timedelta(**by)).replace(tzinfo=None).isoformat())


def within(seconds: float, act: Callable[[], object], tries: int = 5) -> bool:
    """Whether something takes less than that when nothing else holds the machine up: one of some tries must."""
    for _ in range(tries):
        began = time.monotonic()
        act()
        if time.monotonic() - began < seconds:
            return True
    return False
