"""One step at a time, each in a process of its own, as an orchestrator does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo import lifecycle
from relevo.errors import LedgerError
from support import processes, project

if TYPE_CHECKING:
    from pathlib import Path

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
