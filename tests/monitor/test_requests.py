"""Requests that a service answered are watched: distributions, answers, labels, and quality with and without them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from support.stories import Story, base, week

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["base"]  # a fixture
pytestmark = pytest.mark.slow
ROWS = 300


@pytest.fixture
def story(base: Path, tmp_path: Path) -> Story:
    return Story.begun(base, tmp_path / "loans")


@pytest.fixture
def first(story: Story) -> datetime:
    """The first midnight after the release."""
    release = story.workspace.ledger.releases("loans")[0]
    moment = datetime.fromisoformat(release.released_at) + timedelta(days=1)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _later(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Set the clock."""
    assert moment.tzinfo is UTC
    monkeypatch.setattr(clock, "pace", clock.Pace(moment.timestamp(), 1.0, time.time()))


def _days(windows: list[Any]) -> dict[str, Any]:
    return {window.name: window for window in windows if (window.source, window.unit) == ("requests", "day")}


def test_days_like_the_others_are_silent_and_have_all_figures(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        story.ask(first + timedelta(days=day), week(20 + day, rows=ROWS))
    _later(monkeypatch, first + timedelta(days=3, hours=1))
    windows, decisions, _ = story.watch()
    days = _days(windows)
    assert len(days) == 3
    assert [one for window in days.values() for one in window.findings] == []
    assert decisions == []
    figures = next(iter(days.values())).figures
    assert figures["skew"] == {"rows": ROWS, "share": 0.0}
    assert figures["realised"]["rows"] == ROWS
    auc = figures["realised"]["metrics"]["roc_auc"]
    assert auc["low"] < figures["reference"]["metrics"]["roc_auc"]["value"] < auc["high"]
    assert set(figures["signals"]) == {"amount", "channel", "region", "(score)"}
    assert story.watch()[0] == []


def test_a_day_is_looked_at_again_when_its_labels_come(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = week(20, rows=ROWS, kind="turned")
    story.ask(first, rows, labelled=0.0)
    _later(monkeypatch, first + timedelta(days=1, hours=1))
    (before,) = _days(story.watch()[0]).values()
    assert before.figures.get("realised") is None
    assert before.figures["estimated"]["metrics"]["roc_auc"]["value"] > 0.6
    assert [found["kind"] for found in before.findings] == []
    story.ask(first, rows)  # the same predictions, which are there already, and their labels
    (after,) = _days(story.watch()[0]).values()
    assert after.number > before.number
    assert "loss" in {found["kind"] for found in after.findings}


def test_a_day_of_which_some_outcomes_never_come_is_judged_when_they_are_overdue(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.ask(first, week(20, rows=ROWS, kind="turned"), labelled=0.7)
    _later(monkeypatch, first + timedelta(days=1, hours=1))
    (early,) = _days(story.watch()[0]).values()
    assert early.figures["realised"]["complete"] is False
    _later(monkeypatch, first + timedelta(days=29))
    assert first.date().isoformat() not in _days(story.watch()[0])
    _later(monkeypatch, first + timedelta(days=31, hours=1))
    windows, decisions, _ = story.watch()
    overdue = _days(windows)[early.name]
    assert overdue.figures["realised"]["complete"] is True
    assert "loss" in {found["kind"] for found in overdue.findings}
    assert "loss" in {one.cause for one in decisions}


def test_a_mix_that_moved_is_told_of(story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    story.ask(first, week(20, rows=ROWS, kind="moved"))
    _later(monkeypatch, first + timedelta(days=1, hours=1))
    windows, decisions, _ = story.watch()
    (day,) = _days(windows).values()
    assert [(found["kind"], found["about"]) for found in day.findings] == [("drift", "region")]
    assert [(one.cause, one.action) for one in decisions] == [("drift", "note")]


def test_answers_that_come_out_otherwise_are_told_of(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.ask(first, week(20, rows=ROWS), wrong=0.1)
    _later(monkeypatch, first + timedelta(days=1, hours=1))
    windows, decisions, _ = story.watch()
    (day,) = _days(windows).values()
    assert day.figures["skew"]["share"] == pytest.approx(0.1)
    assert "skew" in {found["kind"] for found in day.findings}
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "wait")]


@pytest.mark.parametrize("strange", [0.1, 1.0])
def test_requests_that_break_the_contract_now_come_out_otherwise(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch, strange: float
) -> None:
    story.ask(first, week(20, rows=30), strange=strange)
    _later(monkeypatch, first + timedelta(days=1, hours=1))
    (day,) = _days(story.watch()[0]).values()
    assert day.figures["skew"] == {"rows": 30, "share": pytest.approx(strange)}
    assert [found["kind"] for found in day.findings] == ["skew"]


def test_a_window_looked_at_again_is_compared_with_those_before_it(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came after it, when three times as much is asked, says nothing of what was usual."""
    for day in range(15):
        moment, rows = first + timedelta(days=day), week(20 + day, rows=20)
        story.ask(moment, rows, labelled=0.0)
        story.count(moment + timedelta(hours=1), rows=20, refused=2)
    _later(monkeypatch, first + timedelta(days=15, hours=1))
    before = list(_days(story.watch()[0]).values())[-1]
    for day in (15, 16):
        story.ask(first + timedelta(days=day), week(20 + day, rows=60), labelled=0.0)
    _later(monkeypatch, first + timedelta(days=17, hours=1))
    assert len(_days(story.watch()[0])) == 2
    story.ask(first + timedelta(days=14), week(34, rows=20), again=True)
    (again,) = _days(story.watch()[0]).values()
    assert again.name == before.name
    assert again.number > before.number
    assert again.figures["volume"] == before.figures["volume"]
    assert again.figures["volume"]["expected"] == pytest.approx(20)


def test_the_number_of_rows_is_not_judged_while_answers_are_not_in_the_lake(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures are a share of all that was answered."""
    for day, rows in enumerate((100, 100, 100, 20)):
        story.ask(first + timedelta(days=day), week(20 + day, rows=rows), labelled=0.0)
        story.count(first + timedelta(days=day, hours=1), rows=100, failed=20)
    last = (first + timedelta(days=3)).date().isoformat()
    _later(monkeypatch, first + timedelta(days=4, minutes=5))
    day = _days(story.watch()[0])[last]
    assert (day.rows, day.figures["failures"]) == (20, 20)
    assert (day.figures["whole"], day.findings) == (False, ())
    assert _days(story.watch()[0]) == {}
    story.ask(first + timedelta(days=3, hours=23), week(30, rows=80), labelled=0.0, lasting=3000)
    (day,) = _days(story.watch()[0]).values()
    assert (day.name, day.rows, day.figures["whole"]) == (last, 100, True)


def test_an_hour_is_put_off_while_answers_are_not_in_the_lake(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for an hour only."""
    path = story.folder / "project.py"
    path.write_text(path.read_text().replace("Monitor(loss=0.03)", 'Monitor(loss=0.03, windows=("hour",))'))
    story.ask(first, week(20, rows=20), labelled=0.0, lasting=3000)
    story.count(first, rows=100, failed=0)

    def hours(minutes: int) -> list[tuple[int, bool]]:
        _later(monkeypatch, first + timedelta(minutes=minutes))
        found = [one for one in story.watch()[0] if one.unit == "hour" and one.source == "requests"]
        return [(one.rows, one.figures["whole"]) for one in found]

    assert [hours(65), hours(115), hours(125)] == [[], [], [(20, False)]]


def test_labels_that_cease_are_missed(story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    path = story.folder / "project.py"
    path.write_text(path.read_text().replace("Monitor(loss=0.03)", 'Monitor(loss=0.03, label_delay="2d")'))
    for day in range(0, 20, 2):
        story.ask(first + timedelta(days=day), week(20 + day, rows=120), labelled=0.8 if day < 12 else 0.0)
    _later(monkeypatch, first + timedelta(days=14, hours=1))
    windows, decisions, _ = story.watch()
    assert [one for window in windows if window.source == "labels" for one in window.findings] == []
    assert "no labels" not in {one.cause for one in decisions}
    _later(monkeypatch, first + timedelta(days=21, hours=1))
    windows, decisions, _ = story.watch()
    (labels,) = [window for window in windows if window.source == "labels"]
    assert [found["kind"] for found in labels.findings] == ["labels"]
    assert ("no labels", "wait") in {(one.cause, one.action) for one in decisions}
    assert ("labels", "page", "open") in story.told()["alerts"]


def test_a_day_that_is_left_behind_is_not_looked_at_in_part(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story.folder / "project.py"
    path.write_text(path.read_text().replace("Monitor(loss=0.03)", 'Monitor(loss=0.03, label_delay="1d")'))
    story.ask(first, week(20, rows=ROWS), labelled=0.0)
    _later(monkeypatch, first + timedelta(days=8))
    assert _days(story.watch()[0])[first.date().isoformat()].rows == ROWS
    for hours in (23, 33, 47):
        _later(monkeypatch, first + timedelta(days=35, hours=hours))
        assert [one for one in story.watch()[0] if one.source == "requests" and one.rows] == []


def test_the_volume_of_the_day_of_a_release_is_not_judged(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the version before it answered that day is not counted; nor does the rest say what is usual."""
    for day in range(15):
        story.ask(first + timedelta(days=day), week(20 + day, rows=40))
    _later(monkeypatch, first + timedelta(days=15, hours=1))
    before = _days(story.watch()[0])
    assert list(before.values())[-1].figures["volume"]["expected"] == pytest.approx(40)
    _later(monkeypatch, first + timedelta(days=15, hours=15))
    story.arrive(10)
    assert story.run().status == "released"
    story.ask(first + timedelta(days=15, hours=16), week(40, rows=12), lasting=7 * 3600)
    story.ask(first + timedelta(days=16), week(41, rows=40))
    _later(monkeypatch, first + timedelta(days=17, hours=1))
    released, after = _days(story.watch()[0]).values()
    assert (released.rows, released.figures["volume"], released.findings) == (12, None, ())
    assert after.figures["volume"]["expected"] == pytest.approx(40)
    assert after.findings == ()


def test_windows_whose_outcomes_are_complete_say_whether_an_estimate_holds(
    story: Story, first: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Early outcomes of the window itself, those of all who fail, say nothing."""
    story.ask(first, week(20, rows=ROWS))
    early = sorted(week(21, rows=3 * ROWS), key=lambda row: not row[4])
    story.ask(first + timedelta(days=1), early, labelled=0.2)
    _later(monkeypatch, first + timedelta(days=2, hours=1))
    complete, estimated = _days(story.watch()[0]).values()
    assert complete.figures["realised"]["complete"] is True
    assert estimated.figures["realised"]["positives"] == estimated.figures["realised"]["rows"] == 180
    assert (estimated.figures["estimated"]["holds"], estimated.figures["estimated"]["reasons"]) == (True, [])
    story.ask(first + timedelta(days=2), week(22, rows=ROWS, kind="turned"))
    _later(monkeypatch, first + timedelta(days=3, hours=1))
    story.watch()
    story.ask(first + timedelta(days=3), week(23, rows=ROWS), labelled=0.0)
    _later(monkeypatch, first + timedelta(days=4, hours=1))
    (after,) = _days(story.watch()[0]).values()
    assert after.figures["estimated"]["holds"] is False
    (reason,) = after.figures["estimated"]["reasons"]
    assert "300 recent rows the ROC-AUC was" in reason
