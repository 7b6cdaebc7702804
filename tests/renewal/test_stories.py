"""A project lives for some weeks, and what happens to it ends in one expected story, whoever is killed on the way."""

from __future__ import annotations

import random
import signal
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from relevo.definition import load
from relevo.monitor import monitor
from relevo.records import Decision, now
from relevo.renewal import carry_out, renew, trial, waiting_runs
from relevo.renewal.decide import RETRAIN
from relevo.withheld import give_back, withheld
from support import stories
from support.stories import Story, base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["base"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.fixture
def story(base: Path, tmp_path: Path) -> Story:
    return Story.begun(base, tmp_path / "loans")


def _kinds(windows: list[Any]) -> set[str]:
    return {found["kind"] for window in windows for found in window.findings}


def test_weeks_like_the_others_end_in_nothing(story: Story) -> None:
    for number in (10, 11):
        story.arrive(number)
        windows, decisions, done = story.watch()
        assert [(window.source, window.unit) for window in windows].count(("arrivals", "day")) == 7
        assert (_kinds(windows), decisions, done) == (set(), [], [])
    assert story.told()["alerts"] == []


def test_a_broken_column_is_withheld_and_nothing_is_trained(story: Story) -> None:
    story.arrive(10, "broken")
    windows, decisions, done = story.watch()
    assert "nulls" in _kinds(windows)
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "quarantine")]
    assert "data/w10.csv is withheld" in decisions[0].text
    assert done == []
    assert ("nulls:channel", "warn", "open") in story.told()["alerts"]
    ledger = story.workspace.ledger
    assert [one.evidence["pieces"][piece] for piece, one in withheld(ledger, "loans").items()] == [
        "data/w10.csv"
    ]
    # A run made by hand learns nothing from it.
    before = ledger.newest_snapshot("examples/loans", project="loans")
    story.run()
    made = ledger.newest_snapshot("examples/loans", project="loans")
    assert before is not None
    assert made is not None
    assert before.rows - made.rows == stories.ROWS
    # Given back, it counts again, and is not withheld for the same once more.
    give_back(ledger, "loans", "data/w10.csv", who="ana", why="the provider says it is right")
    assert withheld(ledger, "loans") == {}
    assert {one.action for one in story.watch()[1]} <= {"note"}  # the column is another still


def test_drift_that_harms_nothing_is_noted(story: Story) -> None:
    story.arrive(10, "moved")
    windows, decisions, done = story.watch()
    assert "drift" in _kinds(windows)
    assert [(one.cause, one.action) for one in decisions] == [("drift", "note")]
    assert (done, story.champion()) == ([], "1.0.0")
    assert ("drift:region", "note", "open") in story.told()["alerts"]


def test_a_changed_concept_is_learned_and_then_it_is_quiet(story: Story) -> None:
    story.arrive(10, "turned")
    windows, decisions, done = story.watch()
    assert "loss" in _kinds(windows)
    assert [(one.cause, one.action) for one in decisions] == [("loss", "retrain")]
    assert [one.plan["because"] for one in done if hasattr(one, "plan")] == [decisions[0].id]
    assert story.champion() == "1.0.1"
    story.arrive(11, "turned")
    windows, decisions, done = story.watch()
    assert (_kinds(windows), decisions, done, story.champion()) == (set(), [], [], "1.0.1")


def test_what_was_decided_and_not_done_for_weeks_leads_to_one_run(story: Story) -> None:
    """As with ``--no-renew``, or an orchestrator that begins runs when it can."""
    definition, ledger = load(story.folder), story.workspace.ledger
    told = []
    for number in (10, 11):
        story.arrive(number, "turned")
        windows = monitor(definition, story.workspace)
        told += [(one.cause, one.action) for one in renew(definition, story.workspace, windows)]
    assert told == [("loss", "retrain"), ("loss", "wait")]
    (waiting,) = waiting_runs(ledger, "loans")
    done = carry_out(definition, story.workspace)
    assert [getattr(one, "status", "") for one in done] == ["released"]
    assert (story.champion(), waiting_runs(ledger, "loans")) == ("1.0.1", [])
    assert [run.plan["because"] for run in ledger.runs("loans") if run.plan.get("because")] == [
        waiting.decision
    ]


def test_a_bad_release_is_rolled_back_by_itself(story: Story) -> None:
    """The world goes back to what it was: the fresh version is worse than the one before it.

    A run that was decided on because of it, and failed, is not tried again.
    """
    story.arrive(10, "turned")
    story.watch()
    assert story.champion() == "1.0.1"
    story.workspace.ledger.watch.decide(
        Decision(
            id="d",
            project="loans",
            at=now(),
            cause="loss",
            action=RETRAIN,
            text="Worse.",
            evidence={},
            version="1.0.1",
        )
    )
    assert [one.decision for one in waiting_runs(story.workspace.ledger, "loans")] == ["d"]
    story.arrive(11)
    _, decisions, done = story.watch()
    assert [(one.cause, one.action) for one in decisions] == [("fresh version", "roll back")]
    assert [getattr(one, "act", "") for one in done] == ["rollback"]
    assert story.champion() == "1.0.0"
    release = story.workspace.ledger.releases("loans")[-1]
    assert release.facts["decision"] == decisions[0].id
    assert "worse by more than the margin" in release.why
    story.workspace.ledger.verify("loans")
    story.arrive(12)
    assert story.watch()[1:] == ([], [])


