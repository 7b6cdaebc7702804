"""The runs that were decided on, as an orchestrator is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from relevo.ledger import Ledger
from relevo.ledger.rows import to_row
from relevo.ledger.tables import runs
from relevo.records import CHAMPION, Decision, Run, Step, now
from relevo.renewal import Waiting, waiting_runs
from relevo.renewal.decide import RETRAIN
from relevo.renewal.pending import TRIES
from support.ledgers import a_run, a_version

if TYPE_CHECKING:
    from pathlib import Path


def decided(folder: Path) -> Ledger:
    """A ledger with a champion and a decision to retrain because of it."""
    ledger = Ledger(folder / "ledger.db")
    for number in ("1.0.0", "1.0.1"):
        ledger.add_version(a_version("p", number))
    release(ledger, "1.0.0")
    decide(ledger, "d1")
    return ledger


def decide(ledger: Ledger, identity: str) -> None:
    """Decide to retrain because of 1.0.0."""
    ledger.watch.decide(
        Decision(
            id=identity,
            project="p",
            at=now(),
            cause="loss",
            action=RETRAIN,
            text="Worse.",
            evidence={"window": "90d"},
            version="1.0.0",
        )
    )


def release(ledger: Ledger, version: str, *, who: str = "ana", act: str = "promote") -> None:
    """Let a version be the champion."""
    ledger.release("p", CHAMPION, version, who=who, why="", act=act)


def begin(ledger: Ledger, run: str) -> None:
    """Begin a run that follows from the decision that its id begins with."""
    plan = {"because": run.partition("-")[0], "driver": "steps"}
    ledger.start_run(Run(id=run, project="p", status="running", started_at=now(), plan=plan))


def waiting(ledger: Ledger) -> list[str]:
    """The ids of the runs that wait."""
    return [one.run for one in waiting_runs(ledger, "p")]


def test_a_run_keeps_its_id_until_it_has_failed(tmp_path: Path) -> None:
    ledger = decided(tmp_path)
    assert waiting_runs(ledger, "p") == [Waiting("d1-1", "d1", "90d")]
    begin(ledger, "d1-1")
    assert waiting(ledger) == ["d1-1"]
    ledger.finish_run("d1-1", status="failed")
    assert waiting(ledger) == ["d1-2"]


def test_nothing_waits_when_it_ended_or_was_given_up(tmp_path: Path) -> None:
    ledger = decided(tmp_path)
    begin(ledger, "d1-1")
    ledger.finish_run("d1-1", status="unchanged")
    assert waiting_runs(ledger, "p") == []


def test_a_run_that_ended_long_ago_is_not_begun_again(tmp_path: Path) -> None:
    """However often was looked since: each look is a run of its own."""
    ledger = decided(tmp_path)
    begin(ledger, "d1-1")
    ledger.finish_run("d1-1", status="refused")
    looks = [to_row(a_run("p", id=f"look {number}", status="watched")) for number in range(10_001)]
    with ledger._database.writing() as connection:
        connection.execute(insert(runs), looks)
    assert waiting(ledger) == []


def test_what_failed_often_waits_no_longer(tmp_path: Path) -> None:
    ledger = decided(tmp_path)
    for number in range(1, TRIES + 1):
        assert waiting(ledger) == [f"d1-{number}"]
        begin(ledger, f"d1-{number}")
        ledger.save_step(
            Step(run=f"d1-{number}", name="clean", inputs="", status="failed", output={}, started_at=now())
        )
        ledger.finish_run(f"d1-{number}", status="failed")
    assert waiting_runs(ledger, "p") == []


def test_no_run_begins_about_a_version_that_is_the_champion_no_longer(tmp_path: Path) -> None:
    ledger = decided(tmp_path)
    begin(ledger, "d1-1")
    ledger.finish_run("d1-1", status="failed")
    assert waiting(ledger) == ["d1-2"]
    release(ledger, "1.0.1")
    assert waiting(ledger) == []
    ledger.end(ledger.releases("p")[-1], who="ana", why="", to="1.0.0")
    assert waiting(ledger) == ["d1-2"], "it answers again, and is as bad as before"


def test_a_run_that_was_killed_after_it_had_released_its_version_ends(tmp_path: Path) -> None:
    ledger = decided(tmp_path)
    begin(ledger, "d1-1")
    release(ledger, "1.0.1", who="run d1-1")
    assert waiting(ledger) == ["d1-1"]
    ledger.finish_run("d1-1", status="failed")
    assert waiting(ledger) == ["d1-2"]
    ledger.end(ledger.releases("p")[-1], who="relevo", why="on trial it did worse", to="1.0.0")
    assert waiting(ledger) == [], "what it made was taken back"


def test_a_run_ends_what_was_decided_before_it(tmp_path: Path) -> None:
    """Two decisions that wait, as two who looked at the same time made them, lead to one run."""
    ledger = decided(tmp_path)
    decide(ledger, "d2")
    assert waiting(ledger) == ["d1-1", "d2-1"]
    begin(ledger, "d1-1")
    ledger.finish_run("d1-1", status="refused")
    assert waiting(ledger) == []
