"""When nothing is answered or nothing comes any more it is told; where nothing is usual it is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from support.stories import START, Story, base, week, write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["base"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.fixture
def story(base: Path, tmp_path: Path) -> Story:
    return Story.begun(base, tmp_path / "loans")


@pytest.fixture
def monday(story: Story) -> datetime:
    """The first midnight of a Monday after the release."""
    release = datetime.fromisoformat(story.workspace.ledger.releases("loans")[0].released_at)
    first = release + timedelta(days=7 - release.weekday())
    return first.replace(hour=0, minute=0, second=0, microsecond=0)


def _later(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "pace", clock.Pace(moment.timestamp(), 1.0, time.time()))


def _seen(windows: list[Any], source: str = "requests", unit: str = "day") -> dict[str, Any]:
    """Rows and what was found, by the window's name."""
    return {
        one.name: (one.rows, [(found["kind"], found["severity"]) for found in one.findings])
        for one in windows
        if (one.source, one.unit) == (source, unit)
    }


def test_a_day_without_requests_is_told_once_and_a_closed_one_is_not(
    story: Story, monday: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks on Sundays, nor before the first of all requests."""
    for day in range(7, 28):
        if day % 7 != 6:
            story.ask(monday + timedelta(days=day), week(20 + day, rows=30), labelled=0.0)
    _later(monkeypatch, monday + timedelta(days=28, hours=1))
    days = _seen(story.watch()[0])
    assert min(days) == (monday + timedelta(days=7)).date().isoformat()
    assert sorted({rows for rows, _ in days.values()}) == [0, 30]
    assert [found for _, found in days.values() if found] == []

    _later(monkeypatch, monday + timedelta(days=29, minutes=1))
    assert story.watch()[0] == []  # the last answers may be on their way
    _later(monkeypatch, monday + timedelta(days=29, hours=1))
    windows, decisions, done = story.watch()
    silent = (monday + timedelta(days=28)).date().isoformat()
    assert _seen(windows) == {silent: (0, [("volume", "page")])}
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "wait")]
    assert done == []
    assert ("volume", "page", "open") in story.told()["alerts"]
    assert story.watch() == ([], [], [])

    story.ask(monday + timedelta(days=28), week(50, rows=30), labelled=0.0)  # the log of a host that was away
    assert _seen(story.watch()[0]) == {silent: (30, [])}


def test_a_day_on_which_every_request_fails_is_told(
    story: Story, monday: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(10):
        story.ask(monday + timedelta(days=day), week(20 + day, rows=120), labelled=0.0)
        story.count(monday + timedelta(days=day, hours=1), rows=120)
    _later(monkeypatch, monday + timedelta(days=10, hours=1))
    assert [found for _, found in _seen(story.watch()[0]).values() if found] == []
    story.count(monday + timedelta(days=10, hours=9), failed=1000)
    story.count(monday + timedelta(days=11, hours=9), refused=700)
    story.count(monday + timedelta(days=12, hours=9), rows=500)  # answered, and on no log that is here
    _later(monkeypatch, monday + timedelta(days=13, hours=1))
    windows, decisions, _ = story.watch()
    assert _seen(windows) == {
        (monday + timedelta(days=10)).date().isoformat(): (0, [("failures", "page")]),
        (monday + timedelta(days=11)).date().isoformat(): (0, [("refusals", "warn")]),
    }
    assert {(one.cause, one.action) for one in decisions} == {("broken data", "wait")}
    assert story.watch()[0] == []


def test_hours_are_missed_only_where_the_same_hour_was_not_silent_a_week_ago(
    story: Story, monday: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story.folder / "project.py"
    path.write_text(path.read_text().replace("Monitor(loss=0.03)", 'Monitor(loss=0.03, windows=["hour"])'))
    rows = week(20, rows=30)
    for day in (0, 7, 12, 13, 14):
        for hour in range(8, 18):
            begun = monday + timedelta(days=day, hours=hour)
            if day in (12, 13):
                story.count(begun, refused=1)  # somebody tries the door on a weekend
            elif (day, hour) != (14, 12):
                story.ask(begun, rows, labelled=0.0, lasting=3000)
    _later(monkeypatch, monday + timedelta(days=14, hours=19))
    hours = _seen(story.watch()[0], unit="hour")
    silent = {name: found for name, (count, found) in hours.items() if not count}
    assert len(silent) == 21
    assert {name: found for name, found in silent.items() if found} == {
        (monday + timedelta(days=14, hours=12)).isoformat(timespec="minutes"): [("volume", "page")]
    }


def test_a_day_without_rows_between_others_is_told(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    _later(monkeypatch, (START + timedelta(weeks=14)).replace(tzinfo=UTC))
    for number in (10, 11, 12):
        story.arrive(number)
        assert story.watch()[1] == []
    rows = week(13)
    write(story.folder / "data" / "w13.csv", [*rows[:400], *rows[600:]])
    windows, decisions, _ = story.watch()
    days = _seen(windows, "arrivals")
    missing = (START + timedelta(weeks=13, days=2)).date().isoformat()
    assert {name: seen for name, seen in days.items() if seen[1]} == {missing: (0, [("volume", "page")])}
    assert len(days) == 7
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "wait")]
    assert story.watch() == ([], [], [])


def test_files_that_cease_are_missed_when_they_are_later_than_ever(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file comes each week: its first day is six days late."""
    for number in (10, 11, 12):
        story.arrive(number)
        _later(monkeypatch, (START + timedelta(weeks=number + 1, hours=1)).replace(tzinfo=UTC))
        assert story.watch()[1] == []
    for days in (7, 12):
        _later(monkeypatch, (START + timedelta(weeks=13, days=days, hours=1)).replace(tzinfo=UTC))
        assert story.watch()[0] == []
    _later(monkeypatch, (START + timedelta(weeks=13, days=14, hours=1)).replace(tzinfo=UTC))
    windows, decisions, _ = story.watch()
    assert _seen(windows, "arrivals") == {
        (START + timedelta(weeks=13)).date().isoformat(): (0, [("volume", "page")])
    }
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "wait")]
    assert story.watch() == ([], [], [])
