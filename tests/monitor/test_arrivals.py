"""Rows that arrive with their outcomes are watched day by day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from relevo.budget import spending
from relevo.withheld import withheld
from support.stories import START, WEEKS, Story, base, week, write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["base"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.fixture
def story(base: Path, tmp_path: Path) -> Story:
    return Story.begun(base, tmp_path / "loans")


def _days(windows: list[Any]) -> dict[str, Any]:
    return {window.name: window for window in windows if (window.source, window.unit) == ("arrivals", "day")}


def test_rows_that_come_late_are_no_small_day(story: Story) -> None:
    """A correction brings 20 rows of a day that the version learned from, where 200 a day are usual."""
    for number in (10, 11, 12):
        story.arrive(number)
        assert story.watch()[1] == []
    late = week(WEEKS - 1, seed=1, rows=140)[:20]
    write(story.folder / "data" / "late.csv", late)
    windows, decisions, _ = story.watch()
    (day,) = _days(windows).values()
    assert (day.name, day.rows) == ((START + timedelta(weeks=WEEKS - 1)).date().isoformat(), 20)
    assert (day.figures["whole"], day.figures["volume"], day.findings) == (False, None, ())
    assert decisions == []
    assert withheld(story.workspace.ledger, "loans") == {}
    story.arrive(13)
    after = list(_days(story.watch()[0]).values())
    assert [one.figures["volume"]["expected"] for one in after] == [pytest.approx(200)] * 7


def test_a_small_day_is_told_of(story: Story) -> None:
    for number in (10, 11, 12):
        story.arrive(number)
        story.watch()
    rows = week(13)
    write(story.folder / "data" / "w13.csv", [*rows[:400], *rows[400:600:5], *rows[600:]])
    windows, _, _ = story.watch()
    small = _days(windows)[(START + timedelta(weeks=13, days=2)).date().isoformat()]
    assert [(found["kind"], found["value"]) for found in small.findings] == [("volume", 40.0)]


def test_what_cannot_be_read_is_told_every_day_that_it_is_so(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story.folder / "data" / "w10.csv"
    noon = datetime.now(UTC).replace(hour=12) + timedelta(days=1)
    named = []
    for day in (0, 1, 90):
        moment = noon + timedelta(days=day)
        monkeypatch.setattr(clock, "pace", clock.Pace(moment.timestamp(), 1.0, time.time()))
        path.write_text("this is no loan\n1\n2\n")
        windows, decisions, _ = story.watch()
        assert [one.action for one in decisions] == ["wait"]
        named += [one.name for one in windows if one.source == "files"]
        assert story.watch()[1] == []  # at once it is the same
        path.unlink()
    assert named == [f"(unread) {noon.date() + timedelta(days=day)}" for day in (0, 1, 90)]


def test_files_that_come_each_hour_spend_no_more_than_one_a_day(story: Story) -> None:
    rows = week(10)
    for place in range(0, 1400, 20):
        write(story.folder / "data" / f"w10-{place:04}.csv", rows[place : place + 20])
        if place in (0, 200, 1380):
            story.watch()
    files = [one for one in story.workspace.ledger.watch.windows("loans", limit=200) if one.source == "files"]
    assert len(files) == 70
    spent = [one.figures["spent"] for one in files]
    assert sum(spent) <= 1 / spending(["files", "arrivals"])
    assert max(spent) <= 1 / 30
