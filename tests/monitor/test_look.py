"""A window is compared with those of its own local hour or weekday."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from relevo.budget import risks
from relevo.monitor.arrivals import Observed
from relevo.monitor.look import look, phase_of
from relevo.monitoring import Monitor
from support.alarms import a_window

if TYPE_CHECKING:
    from relevo.monitor.baselines import Reference
    from relevo.records import Window

MONDAY = datetime(2026, 1, 5)


@pytest.mark.parametrize(
    ("unit", "began", "phase"),
    [
        ("hour", "2026-03-16T02", 2),
        ("hour", "2026-03-16T02:00+00:00", 2),
        ("hour", "2026-03-16T02:00-03:00", 2),  # in Santiago the hour is two, whatever it is in UTC
        ("day", "2026-03-16", 0),
        ("day", "2026-03-15T00:00:00", 6),
        ("week", "2026-03-16", 0),
        ("batch", "w10.csv", 0),
    ],
)
def test_the_phase_is_of_local_time(unit: str, began: str, phase: int) -> None:
    assert phase_of(unit, began) == phase


def _rows(hour: int) -> int:
    """How many rows are usual: by day more than at night, at weekends a third."""
    usual = 1000 if 8 <= hour % 24 < 20 else 300
    return usual // 3 if hour // 24 % 7 >= 5 else usual


def _hour(hour: int, rows: int) -> Window:
    began = (MONDAY + timedelta(hours=hour)).isoformat()
    return a_window("p", unit="hour", name=began, rows=rows, figures={"began": began, "whole": True})


def _told(hour: int, rows: int, before: list[Window]) -> list[str]:
    observed = Observed(
        name=f"{hour}",
        began=(MONDAY + timedelta(hours=hour)).isoformat(),
        ended="",
        rows=rows,
        counts=np.zeros(0, np.int64),
        errors=None,
        probability=np.zeros(0),
        target=np.zeros(0, bool),
        slices={},
        inputs="",
    )
    few = Monitor(minimum_rows=10**6)  # so that nothing but the volume is looked at
    share = risks(1.0, ("hour",), "hour")
    found = look(observed, cast("Reference", None), few, unit="hour", risks=share, before=before)
    return [one.kind for one in found.findings]


def test_hours_are_compared_with_the_same_hour_of_earlier_weeks() -> None:
    """A quiet Sunday is no drop after Friday, and Monday no leap; before two weeks nothing is said."""
    draw = np.random.default_rng(0)
    known: list[Window] = []
    for hour in range(24 * 7 * 4):
        rows = int(draw.poisson(_rows(hour)))
        assert _told(hour, rows, known) == [], hour
        assert _told(hour, 0, known) == ([] if hour < 24 * 14 else ["volume"]), hour
        known.insert(0, _hour(hour, rows))
