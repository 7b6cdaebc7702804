"""One step at a time, each in a process of its own, as an orchestrator does it."""

from __future__ import annotations

import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relevo import lifecycle
from relevo.errors import LedgerError, WorkspaceError
from support import processes, project

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition

NAME = "flights"


@pytest.mark.slow
def test_step_by_step_makes_the_package_of_a_whole_run(tmp_path: Path, original: Path) -> None:
    folder = project.make(tmp_path / "flights")
    names = [step.name for step in lifecycle.plan(project.definition(folder))]
    for name in names:
        assert processes.ended(processes.start(processes.do_step, folder, name, "nightly")) == 0
    ledger = project.workspace(folder).ledger
    (version,), (whole,) = ledger.versions(NAME), project.workspace(original).ledger.versions(NAME)
    assert (version.version, version.digest, version.run) == ("1.0.0", whole.digest, "nightly")
    assert ledger.champion(NAME) == version
    run = ledger.run("nightly")
    assert (run.status, run.version) == ("released", "1.0.0")
    assert run.finished_at
    assert [(step.name, step.status) for step in ledger.steps("nightly")] == [
        (name, "done") for name in names
    ]

    assert project.run(folder).status == "unchanged"


def test_a_step_done_twice_is_reused(released: Path) -> None:
    definition, workspace = project.definition(released), project.workspace(released)
    for name in ("ingest", "clean", "examples", "train:logistic"):
        lifecycle.run_step(definition, workspace, name, "again")
    statuses = [step.status for step in workspace.ledger.steps("again")]
    assert statuses == ["done", "reused", "reused", "reused"]
    assert lifecycle.run_step(definition, workspace, "ingest", "again").status == "reused"


def test_a_step_before_what_it_needs(released: Path) -> None:
    definition, workspace = project.definition(released), project.workspace(released)
    with pytest.raises(LedgerError, match="The step ingest of run early was not done yet"):
        lifecycle.run_step(definition, workspace, "clean", "early")


def test_the_project_may_not_change_between_steps(released: Path) -> None:
    workspace = project.workspace(released)
    lifecycle.run_step(project.definition(released), workspace, "ingest", "r1")
    project.edit(released / "features.sql", ("hour(scheduled_at) as hour", "hour(scheduled_at) + 0 as hour"))
    with pytest.raises(LedgerError, match=r"The project changed since run r1 began\."):
        lifecycle.run_step(project.definition(released), workspace, "clean", "r1")


def test_an_unknown_step_is_told_the_known_ones(released: Path) -> None:
    done = project.call("step", "training", "--run", "r1", "-p", released)
    assert done.code == 1
    assert done.err.startswith("Error: There is no step “training”. The steps are: ingest, clean, examples,")


def test_later_steps_read_what_the_first_was_told_to(released: Path) -> None:
    other = project.write_sample(released / "other.csv", 500, seed=3)
    first = project.call(
        "step", "ingest", "--run", "r1", "-p", released, "--set", f"departures={other}", "--json"
    )
    assert first.document["rows_out"] == 500 + 261
    second = project.call("step", "clean", "--run", "r1", "-p", released, "--json")
    assert second.document["rows_in"] == 500 + 261


def test_a_refused_run_ends_as_refused(released: Path) -> None:
    project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
    definition, workspace = project.definition(released), project.workspace(released)
    for step in lifecycle.plan(definition):
        lifecycle.run_step(definition, workspace, step.name, "r1")
    assert workspace.ledger.run("r1").status == "refused"
    champion = workspace.ledger.champion(NAME)
    assert champion is not None
    assert champion.version == "1.0.0"


@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_release_that_was_killed_before_its_record_is_the_runs_own(
    released: Path, rolled_back: bool
) -> None:
    with sqlite3.connect(released / ".relevo" / "ledger.db") as connection:
        connection.execute("delete from relevo_releases")  # as when this run's is the first
    project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.4'))
    definition, workspace = project.definition(released), project.workspace(released)
    for step in lifecycle.plan(definition)[:-1]:
        lifecycle.run_step(definition, workspace, step.name, "r1")
    assert processes.ended(processes.start(release_killed, released, "r1")) == -signal.SIGKILL
    ledger = workspace.ledger
    assert [one.who for one in ledger.releases(NAME)] == ["run r1"]
    if rolled_back:  # what somebody decided meanwhile stays
        ledger.add_version(replace(ledger.versions(NAME)[0], version="0.9.0", digest="a" * 64))
        ledger.release(NAME, "champion", "0.9.0", who="ana", why="", act="rollback")
    assert lifecycle.run_step(definition, workspace, "release", "r1").output["released"] is True
    run, champion = ledger.run("r1"), ledger.champion(NAME)
    assert (run.status, run.version, run.message) == ("released", "1.0.0", "Version 1.0.0 is now champion.")
    assert champion is not None
    assert champion.version == ("0.9.0" if rolled_back else "1.0.0")
    assert len(ledger.releases(NAME)) == 1 + rolled_back


