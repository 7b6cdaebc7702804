"""Files are compared with those that the champion was made from, whatever came since, but for those withheld."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from relevo import nulls
from relevo.budget import Purse
from relevo.monitor import pieces
from relevo.nulls import Counts
from support.stories import Story, base, week, write

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Window

__all__ = ["base"]  # a fixture


@pytest.fixture
def story(base: Path, tmp_path: Path) -> Story:
    return Story.begun(base, tmp_path / "loans")


def _files(windows: list[Window]) -> dict[str, list[str]]:
    """What was found in each file."""
    return {one.name: [found["kind"] for found in one.findings] for one in windows if one.source == "files"}


def _channel(told: dict[str, Any]) -> list[str]:
    return [state for signal, _, state in told["alerts"] if signal == "nulls:channel"]


def test_where_nothing_can_be_compared_no_figure_says_that_it_was() -> None:
    piece = pieces.Piece("a" * 64, Counts(source="a", batch="", rows=10, nulls={"age": 10}), 0)
    risks = Purse(1.0).take()
    assert pieces.judge(piece, [], risks) == ([], {"rows": 10})
    empty = pieces.Piece("b" * 64, Counts(source="b", batch="", rows=0, nulls={"age": 0}), 0)
    assert pieces.judge(empty, [piece], risks) == ([], {"rows": 0})


@pytest.mark.slow
def test_files_are_compared_when_many_came_after_those_learned_from(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the champion are not among the newest that are counted any more."""
    monkeypatch.setattr(nulls, "MOST", 3)
    path = story.folder / "project.py"
    path.write_text(
        path.read_text().replace('retrain=Retrain(window="change", cooldown="1s", watch="60d"),', "")
    )
    rows = week(10)
    for place in range(4):
        write(story.folder / "data" / f"w10-{place}.csv", rows[200 * place : 200 * place + 200])
        story.watch()
    write(story.folder / "data" / "w11.csv", week(11, kind="broken")[:200])
    assert _files(story.watch()[0]) == {"data/w11.csv": ["nulls"]}


@pytest.mark.slow
def test_a_piece_that_is_withheld_is_no_standard_and_is_not_looked_at_by_the_next_champion(
    story: Story,
) -> None:
    """Nor do its days, of which nothing is left, look as if nothing had come."""
    story.arrive(10)
    story.watch()
    story.arrive(11, "broken")
    assert [one.action for one in story.watch()[1]] == ["quarantine"]
    for number in (12, 13):
        story.arrive(number)
        assert story.watch()[1] == []
    assert _channel(story.told()) == ["resolved"]
    ended = story.run()
    assert (ended.status, len(ended.plan["without"])) == ("released", 1)
    assert story.watch()[:2] == ([], [])
    assert _channel(story.told()) == ["resolved"]
    story.arrive(14, "broken")
    windows, decisions, _ = story.watch()
    assert _files(windows) == {"data/w14.csv": ["nulls"]}
    assert [one.action for one in decisions] == ["quarantine"]
    assert len(decisions[0].evidence["pieces"]) == 1


@pytest.mark.slow
def test_as_many_refused_rows_as_ever_are_usual_in_a_file_that_was_rewritten(story: Story) -> None:
    """What the champion was made from is in quarantine no more."""

    def write_weeks(last: int) -> None:
        rows = [list(row) for number in range(last) for row in week(number)]
        for row in rows[::25]:
            row[1] = 1e9
        write(story.folder / "data" / "w00.csv", rows)

    for path in (story.folder / "data").glob("*.csv"):
        path.unlink()
    write_weeks(10)
    assert story.run().status == "released"
    write_weeks(11)
    windows, decisions, _ = story.watch()
    assert (_files(windows), decisions) == ({"data/w00.csv": []}, [])
    (window,) = [one for one in windows if one.source == "files"]
    assert window.figures["refused"] == window.rows / 25


@pytest.mark.slow
def test_a_lake_that_was_lost_is_told_and_ends_with_the_next_run(story: Story) -> None:
    """The number of the champion's rows is that of others by then."""
    shutil.rmtree(story.folder / ".relevo" / "lake")
    story.arrive(10)
    windows, decisions, _ = story.watch()
    assert [one.figures["problem"][:8] for one in windows if "problem" in one.figures] == ["The lake"]
    assert [one.action for one in decisions] == ["wait"]
    assert story.run().status == "released"
    assert not [one for one in story.watch()[0] if "problem" in one.figures]
