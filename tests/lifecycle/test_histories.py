"""A project with histories walks to a release, is compared with its champion, and refuses a leak."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import audit, lifecycle, load
from relevo.errors import DataError
from relevo.lifecycle.walk import Walk
from relevo.package import ModelPackage
from relevo.train import native
from relevo.workspace import Workspace
from support import shop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a released version."""
    rng = random.Random(3)
    path = shop.write(tmp_path_factory.mktemp("shop") / "p", shop.stream(rng, 300), shop.tiers(rng))
    ended = lifecycle.run(load(path), Workspace.open(path))
    assert ended.status == "released", ended.message
    return path


def steps_of(folder: Path, run: str) -> dict[str, Any]:
    return {step.name: step for step in Workspace.open(folder).ledger.steps(run)}


def walk_of(folder: Path) -> Walk:
    """The last run that ended with a release, as its steps saw it."""
    definition, workspace = load(folder), Workspace.open(folder)
    run = next(run for run in workspace.ledger.runs(definition.name) if run.status == "released")
    outputs = {step.name: step.output for step in workspace.ledger.steps(run.id)}
    return Walk(definition, workspace, run, outputs)


def test_the_history_is_a_table_of_the_lake_and_its_proof_is_in_the_ledger(folder: Path) -> None:
    walk = walk_of(folder)
    assert {"history/spending", "history/tiers"} <= set(walk.workspace.lake.names())
    proof = walk.output("history")["proof"]
    assert len(proof["cuts"]) >= 4
    assert proof["rows"] > 100
    assert walk.output("audit")["rows"] == walk.examples.rows


def test_a_golden_row_holds_the_history_it_was_answered_with(folder: Path) -> None:
    walk = walk_of(folder)
    package = ModelPackage.load(walk.workspace.blobs.folder(walk.output("package")["digest"]))
    assert {row["name"] for row in package.histories} == {"spending", "tiers"}
    assert any(row["histories"]["spending"] and row["histories"]["tiers"] for row in package.golden)


def audited(walk: Walk, package: ModelPackage, **changes: Any) -> audit.Parity:
    """Audit a package against the definition, parts of whose plan may be changed."""
    definition = replace(walk.definition, plan=replace(walk.definition.plan, **changes))
    fit = walk.best
    project = walk.definition.project
    margin = native(
        fit,
        project.candidates[0],
        project.tuning,
        lambda: walk.training_set(walk.part("train")),
        project.root,
    )
    fitted = audit.Native(fit.encoders, margin, fit.calibration, fit.threshold)
    return audit.audit(definition, walk.workspace.lake, walk.tables, walk.examples, package, fitted)


def test_the_proof_refuses_a_join_at_another_moment(folder: Path) -> None:
    """A training query that sees what was known a day later differs from what online would have answered."""
    walk = walk_of(folder)
    package = ModelPackage.load(walk.workspace.blobs.folder(walk.output("package")["digest"]))
    assert audited(walk, package).proven
    sql = walk.definition.plan.sql.replace('request."_time" >=', 'request."_time" + interval 1 day >=')
    assert sql != walk.definition.plan.sql
    found = audited(walk, package, sql=sql)
    assert not found.proven
    assert "in training" in found.faults[0]


def test_a_later_run_compares_both_at_each_examples_time(folder: Path, tmp_path: Path) -> None:
    later = tmp_path / "p"
    shutil.copytree(folder, later)
    shop.edit_window(later)
    ended = lifecycle.run(load(later), Workspace.open(later))
    assert ended.status in ("released", "refused"), ended.message
    reasons = steps_of(later, ended.id)["judge"].output["verdict"]["reasons"]
    champion = next(reason for reason in reasons if reason["check"] == "champion")
    assert "On the same rows" in champion["text"], champion


def test_a_champion_with_another_history_is_asked_with_its_own(folder: Path, tmp_path: Path) -> None:
    """After history.sql was edited, the champion's features are still made by the SQL it was trained with."""
    later = tmp_path / "p"
    shutil.copytree(folder, later)
    before = walk_of(folder)
    path = later / "history.sql"
    path.write_text(path.read_text().replace("sum(amount) as total", "sum(amount) * 100 as total"))
    ended = lifecycle.run(load(later), Workspace.open(later))
    steps = steps_of(later, ended.id)
    record = walk_of(folder).blob(before.output("evaluate")["blob"])
    champion = next(
        reason for reason in steps["judge"].output["verdict"]["reasons"] if reason["check"] == "champion"
    )
    assert champion["figures"]["champion"] == pytest.approx(record["evaluation"]["metrics"]["f1"]["value"])


def test_a_leak_ends_the_run_and_nothing_is_released(tmp_path: Path) -> None:
    rng = random.Random(4)
    sql = "select customer, bought_at as known_at, 1 as receipts, amount as total, amount as last_amount from receipts"
    path = shop.write(
        tmp_path / "p",
        shop.stream(rng, 200),
        shop.tiers(rng),
        history=sql
        + " qualify row_number() over (partition by customer, bought_at order by recorded_at desc) = 1",
    )
    with pytest.raises(DataError, match=r"history\.sql sees the future"):
        lifecycle.run(load(path), Workspace.open(path))
    assert Workspace.open(path).ledger.champion("shop") is None