def test_a_person_who_promotes_a_version_again_has_the_last_word(story: Story) -> None:
    story.arrive(10, "turned")
    story.watch()
    story.arrive(11)
    story.watch()
    assert story.champion() == "1.0.0"
    ledger = story.workspace.ledger
    ledger.release("loans", "champion", "1.0.1", who="ana", why="the week is an exception", act="promote")
    assert story.watch()[1:] == ([], [])
    assert story.champion() == "1.0.1"


def test_a_fresh_version_is_judged_by_what_came_since_and_is_not_broken(story: Story) -> None:
    """Of two weeks the version before knows more: the one was withheld from the fresh one, the other is now."""
    path = story.folder / "project.py"
    path.write_text(path.read_text().replace('window="change"', 'window="28d"'))
    story.arrive(10, "broken")
    story.watch()
    for number in (11, 12):
        story.arrive(number, "turned")
        story.watch()
    fresh = story.champion()
    assert fresh != "1.0.0"
    stories.write(story.folder / "data" / "w13.csv", stories.week(13, kind="turned")[:400])
    story.watch()
    assert story.champion() == fresh
    definition = load(story.folder)
    assert trial.judge(definition, story.workspace, ()) is None, "the first came before it"
    story.arrive(14, "broken")
    _, decisions, _ = story.watch()
    assert ("broken data", "quarantine") in [(one.cause, one.action) for one in decisions]
    assert story.champion() == fresh
    assert trial.judge(definition, story.workspace, ()) is not None, "the second would tell against it"


def test_without_leave_nothing_is_trained(base: Path, tmp_path: Path) -> None:
    story = Story.begun(base, tmp_path / "loans")
    path = story.folder / "project.py"
    path.write_text(
        path.read_text().replace(
            'retrain=Retrain(window="change", cooldown="1s", watch="60d")', "retrain=None"
        )
    )
    story.arrive(10, "turned")
    _, decisions, done = story.watch()
    assert [(one.cause, one.action) for one in decisions] == [("loss", "wait")]
    assert (done, story.champion()) == ([], "1.0.0")
    assert any(signal_.startswith("loss:") for signal_, *_ in story.told()["alerts"])


def test_a_file_that_cannot_be_read_is_told_and_the_next_one_is_used(story: Story) -> None:
    path = story.folder / "data" / "w10.csv"
    path.write_text("this is no loan\n1\n2\n")
    windows, decisions, _ = story.watch()
    assert _kinds(windows) == {"refusals"}
    assert [(one.cause, one.action) for one in decisions] == [("broken data", "wait")]
    path.unlink()
    story.arrive(10)
    windows, decisions, _ = story.watch()
    assert (_kinds(windows), decisions) == (set(), [])


def test_a_clock_that_jumps_repeats_and_leaves_out_nothing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.arrive(10, "moved")
    monkeypatch.setattr(clock, "pace", clock.Pace(time.time() + 400 * 86_400, 1.0, time.time()))
    windows = story.watch()[0]
    assert len(windows) == 9
    monkeypatch.setattr(clock, "pace", clock.Pace(time.time() - 400 * 86_400, 1.0, time.time()))
    assert story.watch() == ([], [], [])
    story.arrive(11)
    assert len(story.watch()[0]) == 9


def _arrive(story: Story, kind: str) -> None:
    """Let the week come that begins a story; ``back`` is told after a week that turned was learned."""
    if kind == "back":
        story.arrive(10, "turned")
        story.watch()
        story.arrive(11)
    else:
        story.arrive(10, kind)


def _settle(story: Story) -> None:
    """Look until there is nothing new: a version that came back looks itself at what came meanwhile."""
    for _ in range(3):
        if story.watch() == ([], [], []):
            return
    raise AssertionError("there is always something new")


@pytest.fixture(scope="module")
def expected(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """How a story ends when nobody is killed."""

    @cache
    def ended(kind: str) -> dict[str, Any]:
        story = Story.begun(base, tmp_path_factory.mktemp(kind) / "loans")
        _arrive(story, kind)
        _settle(story)
        return story.told()

    return ended


@pytest.mark.parametrize(
    ("kind", "seed"),
    [("turned", 0), ("turned", 1), ("turned", 2), ("broken", 3), ("moved", 4), ("back", 5)],
)
def test_killed_at_any_point_the_story_ends_the_same(
    story: Story, expected: Callable[[str], dict[str, Any]], kind: str, seed: int
) -> None:
    wanted = expected(kind)
    _arrive(story, kind)
    draw = random.Random(seed)
    for _ in range(3):
        process = story.start()
        time.sleep(draw.uniform(1, 12 if kind == "turned" else 5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = story.start()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    _settle(story)
    assert story.told() == wanted
