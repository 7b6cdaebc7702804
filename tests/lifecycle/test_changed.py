"""What is changed in a project, or around it, is in the next run: no step is reused that hangs on it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from relevo import lifecycle
from relevo.errors import LedgerError
from relevo.ids import uuid7
from relevo.lifecycle.runner import ENDED
from relevo.package import ModelPackage
from relevo.records import Run, now
from support import project

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.ledger import Ledger
    from relevo.lifecycle import Event


def done(folder: Path) -> tuple[Run, set[str]]:
    """Run; gives the run and the steps that were done, not reused."""
    found: set[str] = set()

    def listen(event: Event) -> None:
        if event.state == "done":
            found.add(event.step)

    return project.run(folder, listen), found


def newest(folder: Path) -> ModelPackage:
    """The package of the newest version."""
    made = project.workspace(folder)
    return ModelPackage.load(made.blobs.folder(made.ledger.versions("flights")[0].digest))


def test_another_rule_of_decision_is_in_a_new_version(released: Path) -> None:
    project.edit(
        released / "project.py",
        ("from relevo import ", "from relevo import Costs, "),
        ('    metric="f1",', '    metric="f1",\n    decision=Costs(false_positive=1, false_negative=8),'),
    )
    run, steps = done(released)
    assert run.version != "1.0.0"
    assert steps >= {"evaluate", "package"}
    assert newest(released).threshold == pytest.approx(1 / 9)


def test_outcomes_that_are_known_at_another_time_make_other_examples(released: Path) -> None:
    ledger = project.workspace(released).ledger
    before = ledger.newest_snapshot("examples/flights", project="flights")
    project.edit(released / "project.py", ('        known_at="departed_at",\n', ""))
    done(released)
    after = ledger.newest_snapshot("examples/flights", project="flights")
    assert before is not None
    assert after is not None
    assert before.id != after.id


def test_leaks_are_looked_for_again_when_rows_are_known_at_another_time(released: Path) -> None:
    project.edit(
        released / "project.py",
        ('event_time="scheduled_at"),', 'event_time="scheduled_at", known_at="departed_at"),'),
    )
    assert "examples" in done(released)[1]


def test_many_looks_do_not_hide_the_last_run(released: Path) -> None:
    """What was rolled back does not come again because somebody looked often."""
    ledger = project.workspace(released).ledger
    _look(ledger, 60)
    assert [run.status for run in ledger.runs("flights", limit=50) if run.status in ENDED] == []
    run, steps = done(released)
    assert run.status == "unchanged"
    assert "evaluate" not in steps


def _look(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        run = uuid7()
        ledger.start_run(Run(id=run, project="flights", status="running", started_at=now()))
        ledger.finish_run(run, status="watched")


def test_a_champion_that_is_damaged_does_not_keep_a_new_one_away(released: Path) -> None:
    made = project.workspace(released)
    champion = made.ledger.champion("flights")
    assert champion is not None
    package = made.blobs.folder(champion.digest)
    package.chmod(0o700)
    shutil.rmtree(package)
    project.write_sample(released / "data" / "more.csv", 2000, seed=7, start="2018-01-01")
    run, _ = done(released)
    assert (run.status, run.version == "1.0.0") == ("released", False)
    (judged,) = [step for step in made.ledger.steps(run.id) if step.name == "judge"]
    told = {reason["check"]: reason["text"] for reason in judged.output["verdict"]["reasons"]}
    assert "cannot be asked" in told["champion"]


@pytest.mark.slow
def test_a_champion_that_came_meanwhile_is_not_replaced_unseen(released: Path) -> None:
    """A candidate takes the place of none but whom it was compared with."""
    project.write_sample(released / "data" / "more.csv", 2000, seed=7, start="2018-01-01")
    first = project.run(released)
    assert (first.status, first.version == "1.0.0") == ("released", False)
    ledger = project.workspace(released).ledger

    def meddle(event: Event) -> None:
        if (event.step, event.state) == ("evaluate", "done"):
            ledger.release("flights", "champion", "1.0.0", who="ana", why="complaints", act="rollback")

    project.write_sample(released / "data" / "yet_more.csv", 2000, seed=8, start="2019-01-01")
    with pytest.raises(LedgerError, match="moved since"):
        project.run(released, meddle)
    champion = ledger.champion("flights")
    assert champion is not None
    assert champion.version == "1.0.0"
    again, steps = done(released)
    assert again.status == "released"
    assert "evaluate" in steps


def test_what_was_removed_is_made_anew(released: Path) -> None:
    """A record that a step was done is not enough: what it made must be there."""
    made = project.workspace(released)
    champion = made.ledger.champion("flights")
    assert champion is not None
    (trained,) = [one for one in made.ledger.steps(champion.run) if one.name == "train:lightgbm"]
    package, model = made.blobs.folder(champion.digest), made.blobs._path(trained.output["fit"]["native"])
    shutil.rmtree(package)
    model.unlink()
    run, steps = done(released)
    assert (run.status, run.version) == ("released", "1.0.0")
    assert {"train:lightgbm", "package"} <= steps
    assert "clean" not in steps
    assert made.blobs.defect(champion.digest) == ""
    assert model.is_file()


def test_a_lake_that_was_lost_is_made_anew(released: Path) -> None:
    """Nothing is new then, and yet the tables come back."""
    lake = project.workspace(released).lake
    names = lake.names()
    shutil.rmtree(released / ".relevo" / "lake")
    run, steps = done(released)
    assert (run.status, run.version, steps) == ("unchanged", "1.0.0", {"ingest", "clean", "examples"})
    assert lake.names() == names
    assert done(released)[1] == {"ingest"}


def test_rows_that_took_the_place_of_others_are_not_taken_for_them(released: Path) -> None:
    """In another lake the number of a version may be that of other rows."""
    definition, workspace = project.definition(released), project.workspace(released)
    data = released / "data" / "departures.csv"
    before = data.read_bytes()
    shutil.rmtree(released / ".relevo" / "lake")
    project.write_sample(data, 1000, seed=5, start="2015-01-01")
    others = lifecycle.refresh(definition, workspace)
    with pytest.raises(LedgerError, match="left no examples"):
        lifecycle.reference(definition, workspace)
    data.write_bytes(before)
    again = lifecycle.refresh(definition, workspace)
    assert again.examples.rows > others.examples.rows
    with workspace.lake.connect() as connection:
        for snapshot in (again.examples, *again.tables.values()):
            workspace.lake.bind(connection, snapshot.table, as_="found", version=snapshot.version)
            assert connection.execute("select count(*) from found").fetchall() == [(snapshot.rows,)]
    assert len(lifecycle.reference(definition, workspace).outcome)


@pytest.mark.slow
def test_a_run_on_the_same_rows_leaves_what_a_window_taught(released: Path) -> None:
    """Only new rows, or another definition, lead from a renewal back to all rows."""
    ledger = project.workspace(released).ledger
    (first,) = ledger.runs("flights")
    renewed = lifecycle.run(
        project.definition(released), project.workspace(released), window="200d", because="d1"
    )
    assert (renewed.status, renewed.version == "1.0.0") == ("released", False)
    plain = project.run(released)
    assert (plain.status, plain.version) == ("unchanged", renewed.version)
    champion = ledger.champion("flights")
    assert champion is not None
    assert champion.version == renewed.version
    ledger.finish_run(renewed.id, status="refused", message="", version=renewed.version)
    looked_past = project.run(released)
    assert (looked_past.status, looked_past.version) == ("unchanged", "1.0.0")
    assert first.id in looked_past.message