def test_what_a_released_run_did_is_not_done_again(released: Path) -> None:
    """Its own version, by then the champion, is not compared with itself."""
    with sqlite3.connect(released / ".relevo" / "ledger.db") as connection:
        connection.execute("delete from relevo_releases")  # as when this run's is the first
    project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.4'))
    definition, workspace = project.definition(released), project.workspace(released)
    names = [step.name for step in lifecycle.plan(definition)]
    first = {name: lifecycle.run_step(definition, workspace, name, "r1").output for name in names}
    again = {name: lifecycle.run_step(definition, workspace, name, "r1") for name in names}
    assert {step.status for step in again.values()} == {"reused"}
    assert again["evaluate"].output == first["evaluate"]
    assert workspace.ledger.run("r1").status == "released"


@pytest.mark.slow
def test_a_verdict_holds_for_the_champion_it_is_about(released: Path) -> None:
    definition, workspace = worse(released), project.workspace(released)
    ledger = workspace.ledger
    ledger.add_version(replace(ledger.versions(NAME)[0], version="1.0.1", digest="a" * 64))
    ledger.release(NAME, "champion", "1.0.1", who="ana", why="", act="promote")
    names = [step.name for step in lifecycle.plan(definition)]
    for name in names[:-1]:
        judged = lifecycle.run_step(definition, workspace, name, "r1")
    assert judged.output["status"] == "accepted"  # whose package is gone cannot be asked
    ledger.release(NAME, "champion", "1.0.0", who="ana", why="", act="rollback")
    with pytest.raises(LedgerError, match="or repeat evaluate and what follows"):
        lifecycle.run_step(definition, workspace, "release", "r1")
    lifecycle.run_step(definition, workspace, "evaluate", "r1")
    for name in ("release", "register", "judge"):  # what was judged is no longer what was evaluated
        with pytest.raises(LedgerError, match="was not done yet"):
            lifecycle.run_step(definition, workspace, name, "r1")
    again = [
        lifecycle.run_step(definition, workspace, name, "r1") for name in names[names.index("evaluate") :]
    ]
    assert [step.status for step in again] == ["reused", *["done"] * 5]
    champion = ledger.champion(NAME)
    assert champion is not None
    assert (champion.version, ledger.run("r1").status) == ("1.0.0", "refused")


def worse(folder: Path) -> Definition:
    """Change a project so that it makes a model that only the champion keeps from being released."""
    (folder / "features.sql").write_text("select day(scheduled_at) as day_of_month from request")
    project.edit(
        folder / "project.py",
        ("candidates=[logistic(), lightgbm()]", "candidates=[logistic()]"),
        ('    metric="f1",', '    metric="roc_auc",'),
        ('{"roc_auc": 0.5}, margin=0.2', '{"roc_auc": 0.3}, margin=0.05'),
        ('    cases="cases.csv",\n', ""),
    )
    return project.definition(folder)


def release_killed(folder: Path, run_id: str) -> None:
    """Move the champion, and die before the step is recorded."""

    def listen(event: lifecycle.Event) -> None:
        if event.state == "said":
            os.kill(os.getpid(), signal.SIGKILL)

    definition, workspace = project.definition(folder), project.workspace(folder)
    lifecycle.run_step(definition, workspace, "release", run_id, listen=listen)


def test_a_run_that_brings_nothing_new_ends_with_the_examples(released: Path) -> None:
    definition, workspace = project.definition(released), project.workspace(released)
    for name in ("ingest", "clean", "examples"):
        lifecycle.run_step(definition, workspace, name, "again")
    run = workspace.ledger.run("again")
    assert (run.status, run.version) == ("unchanged", "1.0.0")
    assert run.message.startswith("Nothing is new since run ")
    lifecycle.run_step(definition, workspace, "examples", "again")  # a retry changes nothing
    assert workspace.ledger.run("again") == run


def test_what_ended_a_run_is_printed(released: Path) -> None:
    words = ("--run", "r1", "-p", released, "--json")
    assert project.call("step", "ingest", *words).document["ended"] is None
    clean = project.call("step", "clean", *words)
    assert clean.document["ended"] is None
    assert clean.err == "[ 2/11] clean: as before\n"
    assert project.call("step", "examples", *words).document["ended"]["status"] == "unchanged"


def test_exit_code_3_says_that_the_run_ended_as_refused(released: Path) -> None:
    project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
    steps = [step.name for step in lifecycle.plan(project.definition(released))]
    done = [project.call("step", name, "--run", "r1", "-p", released, "--json") for name in steps]
    assert [one.code for one in done] == [0] * (len(steps) - 1) + [3]
    assert done[-1].document["ended"]["message"].endswith("was refused; nothing changes.")


def test_a_run_that_was_given_up_is_failed_and_may_go_on(released: Path) -> None:
    definition, workspace = project.definition(released), project.workspace(released)
    lifecycle.run_step(definition, workspace, "ingest", "r1")
    ended = project.call("end", "r1", "-p", released, "--failed", "--why", "The worker burned.", "--json")
    assert (ended.code, ended.document["status"], ended.document["message"]) == (
        0,
        "failed",
        "The worker burned.",
    )
    assert project.call("end", "r1", "-p", released).out == "failed: The worker burned.\n"
    assert lifecycle.run_step(definition, workspace, "ingest", "r1").status == "reused"
    run = workspace.ledger.run("r1")
    assert (run.status, run.message, run.finished_at) == ("running", "", "")


def test_a_run_that_was_given_up_tells_what_its_steps_said_last(tmp_path: Path) -> None:
    folder = project.make(tmp_path / "flights", 0)
    lines = "never,1,SCFA,SKU,N,never\n" * 100
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "departures.csv").write_text(f"Fecha-I,Vlo-I,Des-I,Emp-I,TIPOVUELO,Fecha-O\n{lines}")
    for step, code in (("ingest", 0), ("clean", 1), ("clean", 1)):
        assert project.call("step", step, "--run", "r1", "-p", folder).code == code
    words = ("end", "r1", "-p", folder, "--failed", "--why", "Given up: clean.", "--json")
    message = project.call(*words).document["message"]
    assert message.startswith("Given up: clean. clean: departures: 100 of 100 rows")
    assert message.count("departures: ") == 1
    assert project.call("end", "r2", "-p", folder, "--json").document["error"] == "UnknownRunError"


def test_a_run_left_off_ends_as_what_it_came_to(released: Path) -> None:
    definition, workspace = project.definition(released), project.workspace(released)
    lifecycle.run_step(definition, workspace, "ingest", "r1")
    assert lifecycle.end_run(workspace, "r1", why="Run r2 goes on in its place.").status == "watched"
    (first,) = [run for run in workspace.ledger.runs(NAME) if run.plan["driver"] == "process"]
    assert lifecycle.end_run(workspace, first.id, failed=True) == first
    assert project.call("end", "nonsense", "-p", released).err.startswith(
        "Error: There is no run nonsense in"
    )


def test_a_run_under_way_in_one_process_is_not_ended(tmp_path: Path) -> None:
    folder = project.make(tmp_path / "flights", 500)
    with processes.held_at(folder, "clean"):
        workspace = project.workspace(folder)
        (run,) = workspace.ledger.runs(NAME)
        with pytest.raises(LedgerError, match="is walked by one process, which ends it"):
            lifecycle.end_run(workspace, run.id, failed=True)


def test_a_run_learns_why_and_from_which_rows_when_it_begins(released: Path) -> None:
    words = ("--run", "r1", "-p", released, "--because", "d1", "--window", "90d", "--json")
    assert project.call("step", "ingest", *words).code == 0
    plan = project.workspace(released).ledger.run("r1").plan
    assert (plan["because"], plan["window"], plan["driver"]) == ("d1", "90d", "steps")


def test_an_id_belongs_to_one_project(released: Path) -> None:
    lifecycle.run_step(project.definition(released), project.workspace(released), "ingest", "r1")
    project.edit(released / "project.py", ('name="flights"', 'name="other"'))
    with pytest.raises(LedgerError, match="Run r1 is of the project flights"):
        lifecycle.run_step(project.definition(released), project.workspace(released), "ingest", "r1")


def test_a_step_keeps_out_whole_runs_and_itself_but_no_other_step(released: Path) -> None:
    workspace, other = project.workspace(released), project.workspace(released)
    with workspace.lock_step("train:logistic"):
        with other.lock_step("train:lightgbm"):
            pass
        with (
            pytest.raises(WorkspaceError, match="The step train:logistic is under way in"),
            other.lock_step("train:logistic"),
        ):
            pass
        with pytest.raises(WorkspaceError, match="Another run is working in"), other.lock():
            pass
    with other.lock(), pytest.raises(WorkspaceError, match="Another run"), workspace.lock_step("clean"):
        pass


def test_a_step_waits_for_its_turn_where_it_is_told_to(released: Path) -> None:
    with project.variables(RELEVO_WAIT="60s"):
        patient = project.workspace(released)
    with ThreadPoolExecutor(1) as pool:
        with project.workspace(released).lock():
            waiting = pool.submit(lifecycle.run_step, project.definition(released), patient, "ingest", "r1")
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(60).status == "done"
